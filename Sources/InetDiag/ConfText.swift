/// The statements of one of libvirt's configuration files, read as libvirt reads them.
///
/// A statement is `name = value` and ends with its line or with `;`. A value is a number, a string in quotes
/// of either kind or in three double ones, or a list of values in brackets, which may go over several lines
/// but holds no comments. Unlike libvirt, which refuses the whole file, this skips a line that cannot be read
/// and goes on with the next.
struct ConfText {
  /// What a name is set to, as far as that is needed.
  enum Value: Hashable {
    case integer(Int)
    /// A string, a list, or a number of more than 64 bits.
    case other
  }

  /// What is set, by name, and in which line, from 1; as for libvirt, the first of several counts.
  private(set) var settings: [String: (value: Value, line: Int)] = [:]
  /// The lines that could not be read, from 1, in ascending order.
  private(set) var unreadableLines: [Int] = []

  /// Deeper than any list that libvirt has a use for.
  private static let deepestList = 16

  private let characters: [Unicode.Scalar]
  private var position = 0
  private var line = 1

  init(_ text: String) {
    characters = Array(text.unicodeScalars)
    while true {
      skip { $0.isBlank || $0.isLineEnd }
      guard let first = current else { return }
      guard first != "#" else {
        skip { !$0.isLineEnd }
        continue
      }
      let start = (position, line)
      if let (name, value) = statement() {
        if settings[name] == nil { settings[name] = (value, start.1) }
      } else {
        (position, line) = start
        unreadableLines.append(line)
        skip { !$0.isLineEnd }
      }
    }
  }

  private mutating func statement() -> (name: String, value: Value)? {
    let start = position
    guard let first = current, first.isLetter else { return nil }
    skip { $0.isLetter || $0.isDigit || $0 == "_" }
    let name = text(from: start)
    skip { $0.isBlank }
    guard take("=") else { return nil }
    guard let value = value(depth: 0) else { return nil }
    skip { $0.isBlank }
    guard let end = current else { return (name, value) }
    // A comment is left for the next round.
    return end.isLineEnd || end == "#" || take(";") ? (name, value) : nil
  }

  private mutating func value(depth: Int) -> Value? {
    skip { $0.isBlank }
    switch current {
    case "[": return list(depth: depth) ? .other : nil
    case "\"", "'": return string() ? .other : nil
    default: return number()
    }
  }

  private mutating func number() -> Value? {
    let start = position
    if !take("-") { _ = take("+") }
    let digits = position
    skip { $0.isDigit }
    guard position > digits else { return nil }
    return Int(text(from: start)).map(Value.integer) ?? .other
  }

  private mutating func string() -> Bool {
    guard let quote = current else { return false }
    let triple: [Unicode.Scalar] = ["\"", "\"", "\""]
    if characters[position...].starts(with: triple) {
      advance(by: 3)
      while current != nil {
        if characters[position...].starts(with: triple) {
          advance(by: 3)
          return true
        }
        advance(by: 1)
      }
      return false
    }
    advance(by: 1)
    skip { $0 != quote && !$0.isLineEnd }
    return take(quote)
  }

  private mutating func list(depth: Int) -> Bool {
    guard depth < Self.deepestList, take("[") else { return false }
    while true {
      skip { $0.isBlank || $0.isLineEnd }
      if take("]") { return true }
      guard value(depth: depth + 1) != nil else { return false }
      skip { $0.isBlank || $0.isLineEnd }
      if take("]") { return true }
      guard take(",") else { return false }
    }
  }

  private func text(from start: Int) -> String {
    var text = String.UnicodeScalarView()
    text.append(contentsOf: characters[start..<position])
    return String(text)
  }

  private var current: Unicode.Scalar? { position < characters.count ? characters[position] : nil }

  private mutating func advance(by count: Int) {
    for one in characters[position..<position + count] where one == "\n" { line += 1 }
    position += count
  }

  private mutating func skip(while isSkipped: (Unicode.Scalar) -> Bool) {
    while let current, isSkipped(current) { advance(by: 1) }
  }

  private mutating func take(_ wanted: Unicode.Scalar) -> Bool {
    guard current == wanted else { return false }
    advance(by: 1)
    return true
  }
}

extension Unicode.Scalar {
  fileprivate var isBlank: Bool { self == " " || self == "\t" }
  fileprivate var isLineEnd: Bool { self == "\n" || self == "\r" }
  fileprivate var isDigit: Bool { "0"..."9" ~= self }
  fileprivate var isLetter: Bool { "a"..."z" ~= self || "A"..."Z" ~= self }
}
