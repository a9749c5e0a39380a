/// A moment as the API writes it, by the clock of the machine that wrote it.
struct ClusterTime: Hashable, Comparable, Sendable {
  /// Milliseconds since 1970 (UTC).
  let unixMilliseconds: Int64

  init(unixMilliseconds: Int64) { self.unixMilliseconds = unixMilliseconds }

  /// RFC 3339, with or without a fraction; nil for anything else, and for a time before 1970.
  init?(_ text: String?) {
    guard let text, let time = Reader(bytes: Array(text.utf8)).time, time >= 0 else { return nil }
    unixMilliseconds = time
  }

  static func < (a: ClusterTime, b: ClusterTime) -> Bool { a.unixMilliseconds < b.unixMilliseconds }

  /// The time from `b` to `a`.
  static func - (a: ClusterTime, b: ClusterTime) -> Duration {
    .milliseconds(a.unixMilliseconds - b.unixMilliseconds)
  }
}

/// Reads `2026-03-02T10:00:00.123Z`: Foundation's reader takes the 30th of February, and needs ten times as long.
private struct Reader {
  let bytes: [UInt8]

  var time: Int64? {
    guard bytes.count >= 20, bytes.count <= 40, isAt(4, "-"), isAt(7, "-"), isAt(10, "T") || isAt(10, "t"),
      isAt(13, ":"), isAt(16, ":"), let year = number(0..<4), let month = number(5..<7),
      let day = number(8..<10), let hour = number(11..<13), let minute = number(14..<16),
      let second = number(17..<19), (1...12).contains(month), day >= 1, day <= Self.days(month, of: year),
      hour < 24, minute < 60, second <= 60, let rest
    else { return nil }
    let days = Self.daysSince1970(year, month, day)
    return ((days * 24 + hour) * 60 + minute - rest.offset) * 60_000 + second * 1000 + rest.milliseconds
  }

  /// What follows the seconds: a fraction, and the minutes by which the zone is ahead.
  private var rest: (milliseconds: Int64, offset: Int64)? {
    var at = 19
    var milliseconds: Int64 = 0
    if isAt(19, ".") {
      var unit: Int64 = 100
      at = 20
      while at < bytes.count, let digit = number(at..<at + 1) {
        milliseconds += digit * unit
        unit /= 10
        at += 1
      }
      guard at > 20 else { return nil }
    }
    if at == bytes.count - 1, isAt(at, "Z") || isAt(at, "z") { return (milliseconds, 0) }
    guard at == bytes.count - 6, isAt(at, "+") || isAt(at, "-"), isAt(at + 3, ":"),
      let hours = number(at + 1..<at + 3), let minutes = number(at + 4..<at + 6), hours < 24, minutes < 60
    else { return nil }
    return (milliseconds, (hours * 60 + minutes) * (isAt(at, "-") ? -1 : 1))
  }

  private func isAt(_ index: Int, _ character: Unicode.Scalar) -> Bool {
    index < bytes.count && bytes[index] == UInt8(ascii: character)
  }

  private func number(_ range: Range<Int>) -> Int64? {
    guard range.upperBound <= bytes.count else { return nil }
    var number: Int64 = 0
    for byte in bytes[range] {
      guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
      number = number * 10 + Int64(byte - UInt8(ascii: "0"))
    }
    return number
  }

  private static func days(_ month: Int64, of year: Int64) -> Int64 {
    if month == 2 { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28 }
    return [4, 6, 9, 11].contains(month) ? 30 : 31
  }

  /// Counts years from March, so that the day that is added comes last.
  private static func daysSince1970(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let year = month <= 2 ? year - 1 : year
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
  }
}
