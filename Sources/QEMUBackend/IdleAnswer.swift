/// An idle answer as it came, to be compared with the next one without reading either.
struct IdleAnswer: Sendable {
  private let bytes: [UInt8]
  private let idAt: Int

  init?(_ bytes: [UInt8], id: UInt32) {
    let name = Array(identifier(id).utf8)
    guard bytes.count >= name.count else { return nil }
    guard
      let at = (0...bytes.count - name.count).last(where: { bytes[$0..<$0 + name.count].elementsEqual(name) })
    else { return nil }
    self.bytes = bytes
    idAt = at
  }

  /// Whether the line is this one, but for its id.
  func equals(_ line: [UInt8], id: UInt32) -> Bool {
    let name = Array(identifier(id).utf8)
    let end = idAt + name.count
    return line.count == bytes.count && line[..<idAt] == bytes[..<idAt]
      && line[idAt..<end].elementsEqual(name)
      && line[end...] == bytes[end...]
  }
}

/// Ids have one width, so that two answers of the same content have one length.
func identifier(_ number: UInt32) -> String {
  let digits = String(number, radix: 16)
  return "drover-" + String(repeating: "0", count: 8 - digits.count) + digits
}
