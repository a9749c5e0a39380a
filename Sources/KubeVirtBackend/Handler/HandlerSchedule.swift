internal import DroverCore

/// When which node's numbers are asked for.
///
/// Asking costs virt-handler work on every guest of its node, and below KubeVirt 1.9 a measurement in each of them. So a
/// node is asked only while it is the source of a migration, one question at a time, at an interval, and at most a fifth
/// of the time.
struct HandlerSchedule: Sendable {
  /// Who is asked.
  enum Grouping: Hashable, Sendable {
    /// Each node by itself.
    case perNode
    /// One server that knows all of them; its failures say nothing of a node.
    case together
  }

  /// One question to ask now.
  struct Turn: Hashable, Sendable {
    /// The nodes that it is about; one, where each is asked by itself.
    var nodes: [String]
    fileprivate var lane: String
  }

  /// How the questions to one node, or to the server of all of them, went.
  struct Health: Hashable, Sendable {
    /// Failures since the last answer.
    var failures = 0
    /// Failures in all while it was asked.
    var failuresTotal: UInt64 = 0
    /// When the first of the questions was asked that found nobody, with none answered since.
    var unreachableSince: Moment?
    /// When the last good answer came.
    var lastAnswer: Moment?
    /// How long the last question took.
    var lastDuration: Duration?
  }

  /// The shortest time from one question to the next.
  var interval: Duration
  /// Who is asked.
  let grouping: Grouping

  /// After a question it is quiet for this many times as long as the question took.
  private static let quiet = 4
  /// The longest pause of a server's own making; a longer wish is not believed.
  private static let longestPause = Duration.seconds(60)
  private static let longestWish = Duration.seconds(300)

  private var active: Set<String> = []
  private var lanes: [String: Lane] = [:]

  private struct Lane {
    var notBefore: Moment
    var askedAt: Moment?
    var refusals = 0
    var health = Health()
  }

  /// Asks nobody yet.
  init(interval: Duration, grouping: Grouping = .perNode) {
    self.interval = interval
    self.grouping = grouping
  }

  /// Says which nodes are the source of a running migration; a new one is due at once, unless it was asked just before.
  mutating func setActive(_ nodes: Set<String>, at now: Moment) {
    active = nodes
    let wanted = wantedLanes
    for lane in wanted where lanes[lane] == nil { lanes[lane] = Lane(notBefore: now) }
    // One that may not be asked yet is remembered, in case it comes back.
    lanes = lanes.filter { wanted.contains($0.key) || $0.value.askedAt != nil || $0.value.notBefore > now }
  }

  /// The questions that are due; each counts as asked, and is followed by ``answered(_:at:)`` or
  /// ``failed(_:_:retryAfter:at:)``.
  mutating func due(at now: Moment) -> [Turn] {
    var turns: [Turn] = []
    for name in wantedLanes.sorted() {
      guard let lane = lanes[name], lane.askedAt == nil, lane.notBefore <= now else { continue }
      lanes[name]?.askedAt = now
      turns.append(Turn(nodes: grouping == .perNode ? [name] : active.sorted(), lane: name))
    }
    return turns
  }

  /// When the next question is due; nil while all are being asked, or nobody is to be.
  var nextDeadline: Moment? {
    wantedLanes.compactMap { name in
      lanes[name].flatMap { $0.askedAt == nil ? $0.notBefore : nil }
    }.min()
  }

  /// Notes a good answer.
  mutating func answered(_ turn: Turn, at now: Moment) {
    finish(turn, at: now) { lane, took in
      lane.refusals = 0
      lane.health.failures = 0
      lane.health.unreachableSince = nil
      lane.health.lastAnswer = now
      return took * Self.quiet
    }
  }

  /// Notes a failure.
  ///
  /// - Parameter retryAfter: How long the server wants to be left alone, where it said so.
  mutating func failed(_ turn: Turn, _ kind: HandlerError.Kind, retryAfter: Duration? = nil, at now: Moment) {
    let step = RetrySchedule(first: interval * 2, longest: max(interval, Self.longestPause))
    finish(turn, at: now) { lane, took in
      // Says nothing of the server.
      guard kind != .cancelled else { return .zero }
      lane.health.failures += 1
      lane.health.failuresTotal &+= 1
      if kind.isUnreachable {
        lane.health.unreachableSince = lane.health.unreachableSince ?? now - took
      } else {
        lane.health.unreachableSince = nil
      }
      var pause = kind.mayHaveCost ? took * Self.quiet : .zero
      if kind.asksForPatience {
        pause = max(pause, step.pause(after: lane.refusals, name: turn.lane))
        lane.refusals += 1
      }
      if let retryAfter { pause = max(pause, min(retryAfter, Self.longestWish)) }
      return pause
    }
  }

  /// How the questions about a node went; nil while it is not asked.
  func health(of node: String) -> Health? {
    guard grouping == .together else { return lanes[node]?.health }
    guard var health = lanes[""]?.health else { return nil }
    health.unreachableSince = nil
    return health
  }

  /// Since when a node, or its virt-handler, has not been reached; nil where it answers, is not asked, or is not asked
  /// itself.
  func unreachableSince(_ node: String) -> Moment? {
    active.contains(node) ? health(of: node)?.unreachableSince : nil
  }

  private var wantedLanes: [String] {
    switch grouping {
    case .perNode: Array(active)
    case .together: active.isEmpty ? [] : [""]
    }
  }

  /// Ends a question, and decides when the next may begin.
  ///
  /// - Parameter pause: The pause from now that the outcome asks for, beside the interval.
  private mutating func finish(
    _ turn: Turn, at now: Moment, _ pause: (inout Lane, _ took: Duration) -> Duration
  ) {
    guard var lane = lanes[turn.lane], let askedAt = lane.askedAt else { return }
    let took = max(.zero, now - askedAt)
    lane.askedAt = nil
    lane.health.lastDuration = took
    lane.notBefore = max(askedAt + interval, now + pause(&lane, took))
    lanes[turn.lane] = lane
  }
}

extension HandlerSchedule {
  /// How often a node is asked where nothing else is set.
  ///
  /// Up to KubeVirt 1.8 each scrape of virt-handler measures for a second how fast every guest dirties its memory, also
  /// those that migrate. A Prometheus has scraped already.
  ///
  /// - Parameters:
  ///   - version: KubeVirt's; nil, where it is not known, is taken for an old one.
  ///   - isScraped: Whether somebody else has scraped the numbers, who is asked for them.
  static func usualInterval(version: KubeVirtVersion?, isScraped: Bool) -> Duration {
    guard !isScraped, version.map({ $0 < .cheapScrapes }) ?? true else { return .seconds(5) }
    return .seconds(30)
  }
}
