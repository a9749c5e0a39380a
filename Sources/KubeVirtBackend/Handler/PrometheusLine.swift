/// Reads one sample line: `name{label="value",...} value timestamp`.
struct PrometheusLine {
  private let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0

  /// Reads a line without its line feed; one carriage return at its end is no part of it.
  init(_ bytes: UnsafeBufferPointer<UInt8>) {
    let hasReturn = bytes.last == UInt8(ascii: "\r")
    self.bytes = UnsafeBufferPointer(rebasing: bytes[..<(bytes.count - (hasReturn ? 1 : 0))])
  }

  /// The sample; nil where the line is none.
  mutating func sample() -> PrometheusText.Sample? {
    skipBlanks()
    guard let name = word(while: \.isNamePart), let first = name.utf8.first, first.isNameStart else {
      return nil
    }
    skipBlanks()
    var labels: [PrometheusText.Label] = []
    if accept("{") {
      guard let read = readLabels() else { return nil }
      labels = read
    } else {
      guard position > 0, bytes[position - 1].isBlank else { return nil }
    }
    skipBlanks()
    guard let text = word(while: { !$0.isBlank }), let value = Double(exposed: text) else { return nil }
    skipBlanks()
    var timestamp: Int64?
    if position < bytes.count {
      guard let text = word(while: { !$0.isBlank }), let number = Int64(text) else { return nil }
      timestamp = number
      skipBlanks()
      guard position == bytes.count else { return nil }
    }
    return PrometheusText.Sample(name: name, labels: labels, value: value, timestamp: timestamp)
  }

  /// The labels behind an opening brace, the closing one included.
  private mutating func readLabels() -> [PrometheusText.Label]? {
    var labels: [PrometheusText.Label] = []
    while true {
      skipBlanks()
      if accept("}") { return labels }
      guard let name = word(while: \.isNamePart), let first = name.utf8.first, first.isNameStart else {
        return nil
      }
      skipBlanks()
      guard accept("=") else { return nil }
      skipBlanks()
      guard accept("\""), let value = quotedRest() else { return nil }
      labels.append(PrometheusText.Label(name: name, value: value))
      skipBlanks()
      if accept(",") { continue }
      return accept("}") ? labels : nil
    }
  }

  /// A label's value behind its opening quotation mark, the closing one included; bytes that are no UTF-8 are replaced.
  private mutating func quotedRest() -> String? {
    let start = position
    var hasEscapes = false
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: "\""):
        let raw = bytes[start..<position]
        position += 1
        return hasEscapes ? Self.unescaped(raw) : String(decoding: raw, as: UTF8.self)
      case UInt8(ascii: "\\"):
        hasEscapes = true
        position += 2
      default: position += 1
      }
    }
    return nil
  }

  private static func unescaped(_ raw: Slice<UnsafeBufferPointer<UInt8>>) -> String? {
    var plain: [UInt8] = []
    plain.reserveCapacity(raw.count)
    var isEscaped = false
    for byte in raw {
      if isEscaped {
        switch byte {
        case UInt8(ascii: "n"): plain.append(UInt8(ascii: "\n"))
        case UInt8(ascii: "\\"), UInt8(ascii: "\""): plain.append(byte)
        default: return nil
        }
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else {
        plain.append(byte)
      }
    }
    return String(decoding: plain, as: UTF8.self)
  }

  private mutating func skipBlanks() {
    while position < bytes.count, bytes[position].isBlank { position += 1 }
  }

  private mutating func accept(_ character: Unicode.Scalar) -> Bool {
    guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  /// The longest run of such bytes; nil where there is none.
  private mutating func word(while belongs: (UInt8) -> Bool) -> String? {
    let start = position
    while position < bytes.count, belongs(bytes[position]) { position += 1 }
    return position > start ? String(decoding: bytes[start..<position], as: UTF8.self) : nil
  }
}

extension Double {
  /// A number as Go's `ParseFloat` takes it: decimal or hexadecimal, with `Inf` and `NaN` in any case.
  init?(exposed text: String) {
    guard !text.isEmpty, text.utf8.count <= 64 else { return nil }
    switch text.lowercased() {
    case "nan": self = .nan
    case "inf", "+inf", "infinity", "+infinity": self = .infinity
    case "-inf", "-infinity": self = -.infinity
    default:
      // Swift also takes a NaN with a payload or a sign.
      guard text.utf8.allSatisfy({ $0 != UInt8(ascii: "(") }), let number = Double(text), !number.isNaN else {
        return nil
      }
      self = number
    }
  }
}
