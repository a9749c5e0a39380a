/// Everything that is known at one moment: what a scrape, the API and the page show.
///
/// A value that shares its storage with the tracker until one of them changes; taking one costs next to nothing.
public struct FleetSnapshot: Sendable {
  /// Migrations, running and lately ended.
  public internal(set) var groups: [MigrationGroup] = []
  /// VMs, several of one name joined; sorted by back end, namespace or host, and name.
  public internal(set) var vms: [VMView] = []
  /// How fast VMs that do not migrate dirty their memory, as measured last, where that is measured.
  public internal(set) var dirtyRates: [VMRef: BytesPerSecond] = [:]
  /// Nodes and hosts.
  public internal(set) var nodes: [NodeView] = []
  /// Back ends.
  public internal(set) var backends: [BackendView] = []
  /// Counters and histograms of all migrations since the start.
  public internal(set) var totals = FleetTotals()
  /// Migrations in `groups`.
  public internal(set) var trackedCount = 0
  /// Migrations that were not tracked because there were too many.
  public internal(set) var droppedCount: UInt64 = 0

  /// Nothing known.
  public init() {}

  /// All migrations, group by group.
  public var migrations: some Sequence<MigrationView> { groups.lazy.flatMap(\.views) }
}

/// What is shown of a VM apart from its migrations.
public struct VMView: Hashable, Sendable {
  /// The VM.
  public internal(set) var vm: VMRef
  /// The node or host that it is on; empty where that is not known.
  public internal(set) var node = ""
  /// Why it cannot be migrated; empty where it can, nil where that is not known.
  public internal(set) var blockers: [NotMigratableReason]?
  /// Nodes or hosts that can take it now; nil where that is not known.
  public internal(set) var targets: UInt64?
  /// Migrations that failed one after the other since the last that succeeded.
  public internal(set) var consecutiveFailures: UInt64 = 0
  /// What a drain of its node does to it; nil where nobody drains nodes.
  public internal(set) var drainOutcome: DrainOutcome?
}

extension VMView {
  /// Whether it can be migrated; nil where nobody says, and where all that is known is that something is not.
  public var isMigratable: Bool? {
    guard let blockers, blockers != [.unknown] else { return nil }
    return blockers.isEmpty
  }
}

/// What is shown of a node or host.
public struct NodeView: Hashable, Sendable {
  /// The back end that speaks of it.
  public internal(set) var backend: BackendName
  /// Its name.
  public internal(set) var node: String
  /// VMs on it, as far as they have been told.
  public internal(set) var vms: UInt64
  /// Whether its back end has answered: before, nobody knows how many there are.
  public internal(set) var isCounted = true
  /// Migrations under way from it.
  public internal(set) var outbound: UInt64
  /// Migrations under way to it.
  public internal(set) var inbound: UInt64
  /// Migrations from it that wait to begin.
  public internal(set) var pending: UInt64 = 0
  /// Migrations from it that failed since the start.
  public internal(set) var failedOutbound: UInt64
  /// Migrations to it that failed since the start; told of nodes of a cluster only.
  public internal(set) var failedInbound: UInt64 = 0
  /// What its cluster says of it; nil for a host that is watched by itself.
  public internal(set) var state: NodeObservation?
  /// Whether what the cluster says is too old to believe.
  public internal(set) var isStale = false

  /// The last drain of it that Drover itself ran or runs; nil where there is none, or it was given free again.
  public internal(set) var ownDrain: DrainStatus?
}

extension NodeView {
  /// VMs on it; nil where that is not known.
  public var knownVMs: UInt64? { isCounted || vms > 0 ? vms : nil }
}

/// What is shown of a back end.
public struct BackendView: Sendable {
  /// What it is.
  public internal(set) var descriptor: BackendDescriptor
  /// Whether its first attempt has ended, well or not.
  public internal(set) var hasAttempted = false
  /// Whether everything it watches answered at the last attempt.
  public internal(set) var isUp = false
  /// Since when it has been down; nil where it is up, or has not been tried.
  public internal(set) var downSince: Moment?
  /// Why it is down, as told last; nil where it is up, or that is not known.
  public internal(set) var problem: String?
  /// The oldest "last good answer" of all it watches.
  public internal(set) var lastSuccess: Moment?
  /// Version of the watched system.
  public internal(set) var version = ""
  /// How long the last collection took.
  public internal(set) var collectDuration: Duration?
  /// Migrations that may run at a time in the whole cluster, and that do; nil where there is no such limit.
  public internal(set) var slots: SlotUse?
  /// Requests that it has made, by kind and answer; empty where it makes none that are counted.
  public internal(set) var requests: [RequestCount] = []
  /// Errors since the start, by kind.
  public internal(set) var errors: [(kind: String, count: UInt64)] = []
}

