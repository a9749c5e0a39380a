/// Counts what happened since the start; never forgets but with its back end.
struct Ledger: Sendable {
  private(set) var totals = FleetTotals()

  /// Makes every counter that the back end can move exist at 0.
  mutating func prepare(_ descriptor: BackendDescriptor) {
    let name = descriptor.name
    for origin in descriptor.origins {
      bump(\.started, name, origin, by: 0)
      bump(\.succeeded, name, origin, by: 0)
      for cause in descriptor.causes { bump(cause, name, origin, by: 0) }
    }
    for outcome in Outcome.allCases { _ = histograms(of: name, outcome) }
  }

  mutating func remove(_ backend: BackendName) {
    totals.started.removeAll { $0.backend == backend }
    totals.succeeded.removeAll { $0.backend == backend }
    totals.failed.removeAll { $0.backend == backend }
    totals.aborted.removeAll { $0.backend == backend }
    totals.outcomes.removeAll { $0.backend == backend }
  }

  mutating func countStart(of backend: BackendName, origin: Origin) {
    bump(\.started, backend, origin, by: 1)
  }

  mutating func countEnd(of view: MigrationView, ending: Ending) {
    let backend = view.identity.vm.backend
    switch ending.outcome {
    case .succeeded: bump(\.succeeded, backend, view.facts.origin, by: 1)
    case .failed, .aborted: bump(ending.cause ?? .unknown, backend, view.facts.origin, by: 1)
    }
    let index = histograms(of: backend, ending.outcome)
    // A migration whose start and end were first seen together has no known length.
    if let duration = view.duration { totals.outcomes[index].duration.observe(duration.inSeconds) }
    if let downtime = view.sample.downtime { totals.outcomes[index].downtime.observe(downtime.inSeconds) }
    if let sent = view.sample.transferred { totals.outcomes[index].sentBytes.observe(Double(sent.count)) }
  }

  private mutating func bump(
    _ counters: WritableKeyPath<FleetTotals, [OriginCount]>, _ backend: BackendName, _ origin: Origin,
    by n: UInt64
  ) {
    let index = totals[keyPath: counters].firstIndex { $0.backend == backend && $0.origin == origin }
    if let index {
      totals[keyPath: counters][index].count += n
    } else {
      totals[keyPath: counters].append(OriginCount(backend: backend, origin: origin, count: n))
    }
  }

  /// A cause tells by itself whether it belongs to the failed or to the aborted ones.
  private mutating func bump(_ cause: FailureCause, _ backend: BackendName, _ origin: Origin, by n: UInt64) {
    let counters: WritableKeyPath<FleetTotals, [CauseCount]> = cause.isAbort ? \.aborted : \.failed
    let index = totals[keyPath: counters].firstIndex {
      $0.backend == backend && $0.origin == origin && $0.cause == cause
    }
    if let index {
      totals[keyPath: counters][index].count += n
    } else {
      totals[keyPath: counters].append(CauseCount(backend: backend, origin: origin, cause: cause, count: n))
    }
  }

  private mutating func histograms(of backend: BackendName, _ outcome: Outcome) -> Int {
    if let index = totals.outcomes.firstIndex(where: { $0.backend == backend && $0.outcome == outcome }) {
      return index
    }
    totals.outcomes.append(OutcomeHistograms(backend: backend, outcome: outcome))
    return totals.outcomes.count - 1
  }
}
