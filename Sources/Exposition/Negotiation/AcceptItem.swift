/// One element of a header such as `Accept` or `Accept-Encoding`.
struct AcceptItem: Hashable, Sendable {
  /// The media range or coding, in lower case.
  let value: String
  /// Parameters by name in lower case, without the weight; a name that stands twice keeps its first value.
  let parameters: [String: String]
  /// The weight in thousandths; 1000 where none is given.
  let weight: Int

  /// The elements of a header that can be read; the others are skipped.
  static func list(_ header: String) -> [AcceptItem] {
    split(Array(header.utf8)[...], at: UInt8(ascii: ",")).compactMap(AcceptItem.init)
  }

  private init?(_ text: ArraySlice<UInt8>) {
    var parts = Self.split(text, at: UInt8(ascii: ";"))[...]
    guard let first = parts.popFirst(), let value = Self.token(first, allowing: UInt8(ascii: "/")) else {
      return nil
    }
    var parameters: [String: String] = [:]
    var weight: Int?
    for part in parts where !Self.trim(part).isEmpty {
      guard let equals = part.firstIndex(of: UInt8(ascii: "=")),
        let name = Self.token(part[..<equals]), let text = Self.text(part[(equals + 1)...])
      else { return nil }
      if name == "q" {
        guard let thousandths = Self.weight(text) else { return nil }
        weight = weight ?? thousandths
      } else if parameters[name] == nil {
        parameters[name] = text
      }
    }
    self.value = value
    self.parameters = parameters
    self.weight = weight ?? 1000
  }

  /// Splits outside quoted strings.
  private static func split(_ text: ArraySlice<UInt8>, at separator: UInt8) -> [ArraySlice<UInt8>] {
    var isQuoted = false
    var isEscaped = false
    var parts: [ArraySlice<UInt8>] = []
    var start = text.startIndex
    for (index, byte) in zip(text.indices, text) {
      switch byte {
      case _ where isEscaped: isEscaped = false
      case UInt8(ascii: "\\") where isQuoted: isEscaped = true
      case UInt8(ascii: "\""): isQuoted.toggle()
      case separator where !isQuoted:
        parts.append(text[start..<index])
        start = index + 1
      default: break
      }
    }
    return parts + [text[start...]]
  }

  private static func trim(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    func isSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
    guard let first = text.firstIndex(where: { !isSpace($0) }),
      let last = text.lastIndex(where: { !isSpace($0) })
    else { return [] }
    return text[first...last]
  }

  /// A token of RFC 9110 in lower case.
  private static func token(_ text: ArraySlice<UInt8>, allowing extra: UInt8? = nil) -> String? {
    let text = trim(text)
    guard !text.isEmpty, text.allSatisfy({ isTokenByte($0) || $0 == extra }) else { return nil }
    return String(decoding: text, as: UTF8.self).lowercased()
  }

  private static func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
  }

  /// A parameter's value: a token, or a quoted string.
  private static func text(_ text: ArraySlice<UInt8>) -> String? {
    let text = trim(text)
    guard text.first == UInt8(ascii: "\"") else {
      guard !text.isEmpty, text.allSatisfy(isTokenByte) else { return nil }
      return String(decoding: text, as: UTF8.self)
    }
    var bytes: [UInt8] = []
    var isEscaped = false
    for (index, byte) in zip(text.indices, text).dropFirst() {
      switch byte {
      case _ where isEscaped:
        bytes.append(byte)
        isEscaped = false
      case UInt8(ascii: "\\"): isEscaped = true
      case UInt8(ascii: "\""):
        return index == text.index(before: text.endIndex) ? String(decoding: bytes, as: UTF8.self) : nil
      default: bytes.append(byte)
      }
    }
    return nil
  }

  /// A weight of RFC 9110: 0 to 1 with at most three decimals.
  private static func weight(_ text: String) -> Int? {
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let decimals = parts.count == 2 ? parts[1] : ""
    guard parts[0] == "0" || parts[0] == "1", decimals.utf8.count <= 3,
      decimals.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
    else { return nil }
    var thousandths = parts[0] == "1" ? 1000 : 0
    for (digit, place) in zip(decimals.utf8, [100, 10, 1]) {
      thousandths += Int(digit - UInt8(ascii: "0")) * place
    }
    return thousandths <= 1000 ? thousandths : nil
  }
}
