@testable import DroverCore
@testable import Exposition

/// A fleet with one migration of each kind that a person on call may meet.
func recordedFleet() -> FleetSnapshot {
  var snapshot = FleetSnapshot()
  snapshot.groups = [
    group(1, [running("web-1"), stalled, postcopy, succeeded]),
    group(2, [failed, aborted, quoted]),
    group(3, [kept, cut, timedOut]),
    group(4, RecordedCluster.migrations),
  ]
  snapshot.trackedCount = snapshot.groups.reduce(0) { $0 + $1.views.count }
  snapshot.droppedCount = 0
  snapshot.vms =
    [
      vm("idle", of: hypervisor, blockers: nil),
      vm("writer", of: hypervisor, blockers: nil),
    ] + RecordedCluster.vms + [
      vm("db \"primary\"", blockers: [.hostDevice, .gpu], failures: 0),
      vm("flaky", blockers: [], failures: 3),
      vm("mystery", blockers: nil),
      vm("twin", blockers: [.other]),
      vm("web-1", blockers: []),
    ]
  snapshot.dirtyRates = [snapshot.vms[0].vm: 0, snapshot.vms[1].vm: 23_068_672]
  snapshot.nodes =
    [
      NodeView(backend: hypervisor, node: "hv-1", vms: 5, outbound: 2, inbound: 0, failedOutbound: 1)
    ] + RecordedCluster.nodes + [
      NodeView(backend: rack, node: "node-1", vms: 9, outbound: 4, inbound: 0, failedOutbound: 1),
      NodeView(backend: rack, node: "node-2", vms: 3, outbound: 0, inbound: 4, failedOutbound: 0),
    ]
  snapshot.backends = [hypervisorView, RecordedCluster.backend, rackView, silentView]
  snapshot.totals = totals
  return snapshot
}

/// The same with every number of a context that can be told.
func recordedContext(vms: VMSelection = .blocked) -> RenderContext {
  var context = context(vms: vms)
  context.configuration = ConfigurationState(isValid: true, loadedAt: at(-3600))
  var process = ProcessStatistics()
  process.cpuSeconds = 12.34
  process.openDescriptors = 31
  process.maximumDescriptors = 1024
  process.virtualMemory = 412_000_256
  process.residentMemory = 31_457_280
  process.startUnixSeconds = 1_789_996_399.99
  process.networkReceived = 123_456_789
  process.networkSent = 98_765_432
  context.process = process
  return context
}

private let stalled = migration("batch-7", started: 3.217) { view in
  view.phaseEnteredAt = at(3.5)
  view.sampledAt = at(99.75)
  view.facts.origin = .unknown
  view.facts.size = .gibibytes(4)
  view.sample.memory = StreamCounters(transferred: 1_073_745_920, remaining: 3_221_225_472)
  view.sample.dirtyRate = 0
  view.sample.iterations = 1
  view.transferRate = 0
  view.progress = ProgressClocks(lastSent: at(61), lastDrop: at(61), lastBest: at(61), best: 3_221_225_472)
  view.completion = CompletionBudget(perGiB: .seconds(800), size: .gibibytes(4))
  view.completionDeadline = at(3203.217)
  view.progressBudget = ProgressBudget(timeout: .seconds(150))
  view.progressDeadline = at(211)
  view.verdict = Verdict(.stalled, .tooFewSamples)
  view.guest = .source
}

private let postcopy = migration("cache-2", phase: .postcopy, started: 40) { view in
  view.phaseEnteredAt = at(88.001)
  view.sampledAt = at(99.9)
  view.facts.size = .gibibytes(2)
  view.sample.memory = StreamCounters(transferred: 5_368_709_120, remaining: 4096)
  view.sample.postcopyRequests = 1834
  view.sample.iterations = 12
  view.sample.cpuThrottle = 0.99
  view.transferRate = 1_250_000_000
  view.progress = ProgressClocks(lastSent: at(99.9), lastDrop: at(99.9), lastBest: at(99.9), best: 4096)
  view.completion = CompletionBudget(perGiB: .seconds(800), size: .gibibytes(2))
  view.progressBudget = ProgressBudget(timeout: .seconds(150))
  view.guest = .target
}

