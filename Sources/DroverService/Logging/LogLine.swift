/// How log lines are written.
public enum LogFormat: String, CaseIterable, Sendable {
  /// `time=… level=info msg="…" key=value`.
  case logfmt
  /// One JSON object a line.
  case json
}

/// One log line under construction; whatever is put into it, it stays one line of bounded length.
struct LogLine {
  /// What a pipe takes in one piece (PIPE_BUF), so that lines of several processes never mix.
  static let longest = 4096
  private static let longestMessage = 2048
  private static let longestValue = 1024

  private let format: LogFormat
  private var bytes: [UInt8] = []
  private var isFull = false

  init(_ format: LogFormat) {
    self.format = format
    bytes.reserveCapacity(256)
    if format == .json { bytes.append(UInt8(ascii: "{")) }
  }

  mutating func add(_ key: String, _ value: String) {
    guard !isFull else { return }
    let start = bytes.count
    let name = Self.safeKey(key)
    let limit = key == "msg" ? Self.longestMessage : Self.longestValue
    switch format {
    case .logfmt:
      if start > 0 { bytes.append(UInt8(ascii: " ")) }
      bytes += name.utf8
      bytes.append(UInt8(ascii: "="))
      if Self.needsQuotes(value) { appendQuoted(value, limit) } else { appendBare(value, limit) }
    case .json:
      if start > 1 { bytes.append(UInt8(ascii: ",")) }
      appendQuoted(name, 64)
      bytes.append(UInt8(ascii: ":"))
      appendQuoted(value, limit)
    }
    // Room for the note and the line's end must stay.
    guard bytes.count > Self.longest - 32 else { return }
    bytes.removeLast(bytes.count - start)
    isFull = true
  }

  /// The line with its newline.
  consuming func finished() -> [UInt8] {
    if isFull { bytes += (format == .json ? ",\"truncated\":\"true\"" : " truncated=true").utf8 }
    if format == .json { bytes.append(UInt8(ascii: "}")) }
    bytes.append(UInt8(ascii: "\n"))
    return bytes
  }

  private mutating func appendBare(_ text: String, _ limit: Int) {
    // Without quotes there are only ASCII characters in it: a cut splits none.
    bytes += text.utf8.prefix(limit)
    if text.utf8.count > limit { bytes += "...".utf8 }
  }

  /// A JSON string, which logfmt's quoted values are too.
  private mutating func appendQuoted(_ text: String, _ limit: Int) {
    let end = bytes.count + limit
    bytes.append(UInt8(ascii: "\""))
    for scalar in text.unicodeScalars {
      guard bytes.count < end else {
        bytes += "…".utf8
        break
      }
      switch scalar {
      case "\"": bytes += "\\\"".utf8
      case "\\": bytes += "\\\\".utf8
      case "\n": bytes += "\\n".utf8
      case "\r": bytes += "\\r".utf8
      case "\t": bytes += "\\t".utf8
      default:
        if isPrintable(scalar) { bytes += UTF8.encode(scalar) ?? .init() } else { appendEscape(scalar) }
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func appendEscape(_ scalar: Unicode.Scalar) {
    for unit in UTF16.encode(scalar) ?? .init() {
      let digits = String(unit, radix: 16)
      bytes += "\\u".utf8
      bytes += repeatElement(UInt8(ascii: "0"), count: 4 - digits.utf8.count)
      bytes += digits.utf8
    }
  }

  private static func needsQuotes(_ text: String) -> Bool {
    text.isEmpty
      || !text.utf8.allSatisfy { byte in
        (0x21...0x7E).contains(byte) && byte != UInt8(ascii: "=") && byte != UInt8(ascii: "\"")
          && byte != UInt8(ascii: "\\")
      }
  }

  private static func safeKey(_ key: String) -> String {
    guard !key.isEmpty else { return "_" }
    return String(
      String.UnicodeScalarView(
        key.unicodeScalars.prefix(60).map { scalar in
          switch scalar {
          case "a"..."z", "A"..."Z", "0"..."9", "_", ".", "-": scalar
          default: "_"
          }
        }))
  }
}
