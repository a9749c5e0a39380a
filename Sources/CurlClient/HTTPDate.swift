/// The time in a header field `Date`, as every server writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
public enum HTTPDate {
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// Milliseconds since 1970; nil where the text is no such time.
  public static func unixMilliseconds(_ text: String) -> Int64? {
    let parts = text.split(separator: " ")
    guard parts.count == 6, parts[0].hasSuffix(","), parts[5] == "GMT" || parts[5] == "UTC",
      let day = number(parts[1], 1...31), let monthIndex = months.firstIndex(of: String(parts[2])),
      let year = number(parts[3], 1970...9999)
    else { return nil }
    let time = parts[4].split(separator: ":", omittingEmptySubsequences: false)
    guard time.count == 3, let hour = number(time[0], 0...23), let minute = number(time[1], 0...59),
      let second = number(time[2], 0...60)
    else { return nil }
    let seconds = days(year: year, month: Int64(monthIndex) + 1, day: day) * 86_400
    return (seconds + hour * 3600 + minute * 60 + second) * 1000
  }

  private static func number(_ text: Substring, _ range: ClosedRange<Int64>) -> Int64? {
    guard let first = text.utf8.first, first != UInt8(ascii: "+"), let number = Int64(text),
      range.contains(number)
    else { return nil }
    return number
  }

  /// Days since 1970-01-01; years begin in March here, so that a leap day comes last.
  private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let year = month > 2 ? year : year - 1
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
  }
}
