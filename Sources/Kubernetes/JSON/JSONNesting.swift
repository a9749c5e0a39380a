/// How deep in objects and arrays a place is, and whether inside a string.
///
/// It finds where a value ends, and leaves all else that may be wrong with it to whoever reads it: a closing bracket closes
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
      if isInString {
        next = Self.quoteOrEscape(from: next, to: end)
        guard next < end else { break }
        isInString = next.pointee != 0x22
        next += isInString ? 2 : 1
        continue
      }
      let byte = next.pointee
      next += 1
      if byte == 0x22 {
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

  /// The next quotation mark or backslash; the end where there is none.
  ///
  /// Eight bytes at a time: strings are most of an object.
  static func quoteOrEscape(
    from start: UnsafePointer<UInt8>, to end: UnsafePointer<UInt8>
  ) -> UnsafePointer<UInt8> {
    let ones: UInt64 = 0x0101_0101_0101_0101
    var next = start
    while end - next >= 8 {
      let bytes = UInt64(littleEndian: UnsafeRawPointer(next).loadUnaligned(as: UInt64.self))
      let (quotes, escapes) = (bytes ^ (0x22 * ones), bytes ^ (0x5C * ones))
      // The lowest bit that is set belongs to the first byte that is zero.
      let found = ((quotes &- ones) & ~quotes | (escapes &- ones) & ~escapes) & (0x80 * ones)
      if found != 0 { return next + found.trailingZeroBitCount / 8 }
      next += 8
    }
    while next < end, next.pointee != 0x22, next.pointee != 0x5C { next += 1 }
    return next
  }
}
