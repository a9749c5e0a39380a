internal import DroverCore
internal import InetDiag

/// A connection that may be a migration's, from its first sight to its end.
struct BookedConnection: Sendable {
  /// What it is for.
  enum Kind: Sendable {
    /// Between the two daemons.
    case control
    /// For the guest's memory, or a disk.
    case data
  }

  /// Moments that differ by no more than this are one: the kernel counts in ticks.
  private static let jitter = Duration.milliseconds(60)

  /// As it was when it was last seen alive.
  private(set) var connection: TCPConnection
  let kind: Kind
  /// When it was seen first: it is at least as old.
  let appearedAt: Moment
  /// When the peer was last heard.
  private(set) var lastHeard: Moment?
  /// When it was last seen alive.
  private(set) var seenAt: Moment
  /// When it was first seen to have ended, and how; whether the kernel had given it up by then: one that still sends, or
  /// that its program still holds, is told of later than it ended.
  private(set) var end: (at: Moment, fate: EndEvidence.Fate, isGivenUp: Bool)?
  /// Its place among the ends that the kernel told; nil where it told none.
  var endedAs: Int?
  /// The only migration that it can belong to, once that is known.
  var owner: String?
  /// Every migration that it may belong to.
  var candidates: Set<String> = []

  init(connection: TCPConnection, kind: Kind, appearedAt: Moment, seenAt: Moment) {
    self.connection = connection
    self.kind = kind
    self.appearedAt = appearedAt
    self.seenAt = seenAt
  }

  /// When it ended, or was last seen alive.
  var lastSeenAlive: Moment { end?.at ?? seenAt }
  /// For how long the peer had not been heard then.
  var silence: Duration? { lastHeard.map { lastSeenAlive - $0 } }

  func mayBelong(to uuid: String) -> Bool { owner.map { $0 == uuid } ?? candidates.contains(uuid) }

  var isAwaited: Bool {
    // A full window of the peer's is no silence: it still answers the probes. Where this host itself drops what it
    // sends, only the timer and the queue show it.
    (connection.unackedSegments ?? 0) > 0 || connection.timer == .zeroWindowProbe
      || (connection.sendQueue > 0 && connection.attempts > 0)
  }

  mutating func see(_ connection: TCPConnection, at now: Moment) {
    guard end == nil else { return }
    guard connection.state.isAlive else {
      // A connection that waits for its end has lost its figures: the last ones stand.
      let isByPeer = [.closeWait, .lastAck, .closed].contains(connection.state)
      end = (now, isByPeer ? .endedByPeer : .closedHere, connection.timer == .timeWait)
      return
    }
    seenAt = now
    self.connection = connection
    guard let silence = kind == .control ? connection.lastDataReceived : connection.lastAckReceived else {
      return
    }
    let heard = now - silence
    // Otherwise an unchanged connection would move its deadline with every look.
    if let lastHeard, heard - lastHeard < Self.jitter, lastHeard - heard < Self.jitter { return }
    lastHeard = heard
  }

  /// Whether it ended before another one did; nil where nobody knows.
  func ended(before other: BookedConnection) -> Bool? {
    guard let end else { return other.end == nil ? nil : false }
    guard let otherEnd = other.end else { return true }
    if end.at != otherEnd.at { return end.at < otherEnd.at }
    // One look showed both.
    guard end.isGivenUp, otherEnd.isGivenUp, let endedAs, let other = other.endedAs else { return nil }
    return endedAs < other
  }

  mutating func miss(at now: Moment) { end = end ?? (now, .endedByPeer, true) }

  /// What several connections of one kind come to.
  static func health(of entries: [BookedConnection]) -> ConnectionHealth? {
    // A disk's connection rests while memory moves, and the other way round: the one heard last tells.
    let heard = entries.compactMap(\.lastHeard).max()
    guard let heard else { return nil }
    let unacked = entries.compactMap { $0.connection.unacked }
    let retransmits = entries.compactMap { $0.connection.retransmits }
    return ConnectionHealth(
      lastHeard: heard, isAwaited: entries.contains(where: \.isAwaited),
      unacked: unacked.isEmpty ? nil : unacked.reduce(0, +),
      retransmits: retransmits.isEmpty ? nil : retransmits.reduce(0, &+))
  }
}

extension TCPConnection.State {
  /// Whether neither side has closed.
  var isAlive: Bool { self == .established || self == .synSent }
}
