internal import CZlib

/// Compresses pieces that can be joined in any order into one gzip stream.
///
/// Each piece ends with a full flush: it lies on whole bytes and refers to nothing before it.
final class Deflater {
  /// On the heap, because zlib's state points back to it.
  private let stream: UnsafeMutablePointer<z_stream>

  /// Pieces are long runs of near-identical lines: the fastest level makes them at most 5 % longer than the best.
  init(level: Int32 = Z_BEST_SPEED) throws(DeflateError) {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // Negative window bits: without zlib's own header.
    let code = deflateInit2_(
      stream, level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    guard code == Z_OK else {
      stream.deallocate()
      throw DeflateError(call: "deflateInit2", code: code)
    }
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
  }

  /// Compresses `bytes` as one piece; nothing becomes nothing.
  func compress(
    _ bytes: UnsafeRawBufferPointer, into out: inout ByteWriter
  ) throws(DeflateError) -> PieceCheck {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return PieceCheck() }
    guard let length = UInt32(exactly: bytes.count) else {
      throw DeflateError(call: "deflate", code: Z_BUF_ERROR)
    }
    let input = base.assumingMemoryBound(to: UInt8.self)
    stream.pointee.next_in = UnsafeMutablePointer(mutating: input)
    stream.pointee.avail_in = length
    // With room left over, zlib is known to have flushed everything.
    let room = Int(deflateBound(stream, uLong(length))) + 64
    var code = Z_OK
    repeat {
      out.append(room: room) { free in
        stream.pointee.next_out = free.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(free.count)
        code = deflate(stream, Z_FULL_FLUSH)
        return free.count - Int(stream.pointee.avail_out)
      }
    } while code == Z_OK && stream.pointee.avail_out == 0
    guard code == Z_OK else { throw DeflateError(call: "deflate", code: code) }
    return PieceCheck(
      length: bytes.count, crc: crc32(0, input, length), shift: crc32_combine_gen(Int(length)))
  }
}

/// What joining needs to know of a piece.
struct PieceCheck: Sendable {
  /// Bytes before compression.
  var length = 0
  /// Checksum of these bytes.
  var crc: UInt = 0
  /// Moves another checksum by this length.
  var shift: UInt = 0
}

/// The frame around compressed pieces: one gzip member.
struct GzipMember {
  /// Magic number, deflate, no flags, no time, fastest level, Unix.
  static let header: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3]

  private var crc: UInt = 0
  private(set) var length = 0

  mutating func add(_ piece: PieceCheck) {
    guard piece.length > 0 else { return }
    crc = crc32_combine_op(crc, piece.crc, piece.shift)
    length &+= piece.length
  }

  /// An empty last block, the checksum and the length modulo 2^32.
  var trailer: [UInt8] {
    [0x03, 0x00] + littleEndian(UInt32(truncatingIfNeeded: crc))
      + littleEndian(UInt32(truncatingIfNeeded: length))
  }
}

private func littleEndian(_ value: UInt32) -> [UInt8] {
  (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}

/// A failed zlib call, which means that the memory ran out.
///
/// The scrape is then sent uncompressed.
struct DeflateError: Error {
  let call: String
  let code: Int32
}
