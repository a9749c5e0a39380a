/// A number of bytes.
public struct Bytes: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral {
  /// The number itself.
  public let count: UInt64

  /// Wraps a count of bytes.
  public init(_ count: UInt64) { self.count = count }

  /// Wraps a literal count of bytes.
  public init(integerLiteral value: UInt64) { count = value }

  /// A number of binary gibibytes (2^30 bytes each).
  public static func gibibytes(_ n: UInt64) -> Bytes { Bytes(n &<< 30) }

  /// A number of binary mebibytes (2^20 bytes each).
  public static func mebibytes(_ n: UInt64) -> Bytes { Bytes(n &<< 20) }

  /// The sum; stays at the largest value instead of overflowing.
  public static func + (a: Bytes, b: Bytes) -> Bytes {
    let (sum, overflow) = a.count.addingReportingOverflow(b.count)
    return Bytes(overflow ? .max : sum)
  }

  /// The difference; 0 where `b` is larger.
  public static func - (a: Bytes, b: Bytes) -> Bytes { Bytes(a.count > b.count ? a.count - b.count : 0) }

  /// Whether `a` is fewer bytes than `b`.
  public static func < (a: Bytes, b: Bytes) -> Bool { a.count < b.count }
}

/// A rate in whole bytes per second.
public struct BytesPerSecond: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral {
  /// The number itself.
  public let value: UInt64

  /// Wraps a rate.
  public init(_ value: UInt64) { self.value = value }

  /// Wraps a literal rate.
  public init(integerLiteral value: UInt64) { self.value = value }

  /// What `bytes` in `time` come to; nil where no time has passed.
  public init?(_ bytes: Bytes, in time: Duration) {
    let milliseconds = time.milliseconds
    guard milliseconds > 0 else { return nil }
    let rate = Double(bytes.count) * 1000 / Double(milliseconds)
    value = rate < Double(UInt64.max) ? UInt64(rate.rounded()) : .max
  }

  /// Whether `a` is slower than `b`.
  public static func < (a: BytesPerSecond, b: BytesPerSecond) -> Bool { a.value < b.value }
}

/// A point on this machine's monotonic clock, which runs on while the machine sleeps and never jumps.
///
/// Everything that decides works with moments, so a step of the wall clock neither stalls nor ends a migration.
/// `EpochOffset` turns a moment into Unix time when it is shown.
public struct Moment: Hashable, Comparable, Sendable {
  /// Milliseconds on the monotonic clock.
  public let milliseconds: Int64

  /// A point given in milliseconds of the monotonic clock.
  public init(milliseconds: Int64) { self.milliseconds = milliseconds }

  /// A later point.
  public static func + (moment: Moment, duration: Duration) -> Moment {
    Moment(milliseconds: moment.milliseconds &+ duration.milliseconds)
  }

  /// An earlier point.
  public static func - (moment: Moment, duration: Duration) -> Moment {
    Moment(milliseconds: moment.milliseconds &- duration.milliseconds)
  }

  /// The time between two points.
  public static func - (a: Moment, b: Moment) -> Duration {
    .milliseconds(a.milliseconds &- b.milliseconds)
  }

  /// Whether `a` is earlier than `b`.
  public static func < (a: Moment, b: Moment) -> Bool { a.milliseconds < b.milliseconds }
}

/// What is added to a `Moment` to make it Unix time.
public struct EpochOffset: Hashable, Sendable {
  /// Unix time minus the monotonic clock, in milliseconds.
  public let milliseconds: Int64

  /// Wraps a difference in milliseconds.
  public init(milliseconds: Int64) { self.milliseconds = milliseconds }

  /// The moment as milliseconds since 1970 (UTC).
  public func unixMilliseconds(_ moment: Moment) -> Int64 { moment.milliseconds &+ milliseconds }

  /// The moment that a number of milliseconds since 1970 stands for.
  public func moment(unixMilliseconds: Int64) -> Moment {
    Moment(milliseconds: unixMilliseconds &- milliseconds)
  }
}

extension Duration {
  /// Whole milliseconds; the largest representable number instead of an overflow.
  public var milliseconds: Int64 {
    let (seconds, attoseconds) = components
    let (thousandfold, overflow) = seconds.multipliedReportingOverflow(by: 1000)
    guard !overflow else { return seconds < 0 ? .min : .max }
    return thousandfold &+ attoseconds / 1_000_000_000_000_000
  }

  /// The duration as a number of seconds.
  public var inSeconds: Double { Double(milliseconds) / 1000 }
}
