import FoundationEssentials

@testable import DroverCore
@testable import KubeVirtBackend

/// The clock of the tests: seconds that begin at ten o'clock of a day, on a machine that has been up for a day.
enum TestTime {
  /// 2026-03-02T10:00:00Z.
  private static let unixSeconds = 1_772_445_600.0
  private static let upSeconds = 86_400.0

  static let epoch = EpochOffset(milliseconds: Int64((unixSeconds - upSeconds) * 1000))

  static func moment(_ seconds: Double) -> Moment {
    Moment(milliseconds: Int64(((upSeconds + seconds) * 1000).rounded()))
  }

  static func instant(_ seconds: Double) -> Instant { Instant(now: moment(seconds), epoch: epoch) }

  /// The second of a moment.
  static func seconds(_ moment: Moment) -> Double { Double(moment.milliseconds) / 1000 - upSeconds }

  /// A second as the API writes it, with a resolution of one.
  static func stamp(_ seconds: Double) -> String {
    Date(timeIntervalSince1970: (unixSeconds + seconds).rounded(.down)).formatted(.iso8601)
  }

  static func json(_ seconds: Double?) -> JSON { seconds.map { .string(stamp($0)) } ?? .null }
}
