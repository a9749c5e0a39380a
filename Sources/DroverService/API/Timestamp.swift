internal import DroverCore

/// A point in time as the API writes it: RFC 3339, UTC, milliseconds; `2026-11-23T17:00:00.123Z`.
public struct Timestamp: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
  /// Milliseconds since 1970 (UTC).
  public let unixMilliseconds: Int64

  /// The years 0 to 9999; what lies outside is moved to the nearest end.
  private static let range: ClosedRange<Int64> = -62_167_219_200_000...253_402_300_799_999

  /// Wraps milliseconds since 1970 (UTC).
  public init(unixMilliseconds: Int64) {
    self.unixMilliseconds = min(max(unixMilliseconds, Self.range.lowerBound), Self.range.upperBound)
  }

  init(_ moment: Moment, _ offset: EpochOffset) {
    self.init(unixMilliseconds: offset.unixMilliseconds(moment))
  }

  /// Reads RFC 3339 in UTC, with a fraction of up to nine digits or none; nil for anything else.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    func number(_ range: Range<Int>) -> Int64? {
      guard bytes[range].allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
        return nil
      }
      return bytes[range].reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
    }
    guard (20...30).contains(bytes.count), bytes.last == UInt8(ascii: "Z"),
      [bytes[4], bytes[7], bytes[10], bytes[13], bytes[16]].elementsEqual("--T::".utf8),
      let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
      let hour = number(11..<13),
      let minute = number(14..<16), let second = number(17..<19),
      (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second <= 60
    else { return nil }
    var milliseconds: Int64 = 0
    if bytes.count > 20 {
      let digits = bytes.count - 21
      guard bytes[19] == UInt8(ascii: "."), digits > 0, let fraction = number(20..<(20 + digits)) else {
        return nil
      }
      milliseconds = (0..<digits).reduce(fraction * 1000) { value, _ in value / 10 }
    }
    let days = Self.days(year: year, month: month, day: day)
    self.init(unixMilliseconds: ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + milliseconds)
  }

  /// Decodes RFC 3339.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let value = Timestamp(text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not RFC 3339 in UTC: \(text)")
    }
    self = value
  }

  /// Encodes RFC 3339.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }

  /// RFC 3339 with milliseconds.
  public var description: String {
    let (second, milliseconds) = floorDivided(unixMilliseconds, by: 1000)
    let (days, secondOfDay) = floorDivided(second, by: 86_400)
    let (year, month, day) = Self.date(days: days)
    return
      "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(timeOfDay(secondOfDay)).\(padded(milliseconds, 3))Z"
  }

  /// The time of day alone, to the second: `17:00:00`.
  public var time: String {
    timeOfDay(floorDivided(floorDivided(unixMilliseconds, by: 1000).quotient, by: 86_400).remainder)
  }

  /// Seconds from `earlier` to this point; below 0 where it comes first.
  public func seconds(since earlier: Timestamp) -> Double {
    Double(unixMilliseconds - earlier.unixMilliseconds) / 1000
  }

  /// Whether `a` is earlier than `b`.
  public static func < (a: Timestamp, b: Timestamp) -> Bool { a.unixMilliseconds < b.unixMilliseconds }

  private func timeOfDay(_ second: Int64) -> String {
    "\(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))"
  }

  /// Days from 1970-01-01, in the Gregorian calendar; years begin in March here, so that a leap day comes last.
  private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let shifted = month > 2 ? year : year - 1
    let (era, yearOfEra) = floorDivided(shifted, by: 400)
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func date(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let (era, dayOfEra) = floorDivided(days + 719_468, by: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (
      yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    )
  }
}

private func floorDivided(_ number: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
  let remainder = ((number % divisor) + divisor) % divisor
  return ((number - remainder) / divisor, remainder)
}

private func padded(_ number: Int64, _ width: Int) -> String {
  let digits = String(number)
  return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
}
