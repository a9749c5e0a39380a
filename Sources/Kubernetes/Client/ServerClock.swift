internal import CurlClient
public import FoundationEssentials

/// What a server's clock showed, and this machine's when that was heard.
public struct ServerClock: Hashable, Sendable {
  /// The server's time, to the second.
  public let server: Date
  /// This machine's time when the answer's header had come.
  public let local: Date

  /// How far the server's clock is ahead of this machine's, in seconds; exact to about a second and the time that the
  /// answer took.
  public var offset: Double { server.timeIntervalSince(local) }
}

extension HTTPHeaders {
  /// The time of the `Date` field.
  var date: Date? { self["Date"].flatMap { Date(httpDate: $0) } }
}

extension Date {
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// Reads the form that every server writes: `Sun, 06 Nov 1994 08:49:37 GMT`.
  init?(httpDate text: String) {
    let words = text.split(separator: " ")
    guard words.count == 6, words[5] == "GMT", let day = Int(words[1]), let year = Int(words[3]),
      let month = Self.months.firstIndex(of: String(words[2])), (1...31).contains(day),
      (1970...9999).contains(year)
    else { return nil }
    let clock = words[4].split(separator: ":").compactMap { Int($0) }
    guard clock.count == 3, (0..<24).contains(clock[0]), (0..<60).contains(clock[1]),
      (0...60).contains(clock[2])
    else { return nil }
    // Years that begin in March have their leap day at the end.
    let shifted = month < 2 ? year - 1 : year
    let dayOfYear = (153 * ((month + 10) % 12) + 2) / 5 + day - 1
    let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
    self.init(timeIntervalSince1970: Double(days * 86_400 + clock[0] * 3600 + clock[1] * 60 + clock[2]))
  }
}
