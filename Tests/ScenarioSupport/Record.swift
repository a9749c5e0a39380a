import DroverCore
import QEMUBackend

extension Watcher.Record {
  /// Each view that a migration had, in order.
  func trail(of id: MigrationID) -> [MigrationView] { views.filter { $0.identity.id == id } }

  /// The phases of a migration, in order.
  func phases(of id: MigrationID) -> [Phase] { trail(of: id).map(\.phase).withoutRepeats }

  /// The verdicts on a migration, in order.
  func verdicts(on id: MigrationID) -> [VerdictKind] { trail(of: id).map(\.verdict.kind).withoutRepeats }

  /// What a migration looks like now.
  func last(_ id: MigrationID) -> MigrationView? { views.last { $0.identity.id == id } }

  /// The ids of all migrations that were ever seen, in the order in which they were.
  var ids: [MigrationID] {
    views.reduce(into: []) { ids, view in if !ids.contains(view.identity.id) { ids.append(view.identity.id) }
    }
  }

  /// The ended migration that ended last.
  var lastEnded: MigrationView? { views.last(where: \.isOver) }

  /// What the only back end looks like.
  var backend: BackendView? { snapshot.backends.first }

  /// What the only host looks like.
  var node: NodeView? { snapshot.nodes.first }

  /// What the back end told of migrations.
  var observations: [MigrationObservation] {
    messages.compactMap { if case .migration(let observation) = $0 { observation } else { nil } }
  }

  /// What the back end told of arriving guests.
  var arrivals: [InboundObservation] {
    messages.compactMap { if case .inbound(let arrival) = $0 { arrival } else { nil } }
  }

  /// Counters that are not 0.
  var counts: Counts { Counts(snapshot.totals) }

  /// Ends that the tracker told.
  var ends: [MigrationView] {
    events.compactMap { if case .ended(let view) = $0 { view } else { nil } }
  }
}

/// The counters of migrations; those that are 0 are left out.
struct Counts: Equatable {
  var started: UInt64 = 0
  var succeeded: UInt64 = 0
  var failed: [FailureCause: UInt64] = [:]
  var aborted: [FailureCause: UInt64] = [:]
  /// Observations in the histograms of durations: one for each end, but for those whose start nobody saw.
  var durations: UInt64 = 0

  init(
    started: UInt64 = 0, succeeded: UInt64 = 0, failed: [FailureCause: UInt64] = [:],
    aborted: [FailureCause: UInt64] = [:], durations: UInt64? = nil
  ) {
    self.started = started
    self.succeeded = succeeded
    self.failed = failed
    self.aborted = aborted
    self.durations = durations ?? succeeded + failed.values.reduce(0, +) + aborted.values.reduce(0, +)
  }

  init(_ totals: FleetTotals) {
    started = totals.started.map(\.count).reduce(0, +)
    succeeded = totals.succeeded.map(\.count).reduce(0, +)
    for count in totals.failed where count.count > 0 { failed[count.cause, default: 0] += count.count }
    for count in totals.aborted where count.count > 0 { aborted[count.cause, default: 0] += count.count }
    durations = totals.outcomes.map(\.duration.count).reduce(0, +)
  }
}

extension Sequence where Element: Equatable {
  /// Each run of equal elements once.
  var withoutRepeats: [Element] {
    reduce(into: []) { list, element in if list.last != element { list.append(element) } }
  }
}
