/// How deep in objects and arrays a place is, and whether inside a string.
///
/// It finds where a value ends, and leaves all else that may be wrong with it to the decoder: a closing bracket closes
/// whatever is open.
struct JSONNesting {
  private var depth = 0
  private var isInString = false
  private var isEscaped = false

  /// Goes on with `bytes` from `start`, in or before an object or array.
  ///
  /// - Returns: The index after the bracket that closes the value; nil where it goes on after these bytes.
  mutating func end(in bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
    var index = start
    let count = bytes.count
    if isEscaped, index < count {
      isEscaped = false
      index += 1
    }
    while index < count {
      if isInString {
        while index < count, bytes[index] != 0x22, bytes[index] != 0x5C { index += 1 }
        guard index < count else { return nil }
        if bytes[index] == 0x22 {
          isInString = false
          index += 1
        } else {
          index += 2
          isEscaped = index > count
        }
      } else {
        let byte = bytes[index]
        index += 1
        switch byte {
        case 0x22: isInString = true
        case 0x7B, 0x5B: depth += 1
        case 0x7D, 0x5D:
          depth -= 1
          if depth <= 0 {
            self = JSONNesting()
            return index
          }
        default: break
        }
      }
    }
    return nil
  }
}
