public import DroverCore
internal import Kubernetes

extension KubeVirtBackend {
  /// How often a node is changed anew where somebody else was faster: its heartbeats change it, too.
  private static let mostAttempts = 5

  /// Reads the node, the VMIs on it and its launchers, which tell also of VMs that are about to be there.
  public func node(_ name: String) async throws(ControlError) -> NodeReading {
    let call = "reading node \(name)"
    let client = try running(call)
    let (backend, namespaces) = (descriptor.name, configuration.namespaces)
    return try await within(Self.sendDeadline, call) { () async throws(ControlError) in
      try await Self.look(at: name, client, call).reading(backend, namespaces: namespaces)
    }
  }

  /// Sets or takes away `spec.unschedulable` of the node that was just looked at.
  ///
  /// Throws `.refused` for an uncordon while Harvester holds the node.
  public func cordon(_ node: String, isCordoned: Bool) async throws(ControlError) {
    let call = isCordoned ? "cordoning node \(node)" : "uncordoning node \(node)"
    let client = try running(call)
    defer { preflights.forget() }
    try await within(Self.sendDeadline, call, isSent: true) { () async throws(ControlError) in
      var last: KubernetesError?
      for _ in 0..<Self.mostAttempts {
        let found = try await Self.existing(node, client, call)
        guard found.isUnschedulable != isCordoned else { return }
        if !isCordoned, let holder = found.holder {
          throw ControlError(
            .refused, call: call, cause: "\(holder) keeps VMs off it",
            remedy: "let Harvester end that; it uncordons the node itself")
        }
        do throws(KubernetesError) {
          try await client.patch(
            Resource.nodes.named(node),
            with: .json([
              .test("/metadata/uid", .string(found.metadata.uid)),
              .test("/metadata/resourceVersion", .string(found.metadata.resourceVersion)),
              isCordoned ? .add("/spec/unschedulable", true) : .remove("/spec/unschedulable"),
            ]))
          return
        } catch  where error.kind == .invalid || error.kind == .conflict {
          last = error
        } catch {
          throw ControlError(error, call, isSent: true)
        }
      }
      throw Self.alwaysChanged(call, last)
    }
  }

  /// Reads a node and what is on it.
  static func look(at name: String, _ client: KubernetesClient, _ call: String) async throws(ControlError)
    -> NodeLook
  {
    let node = try await existing(name, client, call)
    let kubeVirt = try await kubeVirt(client, call)
    do throws(KubernetesError) {
      var vmis: [VMI] = try await client.objects(
        vmis.all, ListSelection(labels: "kubevirt.io/nodeName=\(name)"))
      let all: [LauncherPod] = try await client.objects(
        Resource.pods.all,
        ListSelection(labels: "kubevirt.io=virt-launcher", fields: "spec.nodeName=\(name)"))
      let pods = all.filter { !$0.isOver }
      let known = Set(vmis.map(\.metadata.uid))
      var asked: Set<VMName> = []
      for pod in pods where !known.contains(pod.vmi) && !pod.vmiName.isEmpty {
        let path = Self.vmis.named(pod.vmiName, in: pod.metadata.namespace)
        guard asked.insert(VMName(namespace: pod.metadata.namespace, name: pod.vmiName)).inserted,
          let vmi: VMI = try await find(path, client), vmi.metadata.uid == pod.vmi
        else { continue }
        // One of that name that was on the list has been made anew since.
        vmis.removeAll { VMName($0) == VMName(vmi) }
        vmis.append(vmi)
      }
      return NodeLook(
        node: node, vmis: vmis, pods: pods,
        taintKey: kubeVirt?.drainTaintKey ?? KubeVirtCR.usualDrainTaintKey)
    } catch {
      throw ControlError(error, call)
    }
  }

  /// A node that has to be there.
  static func existing(_ name: String, _ client: KubernetesClient, _ call: String)
    async throws(ControlError) -> Node
  {
    guard let node: Node = try await find(Resource.nodes.named(name), client, call) else {
      throw ControlError(
        .gone, call: call, cause: "there is no node of that name", remedy: "kubectl get nodes shows them")
    }
    return node
  }

  static func alwaysChanged(_ call: String, _ error: KubernetesError?) -> ControlError {
    ControlError(
      .replaced, call: call,
      cause: "it changed each time that it was looked at\(error.map { ": \($0)" } ?? "")",
      remedy: "try again; nothing was done", mayBeDone: false)
  }
}

extension Node {
  /// What of Harvester keeps VMs off it, in words; nil for nothing.
  var holder: String? {
    let signs = DrainSigns(self, taintKey: KubeVirtCR.usualDrainTaintKey)
    if signs.isUpgrade { return "a Harvester upgrade" }
    if signs.isMaintenance || metadata.annotations["harvesterhci.io/maintain-status"] != nil {
      return "Harvester's maintenance mode"
    }
    return nil
  }
}
