/// Throughput from the bytes sent over the last few seconds.
///
/// The rate that a source reports freezes in an outage; bytes do not lie.
struct RateWindow: Sendable {
  /// A window keeps about this many points, however fast samples come.
  private static let resolution = 6

  private var points: [(at: Moment, sent: Bytes)] = []

  /// Takes one more count into a window of about `length`, which always holds two at least, however far apart.
  mutating func add(_ sent: Bytes, at moment: Moment, length: Duration) {
    if let last = points.last {
      guard moment > last.at else { return }
      // A counter that falls belongs to another stream: the old points say nothing about it.
      if sent < last.sent { points.removeAll(keepingCapacity: true) }
    }
    // The newest point is provisional until it is far enough from the one before.
    if let last = points.last, let previous = points.dropLast().last,
      last.at - previous.at < length / Self.resolution
    {
      points.removeLast()
    }
    points.append((moment, sent))
    while points.count > 2, moment - points[1].at >= length { points.removeFirst() }
  }

  /// Bytes per second over the window; nil before the second sample.
  var rate: BytesPerSecond? {
    guard let first = points.first, let last = points.last else { return nil }
    return BytesPerSecond(last.sent - first.sent, in: last.at - first.at)
  }
}
