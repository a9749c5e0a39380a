internal import DroverCore

/// How another machine's clock stands to ours, from what its answers tell.
///
/// An answer tells its time to the second only, and was written somewhere between our question and its end. Each answer
/// narrows the difference down: after a few the uncertainty is that of the fastest exchange.
struct HandlerClock: Hashable, Sendable {
  /// Clocks that are kept in step drift apart by no more than one part in this many.
  private static let drift: Int64 = 10_000

  /// Their time minus our monotonic clock, in milliseconds.
  private struct Bounds: Hashable {
    var low: Int64
    var high: Int64
  }

  private var bounds: Bounds?
  private var observedAt: Moment?

  /// Knows nothing yet.
  init() {}

  /// Takes an answer.
  ///
  /// - Parameters:
  ///   - serverTime: The time that the answer told, milliseconds since 1970, the fraction of the second cut off.
  ///   - sent: When it was asked for.
  ///   - received: When it was there.
  mutating func observe(serverTime: Int64, sent: Moment, received: Moment) {
    guard sent <= received, serverTime > 0, serverTime < 1 << 50 else { return }
    var seen = Bounds(
      low: serverTime - received.milliseconds, high: serverTime + 999 - sent.milliseconds)
    if let bounds, let observedAt {
      let widened = max(0, (received - observedAt).milliseconds) / Self.drift + 1
      let low = max(seen.low, bounds.low - widened)
      let high = min(seen.high, bounds.high + widened)
      // Otherwise one of the clocks was set.
      if low <= high { seen = Bounds(low: low, high: high) }
    }
    bounds = seen
    observedAt = received
  }

  /// How far ``moment(unixMilliseconds:)`` may be off; nil before the first answer.
  var uncertainty: Duration? { bounds.map { .milliseconds(($0.high - $0.low + 1) / 2) } }

  /// The moment, on our clock, of a time by theirs; nil before the first answer.
  func moment(unixMilliseconds: Int64) -> Moment? {
    offset?.moment(unixMilliseconds: unixMilliseconds)
  }

  private var offset: EpochOffset? {
    bounds.map { EpochOffset(milliseconds: $0.low + ($0.high - $0.low) / 2) }
  }
}