extension BackendView {
  init(_ descriptor: BackendDescriptor) {
    self.init(descriptor: descriptor, errors: descriptor.errorKinds.map { ($0, 0) })
  }

  mutating func take(_ health: BackendHealth, at now: Moment) {
    hasAttempted = true
    isUp = health.isUp
    downSince = isUp ? nil : downSince ?? now
    problem = isUp ? nil : health.problem
    lastSuccess = health.lastSuccess
    // While it does not answer, it is still the version that it was.
    if health.isUp || !health.version.isEmpty { version = health.version }
    if let duration = health.collectDuration { collectDuration = duration }
    if let kind = health.errorKind {
      // A kind that was not declared still has to be seen; it then lacks its 0 at the start only.
      if let index = errors.firstIndex(where: { $0.kind == kind }) {
        errors[index].count += 1
      } else {
        errors.append((kind, 1))
      }
    }
  }
}

/// Counters and histograms that outlive the migrations they counted.
public struct FleetTotals: Sendable {
  /// Migrations whose copy could begin.
  public internal(set) var started: [OriginCount] = []
  /// Migrations that succeeded.
  public internal(set) var succeeded: [OriginCount] = []
  /// Migrations that failed.
  public internal(set) var failed: [CauseCount] = []
  /// Migrations that somebody had aborted.
  public internal(set) var aborted: [CauseCount] = []
  /// One set of histograms for each back end and outcome.
  public internal(set) var outcomes: [OutcomeHistograms] = []
}

/// A counter for one back end and origin.
public struct OriginCount: Hashable, Sendable {
  /// The back end.
  public let backend: BackendName
  /// Who asked.
  public let origin: Origin
  /// How many.
  public internal(set) var count: UInt64
}

/// A counter for one back end, origin and cause.
public struct CauseCount: Hashable, Sendable {
  /// The back end.
  public let backend: BackendName
  /// Who asked.
  public let origin: Origin
  /// Why it ended.
  public let cause: FailureCause
  /// How many.
  public internal(set) var count: UInt64
}

/// Histograms over all migrations of a back end that ended one way.
public struct OutcomeHistograms: Sendable {
  /// The back end.
  public let backend: BackendName
  /// How they ended.
  public let outcome: Outcome
  /// From start to end, in seconds.
  public internal(set) var duration = Histogram(bounds: Histogram.durationSeconds)
  /// Measured downtime, in seconds.
  public internal(set) var downtime = Histogram(bounds: Histogram.downtimeSeconds)
  /// Bytes sent.
  public internal(set) var sentBytes = Histogram(bounds: Histogram.sentBytes)
}

/// A classic histogram.
public struct Histogram: Sendable {
  /// Upper bounds of all buckets but the last, rising.
  public let bounds: [Double]
  /// Observations in each bucket by itself; one more than there are bounds.
  public private(set) var counts: [UInt64]
  /// Sum of everything observed.
  public private(set) var sum = 0.0

  /// 1 s doubling to about an hour and on to 9 hours.
  public static let durationSeconds: [Double] = (0...15).map { Double(1 << $0) }
  /// Around the limits that systems use for downtime: 300 ms is QEMU's default.
  public static let downtimeSeconds = [0.01, 0.025, 0.05, 0.1, 0.15, 0.3, 0.5, 1, 2, 5, 10, 30]
  /// 16 MiB, times four, to 4 TiB.
  public static let sentBytes: [Double] = (0...9).map { Double(16 << 20) * Double(1 << (2 * $0)) }

  /// An empty histogram.
  public init(bounds: [Double]) {
    self.bounds = bounds
    counts = Array(repeating: 0, count: bounds.count + 1)
  }

  /// Number of observations.
  public var count: UInt64 { counts.reduce(0, +) }

  /// Adds one observation; anything that is no number or below 0 is left out.
  public mutating func observe(_ value: Double) {
    guard value >= 0, value.isFinite else { return }
    counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
    sum += value
  }
}
