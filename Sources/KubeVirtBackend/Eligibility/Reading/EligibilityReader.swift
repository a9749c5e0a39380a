internal import DroverCore
internal import Kubernetes

/// Reads what decides where a VM can go: a few objects at a time, all of it within one deadline.
///
/// What may not be read, or does not come in time, is a fact of its own; only the VMI itself has to be there.
struct EligibilityReader: Sendable {
  private typealias Update = @Sendable (inout EligibilityFacts) -> Void
  private typealias Read = @Sendable () async -> Update

  private static let kubeVirt = "kubevirt.io"
  /// Reads at a time.
  private static let width = 6

  private let source: any ObjectSource
  private let limit: Duration
  private let deadline: ContinuousClock.Instant

  /// A reader for one question; its time begins now.
  init(_ source: any ObjectSource, limit: Duration = .seconds(10)) {
    self.source = source
    self.limit = limit
    deadline = .now + limit
  }

  /// Everything about a VM.
  func facts(of name: String, in namespace: String) async throws(ControlError) -> EligibilityFacts {
    var facts = EligibilityFacts(guest: try await guest(name, namespace))
    facts.cluster = .failed("not asked")
    let claims = facts.spec.claims
    var reads: [Read] = [machine(name, namespace), pod(of: facts.guest), nodes, cluster]
    reads += claims.map { claim($0, namespace) }
    reads += Set(facts.spec.networks.map(\.attachment)).filter { !$0.isEmpty }
      .map { network(facts.fullName(ofNetwork: $0)) }
    if !claims.isEmpty { reads += [csiNodes, attachments] }
    await run(reads, into: &facts)
    let bound = facts.claims.values.compactMap(\.value)
    await run(
      Set(bound.map(\.volume)).filter { !$0.isEmpty }.map(volume)
        + Set(bound.map(\.storageClass)).filter { !$0.isEmpty }.map(storageClass), into: &facts)
    let handles = facts.volumes.values.compactMap(\.value).filter { $0.driver == StorageRules.longhorn }
      .map(\.handle)
    await run(
      Set(handles).map(longhornVolume) + EligibilityRules.candidates(facts).map(pods)
        + [slots(at: facts.guest.node)], into: &facts)
    return facts
  }

  // MARK: the VM

  private func guest(_ name: String, _ namespace: String) async throws(ControlError) -> Guest {
    let call = "read VMI \(namespace)/\(name)"
    let instances = Resource(group: Self.kubeVirt, plural: "virtualmachineinstances")
    let fact: Fact<Guest> = await read { () async throws(KubernetesError) in
      try await source.object(instances.named(name, in: namespace))
    }
    switch fact {
    case .known(let guest): return guest
    case .denied(let right):
      throw ControlError(.denied, call: call, cause: "it may not be read", remedy: "grant \(right)")
    case .absent:
      throw ControlError(
        .gone, call: call, cause: "the cluster has no KubeVirt", remedy: "check the address of the API server"
      )
    case .missing: throw await missing(name, namespace, call)
    case .failed(let cause):
      throw ControlError(
        cause == "timeout" ? .timeout : .unreachable, call: call, cause: "no answer (\(cause))",
        remedy: "look at the API server")
    }
  }

  /// One that is off has no VMI, but a VM.
  private func missing(_ name: String, _ namespace: String, _ call: String) async -> ControlError {
    let fact: Fact<Machine> = await read { () async throws(KubernetesError) in
      try await source.object(Self.machines.named(name, in: namespace))
    }
    return fact.value == nil
      ? ControlError(
        .gone, call: call, cause: "no VM is called so", remedy: "drover vms and kubectl get vmi -A show them"
      )
      : ControlError(
        .gone, call: call, cause: "the VM does not run",
        remedy: "start it: where it starts is the scheduler's choice")
  }

  private static let machines = Resource(group: kubeVirt, plural: "virtualmachines")

  private func machine(_ name: String, _ namespace: String) -> Read {
    one(Self.machines.named(name, in: namespace)) { $0.machine = $1 }
  }

  private func pod(of guest: Guest) -> Read {
    many(
      Resource.pods.within(guest.metadata.namespace),
      ListSelection(labels: "kubevirt.io/created-by=\(guest.metadata.uid)")
    ) { facts, pods in
      facts.pod = pods.map { Self.launcher(of: guest, among: $0) }
    }
  }

  /// The pod that the guest runs in: a target's may be there too, and ones that are over.
  static func launcher(of guest: Guest, among pods: [PlacementPod]) -> Fact<PlacementPod> {
    let there = pods.filter { !$0.isOver && $0.node == guest.node }
    let active = there.filter { guest.activePods[$0.metadata.uid] == guest.node }
    let newest = (active.isEmpty ? there : active).max {
      $0.metadata.creationTimestamp < $1.metadata.creationTimestamp
    }
    return newest.map { .known($0) } ?? .missing
  }

  // MARK: the cluster

  private var nodes: Read { many(Resource.nodes.all) { $0.nodes = $1 } }

