internal import DroverCore

/// What was found out of one domain's chances to move.
struct Outlook: Hashable, Sendable {
  /// What speaks against it; with `.unknown` alone nothing does, but no host is sure to take it.
  var blockers: [NotMigratableReason]
  /// Peers that can take it now; nil where none of those that answered can, and others did not answer.
  var targets: UInt64?

  /// That nothing can be found out.
  static let unknown = Outlook(blockers: [.unknown], targets: nil)

  init(blockers: [NotMigratableReason], targets: UInt64?) {
    self.blockers = blockers
    self.targets = targets
  }

  /// Sums up what `drover explain` would say.
  init(_ eligibility: Eligibility) {
    let possible = eligibility.targets.filter(\.isPossible)
    let sure = possible.filter { target in !target.obstacles.contains { $0.reason == .unknown } }
    var reasons = Set(eligibility.obstacles.filter(\.isEnforced).map(\.reason))
    let isBlocked = !reasons.subtracting([.unknown]).isEmpty
    if sure.isEmpty, !possible.isEmpty { reasons.insert(.unknown) }
    blockers = NotMigratableReason.allCases.filter(reasons.contains)
    targets = isBlocked ? 0 : sure.isEmpty && !possible.isEmpty ? nil : UInt64(sure.count)
  }
}

/// Which domain is to be looked at next for where it can go, and what was found last: time is a parameter.
///
/// A domain that migrates is left alone: a question to it could hold the lock that an abort needs.
struct OutlookBook: Sendable {
  /// What nothing tells of, such as room at a peer, is seen after that.
  static let interval = Duration.seconds(600)
  /// After a look that failed, or that no peer has answered for certain.
  static let pause = Duration.seconds(30)
  /// Failures in a row after which what was found before is not told any more.
  static let patience = 3

  private struct Entry {
    var observation: VMObservation
    var outlook: Outlook?
    var due: Moment
    var failures = 0
    var isMigrating = false
  }

  private var entries: [VMRef: Entry] = [:]

  /// Takes what the watch of the host tells; returns it with what is known besides.
  mutating func hear(_ message: BackendMessage, at now: Moment) -> BackendMessage {
    switch message {
    case .vm(var observation):
      let old = entries[observation.vm]
      var entry = Entry(observation: observation, due: now)
      entry.isMigrating = old?.isMigrating ?? false
      if old?.observation.key == observation.key { entry.outlook = old?.outlook }
      entries[observation.vm] = entry
      observation.take(entry.outlook)
      return .vm(observation)
    case .vmGone(let key):
      entries = entries.filter { $0.value.observation.key != key }
      return message
    case .migration(let migration):
      let isMigrating = migration.ending == nil
      guard let entry = entries[migration.vm], entry.isMigrating != isMigrating else { return message }
      entries[migration.vm]?.isMigrating = isMigrating
      entries[migration.vm]?.due = now
      return message
    default: return message
    }
  }

  /// The domain that has waited longest for a look; nil where none is due.
  func next(at now: Moment) -> VMRef? {
    entries.filter { !$0.value.isMigrating && $0.value.due <= now }
      .min { ($0.value.due.milliseconds, $0.key.name) < ($1.value.due.milliseconds, $1.key.name) }?.key
  }

  /// Takes what was found out; returns what is to be told, nil where that is nothing new.
  ///
  /// - Parameter found: Nil where it could not be found out.
  mutating func take(_ vm: VMRef, _ found: Outlook?, at now: Moment) -> VMObservation? {
    guard var entry = entries[vm] else { return nil }
    entry.failures = found == nil ? entry.failures + 1 : 0
    entry.due = now + (found?.targets == nil ? Self.pause : Self.interval)
    let outlook = found ?? (entry.failures < Self.patience ? entry.outlook : .unknown)
    defer { entries[vm] = entry }
    guard outlook != entry.outlook else { return nil }
    entry.outlook = outlook
    var observation = entry.observation
    observation.take(outlook)
    return observation
  }
}

extension VMObservation {
  fileprivate mutating func take(_ outlook: Outlook?) {
    blockers = outlook?.blockers
    targets = outlook?.targets
  }
}
