/// Tokens of which each request takes one, and which come back with time.
struct TokenBucket: Sendable {
  private let interval: Duration
  private let burst: Int
  private var left: Double
  private var filledAt: ContinuousClock.Instant

  /// A full one.
  init(_ limit: WebConfiguration.RateLimit, at now: ContinuousClock.Instant) {
    interval = limit.interval
    burst = limit.burst
    left = Double(limit.burst)
    filledAt = now
  }

  /// Takes a token; false where there is none.
  mutating func take(at now: ContinuousClock.Instant) -> Bool {
    left = min(Double(burst), left + max(0, (now - filledAt) / interval))
    filledAt = now
    guard left >= 1 else { return false }
    left -= 1
    return true
  }
}
