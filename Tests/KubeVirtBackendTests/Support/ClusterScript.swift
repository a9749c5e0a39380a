import Testing

@testable import DroverCore
@testable import KubeVirtBackend
@testable import Kubernetes

/// Plays a cluster to a ``ClusterWatch``, second by second, and what that tells to a real tracker: what is looked at is
/// what a user would see.
struct ClusterScript {
  static let name = BackendName(rawValue: "prod")

  var watch: ClusterWatch
  private(set) var tracker: MigrationTracker
  /// The second it is.
  private(set) var now: Double
  private(set) var messages: [BackendMessage] = []
  private(set) var events: [LifecycleEvent] = []
  /// Whether the API server answers every ten seconds that the watches have told everything.
  var isAnswering = false

  /// A cluster of which nothing has been read; `now` is when the watch starts.
  init(empty now: Double) {
    self.now = now
    watch = ClusterWatch(backend: Self.name, keepalive: KeepaliveSettings())
    tracker = MigrationTracker(startedAt: TestTime.moment(now))
    tracker.register(
      BackendDescriptor(
        name: Self.name, type: "kubevirt", endpoint: "", origins: Origin.allCases,
        causes: FailureCause.allCases, errorKinds: ProblemBook.Kind.allCases.map(\.rawValue)))
  }

  /// A cluster of three nodes that has been read.
  init(at now: Double = 0, kubeVirt: MadeKubeVirt? = MadeKubeVirt(), vmis: [MadeVMI] = [MadeVMI()]) {
    self.init(empty: now)
    for node in ["node-a", "node-b", "node-c"] { put(MadeNode(name: node)) }
    if let kubeVirt { put(kubeVirt) }
    for vmi in vmis { put(vmi) }
    begin()
  }

  // MARK: What happens

  /// Says that everything has been read.
  mutating func begin() {
    for resource in ClusterResource.allCases { take(.synced(resource)) }
  }

  /// Goes on to a second, looking at everything once a second in between.
  mutating func advance(to second: Double) {
    while now.rounded(.down) + 1 <= second {
      now = now.rounded(.down) + 1
      if isAnswering, now.truncatingRemainder(dividingBy: 10) == 0 { answer() }
      hand(on: watch.tick(at: instant))
      events += tracker.tick(at: instant.now)
    }
    now = max(now, second)
  }

  /// The API server answers, and every watch is open: what there was to tell has been told.
  mutating func answer() { for resource in ClusterResource.allCases { take(.fresh(resource)) } }

  mutating func take(_ input: ClusterInput) { hand(on: watch.take(input, at: instant)) }

  mutating func put(_ vmim: MadeVMIM, isInitial: Bool = false) {
    if let object = read(vmim) { take(.vmim(object, isInitial: isInitial)) }
  }

  /// The object is gone; `last` is how it was then, nil where nobody saw that.
  mutating func remove(_ vmim: MadeVMIM, last: Bool = true) {
    take(.vmimGone(uid: vmim.uid, last: last ? read(vmim) : nil))
  }

  mutating func put(_ vmi: MadeVMI) { if let object = read(vmi) { take(.vmi(object)) } }

  mutating func remove(_ vmi: MadeVMI) {
    if let object = read(vmi) {
      take(.vmiGone(VMName(namespace: vmi.namespace, name: vmi.name), uid: object.metadata.uid))
    }
  }

  mutating func put(_ node: MadeNode) { if let object = read(node) { take(.node(object)) } }
  mutating func put(_ kubeVirt: MadeKubeVirt) { if let object = read(kubeVirt) { take(.kubeVirt(object)) } }
  mutating func put(_ policy: MadePolicy) { if let object = read(policy) { take(.policy(object)) } }
  mutating func put(_ event: MadeEvent) { if let object = read(event) { take(.event(object)) } }
  mutating func put(_ replica: MadeReplica) { if let object = read(replica) { take(.replica(object)) } }

  /// Answers the question for the target's pod of a migration.
  mutating func put(_ pod: MadePod) {
    if let object = read(pod) { take(.targetPod(uid: "\(pod.migration)-uid", object)) }
  }

  /// What virt-handler says of a VM.
  mutating func copy(_ points: CopyPoint..., of vm: String = "vm1") {
    take(.copy(VMName(namespace: "default", name: vm), points))
  }

  private func read<Object: Made>(_ made: Object) -> Object.Object? {
    do { return try made.decoded() } catch {
      Issue.record("\(made.json) cannot be read: \(error)")
      return nil
    }
  }

  private mutating func hand(on told: [BackendMessage]) {
    messages += told
    for message in told { events += tracker.receive(message, at: instant.now) }
  }

  private var instant: Instant { TestTime.instant(now) }

  // MARK: What is seen

  var snapshot: FleetSnapshot { tracker.snapshot() }

  /// What is shown of a migration.
  func view(_ name: String = "m1") -> MigrationView? {
    snapshot.migrations.first { $0.identity.id.description == "\(name)-uid" }
  }

  func node(_ name: String) -> NodeView? { snapshot.nodes.first { $0.node == name } }

  /// Started, succeeded, failed, aborted.
  var counters: [UInt64] {
    let totals = snapshot.totals
    return [
      totals.started.reduce(0) { $0 + $1.count }, totals.succeeded.reduce(0) { $0 + $1.count },
      totals.failed.reduce(0) { $0 + $1.count }, totals.aborted.reduce(0) { $0 + $1.count },
    ]
  }

  /// Everything told of migrations, in order.
  var observations: [MigrationObservation] {
    messages.compactMap { if case .migration(let told) = $0 { told } else { nil } }
  }

  /// How migrations ended, and those that had ended before.
  var endings: [String] {
    events.compactMap { event in
      switch event {
      case .ended(let view): "\(view.phase.rawValue) \(view.cause)"
      case .foundEnded(let view): "found \(view.phase.rawValue) \(view.cause)"
      default: nil
      }
    }
  }
}

extension MigrationView {
  /// The cause and how certain it is: `user_abort reported`; `-` where it succeeded or is not over.
  var cause: String {
    guard let ending, let cause = ending.cause else { return "-" }
    return "\(cause.rawValue) \(ending.certainty.rawValue)"
  }
}

/// A point of a copy, in GB.
func point(
  at second: Double, sent: Double?, remaining: Double?, total: Double? = nil, dirty: Double? = nil
) -> CopyPoint {
  func bytes(_ gigabytes: Double?) -> Bytes? { gigabytes.map { Bytes(UInt64(max(0, $0) * 1e9)) } }
  return CopyPoint(
    at: TestTime.moment(second), processed: bytes(sent), remaining: bytes(remaining), total: bytes(total),
    dirtyRate: dirty.map { BytesPerSecond(UInt64($0 * 1e9)) })
}
