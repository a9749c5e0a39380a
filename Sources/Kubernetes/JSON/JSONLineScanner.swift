internal import Glibc

/// Cuts a watch's body into its events, one a line, while it arrives.
public struct JSONLineScanner: Sendable {
  /// The longest line accepted, in bytes.
  public let longestLine: Int
  private var pending: [UInt8] = []
  /// Bytes of all chunks before the present one.
  private var offset = 0

  /// Starts before the first byte of a body.
  public init(longestLine: Int = 8 << 20) { self.longestLine = longestLine }

  /// Reads on, and lends each line that ends in this chunk; empty ones are left out, and the lent bytes are valid
  /// during the call only.
  public mutating func scan(_ chunk: [UInt8], line: (UnsafeBufferPointer<UInt8>) -> Void)
    throws(JSONScanError)
  {
    let kept = chunk.withUnsafeBufferPointer { bytes -> Bool in
      var start = 0
      while let end = Self.lineEnd(in: bytes, from: start) {
        let part = UnsafeBufferPointer(rebasing: bytes[start..<end])
        guard part.count <= longestLine - pending.count else { return false }
        if pending.isEmpty {
          if part.contains(where: { !$0.isJSONSpace }) { line(part) }
        } else {
          pending += part
          takePending(line)
        }
        start = end + 1
      }
      guard bytes.count - start <= longestLine - pending.count else { return false }
      pending += bytes[start...]
      return true
    }
    guard kept else {
      let name = pending.withUnsafeBufferPointer { JSONName.find(in: $0) }
      throw JSONScanError(
        "an event\(name.map { " of '\($0)'" } ?? "") has more than \(longestLine) bytes", at: offset)
    }
    offset += chunk.count
  }

  /// Ends the body, and lends what stands after the last line break.
  public mutating func finish(line: (UnsafeBufferPointer<UInt8>) -> Void) { takePending(line) }

  private mutating func takePending(_ line: (UnsafeBufferPointer<UInt8>) -> Void) {
    pending.withUnsafeBufferPointer { if $0.contains(where: { !$0.isJSONSpace }) { line($0) } }
    pending.removeAll(keepingCapacity: pending.capacity <= 1 << 20)
  }

  private static func lineEnd(in bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
    guard start < bytes.count, let base = bytes.baseAddress,
      let found = memchr(base + start, 0x0A, bytes.count - start)
    else { return nil }
    return UnsafeRawPointer(found) - UnsafeRawPointer(base)
  }
}