  private var cluster: Read {
    many(Resource(group: Self.kubeVirt, plural: "kubevirts").all) {
      (facts, found: Fact<[ClusterRules]>) in
      facts.cluster = found.map { $0.first.map { .known($0) } ?? .missing }
    }
  }

  /// As KubeVirt counts them, but for those of VMs that have left the node already.
  private func slots(at node: String) -> Read {
    let reader = self
    return {
      let migrations: Fact<[VMIM]> = await reader.read { () async throws(KubernetesError) in
        try await reader.source.objects(
          Resource(group: Self.kubeVirt, plural: "virtualmachineinstancemigrations").all, ListSelection())
      }
      guard let active = migrations.value?.filter(\.holdsSlot), !active.isEmpty else {
        return { $0.slots = migrations.map { _ in .known(SlotFacts(inCluster: 0, atNode: 0)) } }
      }
      let guests: Fact<[Named]> = await reader.read { () async throws(KubernetesError) in
        try await reader.source.objects(
          Resource(group: Self.kubeVirt, plural: "virtualmachineinstances").all,
          ListSelection(labels: "kubevirt.io/nodeName=\(node)"))
      }
      let slots = guests.map { guests in
        let there = Set(guests.map { VMName(namespace: $0.metadata.namespace, name: $0.metadata.name) })
        let count = active.count {
          there.contains(VMName(namespace: $0.metadata.namespace, name: $0.vmiName))
        }
        return Fact<SlotFacts>.known(SlotFacts(inCluster: active.count, atNode: count))
      }
      return { $0.slots = slots }
    }
  }

  private func pods(on node: String) -> Read {
    many(
      Resource.pods.all,
      ListSelection(fields: "spec.nodeName=\(node),status.phase!=Succeeded,status.phase!=Failed")
    ) { $0.pods[node] = $1 }
  }

  private func network(_ fullName: String) -> Read {
    let parts = fullName.split(separator: "/", maxSplits: 1).map(String.init)
    let resource = Resource(group: "k8s.cni.cncf.io", plural: "network-attachment-definitions")
    return one(resource.named(parts.last ?? "", in: parts.first)) { $0.networks[fullName] = $1 }
  }

  // MARK: storage

  private static func storage(_ plural: String) -> Resource {
    Resource(group: "storage.k8s.io", plural: plural, isNamespaced: false)
  }

  private func claim(_ name: String, _ namespace: String) -> Read {
    one(Resource(plural: "persistentvolumeclaims").named(name, in: namespace)) { $0.claims[name] = $1 }
  }

  private func volume(_ name: String) -> Read {
    one(Resource(plural: "persistentvolumes", isNamespaced: false).named(name)) { $0.volumes[name] = $1 }
  }

  private func storageClass(_ name: String) -> Read {
    one(Self.storage("storageclasses").named(name)) { $0.classes[name] = $1 }
  }

  private func longhornVolume(_ handle: String) -> Read {
    let resource = Resource(group: "longhorn.io", version: "v1beta2", plural: "volumes")
    return one(resource.named(handle, in: "longhorn-system")) { $0.longhorn[handle] = $1 }
  }

  private var csiNodes: Read { many(Self.storage("csinodes").all) { $0.csiNodes = $1 } }
  private var attachments: Read {
    many(Self.storage("volumeattachments").all) { $0.attachments = $1 }
  }

  // MARK: reading

  private func one<Object: KubernetesObject>(
    _ path: ResourcePath, _ set: @escaping @Sendable (inout EligibilityFacts, Fact<Object>) -> Void
  ) -> Read {
    let reader = self
    return {
      let fact: Fact<Object> = await reader.read { () async throws(KubernetesError) in
        try await reader.source.object(path)
      }
      return { set(&$0, fact) }
    }
  }

  private func many<Object: KubernetesObject>(
    _ path: ResourcePath, _ selection: ListSelection = ListSelection(),
    _ set: @escaping @Sendable (inout EligibilityFacts, Fact<[Object]>) -> Void
  ) -> Read {
    let reader = self
    return {
      let fact: Fact<[Object]> = await reader.read { () async throws(KubernetesError) in
        try await reader.source.objects(path, selection)
      }
      return { set(&$0, fact) }
    }
  }

  private func run(_ reads: [Read], into facts: inout EligibilityFacts) async {
    let updates = await withTaskGroup(of: Update.self) { group in
      var rest = reads[...]
      var updates: [Update] = []
      for read in rest.prefix(Self.width) { group.addTask { await read() } }
      rest = rest.dropFirst(Self.width)
      for await update in group {
        updates.append(update)
        if let next = rest.popFirst() { group.addTask { await next() } }
      }
      return updates
    }
    for update in updates { update(&facts) }
  }

  /// Reads until the deadline that holds for everything.
  private func read<Value: Sendable>(
    _ attempt: @escaping @Sendable () async throws(KubernetesError) -> Value
  ) async -> Fact<Value> {
    await Fact(until: deadline, attempt)
  }
}

/// An object of which its name is enough.
private struct Named: KubernetesObject {
  let metadata: ObjectMeta
}
