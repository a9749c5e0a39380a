/// Immutable bytes at an address that stays the same until the last reference goes.
///
/// A block is what a response is sent from without copying: whoever renders keeps blocks, and hands out
/// slices of them to any number of responses at once.
public final class ByteBlock: Sendable {
  // A raw pointer is never Sendable. Nothing writes to this memory once `init` has returned, whoever had it before has given
  // it up, and only `deinit` frees it, when nobody has the block any more.
  nonisolated(unsafe) private let memory: UnsafeMutableRawBufferPointer
  /// How many bytes the block holds.
  public let count: Int

  /// Allocates `capacity` bytes and keeps as many of them as `body` says it has filled.
  ///
  /// The memory is not zeroed before. `body` returns the number of bytes it wrote from the start; more than
  /// `capacity` is taken as `capacity`.
  public init<Failure: Error>(
    capacity: Int,
    initializingWith body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
  ) throws(Failure) {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(0, capacity), alignment: 16)
    do {
      count = min(max(0, try body(memory)), memory.count)
    } catch {
      memory.deallocate()
      throw error
    }
    self.memory = memory
  }

  /// Takes memory over, with what its first `count` bytes are; it is deallocated with the block.
  ///
  /// - Parameter memory: The whole of what `allocate` gave, and nobody else's any more.
  public init(adopting memory: UnsafeMutableRawBufferPointer, count: Int) {
    self.memory = memory
    self.count = min(max(0, count), memory.count)
  }

  /// Copies the bytes of a buffer.
  public convenience init(copying bytes: UnsafeRawBufferPointer) {
    self.init(capacity: bytes.count) { memory in
      memory.copyMemory(from: bytes)
      return bytes.count
    }
  }

  /// Copies the bytes of an array.
  public convenience init(_ bytes: [UInt8]) {
    self.init(capacity: bytes.count) { memory in
      memory.copyBytes(from: bytes)
      return bytes.count
    }
  }

  deinit { memory.deallocate() }

  /// Calls `body` with the block's bytes; the pointer stays valid as long as the block is kept.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeRawBufferPointer(rebasing: memory[..<count]))
  }
}

/// A part of a block, keeping the whole block alive.
public struct ByteSlice: Sendable {
  /// The block that holds the bytes.
  public let block: ByteBlock
  /// Which bytes of the block, always within it.
  public let range: Range<Int>

  /// Takes a part of a block; what lies outside the block is cut off.
  public init(_ block: ByteBlock, range: Range<Int>) {
    self.block = block
    self.range = range.clamped(to: 0..<block.count)
  }

  /// Takes a whole block.
  public init(_ block: ByteBlock) {
    self.block = block
    range = 0..<block.count
  }

  /// How many bytes the slice holds.
  public var count: Int { range.count }

  /// Calls `body` with the slice's bytes; the pointer stays valid as long as the block is kept.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try block.withUnsafeBytes { bytes throws(Failure) in
      try body(UnsafeRawBufferPointer(rebasing: bytes[range]))
    }
  }
}
