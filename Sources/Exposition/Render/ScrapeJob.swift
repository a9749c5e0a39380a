internal import DroverCore
internal import KeptBytes

/// One scrape in the making.
struct ScrapeJob: Sendable {
  let snapshot: FleetSnapshot
  let parts: Set<ScrapePart>
  let mediaType: ScrapeMediaType
  let context: RenderContext
  let offset: EpochOffset

  /// From so many VMs on it takes longer to write than to share out.
  private static let largeFleet = 1000

  func plain(keeping state: inout KeptRenderings) -> RenderedScrape {
    let length = state.fleetLengths[parts, default: 1 << 14]
    var (body, fleet) = sideBySide {
      // Where nothing is compressed nothing throws.
      (try? migrations(keeping: &state, as: .identity)) ?? ScrapeBody()
    } _: {
      self.fleet(length).wholeBlock()
    }
    state.fleetLengths[parts] = fleet.count
    body.add(ByteSlice(fleet))
    return body.scrape(as: mediaType, contentEncoding: nil)
  }

  /// The scrape as one gzip member; nil where it is too small for that to be worth it.
  func compressed(keeping state: inout KeptRenderings) throws(DeflateError) -> RenderedScrape? {
    let length = state.fleetLengths[parts, default: 1 << 14]
    let (migrations, fleet) = sideBySide {
      Result { () throws(DeflateError) in try self.migrations(keeping: &state, as: .gzip) }
    } _: {
      Result { () throws(DeflateError) in try compressedFleet(length) }
    }
    var body = try migrations.get()
    let (tail, check) = try fleet.get()
    state.fleetLengths[parts] = check.length
    guard body.member.length + check.length >= ScrapeRenderer.smallestCompressed else { return nil }
    body.member.add(check)
    body.add(ByteSlice(tail))
    body.add(ByteSlice(ByteBlock(body.member.trailer)))
    return body.scrape(as: mediaType, contentEncoding: "gzip")
  }

  private func sideBySide<Migrations, Rest: Sendable>(
    _ migrations: () -> Migrations, _ rest: @escaping @Sendable () -> Rest
  ) -> (Migrations, Rest) {
    snapshot.vms.count < Self.largeFleet ? (migrations(), rest()) : SideBySide.both(migrations, rest)
  }

  private func compressedFleet(_ length: Int) throws(DeflateError) -> (ByteBlock, PieceCheck) {
    let plain = fleet(length)
    let deflater = try Deflater()
    var tail = ByteWriter(capacity: plain.count / 4)
    let check = try plain.withUnsafeBytes(0..<plain.count) { bytes throws(DeflateError) in
      try deflater.compress(bytes, into: &tail)
    }
    return (tail.block(), check)
  }

  private func migrations(
    keeping state: inout KeptRenderings, as coding: ContentCoding
  ) throws(DeflateError) -> ScrapeBody {
    guard parts.contains(.migrations) else { return ScrapeBody(isCompressed: coding == .gzip) }
    return try state.migrations(
      of: snapshot, in: mediaType.format, as: coding, offset: offset, now: context.now)
  }

  /// Everything that has no series for each migration, and the end.
  ///
  /// - Parameter length: How long it was last: memory that grows by and by is written again and again.
  private func fleet(_ length: Int) -> ByteWriter {
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
    return sink.finish()
  }
}
