/// Follows what the passes over the guest's memory begin with.
///
/// The dirty rate of a guest that never converges saturates at the bandwidth, since the source counts distinct pages:
/// what tells is that passes begin with no less to send than before.
struct PassWatch: Sendable {
  /// A pass start counts as smaller only by more than this part: pages are counted, not bytes.
  private static let tolerance = 0.02
  /// Passes that are shorter are looked at together: the source measures the dirty rate once a second at most.
  private static let shortestLook = Duration.seconds(1)
  /// The best is that of the last four to eight looks: what the guest did long ago says nothing about what it does now.
  private static let memory = 4

  private struct Point {
    var at: Moment
    var iteration: UInt64
    var remaining: Bytes
    var sent: Bytes
    var throttle: Double
  }

  /// Looks, in a row, at passes that began with no less than the best while the guest dirtied about as fast as was sent.
  private(set) var fruitless = 0
  /// The rates at the last look.
  private(set) var dirty: BytesPerSecond = 0
  private(set) var transfer: BytesPerSecond = 0

  /// Dirty rate over transfer rate, the last look weighing as much as all before: a guest that works in bursts is
  /// above and below 1 by turns.
  private var ratio: Double?
  private var recentBest: Bytes?
  private var olderBest: Bytes?
  private var looks = 0
  private var lastLook: Moment?
  /// The last sample of the pass that was looked at last.
  private var last: Point?

  /// Smallest amount that one of the last passes, after the first, has begun with.
  var best: Bytes? {
    switch (recentBest, olderBest) {
    case (let recent?, let older?): min(recent, older)
    case (let one, let other): one ?? other
    }
  }

  /// Takes one sample of the memory stream; `threshold` is the ratio from which dirtying counts as as fast as sending.
  mutating func observe(
    _ memory: StreamCounters, iteration: UInt64, dirty: BytesPerSecond?, transfer: BytesPerSecond?,
    throttle: Double, threshold: Double, at moment: Moment
  ) {
    guard let remaining = memory.remaining else { return }
    let point = Point(
      at: moment, iteration: iteration, remaining: remaining, sent: memory.transferred, throttle: throttle)
    guard let last, iteration > last.iteration, iteration >= 2 else {
      last = point
      return
    }
    if let lastLook, moment - lastLook < Self.shortestLook { return }
    self.last = point
    lastLook = moment
    let start = Self.start(of: iteration - last.iteration, from: last, to: point)
    let before = best
    remember(start)

    guard let dirty, let transfer, transfer.value > 0 else { return }
    self.dirty = dirty
    self.transfer = transfer
    let now = min(Double(dirty.value) / Double(transfer.value), 2)
    ratio = ratio.map { ($0 + now) / 2 } ?? now

    // A guest that is slowed down more than before has not yet shown what that does.
    let isSlowedDown = throttle > last.throttle
    let isSmaller = before.map { Double(start.count) < Double($0.count) * (1 - Self.tolerance) } ?? true
    fruitless = isSmaller || isSlowedDown || ratio ?? 0 < threshold ? 0 : fruitless + 1
  }

  /// What a pass that began between two samples began with; the mean of several.
  private static func start(of passes: UInt64, from: Point, to: Point) -> Bytes {
    // Between two samples the old pass sent its rest and the new one sent the remainder, so that is added back.
    let sent = to.sent - from.sent
    if passes == 1 { return to.remaining + (sent - from.remaining) }
    return Bytes((to.remaining + sent - from.remaining).count / passes)
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
