internal import DroverCore

/// Sizes in binary units: `1GiB`, `500MiB`.
enum ByteSize {
  /// Units from the largest to the smallest.
  private static let units: [(name: String, bytes: UInt64)] = [
    ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1),
  ]

  /// Reads a size; throws what is wrong with it and how to write it instead.
  static func parse(_ text: String) throws(ByteSizeError) -> Bytes {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let name = text.dropFirst(digits.count)
    guard !digits.isEmpty, let unit = units.first(where: { $0.name == name }) else {
      throw ByteSizeError(reason(text, digits: digits, name: name), text)
    }
    let number = UInt64(digits)
    guard let (product, overflow) = number?.multipliedReportingOverflow(by: unit.bytes), !overflow else {
      throw ByteSizeError("is too large", text)
    }
    return Bytes(product)
  }

  /// Writes a size in its largest unit that leaves no rest, as `parse` reads it.
  static func format(_ size: Bytes) -> String {
    guard size.count > 0, let unit = units.first(where: { size.count % $0.bytes == 0 }) else { return "0B" }
    return "\(size.count / unit.bytes)\(unit.name)"
  }

  private static func reason(_ text: String, digits: Substring, name: Substring) -> String {
    if text.isEmpty { return "is empty" }
    if text.hasPrefix("-") { return "is below 0" }
    if name.isEmpty { return "has no unit" }
    if text.contains(where: \.isWhitespace) { return "has a space in it" }
    if !digits.isEmpty, name.hasPrefix(".") || name.hasPrefix(",") {
      return "has a fraction; use a smaller unit"
    }
    if !digits.isEmpty,
      let meant = units.first(where: {
        [
          $0.name.lowercased(), $0.name.lowercased().replacing("i", with: ""),
          String($0.name.lowercased().prefix(1)),
        ]
        .contains(name.lowercased())
      })
    {
      return "has a unit that could be decimal; write \(digits)\(meant.name) for \(meant.bytes) bytes each"
    }
    return "is no size"
  }
}

/// Why a text is no size.
struct ByteSizeError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong with it, behind "it": `has no unit`.
  let reason: String
  /// The text as it was given.
  let text: String

  init(_ reason: String, _ text: String) {
    self.reason = reason
    self.text = text
  }

  /// What is wrong, and how sizes are written.
  var description: String { "\(quoted(text)) \(reason); write it such as 1GiB or 500MiB" }
}
