@testable import DroverCore
@testable import Exposition

let cluster = BackendName(rawValue: "prod")

/// A cluster in which a node is drained.
enum RecordedCluster {
  /// Its migrations: one in pre-copy, two that wait, one that failed before it started, one that is over.
  static let migrations = [precopy, queued, unschedulable, neverStarted, succeeded]

  static let vms = [
    vm("api", .migrates, blockers: []), vm("db", .migrates, blockers: nil, failures: 2),
    vm("gpu", .blocks, blockers: [.gpu]), vm("batch", .willBeShutDown, blockers: []),
  ]

  static let nodes = [drained, draining, ordinary, stale, unknown]

  static let backend: BackendView = {
    var view = BackendView(
      BackendDescriptor(
        name: cluster, type: "kubevirt", endpoint: "https://10.0.0.1:6443", origins: [.evacuation],
        causes: [.unschedulable, .userAbort], errorKinds: ["forbidden"]))
    view.hasAttempted = true
    view.isUp = true
    view.lastSuccess = at(99.5)
    view.version = "1.6.3"
    view.collectDuration = .milliseconds(85)
    view.slots = SlotUse(used: 2, limit: 5)
    view.requests = [
      RequestCount(
        verb: "list", resource: "virtualmachineinstancemigrations", code: "200", count: 2),
      RequestCount(verb: "watch", resource: "nodes", code: "410", count: 1),
      RequestCount(verb: "watch", resource: "nodes", code: "timeout", count: 0),
    ]
    return view
  }()

  /// One whose source tells everything that a cluster can tell.
  static func running(_ change: (inout MigrationView) -> Void = { _ in }) -> MigrationView {
    migration("api", uid: "7b0e") { view in
      view.hasStarted = true
      view.startedAt = at(60)
      view.phaseEnteredAt = at(61)
      view.sampledAt = at(95)
      view.facts.target = "node-b"
      view.facts.requestedTarget = "node-b"
      view.facts.origin = .manual
      view.facts.network = "harvester-system/vm-migration"
      view.facts.policy = "slow-ones"
      view.facts.size = .gibibytes(8)
      view.facts.memory = .gibibytes(8)
      view.sample.data = StreamCounters(
        transferred: 3_221_225_472, remaining: 6_442_450_944, total: 8_724_152_320)
      view.sample.dirtyRate = 20_971_520
      view.transferRate = 107_374_182
      view.progress = ProgressClocks(
        lastSent: at(95), lastDrop: at(95), lastBest: at(95), best: 6_442_450_944,
        dropUncertainty: .seconds(5), sentUncertainty: .seconds(5))
      view.completion = CompletionBudget(
        timeout: .seconds(1350), setBy: .versionDefault, enforcedBy: .kubevirt, action: .abort,
        uncertainty: .seconds(150))
      view.completionDeadline = at(1410)
      view.progressBudget = ProgressBudget(
        timeout: .seconds(150), setBy: .kubevirt, enforcedBy: .kubevirt, countsSent: true)
      view.progressDeadline = at(240)
      var report = NetworkReport(settings: KeepaliveSettings(), keepalive: .inferred(.remote))
      report.reported = [NetworkLoss(network: .management, silence: .seconds(50), limit: .seconds(40))]
      view.network = report
      view.keepalive = KeepaliveBudget(report, lastSent: at(95), sentUncertainty: .seconds(5))
      view.networkLosses = report.losses(at: at(100), settings: VerdictSettings())
      view.verdict = Verdict(.networkLost, .networkSilent(view.networkLosses, keepaliveDeadline: at(115)))
      view.guest = .source
      change(&view)
    }
  }

  static func waiting(_ wait: PendingWait) -> MigrationView {
    migration("db", uid: "9c41", phase: .pending) { $0.waiting = wait }
  }

  private static let precopy = running()

  private static let queued = waiting(
    PendingWait(reason: .queueNode, position: 3, text: "2 of 2 slots of node-a are taken"))

