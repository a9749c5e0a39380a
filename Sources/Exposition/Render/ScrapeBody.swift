internal import KeptBytes

/// The body of a scrape as it grows.
struct ScrapeBody: Sendable {
  private var slices: [ByteSlice] = []
  private var byteCount = 0
  /// Length and checksum, where it is compressed.
  var member = GzipMember()

  private static let gzipHeader = ByteSlice(ByteBlock(GzipMember.header))

  init(isCompressed: Bool = false) {
    if isCompressed { add(Self.gzipHeader) }
  }

  mutating func add(_ slice: ByteSlice) {
    guard slice.count > 0 else { return }
    slices.append(slice)
    byteCount += slice.count
  }

  mutating func add(_ pieces: Pieces, _ index: Int) {
    add(ByteSlice(pieces.block, range: pieces.range(index)))
    if let check = pieces.check(index) { member.add(check) }
  }

  func scrape(as mediaType: ScrapeMediaType, contentEncoding: String?) -> RenderedScrape {
    RenderedScrape(
      slices: slices, contentType: mediaType.contentType, contentEncoding: contentEncoding,
      byteCount: byteCount)
  }
}
