internal import DroverCore
internal import KeptBytes

/// One scrape in the making.
struct ScrapeJob {
  let snapshot: FleetSnapshot
  let parts: Set<ScrapePart>
  let mediaType: ScrapeMediaType
  let context: RenderContext
  let offset: EpochOffset

  func plain(keeping state: inout KeptRenderings) -> RenderedScrape {
    // Without a deflater nothing throws.
    var body = (try? migrations(keeping: &state, with: nil)) ?? ScrapeBody()
    let fleet = fleet(of: &state.fleetLengths[parts, default: 1 << 14])
    body.add(ByteSlice(fleet.wholeBlock()))
    return body.scrape(as: mediaType, contentEncoding: nil)
  }

  /// The scrape as one gzip member; nil where it is too small for that to be worth it.
  func compressed(keeping state: inout KeptRenderings) throws(DeflateError) -> RenderedScrape? {
    let deflater = try Deflater()
    var body = try migrations(keeping: &state, with: deflater)
    let fleet = fleet(of: &state.fleetLengths[parts, default: 1 << 14])
    guard body.member.length + fleet.count >= ScrapeRenderer.smallestCompressed else { return nil }
    var tail = ByteWriter(capacity: fleet.count / 4)
    let check = try fleet.withUnsafeBytes(0..<fleet.count) { bytes throws(DeflateError) in
      try deflater.compress(bytes, into: &tail)
    }
    body.member.add(check)
    tail.append(body.member.trailer)
    body.add(ByteSlice(tail.block()))
    return body.scrape(as: mediaType, contentEncoding: "gzip")
  }

  private func migrations(
    keeping state: inout KeptRenderings, with deflater: Deflater?
  ) throws(DeflateError) -> ScrapeBody {
    guard parts.contains(.migrations) else { return ScrapeBody(isCompressed: deflater != nil) }
    return try state.migrations(
      of: snapshot, in: mediaType.format, with: deflater, offset: offset, now: context.now)
  }

  /// Everything that has no series for each migration, and the end.
  ///
  /// - Parameter length: How long it was last: memory that grows by and by is written again and again.
  private func fleet(of length: inout Int) -> ByteWriter {
    let fleet = Fleet(snapshot, in: context)
    var sink = SampleSink(capacity: length + length / 16, offset: offset)
    for family in FleetFamilies.all where parts.contains(family.declaration.part) {
      let start = sink.out.count
      sink.out.append(headerOf: family.declaration, in: mediaType.format)
      let header = sink.out.count
      sink.begin(family.name)
      family.emit(fleet, &sink)
      if sink.out.count == header { sink.out.truncate(to: start) }
    }
    if mediaType.format == .openMetrics { sink.out.append("# EOF\n") }
    length = sink.out.count
    return sink.finish()
  }
}
