public import DroverCore

/// A cluster whose API server is asked who shows a token.
public struct ClusterAuthority: Hashable, Sendable {
  /// The back end that knows it.
  public var backend: BackendName
  /// For whom its tokens must have been made; empty for the API server itself.
  public var audience: String

  /// Names a cluster.
  public init(backend: BackendName, audience: String = "") {
    self.backend = backend
    self.audience = audience
  }
}

/// What clusters have said of tokens, for a short while, and how many may be asked about.
///
/// Only digests are kept.
struct ReviewBook {
  /// How long a word counts, a refusal too.
  static let lifetime = Duration.seconds(10)
  /// How many are asked about at a time.
  static let width = 8
  /// How fast strangers can have a cluster asked: this many at once, and as many a second.
  static let burst = 40
  static let perSecond = 20

  /// Whose token, shown to which cluster.
  struct Key: Hashable {
    var authority: ClusterAuthority
    var digest: [UInt8]
  }

  /// What is known.
  enum Word: Hashable {
    /// The cluster does not know the token.
    case stranger
    /// Its user's name, and what that user may of what was asked.
    case user(String, Set<Right>)
  }

  private struct Entry {
    /// Nil for a stranger.
    var user: String?
    var until: ContinuousClock.Instant
    var rights: [Right: (isGranted: Bool, until: ContinuousClock.Instant)] = [:]
  }

  private var entries: [Key: Entry] = [:]
  private var underWay = 0
  private var bucket: TokenBucket

  init(at now: ContinuousClock.Instant) {
    bucket = TokenBucket(
      WebConfiguration.RateLimit(interval: .seconds(1) / Self.perSecond, burst: Self.burst), at: now)
  }

  /// What is known of a token and some rights; nil where that has to be asked.
  func word(_ key: Key, _ needed: Set<Right>, at now: ContinuousClock.Instant) -> Word? {
    guard let entry = entries[key], now < entry.until else { return nil }
    guard let user = entry.user else { return .stranger }
    let known = needed.compactMap { entry.rights[$0] }.filter { now < $0.until }
    guard known.count == needed.count else { return nil }
    return .user(user, needed.filter { entry.rights[$0]?.isGranted == true })
  }

  /// Takes a place for a question; false where there is none.
  mutating func begin(at now: ContinuousClock.Instant) -> Bool {
    guard underWay < Self.width, bucket.take(at: now) else { return false }
    underWay += 1
    return true
  }

  /// Gives the place back.
  mutating func end() { underWay -= 1 }

  /// Keeps what a cluster has said.
  mutating func note(_ key: Key, _ word: Word, asked: Set<Right>, at now: ContinuousClock.Instant) {
    entries = entries.filter { now < $0.value.until }
    let until = now + Self.lifetime
    switch word {
    case .stranger: entries[key] = Entry(user: nil, until: until)
    case .user(let name, let granted):
      var entry = Entry(user: name, until: until)
      if let old = entries[key], old.user == name { entry.rights = old.rights }
      for right in asked { entry.rights[right] = (granted.contains(right), until) }
      entries[key] = entry
    }
  }

  /// How many tokens are remembered.
  var count: Int { entries.count }

  /// Forgets everything but what is under way.
  mutating func forget() { entries = [:] }
}
