import FoundationEssentials
public import QEMURig

extension JSONValue {
  /// The value of a JSON text; nil where it is none.
  ///
  /// An object of KubeVirt holds hundreds of values, and the decoder of the standard tries five types for each.
  init?(utf8 bytes: [UInt8]) {
    var reader = JSONReader(bytes: bytes)
    guard let value = reader.value(), reader.isAtEnd else { return nil }
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

  private static func write(_ string: String, to out: inout String) {
    out += "\""
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
private struct JSONReader {
  let bytes: [UInt8]
  private var at = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  /// Whether only white space is left.
  var isAtEnd: Bool {
    mutating get {
      skipSpace()
      return at == bytes.count
    }
  }

  mutating func value() -> JSONValue? {
    skipSpace()
    guard at < bytes.count else { return nil }
    switch bytes[at] {
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
    if accept("}") { return .object(members) }
    while true {
      skipSpace()
      guard let key = string(), accept(":"), let value = value() else { return nil }
      members[key] = value
      if accept(",") { continue }
      return accept("}") ? .object(members) : nil
    }
  }

  private mutating func array() -> JSONValue? {
    var values: [JSONValue] = []
    at += 1
    if accept("]") { return .array(values) }
    while true {
      guard let value = value() else { return nil }
      values.append(value)
      if accept(",") { continue }
      return accept("]") ? .array(values) : nil
    }
  }

  private mutating func string() -> String? {
    guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { return nil }
    let start = at + 1
    var end = start
    var isPlain = true
    while end < bytes.count, bytes[end] != UInt8(ascii: "\"") {
      if bytes[end] == UInt8(ascii: "\\") {
        isPlain = false
        end += 1
      }
      end += 1
    }
    guard end < bytes.count else { return nil }
    at = end + 1
    if isPlain { return String(decoding: bytes[start..<end], as: UTF8.self) }
    return try? JSONDecoder().decode(String.self, from: Data(bytes[(start - 1)...end]))
  }

  private mutating func number() -> JSONValue? {
    let start = at
    while at < bytes.count, "+-0123456789.eE".utf8.contains(bytes[at]) { at += 1 }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    if let value = Int64(text) { return .int(value) }
    return Double(text).map(JSONValue.double)
  }

  private mutating func take(_ word: String) -> Bool {
    guard bytes[at...].starts(with: word.utf8) else { return false }
    at += word.utf8.count
    return true
  }

  private mutating func accept(_ letter: Unicode.Scalar) -> Bool {
    skipSpace()
    guard at < bytes.count, bytes[at] == UInt8(ascii: letter) else { return false }
    at += 1
    return true
  }

  private mutating func skipSpace() {
    while at < bytes.count, " \n\r\t".utf8.contains(bytes[at]) { at += 1 }
  }
}