private let succeeded = migration("web-2", phase: .succeeded, started: -300) { view in
  view.phaseEnteredAt = at(-290.5)
  view.facts.size = .gibibytes(1)
  view.sample.memory = StreamCounters(transferred: 1_075_000_000)
  view.sample.downtime = .milliseconds(42)
  view.sample.downtimeLimit = .milliseconds(300)
  view.ending = Ending(outcome: .succeeded, certainty: .reported, endedAt: at(-290.5))
  view.guest = .target
}

private let failed = migration("web-3", phase: .failed, started: -200) { view in
  view.phaseEnteredAt = at(-150)
  view.facts.size = .gibibytes(1)
  view.sample.memory = StreamCounters(transferred: 500_000_000)
  view.ending = Ending(
    outcome: .failed, cause: .connectionLost, certainty: .inferred, text: "Unable to write to socket",
    endedAt: at(-150))
  view.guest = .source
}

private let aborted = migration("web-4", phase: .aborted, started: -100) { view in
  view.phaseEnteredAt = at(-90)
  view.ending = Ending(outcome: .aborted, cause: .userAbort, certainty: .reported, endedAt: at(-90))
  view.guest = .none
}

private let quoted = migration("dév \"box\" \\ 1\n2 🚚", host: "rack\\7", phase: .preparing, started: 99) {
  view in
  view.facts.target = ""
}

/// Over libvirt, watched on its own host: the keepalive is measured.
private let kept = migration("mail", of: hypervisor, host: "hv-1", started: 70) { view in
  view.phaseEnteredAt = at(70.5)
  view.sampledAt = at(99.6)
  view.facts.target = ""
  view.facts.origin = .unknown
  view.facts.size = .gibibytes(2)
  view.facts.memory = .gibibytes(2)
  view.sample.memory = StreamCounters(transferred: 1_181_116_006, remaining: 1_000_341_504)
  view.sample.dirtyRate = 4_194_304
  view.sample.iterations = 2
  view.sample.postcopyRequests = 0
  view.sample.expectedDowntime = .milliseconds(842)
  view.sample.downtimeLimit = .milliseconds(300)
  view.transferRate = 41_943_040
  view.progress = ProgressClocks(
    lastSent: at(99.6), lastDrop: at(99.6), lastBest: at(99.6), best: 1_000_341_504)
  view.completion = CompletionBudget(perGiB: .seconds(800), size: .gibibytes(2))
  view.completionDeadline = at(1670)
  view.progressBudget = ProgressBudget(timeout: .seconds(150))
  view.progressDeadline = at(249.6)
  view.verdict = Verdict(.converging, .tooFewSamples, expectedEnd: at(125.8))
  view.guest = .source
  let report = NetworkReport(
    settings: KeepaliveSettings(), keepalive: .measured,
    control: ConnectionHealth(lastHeard: at(96.312), isAwaited: false, unacked: 0, retransmits: 0),
    data: ConnectionHealth(lastHeard: at(99.588), isAwaited: true, unacked: 1_310_720, retransmits: 4))
  view.network = report
  view.keepalive = KeepaliveBudget(report, lastSent: at(99.6))
}

/// Over libvirt and ssh: the keepalive is inferred, and the wire of the data is cut.
private let cut = migration("build", of: hypervisor, host: "hv-1", started: 60) { view in
  view.phaseEnteredAt = at(60.75)
  view.sampledAt = at(99.7)
  view.facts.origin = .unknown
  view.facts.size = .gibibytes(1)
  view.sample.memory = StreamCounters(transferred: 805_306_368, remaining: 402_653_184)
  view.sample.iterations = 2
  view.transferRate = 0
  view.progress = ProgressClocks(
    lastSent: at(91.5), lastDrop: at(91.5), lastBest: at(91.5), best: 402_653_184)
  view.completion = CompletionBudget(perGiB: .seconds(800), size: .gibibytes(1))
  view.completionDeadline = at(860)
  view.progressBudget = ProgressBudget(timeout: .seconds(150))
  view.progressDeadline = at(241.5)
  view.guest = .source
  let report = NetworkReport(
    settings: KeepaliveSettings(interval: .seconds(10), count: 2), keepalive: .inferred(.ssh),
    data: ConnectionHealth(lastHeard: at(91.25), isAwaited: true, unacked: 2_621_440, retransmits: 9),
    sharesWire: false)
  view.network = report
  view.keepalive = KeepaliveBudget(report, lastSent: at(91.5))
  view.networkLosses = report.losses(at: at(99.75), settings: VerdictSettings())
  view.verdict = Verdict(
    .networkLost, .networkSilent(view.networkLosses, keepaliveDeadline: view.keepalive?.deadline))
}

