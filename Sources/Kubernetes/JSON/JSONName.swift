/// Finds `metadata.name` in an object, or in the object of a watch event, that cannot be decoded.
enum JSONName {
  /// The name as it is written, or nil; `object` may be cut off anywhere.
  static func find(in object: UnsafeBufferPointer<UInt8>) -> String? {
    var depth = 0
    /// How deep the key `metadata` stands whose value this is.
    var metadataDepth: Int?
    var index = 0
    while index < object.count {
      switch object[index] {
      case 0x7B, 0x5B: depth += 1
      case 0x7D, 0x5D: depth -= 1
      case 0x22:
        guard let end = closingQuote(object, after: index) else { return nil }
        let text = object[(index + 1)..<end]
        index = end
        guard depth <= 3, let value = valueStart(object, after: end) else { break }
        if let known = metadataDepth {
          if depth == known + 1, text.elementsEqual("name".utf8), object[value] == 0x22,
            let end = closingQuote(object, after: value)
          {
            return String(decoding: object[(value + 1)..<end], as: UTF8.self)
          }
          if depth <= known { metadataDepth = nil }
        } else if depth <= 2, text.elementsEqual("metadata".utf8) {
          metadataDepth = depth
        }
      default: break
      }
      index += 1
    }
    return nil
  }

  private static func closingQuote(_ object: UnsafeBufferPointer<UInt8>, after quote: Int) -> Int? {
    var index = quote + 1
    while index < object.count {
      if object[index] == 0x22 { return index }
      index += object[index] == 0x5C ? 2 : 1
    }
    return nil
  }

  /// Where the value of a key begins; nil where the string before is no key.
  private static func valueStart(_ object: UnsafeBufferPointer<UInt8>, after end: Int) -> Int? {
    let rest = object[(end + 1)...]
    guard let colon = rest.firstIndex(where: { !$0.isJSONSpace }), object[colon] == 0x3A else { return nil }
    return object[(colon + 1)...].firstIndex { !$0.isJSONSpace }
  }
}
