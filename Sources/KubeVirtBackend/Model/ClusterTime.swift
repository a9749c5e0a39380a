internal import DroverCore
internal import FoundationEssentials

/// A moment as the API writes it, by the clock of the machine that wrote it.
struct ClusterTime: Hashable, Comparable, Sendable {
  /// Milliseconds since 1970 (UTC).
  let unixMilliseconds: Int64

  init(unixMilliseconds: Int64) { self.unixMilliseconds = unixMilliseconds }

  /// RFC 3339, with or without a fraction; nil for anything else.
  init?(_ text: String?) {
    guard let text, !text.isEmpty else { return nil }
    let whole = Date.ISO8601FormatStyle()
    guard
      let date = (try? whole.parse(text))
        ?? (try? Date.ISO8601FormatStyle(includingFractionalSeconds: true).parse(text))
    else { return nil }
    let milliseconds = date.timeIntervalSince1970 * 1000
    // The years 1970 to 9999.
    guard (0..<253_402_300_800_000).contains(milliseconds) else { return nil }
    unixMilliseconds = Int64(milliseconds.rounded())
  }

  static func < (a: ClusterTime, b: ClusterTime) -> Bool { a.unixMilliseconds < b.unixMilliseconds }

  /// The time from `b` to `a`.
  static func - (a: ClusterTime, b: ClusterTime) -> Duration {
    .milliseconds(a.unixMilliseconds - b.unixMilliseconds)
  }
}