/// Over libvirt, which ended it when its peer had been silent for too long.
private let timedOut = migration("files", of: hypervisor, host: "hv-1", phase: .failed, started: 10) { view in
  view.phaseEnteredAt = at(64.25)
  view.facts.size = .gibibytes(4)
  view.facts.origin = .unknown
  view.sample.memory = StreamCounters(transferred: 1_048_576_000)
  view.sample.disk = StreamCounters(transferred: 536_870_912)
  view.sample.downtimeLimit = .milliseconds(300)
  view.ending = Ending(
    outcome: .failed, cause: .keepalive, certainty: .inferred,
    text: "the control connection had been silent for 29880 ms", endedAt: at(64.25))
  view.guest = .source
}

private func vm(
  _ name: String, of backend: BackendName = rack, blockers: [NotMigratableReason]?, failures: UInt64 = 0
) -> VMView {
  VMView(
    vm: VMRef(backend: backend, scope: .host(backend == rack ? "node-1" : "hv-1"), name: name),
    blockers: blockers, consecutiveFailures: failures)
}

private let hypervisorView: BackendView = {
  var view = BackendView(
    BackendDescriptor(
      name: hypervisor, type: "libvirt", endpoint: "qemu:///system", origins: [.unknown],
      causes: [.keepalive, .userAbort], errorKinds: ["timeout"]))
  view.hasAttempted = true
  view.isUp = true
  view.lastSuccess = at(99.25)
  view.version = "9.0.0"
  view.collectDuration = .microseconds(412)
  view.errors = [("timeout", 1)]
  return view
}()

private let rackView: BackendView = {
  var view = BackendView(
    BackendDescriptor(
      name: rack, type: "qemu", endpoint: "/run/guests/*.qmp", node: "node-1", origins: [.manual, .unknown],
      causes: [.connectionLost, .userAbort], errorKinds: ["connect", "protocol"]))
  view.hasAttempted = true
  view.isUp = true
  view.lastSuccess = at(99.8)
  view.version = "7.2.22"
  view.collectDuration = .microseconds(1730)
  view.errors = [("connect", 2), ("protocol", 0)]
  return view
}()

private let silentView = BackendView(
  BackendDescriptor(
    name: BackendName(rawValue: "rack2"), type: "qemu", endpoint: "/run/other.qmp", origins: [.unknown],
    causes: [],
    errorKinds: []))

private let totals: FleetTotals = {
  var totals = FleetTotals()
  totals.started = [
    OriginCount(backend: rack, origin: .manual, count: 6),
    OriginCount(backend: rack, origin: .unknown, count: 1),
    OriginCount(backend: hypervisor, origin: .unknown, count: 3),
  ]
  totals.succeeded = [
    OriginCount(backend: rack, origin: .manual, count: 1),
    OriginCount(backend: rack, origin: .unknown, count: 0),
    OriginCount(backend: hypervisor, origin: .unknown, count: 0),
  ]
  totals.failed = [
    CauseCount(backend: rack, origin: .manual, cause: .connectionLost, count: 1),
    CauseCount(backend: hypervisor, origin: .unknown, cause: .keepalive, count: 1),
  ]
  totals.aborted = [
    CauseCount(backend: rack, origin: .manual, cause: .userAbort, count: 1),
    CauseCount(backend: hypervisor, origin: .unknown, cause: .userAbort, count: 0),
  ]
  var succeeded = OutcomeHistograms(backend: rack, outcome: .succeeded)
  succeeded.duration.observe(9.5)
  succeeded.downtime.observe(0.042)
  succeeded.sentBytes.observe(1_075_000_000)
  var failed = OutcomeHistograms(backend: rack, outcome: .failed)
  failed.duration.observe(50)
  failed.sentBytes.observe(500_000_000)
  totals.outcomes = [succeeded, failed]
  return totals
}()
