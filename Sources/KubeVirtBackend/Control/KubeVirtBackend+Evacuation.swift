public import DroverCore
internal import Kubernetes

extension KubeVirtBackend {
  private static let parts = Resource(group: "subresources.kubevirt.io", plural: "virtualmachineinstances")
  /// How long all steps of one order may take together; the one that runs then is ended by its own deadline.
  private static let stopBudget = Duration.seconds(40)
  /// virt-api may know of a taint for a moment longer than the API server has it.
  private static let taintLag = (pause: Duration.milliseconds(500), attempts: 6)

  /// Reads the node, its VMs' marks and the migrations that KubeVirt began for them.
  public func evacuation(of subject: EvacuationSubject) async throws(ControlError) -> EvacuationReading {
    let call = "reading the evacuation of \(subject.words)"
    let client = try running(call)
    return try await within(Self.sendDeadline, call) { () async throws(ControlError) in
      try await Self.look(at: subject, client, call).reading
    }
  }

  /// Takes the taint from the node, the marks from its VMs, and deletes the VMIMs, in this order.
  public func stopEvacuation(of subject: EvacuationSubject) async throws(ControlError) -> [String] {
    let call = "ending the evacuation of \(subject.words)"
    defer { preflights.forget() }
    let cluster = LiveEvacuation(
      backend: self, client: try running(call), subject: subject, call: call,
      deadline: .now + Self.stopBudget)
    return try await EvacuationStop(call: call, cluster: cluster).run()
  }

  /// The same order over the API server.
  private struct LiveEvacuation: EvacuationCluster {
    let backend: KubeVirtBackend
    let client: KubernetesClient
    let subject: EvacuationSubject
    let call: String
    let deadline: ContinuousClock.Instant

    var isLate: Bool { .now > deadline }

    func pause() async { try? await Task.sleep(for: .seconds(2)) }

    func look() async throws(ControlError) -> EvacuationLook {
      try await within(sendDeadline, call) { () async throws(ControlError) in
        try await KubeVirtBackend.look(at: subject, client, call)
      }
    }

    func removeTaint(_ taint: Node.Taint, from node: Node) async throws(ControlError) {
      try await within(sendDeadline, call, isSent: true) { () async throws(ControlError) in
        try await KubeVirtBackend.removeTaint(taint, from: node, client, call)
      }
    }

    func takeBack(_ vmi: VMI) async throws(ControlError) {
      let name = VMName(vmi)
      try await takeBackEviction(of: name, client, "taking back the eviction of \(name.text)")
    }

    func refusal(of vmim: VMIM) async throws(ControlError) -> Refusal? {
      guard let target = target(vmim) else { return Refusal(.unreadable, "its uid cannot be read") }
      let live = try await backend.live(target)
      return AbortGuard.refusal(of: AbortOrder(target.id, trigger: .person, requester: ""), live)
    }

    func delete(_ vmim: VMIM) async throws(ControlError) {
      guard let target = target(vmim) else { return }
      try await backend.abort(target)
    }

    private func target(_ vmim: VMIM) -> MigrationTarget? {
      guard let id = MigrationID(vmim.metadata.uid) else { return nil }
      let vm = VMRef(
        backend: backend.descriptor.name, scope: .namespace(vmim.metadata.namespace), name: vmim.vmiName)
      return MigrationTarget(
        id: id, vm: vm, domain: DomainKey(backend: vm.backend, socketPath: vmim.metadata.uid),
        object: vmim.metadata.name)
    }
  }

  // MARK: Reading

