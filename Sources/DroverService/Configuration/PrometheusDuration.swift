internal import DroverCore

/// Durations as Prometheus writes them: `1h30m`, `500ms`, `15d`, `0`.
public enum PrometheusDuration {
  /// Units from the largest to the smallest, in milliseconds; a year has 365 days.
  private static let units: [(name: String, milliseconds: Int64)] = [
    ("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000),
    ("s", 1000), ("ms", 1),
  ]

  /// Reads a duration; throws what is wrong with it and how to write it instead.
  public static func parse(_ text: String) throws(DurationError) -> Duration {
    guard text != "0" else { return .zero }
    guard !text.isEmpty else { throw DurationError("is empty", text) }
    var rest = text.utf8[...]
    var total: Int64 = 0
    var unitsLeft = units[...]
    while let first = rest.first {
      guard isDigit(first) else { throw DurationError(reason(for: text), text) }
      let digits = rest.prefix(while: isDigit)
      rest = rest.dropFirst(digits.count)
      let letters = rest.prefix { !isDigit($0) }
      rest = rest.dropFirst(letters.count)
      let name = String(letters) ?? ""
      guard let position = unitsLeft.firstIndex(where: { $0.name == name }) else {
        let isKnown = units.contains { $0.name == name }
        throw DurationError(
          isKnown ? "has its units out of order (largest first, each once)" : reason(for: text), text)
      }
      guard let number = Int64(String(digits) ?? "") else { throw DurationError("is too long", text) }
      let (product, tooLarge) = number.multipliedReportingOverflow(by: units[position].milliseconds)
      let (sum, overflow) = total.addingReportingOverflow(product)
      guard !tooLarge, !overflow else { throw DurationError("is too long", text) }
      total = sum
      unitsLeft = units[(position + 1)...]
    }
    return .milliseconds(total)
  }

  /// Writes a duration in its largest unit that leaves no rest, as `parse` reads it; below 0 is written as `0s`.
  ///
  /// 800 s stay `800s`: that is how people know them.
  public static func format(_ duration: Duration) -> String {
    let milliseconds = max(0, duration.milliseconds)
    guard milliseconds > 0, let unit = units.first(where: { milliseconds % $0.milliseconds == 0 }) else {
      return "0s"
    }
    return "\(milliseconds / unit.milliseconds)\(unit.name)"
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private static func reason(for text: String) -> String {
    if text.utf8.allSatisfy(isDigit) { return "has no unit" }
    if text.hasPrefix("-") { return "is below 0" }
    if text.contains(".") || text.contains(",") { return "has a fraction; use a smaller unit" }
    if text.contains(where: \.isWhitespace) { return "has a space in it" }
    return "is no duration"
  }
}

/// Why a text is no duration.
public struct DurationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong with it, behind "it": `has no unit`.
  public let reason: String
  /// The text as it was given.
  public let text: String

  init(_ reason: String, _ text: String) {
    self.reason = reason
    self.text = text
  }

  /// What is wrong, and how durations are written.
  public var description: String {
    let example = Int64(text).map { "\(max(0, $0))s" } ?? "150s"
    return "\"\(text)\" \(reason); write it as Prometheus does, such as \(example), 1h30m or 500ms"
  }
}
