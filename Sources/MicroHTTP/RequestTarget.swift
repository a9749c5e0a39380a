/// The target of a request line, split but not yet decoded.
struct RequestTarget {
  let path: ArraySlice<UInt8>
  private let rawQuery: ArraySlice<UInt8>

  /// Splits an origin-form (`/path?query`) or absolute-form (`http://host/path?query`) target.
  init(_ target: [UInt8]) {
    var rest = target[...]
    for scheme in ["http://", "https://"] where rest.starts(with: scheme.utf8) {
      let host = rest.dropFirst(scheme.utf8.count)
      rest = host.drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
      if rest.first != UInt8(ascii: "/") { rest = [UInt8(ascii: "/")] + rest }
    }
    path = rest.prefix { $0 != UInt8(ascii: "?") }
    rawQuery = rest.dropFirst(path.count + 1)
  }

  /// The decoded segments; empty when the path does not begin with a slash, which no route matches.
  var segments: [[UInt8]] {
    guard path.first == UInt8(ascii: "/") else { return [] }
    return path.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
      .map { Self.decode($0) }
  }

  var query: [Request.QueryItem] {
    rawQuery.split(separator: UInt8(ascii: "&")).map { item in
      let name = item.prefix { $0 != UInt8(ascii: "=") }
      let value = item.dropFirst(name.count + 1)
      return Request.QueryItem(Self.text(name), Self.text(value))
    }
  }

  /// Decodes percent escapes; a `%` without two hexadecimal digits stays as it is.
  static func decode(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    guard bytes.contains(UInt8(ascii: "%")) else { return Array(bytes) }
    var decoded: [UInt8] = []
    decoded.reserveCapacity(bytes.count)
    var rest = bytes
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%"), let high = hex(rest.first), let low = hex(rest.dropFirst().first) {
        decoded.append(high << 4 | low)
        rest = rest.dropFirst(2)
      } else {
        decoded.append(byte)
      }
    }
    return decoded
  }

  /// A query writes a space as `+`.
  private static func text(_ bytes: ArraySlice<UInt8>) -> String {
    let spaced = bytes.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }
    return String(decoding: decode(spaced[...]), as: UTF8.self)
  }

  private static func hex(_ byte: UInt8?) -> UInt8? {
    byte.flatMap { Character(Unicode.Scalar($0)).hexDigitValue }.map { UInt8($0) }
  }
}
