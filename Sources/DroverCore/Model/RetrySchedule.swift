/// Doubling pauses between attempts, spread so that many do not come back at once.
public struct RetrySchedule: Hashable, Sendable {
  /// The pause after the first failure.
  public var first: Duration
  /// The longest pause.
  public var longest: Duration

  /// Pauses that double from `first` up to `longest`.
  public init(first: Duration = .milliseconds(500), longest: Duration = .seconds(15)) {
    self.first = first
    self.longest = longest
  }

  /// The pause after the attempt with this number, from 0; between three quarters and the whole of its step, so that
  /// what failed together, told apart by `name`, is not tried together.
  public func pause(after attempt: Int, name: String) -> Duration {
    let step = min(longest.milliseconds, first.milliseconds << min(attempt, 16))
    var hash: UInt32 = 2_166_136_261
    for byte in name.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    hash = (hash ^ UInt32(truncatingIfNeeded: attempt)) &* 16_777_619
    let spread = Int64((hash >> 8) % 256)
    return .milliseconds(step - step * spread / 1024)
  }
}
