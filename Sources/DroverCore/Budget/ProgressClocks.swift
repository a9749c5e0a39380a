/// Three clocks of progress, never mixed: each holds when something last moved, as of the sample that showed it.
public struct ProgressClocks: Hashable, Sendable {
  /// When the bytes sent last grew.
  public internal(set) var lastSent: Moment
  /// When the remaining bytes last fell.
  public internal(set) var lastDrop: Moment
  /// When the smallest remaining ever seen was last improved.
  public internal(set) var lastBest: Moment
  /// The smallest remaining ever seen.
  public internal(set) var best: Bytes?
  /// How much earlier than `lastDrop` the remaining bytes may have fallen: the gap between two samples, where it is
  /// longer than a second.
  public internal(set) var dropUncertainty = Duration.zero
  /// The same for the bytes sent and `lastSent`.
  public internal(set) var sentUncertainty = Duration.zero
  /// How far off `lastSent` may be, either way, by the clock that told the time of its sample.
  public internal(set) var sentClockError = Duration.zero
}

/// How long a migration may go without a fall of its remaining bytes.
public struct ProgressBudget: Hashable, Sendable {
  /// The time-out; never 0.
  public var timeout: Duration
  /// Who set it.
  public var setBy: TimeoutOrigin
  /// Who ends the migration then.
  public var enforcedBy: Enforcer
  /// Whether bytes that were sent count as progress, too: KubeVirt looks so often that what it sees falls whenever
  /// bytes flow, and cannot be reproduced from outside.
  public var countsSent = false

  /// A budget that the watched system enforces; nil for a time-out of 0, which means none.
  public init?(timeout: Duration, setBy: TimeoutOrigin, enforcedBy: Enforcer, countsSent: Bool) {
    guard timeout > .zero else { return nil }
    self.timeout = timeout
    self.setBy = setBy
    self.enforcedBy = enforcedBy
    self.countsSent = countsSent
  }

  /// The budget of a back end that enforces nothing by itself; nil for a time-out of 0, which means none.
  public init?(timeout: Duration) {
    guard timeout > .zero else { return nil }
    self.timeout = timeout
    setBy = .config
    enforcedBy = .none
  }
}

/// Times in which bytes stopped and moved again.
public struct Interruptions: Hashable, Sendable {
  /// How many.
  public internal(set) var count: UInt64 = 0
  /// Their lengths added up, from last byte to first byte.
  public internal(set) var total = Duration.zero
}

/// Turns the samples of one copy into progress clocks and interruptions.
struct ProgressWatch: Sendable {
  private(set) var clocks: ProgressClocks
  private(set) var interruptions = Interruptions()
  private var sent: Bytes
  private var remaining: Bytes?
  /// From when on bytes are missed: the last byte sent, or the end of a pause; nil in a pause.
  private var awaitedSince: Moment?
  /// The last sample that showed no byte more than the one before; nil while bytes flow.
  private var lastStill: Moment?
  private var lastMoment: Moment
  private var lastClockError: Duration

  /// Begins with the first sample; `gap` is the time before it in which nobody looked.
  init(
    sent: Bytes, remaining: Bytes?, at moment: Moment, after gap: Duration = .zero,
    clockError: Duration = .zero
  ) {
    clocks = ProgressClocks(lastSent: moment, lastDrop: moment, lastBest: moment, best: remaining)
    clocks.dropUncertainty = Self.uncertainty(gap)
    clocks.sentUncertainty = clocks.dropUncertainty
    clocks.sentClockError = clockError
    self.sent = sent
    self.remaining = remaining
    awaitedSince = moment
    lastMoment = moment
    lastClockError = clockError
  }

  /// Takes one more sample; `tolerance` is the longest stop that is no interruption.
  ///
  /// Returns the length of an interruption that this sample shows to be over.
  mutating func observe(
    sent: Bytes, remaining: Bytes?, at moment: Moment, samplingInterval: Duration, tolerance: Duration,
    countsSent: Bool = false, clockError: Duration = .zero
  ) -> Duration? {
    var ended: Duration?
    let uncertainty = Self.uncertainty(moment - lastMoment)
    let hasSent = sent > self.sent
    if hasSent {
      if let awaitedSince, let lastStill, lastStill - awaitedSince > tolerance {
        // The first byte came somewhere between the last still sample and this one: where samples are missing,
        // only one interval of that gap is taken for stillness.
        let length = lastStill - awaitedSince + min(moment - lastStill, samplingInterval)
        interruptions.count += 1
        interruptions.total += length
        ended = length
      }
      lastStill = nil
      awaitedSince = moment
      clocks.lastSent = moment
      clocks.sentUncertainty = uncertainty
      // Where the byte may have gone at the last sample, that one's time counts, too.
      clocks.sentClockError = uncertainty > .zero ? max(clockError, lastClockError) : clockError
    } else if awaitedSince == nil {
      awaitedSince = moment
    } else {
      lastStill = moment
    }
    self.sent = sent

    let hasDropped = remaining.flatMap { now in self.remaining.map { now < $0 } } ?? false
    if hasDropped || countsSent && hasSent {
      clocks.lastDrop = moment
      clocks.dropUncertainty = uncertainty
    }
    if let remaining {
      if clocks.best.map({ remaining < $0 }) ?? true {
        clocks.best = remaining
        clocks.lastBest = moment
      }
      self.remaining = remaining
    }
    lastMoment = moment
    lastClockError = clockError
    return ended
  }

  private static func uncertainty(_ gap: Duration) -> Duration { gap > .seconds(1) ? gap : .zero }

  /// The guest moves over now: bytes that stop while that lasts are no interruption.
  mutating func pause() {
    lastStill = nil
    awaitedSince = nil
  }
}
