internal import CMicroHTTP
internal import Glibc
internal import KeptBytes

/// The body of one response: kept bytes, and how far they have been handed out.
///
/// Used by one libmicrohttpd thread, which frees it after the last byte or when the client has gone.
final class SegmentList {
  /// Keeps the blocks alive that `vectors` points into.
  private let slices: [ByteSlice]
  private var vectors: [MHD_IoVec] = []
  private var count = 0
  private var next = (vector: 0, offset: 0)

  init(_ slices: [ByteSlice]) {
    self.slices = slices
    vectors.reserveCapacity(min(slices.count, 4096))
    for slice in slices where slice.count > 0 {
      count += slice.count
      slice.withUnsafeBytes { bytes in
        // Slices that lie one behind the other in memory are sent as one.
        if let last = vectors.last, last.iov_base + last.iov_len == bytes.baseAddress {
          vectors[vectors.count - 1].iov_len += bytes.count
        } else {
          vectors.append(MHD_IoVec(iov_base: bytes.baseAddress, iov_len: bytes.count))
        }
      }
    }
  }

  /// libmicrohttpd copies the vectors into the connection's memory, which is small, and under epoll it never
  /// goes on after the first IOV_MAX of them; so only few are sent as they lie, and more through a buffer.
  static let maxVectors = 256

  var isSmall: Bool { vectors.count <= Self.maxVectors }

  /// Pieces that come to no more go out with the headers, in most cases in one call that wakes the client once.
  static let maxCopied = 128 << 10

  var isShort: Bool { vectors.count > 1 && count <= Self.maxCopied }

  func makeCopy() -> OpaquePointer? {
    guard let copy = malloc(count) else { return nil }
    _ = read(into: UnsafeMutableRawBufferPointer(start: copy, count: count))
    let response = MHD_create_response_from_buffer(count, copy, .RESPMEM_MUST_FREE)
    if response == nil { free(copy) }
    return response
  }

  func makeVector() -> OpaquePointer? {
    let context = Unmanaged.passRetained(self)
    let response = MHD_create_response_from_iovec(
      vectors, UInt32(vectors.count),
      { if let cls = $0 { Unmanaged<SegmentList>.fromOpaque(cls).release() } },
      context.toOpaque())
    if response == nil { context.release() }
    return response
  }

  func makeReader() -> OpaquePointer? {
    let context = Unmanaged.passRetained(self)
    let response = MHD_create_response_from_callback(
      UInt64(count), 128 << 10,
      { cls, _, buffer, size in
        guard let cls, let buffer else { return -2 }
        return Unmanaged<SegmentList>.fromOpaque(cls).takeUnretainedValue()
          .read(into: UnsafeMutableRawBufferPointer(start: buffer, count: size))
      }, context.toOpaque(), { if let cls = $0 { Unmanaged<SegmentList>.fromOpaque(cls).release() } })
    if response == nil { context.release() }
    return response
  }

  private func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    var filled = 0
    while filled < buffer.count, next.vector < vectors.count {
      let vector = vectors[next.vector]
      let part = min(vector.iov_len - next.offset, buffer.count - filled)
      if let base = vector.iov_base, let target = buffer.baseAddress {
        memcpy(target + filled, base + next.offset, part)
      }
      filled += part
      next.offset += part
      if next.offset == vector.iov_len { next = (next.vector + 1, 0) }
    }
    return filled
  }
}