  private static func look(
    at subject: EvacuationSubject, _ client: KubernetesClient, _ call: String
  ) async throws(ControlError) -> EvacuationLook {
    let kubeVirt = try await kubeVirt(client, call)
    do throws(KubernetesError) {
      switch subject {
      case .vm(let vm):
        let namespace = vm.scope.name
        guard let vmi: VMI = try await find(vmis.named(vm.name, in: namespace), client) else {
          return EvacuationLook(subject: subject, node: nil, vmis: [], vmims: [], kubeVirt: kubeVirt)
        }
        let node: Node? =
          vmi.node.isEmpty ? nil : try await find(Resource.nodes.named(vmi.node), client)
        return EvacuationLook(
          subject: subject, node: node, vmis: [vmi],
          vmims: try await client.objects(vmims.within(namespace), ListSelection()), kubeVirt: kubeVirt)
      case .node(let name):
        let node: Node? = try await find(Resource.nodes.named(name), client)
        guard let node else { break }
        let here: [VMI] = try await client.objects(
          vmis.all, ListSelection(labels: "kubevirt.io/nodeName=\(name)"))
        return EvacuationLook(
          subject: subject, node: node, vmis: here.filter { $0.node == name },
          vmims: try await client.objects(vmims.all, ListSelection()), kubeVirt: kubeVirt)
      }
    } catch {
      throw ControlError(error, call)
    }
    throw ControlError(
      .gone, call: call, cause: "there is no node of that name", remedy: "kubectl get nodes shows them")
  }

  // MARK: Changing

  /// Takes a taint from a node as it was looked at; anew where somebody else was faster.
  private static func removeTaint(
    _ taint: Node.Taint, from node: Node, _ client: KubernetesClient, _ call: String
  ) async throws(ControlError) {
    var node = node
    var last: KubernetesError?
    for attempt in 0..<5 {
      if attempt > 0 {
        node = try await existing(node.metadata.name, client, call)
        // It may have got an owner meanwhile that wants it there.
        if DrainSigns(node, taintKey: taint.key).isUpgrade {
          throw ControlError(
            .refused, call: call, cause: "a Harvester upgrade has begun to empty it", remedy: "let it go on")
        }
      }
      let places = node.taints.indices.filter {
        node.taints[$0].key == taint.key && node.taints[$0].effect == taint.effect
      }
      guard !places.isEmpty else { return }
      do throws(KubernetesError) {
        try await client.patch(
          Resource.nodes.named(node.metadata.name),
          with: .json(
            [
              .test("/metadata/uid", .string(node.metadata.uid)),
              .test("/metadata/resourceVersion", .string(node.metadata.resourceVersion)),
            ]
              + places.reversed().flatMap { place -> [Patch.Operation] in
                [
                  .test("/spec/taints/\(place)/key", .string(taint.key)),
                  .remove("/spec/taints/\(place)"),
                ]
              }))
        return
      } catch  where error.kind == .invalid || error.kind == .conflict {
        last = error
      } catch {
        throw ControlError(error, call, isSent: true)
      }
    }
    throw alwaysChanged(call, last)
  }

  /// Takes back that a VM is to leave its node; nothing where it is not.
  ///
  /// KubeVirt refuses that with 400 while the node carries the taint of a drain.
  static func takeBackEviction(
    of name: VMName, _ client: KubernetesClient, _ call: String
  ) async throws(ControlError) {
    try await within(sendDeadline, call, isSent: true) { () async throws(ControlError) in
      let path = Self.parts.named(name.name, in: name.namespace).subresource("evacuate/cancel")
      for attempt in 1...taintLag.attempts {
        let vmi: VMI? = try await Self.find(Self.vmis.named(name.name, in: name.namespace), client, call)
        guard let vmi, !vmi.evacuationNode.isEmpty else { return }
        do throws(KubernetesError) {
          try await client.update(path, with: ["evacuationNodeName": vmi.evacuationNode])
          return
        } catch {
          if case .status(let status) = error, status.code == 404 {
            // What knows the call names what it misses.
            guard status.reason.isEmpty else { continue }
            throw ControlError(
              .unsupported, call: call, cause: "KubeVirt before 1.7 cannot take an eviction back",
              remedy: "let the migration go on, or upgrade KubeVirt")
          }
          let mayPass = error.kind == .badRequest && attempt < taintLag.attempts
          guard mayPass, (try? await Task.sleep(for: taintLag.pause)) != nil else {
            throw ControlError(error, call, isSent: true)
          }
        }
      }
    }
  }
}

extension EvacuationSubject {
  /// In words.
  var words: String {
    switch self {
    case .vm(let vm): "\(vm.scope.name)/\(vm.name)"
    case .node(let node): "node \(node)"
    }
  }
}
