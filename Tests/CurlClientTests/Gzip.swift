private let gzipHeader: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF]

/// A gzip file of one stored block.
func gzipStored(_ bytes: [UInt8]) -> [UInt8] {
  let length = UInt16(bytes.count)
  return gzipHeader + [1] + littleEndian(length) + littleEndian(~length) + bytes + littleEndian(crc32(bytes))
    + littleEndian(UInt32(bytes.count))
}

/// The beginning of a gzip file that expands to at least `count` zeros, 159 times its own size.
func gzipBomb(zeros count: Int) -> [UInt8] {
  var bits: [UInt8] = []
  // A final block of fixed Huffman codes, the literal 0, then "258 times the byte before" again and again.
  bits += [1, 1, 0] + [0, 0, 1, 1, 0, 0, 0, 0]
  for _ in 0..<(count / 258 + 1) { bits += [1, 1, 0, 0, 0, 1, 0, 1] + [0, 0, 0, 0, 0] }
  var bytes = gzipHeader
  for start in stride(from: 0, to: bits.count, by: 8) {
    bytes.append(bits[start..<min(start + 8, bits.count)].reversed().reduce(0) { $0 << 1 | $1 })
  }
  return bytes
}

private func littleEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

private func crc32(_ bytes: [UInt8]) -> UInt32 {
  ~bytes.reduce(~0) { crc, byte in
    (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in value >> 1 ^ (value & 1 == 1 ? 0xEDB8_8320 : 0) }
  }
}