  private static let unschedulable = migration("web", uid: "a07d", phase: .scheduling) { view in
    view.facts.origin = .workloadUpdate
    view.waiting = PendingWait(reason: .unschedulable, text: "0/3 nodes are available")
  }

  private static let neverStarted = migration("gpu", uid: "b6f2", phase: .failed) { view in
    view.phaseEnteredAt = at(350)
    view.ending = Ending(
      outcome: .failed, cause: .podPendingTimeout, certainty: .inferred, endedAt: at(350))
    view.guest = .source
  }

  private static let succeeded = migration("files", uid: "c3a9", phase: .succeeded) { view in
    view.hasStarted = true
    view.startedAt = at(30)
    view.phaseEnteredAt = at(44)
    view.facts.target = "node-c"
    view.sample.data = StreamCounters(transferred: 1_610_612_736)
    view.ending = Ending(outcome: .succeeded, certainty: .reported, endedAt: at(44))
    view.guest = .target
  }

  private static func migration(
    _ name: String, uid: String, phase: Phase = .precopy, _ change: (inout MigrationView) -> Void
  ) -> MigrationView {
    let vm = VMRef(backend: cluster, scope: .namespace("shop"), name: name)
    let domain = DomainKey(backend: cluster, socketPath: uid)
    let id = MigrationID(uid) ?? MigrationID(domain: domain, startedUnixMilliseconds: 0)
    var view = bareMigration(id: id, vm: vm, domain: domain, phase: phase, started: 20)
    view.hasStarted = false
    view.createdAt = at(20)
    view.facts.object = "kubevirt-evacuation-\(uid)"
    view.facts.source = "node-a"
    view.facts.origin = .evacuation
    change(&view)
    return view
  }

  private static func vm(
    _ name: String, _ outcome: DrainOutcome, blockers: [NotMigratableReason]?, failures: UInt64 = 0
  ) -> VMView {
    VMView(
      vm: VMRef(backend: cluster, scope: .namespace("shop"), name: name), node: "node-a",
      blockers: blockers, consecutiveFailures: failures, drainOutcome: outcome)
  }

  private static func node(
    _ name: String, vms: UInt64, drain: NodeDrain, _ change: (inout NodeView) -> Void = { _ in }
  ) -> NodeView {
    var view = NodeView(
      backend: cluster, node: name, vms: vms, outbound: 0, inbound: 0, failedOutbound: 0)
    view.state = NodeObservation(
      backend: cluster, node: name, takenAt: at(99), isReady: true, heartbeat: at(80), drain: drain)
    change(&view)
    return view
  }

  private static let drained = node("node-0", vms: 0, drain: NodeDrain(blockers: []))

  private static let draining: NodeView = {
    var drain = NodeDrain(blockers: [.vm])
    drain.isDraining = true
    drain.startedAt = at(10)
    drain.vms = [.pending: 1, .migrating: 2, .done: 4, .blocked: 1]
    return node("node-a", vms: 4, drain: drain) { view in
      view.outbound = 2
      view.pending = 1
      view.failedOutbound = 3
      view.state?.slots = SlotUse(used: 2, limit: 2)
    }
  }()

  private static let ordinary = node(
    "node-b", vms: 7, drain: NodeDrain(blockers: [.vm, .inbound, .notCordoned])
  ) {
    view in
    view.inbound = 1
    view.failedInbound = 2
    view.state?.slots = SlotUse(used: 0, limit: 2)
  }

  private static let stale = node("node-c", vms: 0, drain: NodeDrain(blockers: [])) { view in
    view.state?.isReady = false
    view.state?.heartbeat = nil
    view.state?.takenAt = at(10)
    view.isStale = true
  }

  /// One that VMs are on and that nobody has told of yet.
  private static let unknown = NodeView(
    backend: cluster, node: "node-d", vms: 1, outbound: 0, inbound: 0, failedOutbound: 0)
}
