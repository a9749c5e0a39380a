internal import FoundationEssentials

/// A value in the text of an object, of which only what somebody asks for is looked at.
///
/// Whether the rest is JSON stays unknown. All that is looked at is where the members of an object, and the elements of
/// an array, begin and end.
struct JSONText {
  let bytes: [UInt8]
  /// Where it stands, without white space around it; an object is never larger than 4 GiB.
  private let start: UInt32
  private let end: UInt32

  init(_ bytes: UnsafeBufferPointer<UInt8>) {
    self.bytes = Array(bytes)
    (start, end) = Self.trimmed(bytes)
  }

  private init(_ bytes: [UInt8], _ range: Range<Int>) {
    self.bytes = bytes
    (start, end) = (UInt32(range.lowerBound), UInt32(range.upperBound))
  }

  private static func trimmed(_ bytes: UnsafeBufferPointer<UInt8>) -> (UInt32, UInt32) {
    guard let first = bytes.firstIndex(where: { !$0.isJSONSpace }),
      let last = bytes.lastIndex(where: { !$0.isJSONSpace }), last < UInt32.max
    else { return (0, 0) }
    return (UInt32(first), UInt32(last + 1))
  }

  private func lend<R>(_ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
    bytes.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[Int(start)..<Int(end)])) }
  }

  private func isWord(_ word: StaticString) -> Bool {
    lend { text in
      text.count == word.utf8CodeUnitCount
        && word.withUTF8Buffer { word in text.elementsEqual(word) }
    }
  }

  // MARK: What it is made of

  /// Where the members of an object stand; nil where it is none.
  func members() -> JSONMembers? {
    bytes.withUnsafeBufferPointer { text in
      var walk = JSONWalk(text: text, index: Int(start), end: Int(end))
      return walk.members()
    }
  }

  /// The value of a member of this object.
  func value(_ member: JSONMembers.Member) -> JSONText { JSONText(bytes, member.value) }

  /// The elements of an array; nil where it is none.
  func elements() -> [JSONText]? {
    bytes.withUnsafeBufferPointer { text in
      var walk = JSONWalk(text: text, index: Int(start), end: Int(end))
      return walk.elements()?.map { JSONText(bytes, $0) }
    }
  }

  // MARK: What it says

  /// The text of a string; nil where it is none.
  func string() -> String? {
    let quick: String?? = lend { text in
      guard text.count >= 2, text[0] == 0x22, text[text.count - 1] == 0x22 else { return .some(nil) }
      let inner = UnsafeBufferPointer(rebasing: text[1..<(text.count - 1)])
      if inner.contains(0x5C) { return nil }
      guard !inner.contains(0x22) else { return .some(nil) }
      return .some(String(validating: inner, as: UTF8.self))
    }
    if let quick { return quick }
    return try? JSONDecoder().decode(String.self, from: Data(bytes[Int(start)..<Int(end)]))
  }

  /// A number that is whole and fits; one with a fraction or an exponent as far as a Double tells it from its neighbours.
  func integer<Number: FixedWidthInteger>(_: Number.Type) -> Number? {
    guard let text = number() else { return nil }
    return Number(text) ?? Double(text).flatMap { $0.magnitude < 0x1p53 ? Number(exactly: $0) : nil }
  }

  var isNull: Bool { isWord("null") }

  func bool() -> Bool? { isWord("true") ? true : isWord("false") ? false : nil }

  func double() -> Double? { number().flatMap(Double.init).flatMap { $0.isFinite ? $0 : nil } }

  /// The text of a number: what Swift reads is more than what JSON has.
  func number() -> String? {
    lend { text -> String? in
      Self.isNumber(text) ? String(decoding: text, as: UTF8.self) : nil
    }
  }

  private static func isNumber(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    var rest = text[...]
    func take(_ marks: UInt8...) -> Bool {
      guard let first = rest.first, marks.contains(first) else { return false }
      rest = rest.dropFirst()
      return true
    }
    func takeDigits() -> Bool {
      let count = rest.count
      rest = rest.drop { (0x30...0x39).contains($0) }
      return rest.count < count
    }
    _ = take(0x2D)
    guard take(0x30) || takeDigits() else { return false }
    if take(0x2E), !takeDigits() { return false }
    if take(0x45, 0x65) {
      _ = take(0x2B, 0x2D)
      if !takeDigits() { return false }
    }
    return rest.isEmpty
  }
}

/// Where the members of an object stand in its text.
struct JSONMembers {
  struct Member {
    /// Between the quotation marks.
    let name: Range<Int>
    let value: Range<Int>
  }

  private(set) var all: [Member] = []
  /// Whether a name has an escape, and so is not what it says.
  private(set) var hasEscapes = false

  mutating func add(_ member: Member, isEscaped: Bool) {
    all.append(member)
    hasEscapes = hasEscapes || isEscaped
  }
}

/// Goes through an object or an array, and no deeper.
private struct JSONWalk {
  let text: UnsafeBufferPointer<UInt8>
  var index: Int
  let end: Int

  mutating func members() -> JSONMembers? {
    var members = JSONMembers()
    guard take(0x7B) else { return nil }
    if take(0x7D) { return index == end ? members : nil }
    repeat {
      guard take(0x22) else { return nil }
      let name = index
      guard let (nameEnd, isEscaped) = closingQuote() else { return nil }
      guard take(0x3A), let value = value() else { return nil }
      members.add(JSONMembers.Member(name: name..<nameEnd, value: value), isEscaped: isEscaped)
    } while take(0x2C)
    return take(0x7D) && index == end ? members : nil
  }

  mutating func elements() -> [Range<Int>]? {
    var elements: [Range<Int>] = []
    guard take(0x5B) else { return nil }
    if take(0x5D) { return index == end ? elements : nil }
    repeat {
      guard let value = value() else { return nil }
      elements.append(value)
    } while take(0x2C)
    return take(0x5D) && index == end ? elements : nil
  }

  private mutating func skipSpace() {
    while index < end, text[index].isJSONSpace { index += 1 }
  }

  /// Takes a mark, and white space before it.
  private mutating func take(_ mark: UInt8) -> Bool {
    skipSpace()
    guard index < end, text[index] == mark else { return false }
    index += 1
    return true
  }

  /// Goes behind the end of a string; returns where it ends, and whether it has an escape.
  private mutating func closingQuote() -> (end: Int, isEscaped: Bool)? {
    guard let base = text.baseAddress else { return nil }
    var isEscaped = false
    while index < end {
      let next = JSONNesting.quoteOrEscape(from: base + index, to: base + end) - base
      guard next < end else { return nil }
      guard text[next] == 0x5C else {
        index = next + 1
        return (next, isEscaped)
      }
      isEscaped = true
      index = next + 2
    }
    return nil
  }

  private mutating func value() -> Range<Int>? {
    skipSpace()
    guard index < end else { return nil }
    let start = index
    switch text[index] {
    case 0x22:
      index += 1
      guard closingQuote() != nil else { return nil }
    case 0x7B, 0x5B:
      var nesting = JSONNesting()
      guard let next = nesting.end(in: text, from: index), next <= end else { return nil }
      index = next
    default:
      while index < end, ![0x2C, 0x7D, 0x5D].contains(text[index]), !text[index].isJSONSpace { index += 1 }
      guard index > start else { return nil }
    }
    return start..<index
  }
}
