internal import DroverCore
internal import KeptBytes

/// One scrape in the making.
struct ScrapeJob {
  let snapshot: FleetSnapshot
  let parts: Set<ScrapePart>
  let mediaType: ScrapeMediaType
  let context: RenderContext
  let offset: EpochOffset

  private static let gzipHeader = ByteBlock(GzipMember.header)

  func plain(keeping state: inout KeptRenderings) -> RenderedScrape {
    var body = Body()
    // Without a deflater nothing throws.
    try? addMigrations(to: &body, keeping: &state, with: nil)
    body.add(ByteSlice(fleet().block()))
    return body.scrape(mediaType, contentEncoding: nil)
  }

  /// The scrape as one gzip member; nil where it is too small for that to be worth it.
  func compressed(keeping state: inout KeptRenderings) throws(DeflateError) -> RenderedScrape? {
    let deflater = try Deflater()
    var body = Body()
    body.add(ByteSlice(Self.gzipHeader))
    try addMigrations(to: &body, keeping: &state, with: deflater)

    let fleet = fleet()
    guard body.member.length + fleet.count >= ScrapeRenderer.smallestCompressed else { return nil }
    var tail = ByteWriter(capacity: fleet.count / 4)
    let check = try fleet.withUnsafeBytes(0..<fleet.count) { bytes throws(DeflateError) in
      try deflater.compress(bytes, into: &tail)
    }
    body.member.add(check)
    tail.append(body.member.trailer)
    body.add(ByteSlice(tail.block()))
    return body.scrape(mediaType, contentEncoding: "gzip")
  }

  private func addMigrations(
    to body: inout Body, keeping state: inout KeptRenderings, with deflater: Deflater?
  ) throws(DeflateError) {
    guard parts.contains(.migrations) else { return }
    let headers = try state.headers(in: mediaType.format, with: deflater)
    let samples = try state.samples(of: snapshot, with: deflater, offset: offset, now: context.now)
    for family in MigrationFamilies.all.indices {
      guard samples.contains(where: { !$0.range(family).isEmpty }) else { continue }
      body.add(headers, family)
      for group in samples { body.add(group, family) }
    }
  }

  /// Everything that has no series for each migration, and the end.
  private func fleet() -> ByteWriter {
    let fleet = Fleet(snapshot, in: context)
    var sink = SampleSink(capacity: 1 << 14, offset: offset)
    for family in FleetFamilies.all where parts.contains(family.declaration.part) {
      let start = sink.out.count
      sink.out.append(headerOf: family.declaration, in: mediaType.format)
      let header = sink.out.count
      sink.begin(family.name)
      family.emit(fleet, &sink)
      if sink.out.count == header { sink.out.truncate(to: start) }
    }
    if mediaType.format == .openMetrics { sink.out.append("# EOF\n") }
    return sink.finish()
  }
}

/// The body of a scrape as it grows.
private struct Body {
  var slices: [ByteSlice] = []
  var byteCount = 0
  var member = GzipMember()

  mutating func add(_ slice: ByteSlice) {
    guard slice.count > 0 else { return }
    slices.append(slice)
    byteCount += slice.count
  }

  mutating func add(_ pieces: Pieces, _ index: Int) {
    add(ByteSlice(pieces.block, range: pieces.range(index)))
    if let check = pieces.check(index) { member.add(check) }
  }

  func scrape(_ mediaType: ScrapeMediaType, contentEncoding: String?) -> RenderedScrape {
    RenderedScrape(
      slices: slices, contentType: mediaType.contentType, contentEncoding: contentEncoding,
      byteCount: byteCount)
  }
}
