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
    guard let base = bytes.baseAddress, start < bytes.count else { return nil }
    var next = base + start
    let end = base + bytes.count
    // Local, so that they stay in registers.
    var depth = depth
    var isInString = isInString
    if isEscaped {
      isEscaped = false
      next += 1
    }
    while next < end {
      let byte = next.pointee
      next += 1
      if isInString {
        if byte == 0x22 {
          isInString = false
        } else if byte == 0x5C {
          next += 1
        }
      } else if byte == 0x22 {
        isInString = true
      } else if byte & 0xDF == 0x5B {
        depth += 1
      } else if byte & 0xDF == 0x5D {
        depth -= 1
        if depth <= 0 {
          self = JSONNesting()
          return next - base
        }
      }
    }
    self.depth = depth
    self.isInString = isInString
    isEscaped = next > end
    return nil
  }
}
