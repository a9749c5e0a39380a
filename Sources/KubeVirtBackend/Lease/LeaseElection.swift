internal import DroverCore

/// Who leads, by a Lease that each candidate reads again and again: the rules, without the asking.
///
/// No clock but this process's own counts: another's Lease has run out when this process has seen it unchanged for as
/// long as it holds, and its own term ends before that, counted from before the renewal was sent.
struct LeaseElection: Sendable {
  /// How long a Lease holds that nobody renews.
  static let duration = Duration.seconds(15)
  /// How long a leader goes by its last renewal.
  static let term = Duration.seconds(10)
  /// How often everybody looks.
  static let period = Duration.seconds(2)

  /// What is to be written; nil: nothing.
  struct Wish: Hashable, Sendable {
    var record: LeaseRecord
    /// Whether there is none yet.
    var isNew: Bool
  }

  private let identity: String
  private let name: String
  private let namespace: String
  private var seen: (spec: LeaseRecord.Spec?, at: Moment)?
  private(set) var term = LeaderTerm(holder: "")

  init(identity: String, namespace: String, name: String) {
    self.identity = identity
    self.namespace = namespace
    self.name = name
  }

  /// Takes what the Lease says, nil where there is none, and decides what to write.
  mutating func take(_ record: LeaseRecord?, at now: Moment, unixMilliseconds: Int64) -> Wish? {
    settle(at: now)
    let time = LeaseRecord.microTime(unixMilliseconds: unixMilliseconds)
    guard var record else {
      seen = nil
      return Wish(
        record: LeaseRecord(
          metadata: .init(name: name, namespace: namespace), spec: spec(acquired: time, renewed: time, 0)),
        isNew: true)
    }
    if seen == nil || seen?.spec != record.spec { seen = (record.spec, now) }
    if record.holder != identity {
      term = LeaderTerm(holder: record.holder)
      guard record.holder.isEmpty || hasRunOut(record, at: now) else { return nil }
      record.spec = spec(acquired: time, renewed: time, (record.spec?.leaseTransitions ?? 0) + 1)
    } else {
      record.spec = spec(
        acquired: record.spec?.acquireTime ?? time, renewed: time, record.spec?.leaseTransitions ?? 0)
    }
    return Wish(record: record, isNew: false)
  }

  /// Takes that a wish was written, and that it was sent at a moment.
  mutating func written(_ wish: Wish, sentAt: Moment) {
    seen = (wish.record.spec, sentAt)
    term = LeaderTerm(holder: identity, heldUntil: sentAt + Self.term)
  }

  /// Lets a term end that nobody renewed.
  mutating func settle(at now: Moment) {
    if let until = term.heldUntil, now >= until { term = LeaderTerm(holder: "") }
  }

  /// What gives the Lease to whoever comes next; nil where this process does not hold it.
  mutating func release(_ record: LeaseRecord?, unixMilliseconds: Int64) -> Wish? {
    term = LeaderTerm(holder: "")
    guard var record, record.holder == identity else { return nil }
    let time = LeaseRecord.microTime(unixMilliseconds: unixMilliseconds)
    record.spec = spec(acquired: time, renewed: time, record.spec?.leaseTransitions ?? 0)
    record.spec?.holderIdentity = ""
    record.spec?.leaseDurationSeconds = 1
    return Wish(record: record, isNew: false)
  }

  private func hasRunOut(_ record: LeaseRecord, at now: Moment) -> Bool {
    guard let seen else { return false }
    let held = record.spec?.leaseDurationSeconds.map { Duration.seconds(min(max($0, 1), 3600)) }
    return now - seen.at >= max(held ?? Self.duration, record.holder.isEmpty ? .zero : Self.duration)
  }

  private func spec(acquired: String, renewed: String, _ transitions: Int) -> LeaseRecord.Spec {
    LeaseRecord.Spec(
      holderIdentity: identity, leaseDurationSeconds: Int(Self.duration.inSeconds), acquireTime: acquired,
      renewTime: renewed, leaseTransitions: transitions)
  }
}
