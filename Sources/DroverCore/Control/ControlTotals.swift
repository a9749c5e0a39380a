/// What was decided since the start, and what became of it.
public struct ControlTotals: Sendable {
  /// Decisions about aborts, by trigger and kind.
  public private(set) var decisions: [Key: UInt64] = [:]
  /// Aborts that were sent, by trigger and result.
  public private(set) var aborts: [ResultKey: UInt64] = [:]
  /// From the decision until the migration was over, by trigger and result.
  public private(set) var latencies: [ResultKey: Histogram] = [:]
  /// Why automatic aborts wait now.
  public var holds: Set<HoldReason> = []

  /// Trigger and kind of a decision.
  public struct Key: Hashable, Sendable {
    /// Who or what asked.
    public let trigger: Trigger
    /// What was decided.
    public let kind: DecisionKind

    /// Names a series.
    public init(_ trigger: Trigger, _ kind: DecisionKind) {
      self.trigger = trigger
      self.kind = kind
    }
  }

  /// Trigger and result of an abort.
  public struct ResultKey: Hashable, Sendable {
    /// Who or what asked.
    public let trigger: Trigger
    /// What became of it.
    public let result: DecisionResult

    /// Names a series.
    public init(_ trigger: Trigger, _ result: DecisionResult) {
      self.trigger = trigger
      self.result = result
    }
  }

  /// What an abort may come to.
  public static let results: [DecisionResult] = [.aborted, .endedOtherwise, .error]

  /// Nothing was decided.
  public init() {}

  /// Counts a decision about an abort.
  public mutating func count(_ trigger: Trigger, _ kind: DecisionKind) {
    decisions[Key(trigger, kind), default: 0] += 1
  }

  /// Counts what became of an abort.
  public mutating func count(_ trigger: Trigger, _ result: DecisionResult, after latency: Duration) {
    let key = ResultKey(trigger, result)
    aborts[key, default: 0] += 1
    latencies[key, default: Histogram(bounds: Self.latencySeconds)].observe(latency.inSeconds)
  }

  /// Bounds of the histogram, in seconds.
  public static let latencySeconds = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
}
