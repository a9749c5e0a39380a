import KeptBytes

@testable import DroverCore
@testable import Exposition

/// Moments are given in seconds; second 0 is Unix second 1,790,000,000.
func at(_ seconds: Double) -> Moment { Moment(milliseconds: Int64((seconds * 1000).rounded())) }

let rack = BackendName(rawValue: "rack1")
let hypervisor = BackendName(rawValue: "hv")

func migration(
  _ name: String, of backend: BackendName = rack, host: String = "node-1", id: String? = nil,
  phase: Phase = .precopy, started: Double = 0, change: (inout MigrationView) -> Void = { _ in }
) -> MigrationView {
  let vm = VMRef(backend: backend, scope: .host(host), name: name)
  let domain = DomainKey(backend: rack, socketPath: "/run/\(host)/\(name).qmp")
  let id =
    id.flatMap { MigrationID($0) }
    ?? MigrationID(domain: domain, startedUnixMilliseconds: 1_790_000_000_000 + at(started).milliseconds)
  var view = bareMigration(id: id, vm: vm, domain: domain, phase: phase, started: started)
  view.facts.source = host
  view.facts.target = "node-2"
  view.facts.origin = .manual
  change(&view)
  return view
}

/// A migration of which nothing is told but its names.
func bareMigration(
  id: MigrationID, vm: VMRef, domain: DomainKey, phase: Phase = .precopy, started: Double = 0
) -> MigrationView {
  var view = MigrationView(
    first: MigrationObservation(
      id: id, vm: vm, domain: domain, takenAt: at(started), startedAt: at(started), phase: phase))
  view.phase = phase
  return view
}

/// A migration in which every number is told.
func running(_ name: String = "web-1", at now: Double = 100) -> MigrationView {
  migration(name, id: "5f3c-1790000000000") { view in
    view.phaseEnteredAt = at(0.25)
    view.sampledAt = at(now)
    view.facts.size = .gibibytes(8)
    view.sample.memory = StreamCounters(
      transferred: .gibibytes(6), remaining: .gibibytes(1), total: .gibibytes(4))
    view.sample.disk = StreamCounters(
      transferred: .gibibytes(2), remaining: .gibibytes(3), total: .gibibytes(4))
    view.sample.dirtyRate = 20_971_520
    view.sample.iterations = 3
    view.sample.postcopyRequests = 0
    view.sample.expectedDowntime = .milliseconds(312)
    view.sample.cpuThrottle = 0.2
    view.sample.downtimeLimit = .milliseconds(300)
    view.sample.bandwidthLimit = 134_217_728
    view.transferRate = 117_964_800
    view.progress = ProgressClocks(
      lastSent: at(now - 0.5), lastDrop: at(now - 1), lastBest: at(now - 2.125), best: .mebibytes(4000))
    view.interruptions = Interruptions(count: 1, total: .milliseconds(2750))
    view.completion = CompletionBudget(perGiB: .seconds(800), size: .gibibytes(8))
    view.completionDeadline = at(6400)
    view.progressBudget = ProgressBudget(timeout: .seconds(150))
    view.progressDeadline = at(now + 149)
    view.verdict = Verdict(.converging, .firstPass, expectedEnd: at(now + 42.5))
    view.guest = .source
  }
}

/// The same migration over libvirt, with all that its host's kernel tells.
func watched(at now: Double = 100, change: (inout NetworkReport) -> Void = { _ in }) -> MigrationView {
  var view = running(at: now)
  var report = NetworkReport(
    settings: KeepaliveSettings(), keepalive: .measured,
    control: ConnectionHealth(
      lastHeard: at(now - 2.25), isAwaited: false, unacked: 0, retransmits: 1),
    data: ConnectionHealth(lastHeard: at(now - 0.125), isAwaited: true, unacked: 524_288, retransmits: 17),
    controlSpread: .milliseconds(1500))
  change(&report)
  view.network = report
  view.keepalive = KeepaliveBudget(report, lastSent: view.progress?.lastSent)
  view.networkLosses = report.losses(at: at(now), settings: VerdictSettings())
  return view
}

/// The same migration when it is over.
func ended(_ outcome: Outcome = .succeeded, cause: FailureCause? = nil, name: String = "web-1")
  -> MigrationView
{
  var view = running(name)
  view.phase = outcome.phase
  view.phaseEnteredAt = at(120)
  view.sample.downtime = .milliseconds(187)
  view.ending = Ending(
    outcome: outcome, cause: cause, certainty: .reported, text: "never \"shown\" here", endedAt: at(120))
  view.guest = outcome == .succeeded ? .target : .source
  return view
}

func group(_ revision: UInt64, _ views: [MigrationView]) -> MigrationGroup {
  MigrationGroup(revision: revision, views: views)
}

func snapshot(_ groups: [MigrationGroup]) -> FleetSnapshot {
  var snapshot = FleetSnapshot()
  snapshot.groups = groups
  snapshot.trackedCount = groups.reduce(0) { $0 + $1.views.count }
  return snapshot
}

func context(now: Double = 100, vms: VMSelection = .blocked) -> RenderContext {
  RenderContext(
    now: at(now), epochOffset: EpochOffset(milliseconds: 1_790_000_000_000),
    build: BuildInfo(version: "0.1.0", revision: "abc123"), vms: vms)
}

extension Negotiation {
  static let text = Negotiation()
  static let openMetrics = Negotiation(accept: "application/openmetrics-text;version=1.0.0")
  static let gzip = Negotiation(acceptEncoding: "gzip")
  static let openMetricsGzip = Negotiation(
    accept: "application/openmetrics-text;version=1.0.0", acceptEncoding: "gzip")
}

extension RenderedScrape {
  var bytes: [UInt8] { slices.flatMap { slice in slice.withUnsafeBytes { Array($0) } } }
  var text: String { String(decoding: bytes, as: UTF8.self) }
}
