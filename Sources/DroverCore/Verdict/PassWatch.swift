/// Follows what the passes over the guest's memory begin with.
///
/// The dirty rate of a guest that never converges saturates at the bandwidth, since the source counts distinct pages:
/// what tells is that passes begin with no less to send than before.
struct PassWatch: Sendable {
  /// A pass start counts as smaller only by more than this part: pages are counted, not bytes.
  private static let tolerance = 0.02
  /// Less than this may be chance: such a pass is not fruitless, but does not make up for those that were.
  private static let clearPart = 0.1
  /// From so many fruitless looks on one that is better in one way does not make up for them.
  private static let knownAfter = 3
  /// Passes that are shorter are looked at together: one of them says little.
  private static let shortestLook = Duration.seconds(3)
  /// The best is that of the last four to eight looks: what the guest did long ago says nothing about what it does now.
  private static let memory = 4

  private struct Point {
    var iteration: UInt64
    var remaining: Bytes
    var sent: Bytes
    var throttle: Double
  }

  /// Looks at passes that began with no less than the best while the guest dirtied about as fast as was sent, since
  /// the last clear improvement.
  private(set) var fruitless = 0
  /// The rates at the last look.
  private(set) var dirty: BytesPerSecond = 0
  private(set) var transfer: BytesPerSecond = 0

  /// Dirty rate over transfer rate, smoothed: a guest that works in bursts is above and below 1 by turns.
  private var ratio: Double?
  /// Looks in a row, up to the last, that began with clearly less, or at which the guest was calm.
  private var better = 0
  /// The highest best since the last clear improvement: an improvement on it has to be clear, too.
  private var unbeaten: Bytes?
  private var recentBest: Bytes?
  private var olderBest: Bytes?
  private var looks = 0
  private var lastLook: Moment?
  /// The last sample of the pass that was looked at last.
  private var last: Point?
  /// The smallest remaining since then.
  private var lowest: Bytes = 0
  /// Bytes of memory that a byte sent stands for: zero pages and compressed ones cost next to nothing on the wire.
  private var memoryPerByte = 1.0

  /// The pass that the last sample was taken in; nil before the first.
  var iteration: UInt64? { last?.iteration }

  /// Smallest amount that one of the last passes, after the first, has begun with.
  var best: Bytes? {
    switch (recentBest, olderBest) {
    case (let recent?, let older?): min(recent, older)
    case (let one, let other): one ?? other
    }
  }

  /// Takes one sample of the memory stream.
  ///
  /// `threshold` is the ratio from which dirtying counts as as fast as sending.
  mutating func observe(
    _ memory: StreamCounters, iteration: UInt64, dirty: BytesPerSecond?, transfer: BytesPerSecond?,
    throttle: Double, threshold: Double, at moment: Moment
  ) {
    guard let remaining = memory.remaining else { return }
    let point = Point(
      iteration: iteration, remaining: remaining, sent: memory.transferred, throttle: throttle)
    guard let last, iteration > last.iteration, iteration >= 2 else {
      if let last, iteration == last.iteration { learnDensity(from: last, to: point) }
      self.last = point
      lowest = remaining
      return
    }
    lowest = min(lowest, remaining)
    if let lastLook, moment - lastLook < Self.shortestLook { return }
    let start = start(from: last, to: point)
    self.last = point
    lowest = remaining
    lastLook = moment
    let before = best
    remember(start)

    guard let dirty, let transfer, transfer.value > 0 else { return }
    self.dirty = dirty
    self.transfer = transfer
    let now = min(Double(dirty.value) / Double(transfer.value), 2)
    let ratio = ratio.map { (2 * $0 + now) / 3 } ?? now
    self.ratio = ratio

    // A guest that is slowed down more than before has not yet shown what that does.
    let isSlowedDown = throttle > last.throttle
    let isClear = Self.isSmaller(start, than: unbeaten, by: Self.clearPart)
    let isCalm = ratio < threshold
    better = isClear || isCalm ? better + 1 : 0
    // At an even load one pass is smaller, or one rate lower, by chance: what was fruitless for long is not taken back for
    // that alone.
    let isEnough = fruitless < Self.knownAfter || isClear && isCalm || better >= 2
    if isSlowedDown || better > 0 && isEnough {
      fruitless = 0
      better = 0
      unbeaten = start
      return
    }
    if better > 0 { return }
    if !Self.isSmaller(start, than: before, by: Self.tolerance) { fruitless += 1 }
    // When the best of long ago is forgotten, what came after it is what has to be beaten.
    if let before { unbeaten = unbeaten.map { max($0, before) } ?? before }
  }

  private static func isSmaller(_ start: Bytes, than reference: Bytes?, by part: Double) -> Bool {
    reference.map { Double(start.count) < Double($0.count) * (1 - part) } ?? true
  }

  private mutating func learnDensity(from: Point, to: Point) {
    let sent = Double((to.sent - from.sent).count)
    let memory = Double((from.remaining - to.remaining).count)
    if sent > 0, memory > 0 { memoryPerByte = min(max(memory / sent, 1), 1000) }
  }

  /// What the pass that began between two samples began with; where there were several, about what they did.
  private func start(from: Point, to: Point) -> Bytes {
    // Between two samples the old pass sent its rest and the new one sent the remainder, so that is added back.
    let sent = Double((to.sent - from.sent).count) * memoryPerByte
    let passes = to.iteration - from.iteration
    let dirtied = max(0, Double(to.remaining.count) + sent - Double(from.remaining.count)) / Double(passes)
    let seen = passes == 1 ? to.remaining : lowest
    return max(dirtied < 1e19 ? Bytes(UInt64(dirtied)) : Bytes(.max), seen)
  }

  private mutating func remember(_ start: Bytes) {
    if looks == Self.memory {
      olderBest = recentBest
      recentBest = nil
      looks = 0
    }
    recentBest = recentBest.map { min($0, start) } ?? start
    looks += 1
  }
}
