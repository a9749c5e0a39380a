@testable import DroverCore
@testable import DroverService

/// A day on which every sample is taken: 2026-11-23T17:00:00.123Z at moment 1,000,000.
let noon = Moment(milliseconds: 1_000_000)
let sampleOffset = EpochOffset(milliseconds: 1_795_453_200_123 - 1_000_000)

/// A migration in pre-copy that converges, changed as a test wants it.
func sampleView(
  id: String = "0b1f-1700000000000", scope: Scope = .host("rack1"), vm: String = "web",
  startedAt: Moment = noon - .seconds(125), _ change: (inout MigrationView) -> Void = { _ in }
) -> MigrationView {
  let backend = BackendName(rawValue: "qemu")
  let identity = MigrationIdentity(
    id: MigrationID(id)
      ?? MigrationID(domain: DomainKey(backend: backend, socketPath: id), startedUnixMilliseconds: 0),
    vm: VMRef(backend: backend, scope: scope, name: vm), domain: DomainKey(backend: backend, socketPath: id))
  var view = MigrationView(
    identity: identity, phase: .precopy, phaseEnteredAt: noon - .seconds(120), startedAt: startedAt,
    hasStarted: true, sampledAt: noon - .milliseconds(400))
  view.facts.source = "rack1"
  view.facts.target = "rack2"
  view.facts.size = .gibibytes(8)
  view.sample.memory = StreamCounters(
    transferred: .gibibytes(7), remaining: .gibibytes(3), total: .gibibytes(8))
  view.sample.dirtyRate = BytesPerSecond(5 << 20)
  view.sample.iterations = 2
  view.transferRate = BytesPerSecond(42 << 20)
  view.progress = ProgressClocks(
    lastSent: noon, lastDrop: noon - .seconds(3), lastBest: noon, best: .gibibytes(3))
  view.completion = CompletionBudget(perGiB: .seconds(800), size: .gibibytes(8))
  view.completionDeadline = startedAt + .seconds(6400)
  view.progressBudget = ProgressBudget(timeout: .seconds(150))
  view.progressDeadline = noon + .seconds(147)
  view.verdict = Verdict(
    .converging,
    .trend(remaining: .gibibytes(3), dirty: BytesPerSecond(5 << 20), transfer: BytesPerSecond(42 << 20)),
    expectedEnd: noon + .seconds(83))
  view.guest = .source
  change(&view)
  return view
}

/// Makes a view one of a migration that does not converge.
func notConverging(_ view: inout MigrationView) {
  view.verdict = Verdict(
    .notConverging,
    .passesDoNotShrink(
      passes: 3, best: .mebibytes(62), dirty: BytesPerSecond(43_830_477), transfer: BytesPerSecond(44_040_192)
    ))
}

/// Adds what the kernel of the source's host tells: for so many seconds each peer has been silent.
func watched(
  _ basis: KeepaliveBasis = .measured, control: Double? = 2, data: Double? = 0,
  settings: KeepaliveSettings = KeepaliveSettings(), spread: Duration = .zero, sharesWire: Bool = false
) -> (inout MigrationView) -> Void {
  { view in
    func ago(_ seconds: Double) -> Moment { noon - .milliseconds(Int64((seconds * 1000).rounded())) }
    let report = NetworkReport(
      settings: settings, keepalive: basis,
      control: control.map {
        ConnectionHealth(lastHeard: ago($0), isAwaited: false, unacked: 0, retransmits: 1)
      },
      data: data.map {
        ConnectionHealth(lastHeard: ago($0), isAwaited: true, unacked: 524_288, retransmits: 17)
      },
      controlSpread: spread, sharesWire: sharesWire)
    view.network = report
    view.keepalive = KeepaliveBudget(report, lastSent: view.progress?.lastSent)
    view.networkLosses = report.losses(at: noon, settings: VerdictSettings())
    guard view.phase == .precopy, let first = view.networkLosses.first else { return }
    let deadline = first.network == .management ? view.keepalive?.deadline : nil
    view.verdict = Verdict(.networkLost, .networkSilent(view.networkLosses, keepaliveDeadline: deadline))
  }
}

