/// How long a server has said nothing.
///
/// The time in which the transfer is paused does not count: nobody listens then.
struct Silence {
  private let limit: Duration?
  private var heard: ContinuousClock.Instant?
  private var isPaused = false

  /// Never ends with a nil limit, nor before `hear` was called once.
  init(limit: Duration?) { self.limit = limit }

  /// The exchange began, or bytes came.
  mutating func hear(at now: ContinuousClock.Instant) { heard = now }

  mutating func pause() { isPaused = true }

  mutating func resume(at now: ContinuousClock.Instant) {
    isPaused = false
    hear(at: now)
  }

  /// When the silence is too long, if it lasts until then.
  var end: ContinuousClock.Instant? {
    guard let limit, let heard, !isPaused else { return nil }
    return heard + limit
  }
}
