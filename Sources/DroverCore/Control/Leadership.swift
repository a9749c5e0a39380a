/// Which of several Drovers leads, as one of them was told last.
public struct LeaderTerm: Hashable, Sendable {
  /// Who leads, as the Lease names it (`holderIdentity`); empty where nobody does.
  public var holder: String
  /// Until when this process leads, whatever it hears or does not hear; nil where it does not.
  public var heldUntil: Moment?

  /// Describes a term.
  public init(holder: String, heldUntil: Moment? = nil) {
    self.holder = holder
    self.heldUntil = heldUntil
  }
}

/// Whether this process may act for the fleet, and speak for it.
public struct Leadership: Hashable, Sendable {
  /// The back end whose Lease decides; nil where there is no election: then this process leads.
  public var election: BackendName?
  /// What that back end told last; nil before it has.
  public var term: LeaderTerm?
  /// Counts how often this process became the leader.
  public private(set) var number: UInt64 = 0

  /// Takes what the back end tells.
  public mutating func take(_ term: LeaderTerm, at now: Moment) {
    let wasLeader = isLeader(at: now)
    self.term = term
    if !wasLeader, isLeader(at: now) { number += 1 }
  }

  /// Has another back end's Lease decide, or none.
  public mutating func elect(by backend: BackendName?) {
    guard election != backend else { return }
    election = backend
    term = nil
  }

  /// Nobody tells any more who leads.
  public mutating func endTerm() { term = nil }

  /// Nobody else is there.
  public init(election: BackendName? = nil, term: LeaderTerm? = nil) {
    self.election = election
    self.term = term
  }

  /// Whether this process leads at a moment.
  ///
  /// A process that was stopped for a while wakes up as a standby: its term ran out meanwhile.
  public func isLeader(at now: Moment) -> Bool {
    guard election != nil else { return true }
    return term?.heldUntil.map { now < $0 } ?? false
  }

  /// Whom to ask instead of this process, in words.
  public var leaderInWords: String {
    guard let term, !term.holder.isEmpty, term.heldUntil == nil else {
      return "no leader is known at this moment; try again"
    }
    return "ask the leader, \(term.holder)"
  }
}
