internal import DroverCore
internal import KeptBytes

/// How the bytes of a scrape are sent.
enum ContentCoding: Hashable, Sendable {
  case identity, gzip
}

/// Rendered bytes in one block without slack, cut into one piece for each family.
struct Pieces: Sendable {
  let block: ByteBlock
  /// Where each piece ends in the block.
  private let ends: [Int]
  /// One for each piece where they are compressed, else none.
  private let checks: [PieceCheck]

  private init(_ writer: borrowing ByteWriter, ends: [Int], checks: [PieceCheck] = []) {
    block = writer.block()
    self.ends = ends
    self.checks = checks
  }

  /// The bytes of one piece.
  func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }

  /// What joining compressed pieces needs to know of one.
  func check(_ index: Int) -> PieceCheck? { checks.isEmpty ? nil : checks[index] }

  /// Renders a group of migrations.
  init(_ views: [MigrationView], using sink: inout SampleSink) {
    sink.reset()
    let labelSets = views.map { sink.labelSet(of: $0.identity) }
    var ends: [Int] = []
    ends.reserveCapacity(MigrationFamilies.all.count)
    for family in MigrationFamilies.all {
      sink.begin(family.name)
      let staysAfterEnd = family.declaration.staysAfterEnd
      for index in views.indices where staysAfterEnd || !views[index].isOver {
        sink.share(labelSets[index])
        family.emit(views[index], &sink)
      }
      ends.append(sink.out.count)
    }
    self.init(sink.out, ends: ends)
  }

  /// Renders the lines that stand before the samples of families with a series for each migration.
  init(headersIn format: ExpositionFormat) {
    var writer = ByteWriter(capacity: 8192)
    let ends = MigrationFamilies.all.map { family in
      writer.append(headerOf: family.declaration, in: format)
      return writer.count
    }
    self.init(writer, ends: ends)
  }

  /// Compresses each piece by itself.
  init(compressing plain: Pieces, with deflater: Deflater) throws(DeflateError) {
    var writer = ByteWriter(capacity: plain.block.count / 8)
    var ends: [Int] = []
    var checks: [PieceCheck] = []
    ends.reserveCapacity(plain.ends.count)
    checks.reserveCapacity(plain.ends.count)
    for index in plain.ends.indices {
      let slice = ByteSlice(plain.block, range: plain.range(index))
      let check = try slice.withUnsafeBytes { bytes throws(DeflateError) in
        try deflater.compress(bytes, into: &writer)
      }
      checks.append(check)
      ends.append(writer.count)
    }
    self.init(writer, ends: ends, checks: checks)
  }
}
