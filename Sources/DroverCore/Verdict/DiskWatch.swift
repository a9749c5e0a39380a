/// Follows the copy of disks, for which no source tells a dirty rate: what tells is that bytes flow and the best
/// remaining is not improved.
struct DiskWatch: Sendable {
  /// The trend is that of so long a time at least, and of so many steps of the copy.
  private static let shortestTrend = Duration.seconds(10)
  private static let trendSteps = 6

  private struct Point {
    var at: Moment
    var remaining: Bytes
  }

  /// Smallest remaining ever seen.
  private(set) var best: Bytes?
  /// Bytes of disk sent since then.
  private(set) var sentSinceBest: Bytes = 0

  private var diskAtBest: Bytes = 0
  private var memoryAtBest: Bytes = 0
  private var memorySinceBest: Bytes = 0
  private var steps = StepWatch()
  private var points: [Point] = []
  private var isCopying = false

  mutating func observe(_ disk: StreamCounters, memory: StreamCounters?, at moment: Moment) {
    let memorySent = memory?.transferred ?? 0
    isCopying = memorySent == 0
    if isCopying { steps.observe(disk.transferred, at: moment) }
    guard let remaining = disk.remaining else { return }
    if best.map({ remaining < $0 }) ?? true {
      best = remaining
      diskAtBest = disk.transferred
      memoryAtBest = memorySent
    }
    sentSinceBest = disk.transferred - diskAtBest
    memorySinceBest = memorySent - memoryAtBest
    points.append(Point(at: moment, remaining: remaining))
    let span = max(Self.shortestTrend, (steps.usual ?? .zero) * Self.trendSteps)
    while points.count > 2, moment - points[1].at >= span { points.removeFirst() }
  }

  /// How long one step takes, while disks are copied and memory does not move yet; nil otherwise.
  ///
  /// Before two steps have been seen, three of these are as long as one of 16 MiB at 1 MiB/s, the slowest that libvirt
  /// can be told to be.
  var step: Duration? { isCopying ? steps.usual ?? .seconds(6) : nil }

  /// Bytes a second by which the remaining bytes have fallen lately, never below 0.
  ///
  /// Nil before there is a trend, and where memory moves.
  var shrinkRate: BytesPerSecond? {
    guard isCopying, let first = points.first, let last = points.last,
      last.at - first.at >= (steps.usual ?? Self.shortestTrend) * 2
    else { return nil }
    return BytesPerSecond(first.remaining - last.remaining, in: last.at - first.at)
  }

  /// Whether the whole best remaining was sent `passes` times over without improving on it.
  ///
  /// Not while memory moves: then the disks wait for it, and a trickle of rewritten blocks says nothing.
  func isFruitless(passes: Int) -> Bool {
    guard let best, best > 0, memorySinceBest.count < sentSinceBest.count / 8 else { return false }
    return sentSinceBest.count / UInt64(max(1, passes)) >= best.count
  }
}
