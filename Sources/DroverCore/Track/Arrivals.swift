/// What destinations say of the guests that arrive at them, joined with migrations by domain and time.
struct Arrivals: Sendable {
  private struct Entry {
    var arrival: InboundObservation
    var changedAt: Moment
    var toldAt: Moment
  }

  private var entries: [DomainKey: Entry] = [:]

  /// Takes one sight; returns what is known of the domain before and after it.
  mutating func take(_ arrival: InboundObservation, at now: Moment) -> (
    before: InboundObservation?, after: InboundObservation
  ) {
    let before = entries[arrival.domain]
    if let before, before.arrival.isActive, !arrival.isActive, before.arrival.vm != arrival.vm {
      // Where the guest arrived earlier says nothing about where it goes now.
      return (before.arrival, before.arrival)
    }
    let isSame =
      before.map {
        $0.arrival.isActive == arrival.isActive && $0.arrival.guestRuns == arrival.guestRuns
          && $0.arrival.vm == arrival.vm && $0.arrival.host == arrival.host
      } ?? false
    let changedAt = isSame ? before?.changedAt ?? now : now
    entries[arrival.domain] = Entry(arrival: arrival, changedAt: changedAt, toldAt: now)
    return (before?.arrival, arrival)
  }

  /// What the target of a migration of `domain` says; nil where no target says anything.
  ///
  /// An arrival that was over before the migration started belongs to an earlier one: its host is the source now.
  func arrival(of domain: DomainKey, since startedAt: Moment) -> InboundObservation? {
    guard domain.isShared, let entry = entries[domain] else { return nil }
    return entry.arrival.isActive || entry.changedAt >= startedAt ? entry.arrival : nil
  }

  mutating func remove(_ backend: BackendName) {
    entries = entries.filter { $0.value.arrival.vm.backend != backend }
  }

  /// Forgets arrivals that are over and that nobody has spoken of since `moment`.
  mutating func forget(before moment: Moment) {
    entries = entries.filter { $0.value.arrival.isActive || $0.value.toldAt >= moment }
  }
}
