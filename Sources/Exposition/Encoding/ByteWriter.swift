internal import KeptBytes

/// A growing buffer that bytes are appended to; the only place that writes to raw memory.
struct ByteWriter: ~Copyable {
  private var memory: UnsafeMutableRawPointer
  private var capacity: Int
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = max(capacity, 64)
    memory = .allocate(byteCount: self.capacity, alignment: 16)
  }

  deinit { memory.deallocate() }

  /// Makes room for `extra` more bytes.
  @inline(__always)
  mutating func reserve(_ extra: Int) {
    if capacity &- count < extra { grow(by: extra) }
  }

  @inline(never)
  private mutating func grow(by extra: Int) {
    capacity = max(capacity &* 2, count &+ extra)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    larger.copyMemory(from: memory, byteCount: count)
    memory.deallocate()
    memory = larger
  }

  /// Forgets everything behind the first `count` bytes.
  mutating func truncate(to count: Int) { self.count = min(count, self.count) }

  @inline(__always)
  mutating func append(_ byte: UInt8) {
    reserve(1)
    memory.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  @inline(__always)
  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    reserve(bytes.count)
    (memory + count).copyMemory(from: base, byteCount: bytes.count)
    count &+= bytes.count
  }

  @inline(__always)
  mutating func append(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { append($0) }
  }

  @inline(__always)
  mutating func append(_ text: StaticString) {
    append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func append(_ text: String) {
    if text.utf8.withContiguousStorageIfAvailable({ append(UnsafeRawBufferPointer($0)) }) == nil {
      for byte in text.utf8 { append(byte) }
    }
  }

  /// Appends a part of another writer's bytes.
  @inline(__always)
  mutating func append(_ other: borrowing ByteWriter, _ range: Range<Int>) {
    append(UnsafeRawBufferPointer(start: other.memory + range.lowerBound, count: range.count))
  }

  /// Lets `body` fill at most `room` bytes behind the last one; it answers how many it filled.
  mutating func append(room: Int, filledBy body: (UnsafeMutableRawBufferPointer) -> Int) {
    reserve(room)
    count += min(max(0, body(UnsafeMutableRawBufferPointer(start: memory + count, count: room))), room)
  }

  func withUnsafeBytes<Result, Failure: Error>(
    _ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeRawBufferPointer(start: memory + range.lowerBound, count: range.count))
  }

  /// The bytes written so far, with the room behind them: for what is not kept.
  consuming func wholeBlock() -> ByteBlock {
    let block = ByteBlock(
      adopting: UnsafeMutableRawBufferPointer(start: memory, count: capacity), count: count)
    discard self
    return block
  }

  /// A block of exactly the bytes written so far.
  func block() -> ByteBlock {
    ByteBlock(copying: UnsafeRawBufferPointer(start: memory, count: count))
  }
}
