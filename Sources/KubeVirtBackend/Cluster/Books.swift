internal import DroverCore
internal import Kubernetes

/// What has been told, so that nothing is told twice.
struct ToldBook: Sendable {
  var hasBegun = false
  var nodes: [String: NodeObservation] = [:]
  /// How far what was told of nodes could be trusted.
  var trust: NodeTrust?
  var slots: SlotUse?
  /// What a migration showed last, but for the time of the look.
  var migrations: [String: MigrationFingerprint] = [:]
  var networks: [String: Moment] = [:]
  /// Whether nothing was wrong with any node then.
  var isCalm = false
  private var vms: [String: Int] = [:]

  /// Whether what is to be told of a VM differs from what was; remembers it.
  mutating func changes(_ uid: String, _ observation: VMObservation) -> Bool {
    var hasher = Hasher()
    hasher.combine(observation)
    let hash = hasher.finalize()
    return vms.updateValue(hash, forKey: uid) != hash
  }

  /// Whether a VM had been told of.
  mutating func forgetVM(_ uid: String) -> Bool { vms.removeValue(forKey: uid) != nil }
}

/// What the tracker makes something of, apart from counters and times.
struct MigrationFingerprint: Hashable, Sendable {
  var phase: Phase
  var startedAt: Moment
  var hasStarted: Bool
  var facts: MigrationFacts
  var budgets: OwnBudgets?
  var waiting: PendingWait?
  var statusWord: String
  var guestOnSource: Bool?
  var guestOnTarget: Bool?

  init(_ observation: MigrationObservation) {
    phase = observation.phase
    startedAt = observation.startedAt
    hasStarted = observation.hasStarted
    facts = observation.facts
    budgets = observation.budgets
    waiting = observation.waiting
    statusWord = observation.statusWord
    guestOnSource = observation.guestOnSource
    guestOnTarget = observation.guestOnTarget
  }
}

/// Objects that could not be taken as they are, each noted once.
struct ProblemBook: Sendable {
  /// What is wrong with an object: a closed list, and the label `kind` of the back end's errors.
  enum Kind: String, CaseIterable, Sendable {
    case malformed
    case quantity
    case unknownPhase = "unknown_phase"
    case clockSkew = "clock_skew"
  }

  private struct Key: Hashable, Sendable {
    let kind: Kind
    let object: String
  }

  private var known: Set<Key> = []
  private var news: [(kind: Kind, object: String)] = []

  mutating func note(_ kind: Kind, _ object: String) {
    // Bounded: a cluster full of nonsense is told of ten thousand times and no more.
    guard known.count < 10_000, known.insert(Key(kind: kind, object: object)).inserted else { return }
    news.append((kind, object))
  }

  /// What is new since the last call.
  mutating func takeNews() -> [(kind: Kind, object: String)] {
    defer { news = [] }
    return news
  }
}

/// Events that come before what they are about: each kind of object has a watch of its own.
struct OrphanBook: Sendable {
  private struct Name: Hashable, Sendable {
    let namespace: String
    let name: String
  }

  private static let longest = 1000

  private var events: [Name: [(event: ClusterEvent, at: Moment)]] = [:]
  private var count = 0

  mutating func keep(_ event: ClusterEvent, at now: Moment) {
    guard count < Self.longest else { return }
    count += 1
    events[Name(namespace: event.metadata.namespace, name: event.name), default: []].append((event, now))
  }

  /// The events of one object, oldest first; those of another of the same name are left out.
  mutating func take(namespace: String, name: String, uid: String) -> [ClusterEvent] {
    guard let found = events.removeValue(forKey: Name(namespace: namespace, name: name)) else { return [] }
    count -= found.count
    return found.map(\.event).filter { $0.uid.isEmpty || $0.uid == uid }
  }

  mutating func forget(before moment: Moment) {
    guard count > 0 else { return }
    events = events.compactMapValues { kept in
      let rest = kept.filter { $0.at >= moment }
      return rest.isEmpty ? nil : rest
    }
    count = events.values.reduce(0) { $0 + $1.count }
  }
}
