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
  var date: Date? {
    self["Date"].flatMap(HTTPDate.unixMilliseconds).map { Date(timeIntervalSince1970: Double($0) / 1000) }
  }
}