/// Makes a view one of a migration whose bytes stopped so many seconds ago.
func still(_ seconds: Double, _ kind: VerdictKind = .unknown) -> (inout MigrationView) -> Void {
  { view in
    let length = Duration.milliseconds(Int64(seconds * 1000))
    view.progress?.lastSent = noon - length
    view.verdict = Verdict(kind, .still(sent: length, drop: length, remaining: .gibibytes(3)))
  }
}

/// Makes a view one of a cluster, which KubeVirt enforces time-outs on.
func clustered(_ view: inout MigrationView) {
  view.facts.object = "web-x7k2p"
  view.facts.origin = .evacuation
  view.facts.network = "harvester-system/vm-migration"
  view.facts.policy = "slow-ones"
  view.facts.requestedTarget = "rack2"
  view.facts.memory = .gibibytes(8)
  view.createdAt = noon - .seconds(180)
  view.statusWord = "Migrating"
  let memory = view.sample.memory
  view.sample.memory = nil
  view.sample.iterations = nil
  view.sample.data = memory
  view.completion = CompletionBudget(
    timeout: .seconds(1350), setBy: .versionDefault, enforcedBy: .kubevirt, action: .abort,
    uncertainty: .seconds(150))
  view.completionDeadline = view.startedAt + .seconds(1350)
  view.progressBudget = ProgressBudget(
    timeout: .seconds(150), setBy: .kubevirt, enforcedBy: .kubevirt, countsSent: true)
}

/// Makes a view one of a migration of a cluster that waits.
func waiting(
  _ reason: PendingReason, position: UInt64? = nil, text: String = ""
) -> @Sendable (inout MigrationView) -> Void {
  { view in
    clustered(&view)
    view.phase = .pending
    view.hasStarted = false
    view.startedAt = noon - .seconds(180)
    view.statusWord = "Pending migration"
    view.facts.target = ""
    view.sample = Sample()
    view.transferRate = nil
    view.progress = nil
    view.completion = nil
    view.completionDeadline = nil
    view.progressBudget = nil
    view.progressDeadline = nil
    view.verdict = Verdict()
    view.waiting = PendingWait(reason: reason, position: position, text: text)
  }
}

/// Makes a view one of a migration that ended.
func ended(_ outcome: Outcome, _ cause: FailureCause? = nil, text: String = "", ago: Duration = .seconds(12))
  -> (inout MigrationView) -> Void
{
  { view in
    view.ending = Ending(
      outcome: outcome, cause: cause, certainty: .reported, text: text, endedAt: noon - ago,
      duration: .seconds(113))
    view.phase = outcome.phase
    view.verdict = Verdict()
    view.transferRate = nil
    view.completionDeadline = nil
    view.progressDeadline = nil
    view.sample.downtime = .milliseconds(87)
    view.guest = outcome == .succeeded ? .target : .source
  }
}

func sampleItem(
  _ view: MigrationView = sampleView(), documented: BudgetSettings? = BudgetSettings()
) -> MigrationItem {
  MigrationItem(view, epochOffset: sampleOffset, now: noon, documented: documented)
}

func sampleSnapshot(_ views: [MigrationView], backends: [BackendView] = [sampleBackend()]) -> FleetSnapshot {
  var snapshot = FleetSnapshot()
  snapshot.groups = [MigrationGroup(revision: 1, views: views)]
  snapshot.backends = backends
  return snapshot
}

func sampleBackend(
  _ name: String = "qemu", isUp: Bool = true, hasAttempted: Bool = true,
  lastSuccess: Moment? = noon - .seconds(1)
) -> BackendView {
  var view = BackendView(
    descriptor: BackendDescriptor(
      name: BackendName(rawValue: name), type: "qemu", endpoint: "/run/guests/*.qmp", origins: [.unknown],
      causes: [], errorKinds: ["connect"]))
  view.hasAttempted = hasAttempted
  view.isUp = isUp
  view.lastSuccess = lastSuccess
  view.version = "8.2.0"
  view.errors = isUp ? [("connect", 0)] : [("connect", 4)]
  return view
}
