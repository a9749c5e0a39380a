/// Doubling pauses between attempts, spread so that many clients do not come back at once.
struct Backoff: Hashable, Sendable {
  /// The pause after the first failure.
  var first: Duration = .milliseconds(500)
  /// The longest pause.
  var longest: Duration = .seconds(30)
  /// Failures since the last success.
  private(set) var failures = 0

  /// Counts a failure.
  ///
  /// - Parameter random: From 0 up to 1.
  /// - Returns: How long to wait: between half and the whole of the step.
  mutating func next(random: Double) -> Duration {
    let step = min(longest, first * (1 << min(failures, 16)))
    failures += 1
    return step * (0.5 + random / 2)
  }

  /// Starts anew after a success.
  mutating func reset() { failures = 0 }
}
