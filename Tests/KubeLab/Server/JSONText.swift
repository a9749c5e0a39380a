import FoundationEssentials
import Glibc
public import QEMURig

extension JSONValue {
  /// The value of a JSON text; nil where it is none.
  ///
  /// An object of KubeVirt holds hundreds of values, and the decoder of the standard tries five types for
  /// each.
  init?(utf8 bytes: [UInt8]) {
    let value = bytes.withUnsafeBufferPointer { bytes in
      var reader = JSONReader(bytes: bytes)
      let value = reader.value()
      return reader.isAtEnd() ? value : nil
    }
    guard let value else { return nil }
    self = value
  }

  /// The value of a JSON text; nil where it is none.
  public init?(json text: String) { self.init(utf8: Array(text.utf8)) }

  /// The value as JSON, on one line, with sorted keys.
  public var text: String {
    var out = ""
    write(to: &out)
    return out
  }

  private func write(to out: inout String) {
    switch self {
    case .null: out += "null"
    case .bool(let value): out += value ? "true" : "false"
    case .int(let value): out += "\(value)"
    case .double(let value): out += value.isFinite ? "\(value)" : "null"
    case .string(let value): Self.write(value, to: &out)
    case .array(let values):
      out += "["
      for (index, value) in values.enumerated() {
        if index > 0 { out += "," }
        value.write(to: &out)
      }
      out += "]"
    case .object(let members):
      out += "{"
      for (index, (key, value)) in members.sorted(by: { $0.key < $1.key }).enumerated() {
        if index > 0 { out += "," }
        Self.write(key, to: &out)
        out += ":"
        value.write(to: &out)
      }
      out += "}"
    }
  }

  /// What a string cannot hold as it is.
  private static let special =
    "\"\\" + String(String.UnicodeScalarView((1..<32).compactMap(Unicode.Scalar.init)))

  private static func write(_ string: String, to out: inout String) {
    out += "\""
    if string.withCString({ strcspn($0, special) }) == string.utf8.count {
      out += string + "\""
      return
    }
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    out += "\""
  }
}

/// Reads JSON that a server wrote; it takes a little more than the standard allows.
///
/// Strings, which most of the bytes belong to, are found by C: tests are built without optimization.
private struct JSONReader {
  let bytes: UnsafeBufferPointer<UInt8>
  private var at = 0

  init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  private var letter: UInt8 { at < bytes.count ? bytes[at] : 0 }

  /// Whether only white space is left.
  mutating func isAtEnd() -> Bool {
    skipSpace()
    return at == bytes.count
  }

  mutating func value() -> JSONValue? {
    skipSpace()
    switch letter {
    case UInt8(ascii: "{"): return object()
    case UInt8(ascii: "["): return array()
    case UInt8(ascii: "\""): return string().map(JSONValue.string)
    case UInt8(ascii: "t"): return take("true") ? .bool(true) : nil
    case UInt8(ascii: "f"): return take("false") ? .bool(false) : nil
    case UInt8(ascii: "n"): return take("null") ? .null : nil
    default: return number()
    }
  }

  private mutating func object() -> JSONValue? {
    var members: [String: JSONValue] = [:]
    at += 1
    if accept(UInt8(ascii: "}")) { return .object(members) }
    while true {
      skipSpace()
      guard let key = string(), accept(UInt8(ascii: ":")), let value = value() else { return nil }
      members[key] = value
      if accept(UInt8(ascii: ",")) { continue }
      return accept(UInt8(ascii: "}")) ? .object(members) : nil
    }
  }

  private mutating func array() -> JSONValue? {
    var values: [JSONValue] = []
    at += 1
    if accept(UInt8(ascii: "]")) { return .array(values) }
    while true {
      guard let value = value() else { return nil }
      values.append(value)
      if accept(UInt8(ascii: ",")) { continue }
      return accept(UInt8(ascii: "]")) ? .array(values) : nil
    }
  }

  private mutating func string() -> String? {
    guard letter == UInt8(ascii: "\"") else { return nil }
    let start = at + 1
    guard var end = find("\"", from: start, to: bytes.count) else { return nil }
    if find("\\", from: start, to: end) != nil {
      end = start
      while end < bytes.count, bytes[end] != UInt8(ascii: "\"") {
        end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1
      }
      guard end < bytes.count else { return nil }
      at = end + 1
      return try? JSONDecoder().decode(String.self, from: Data(bytes[(start - 1)...end]))
    }
    at = end + 1
    return String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<end]), as: UTF8.self)
  }

  private func find(_ letter: Unicode.Scalar, from start: Int, to end: Int) -> Int? {
    guard let base = bytes.baseAddress, start < end,
      let found = memchr(base + start, Int32(letter.value), end - start)
    else { return nil }
    return found - UnsafeMutableRawPointer(mutating: base)
  }

  private mutating func number() -> JSONValue? {
    let start = at
    while "+-0123456789.eE".utf8.contains(letter) { at += 1 }
    let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<at]), as: UTF8.self)
    if let value = Int64(text) { return .int(value) }
    return Double(text).map(JSONValue.double)
  }

  private mutating func take(_ word: String) -> Bool {
    for expected in word.utf8 {
      guard letter == expected else { return false }
      at += 1
    }
    return true
  }

  private mutating func accept(_ expected: UInt8) -> Bool {
    skipSpace()
    guard letter == expected else { return false }
    at += 1
    return true
  }

  private mutating func skipSpace() {
    while at < bytes.count, bytes[at] <= 32 { at += 1 }
  }
}
