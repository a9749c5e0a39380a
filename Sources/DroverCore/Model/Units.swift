/// A number of bytes.
public struct Bytes: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral {
  /// The number itself.
  public let count: UInt64

  /// Wraps a count of bytes.
  public init(_ count: UInt64) { self.count = count }

  /// Wraps a literal count of bytes.
  public init(integerLiteral value: UInt64) { count = value }

  /// A number of binary gibibytes (2^30 bytes each); stays at the largest value instead of overflowing.
  public static func gibibytes(_ n: UInt64) -> Bytes { times(n, 1 << 30) }

  /// A number of binary mebibytes (2^20 bytes each); stays at the largest value instead of overflowing.
  public static func mebibytes(_ n: UInt64) -> Bytes { times(n, 1 << 20) }

  private static func times(_ n: UInt64, _ unit: UInt64) -> Bytes {
    let (product, overflow) = n.multipliedReportingOverflow(by: unit)
    return Bytes(overflow ? .max : product)
  }

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

  /// A later point; the last one there is instead of an overflow.
  public static func + (moment: Moment, duration: Duration) -> Moment {
    Moment(milliseconds: moment.milliseconds.addingSaturating(duration.milliseconds))
  }

  /// An earlier point; the first one there is instead of an overflow.
  public static func - (moment: Moment, duration: Duration) -> Moment {
    Moment(milliseconds: moment.milliseconds.subtractingSaturating(duration.milliseconds))
  }

  /// The time from `b` to `a`; negative where `a` is earlier.
  public static func - (a: Moment, b: Moment) -> Duration {
    .milliseconds(a.milliseconds.subtractingSaturating(b.milliseconds))
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
  public func unixMilliseconds(_ moment: Moment) -> Int64 {
    moment.milliseconds.addingSaturating(milliseconds)
  }

  /// The moment that a number of milliseconds since 1970 stands for.
  public func moment(unixMilliseconds: Int64) -> Moment {
    Moment(milliseconds: unixMilliseconds.subtractingSaturating(milliseconds))
  }
}

extension Duration {
  /// Whole milliseconds, the rest cut off; the largest or smallest representable number instead of an overflow.
  public var milliseconds: Int64 {
    let (seconds, attoseconds) = components
    let (thousandfold, overflow) = seconds.multipliedReportingOverflow(by: 1000)
    guard !overflow else { return seconds < 0 ? .min : .max }
    return thousandfold.addingSaturating(attoseconds / 1_000_000_000_000_000)
  }

  /// The duration as a number of seconds, to the microsecond.
  public var inSeconds: Double {
    let (seconds, attoseconds) = components
    // One division at the end: 0.3 s then is the number that is written 0.3.
    return (Double(seconds) * 1_000_000 + Double(attoseconds / 1_000_000_000_000)) / 1_000_000
  }
}

extension Int64 {
  fileprivate func addingSaturating(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? (other < 0 ? .min : .max) : sum
  }

  fileprivate func subtractingSaturating(_ other: Int64) -> Int64 {
    let (difference, overflow) = subtractingReportingOverflow(other)
    return overflow ? (other < 0 ? .max : .min) : difference
  }
}
