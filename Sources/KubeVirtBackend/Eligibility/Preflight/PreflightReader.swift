internal import DroverCore
internal import Kubernetes
internal import Synchronization

/// Reads what a preflight goes by: each kind of object as one list, whatever the number of VMs.
struct PreflightReader: Sendable {
  let source: any ObjectSource
  /// The only namespaces that Drover watches; empty for all.
  var namespaces: [String] = []
  /// For all of it.
  var limit = Duration.seconds(60)

  private static let call = "reading what a drain would do"

  /// Everything; only the VMIs have to be readable, what else is not becomes a fact of its own.
  func facts() async throws(ControlError) -> PreflightFacts {
    let end = ContinuousClock.now + limit
    let kubeVirt = "kubevirt.io"
    async let guests: Fact<[PreflightGuest]> = guests(end)
    async let pods: Fact<[PlacementPod]> = list(
      Resource.pods, until: end, ListSelection(fields: "status.phase!=Succeeded,status.phase!=Failed"))
    async let cluster: Fact<[ClusterRules]> = list(Resource(group: kubeVirt, plural: "kubevirts"), until: end)
    async let nodes: Fact<[PlacementNode]> = list(Resource.nodes, until: end)
    async let claims: Fact<[Claim]> = list(Resource(plural: "persistentvolumeclaims"), until: end)
    async let volumes: Fact<[PersistentVolume]> = list(
      Resource(plural: "persistentvolumes", isNamespaced: false), until: end)
    async let classes: Fact<[StorageClass]> = list(storage("storageclasses"), until: end)
    async let longhorn: Fact<[LonghornVolume]> = list(
      Resource(group: "longhorn.io", version: "v1beta2", plural: "volumes"), until: end)
    async let networks: Fact<[NetworkAttachment]> = list(
      Resource(group: "k8s.cni.cncf.io", plural: "network-attachment-definitions"), until: end)
    async let csiNodes: Fact<[CSINode]> = list(storage("csinodes"), until: end)
    async let attachments: Fact<[VolumeAttachment]> = list(storage("volumeattachments"), until: end)
    var facts = PreflightFacts(guests: try Self.needed(await guests))
    facts.namespaces = namespaces
    facts.pods = await pods
    facts.cluster = await cluster.map { $0.first.map { .known($0) } ?? .missing }
    facts.nodes = await nodes
    facts.claims = await claims
    facts.volumes = await volumes
    facts.classes = await classes
    facts.longhorn = await longhorn
    facts.networks = await networks
    facts.csiNodes = await csiNodes
    facts.attachments = await attachments
    return facts
  }

  private func storage(_ plural: String) -> Resource {
    Resource(group: "storage.k8s.io", plural: plural, isNamespaced: false)
  }

  private static func needed(_ guests: Fact<[PreflightGuest]>) throws(ControlError) -> [PreflightGuest] {
    switch guests {
    case .known(let guests): return guests
    case .denied(let right):
      throw ControlError(.denied, call: call, cause: "VMIs may not be read", remedy: "grant \(right)")
    case .absent, .missing:
      throw ControlError(
        .gone, call: call, cause: "the cluster has no KubeVirt", remedy: "check the address of the API server"
      )
    case .failed(let cause):
      throw ControlError(
        cause == "timeout" ? .timeout : .unreachable, call: call,
        cause: "the list of VMIs did not come (\(cause))",
        remedy: "look at the API server, and try again")
    }
  }

  private func guests(_ end: ContinuousClock.Instant) async -> Fact<[PreflightGuest]> {
    let vmis = Resource(group: "kubevirt.io", plural: "virtualmachineinstances")
    guard !namespaces.isEmpty else { return await list(vmis, until: end) }
    var all: [PreflightGuest] = []
    for namespace in namespaces {
      switch await read(vmis.within(namespace), ListSelection(), end) as Fact<[PreflightGuest]> {
      case .known(let some): all += some
      case let other: return other
      }
    }
    return .known(all)
  }

  private func list<Object: KubernetesObject>(
    _ resource: Resource, until end: ContinuousClock.Instant, _ selection: ListSelection = ListSelection()
  ) async -> Fact<[Object]> {
    await read(resource.all, selection, end)
  }

  private func read<Object: KubernetesObject>(
    _ path: ResourcePath, _ selection: ListSelection, _ end: ContinuousClock.Instant
  ) async -> Fact<[Object]> {
    await Fact(until: end) { () async throws(KubernetesError) in try await source.objects(path, selection) }
  }
}

/// Lets several questions at a time, and ones right after each other, share one look at the cluster.
final class PreflightDesk: Sendable {
  /// How long a look is good for: somebody who asks node by node does not read thousands of objects each time.
  static let lasting = Duration.seconds(10)

  private struct State {
    var task: Task<Result<PreflightIndex, ControlError>, Never>?
    var number = 0
    var done: (index: PreflightIndex, at: ContinuousClock.Instant)?
  }

  private let state = Mutex(State())
  private let lasting: Duration

  /// Makes one that keeps what was read for a while.
  init(lasting: Duration = PreflightDesk.lasting) { self.lasting = lasting }

  /// Whether anything that was read is kept.
  var isKeeping: Bool { state.withLock { $0.done != nil } }

  /// What is known, read anew where that is too old.
  func index(
    now: ContinuousClock.Instant = .now,
    read: @escaping @Sendable () async throws(ControlError) -> PreflightFacts
  ) async throws(ControlError) -> PreflightIndex {
    let task = state.withLock { state -> Task<Result<PreflightIndex, ControlError>, Never> in
      if let done = state.done, now - done.at < lasting { return Task { .success(done.index) } }
      if let task = state.task { return task }
      state.number += 1
      let number = state.number
      let task = Task<Result<PreflightIndex, ControlError>, Never> {
        let result: Result<PreflightIndex, ControlError>
        do throws(ControlError) { result = .success(PreflightIndex(try await read())) } catch {
          result = .failure(error)
        }
        self.take(result, of: number, at: now)
        return result
      }
      state.task = task
      return task
    }
    return try await task.value.get()
  }

  /// Lets the next question read anew: what was read is known to hold no more.
  func forget() {
    state.withLock { state in
      state.number += 1
      (state.task, state.done) = (nil, nil)
    }
  }

  private func take(
    _ result: Result<PreflightIndex, ControlError>, of number: Int, at begun: ContinuousClock.Instant
  ) {
    state.withLock { state in
      guard state.number == number else { return }
      state.task = nil
      if case .success(let index) = result { state.done = (index, begun) }
    }
    // All objects of a large cluster are much: they are not kept for nobody.
    Task { [weak self, lasting] in
      try? await Task.sleep(for: lasting)
      self?.release(number)
    }
  }

  private func release(_ number: Int) {
    state.withLock { state in
      if state.number == number { state.done = nil }
    }
  }
}
