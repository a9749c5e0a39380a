internal import DroverCore
internal import KeptBytes

/// The rendered bytes of migrations that did not change since they were rendered.
struct KeptRenderings: Sendable {
  private struct Key: Hashable {
    let format: ExpositionFormat
    let coding: ContentCoding
  }

  /// The samples of a group are the same bytes in both formats.
  private struct Group {
    var identity: Pieces?
    var gzip: Pieces?

    subscript(coding: ContentCoding) -> Pieces? {
      get { coding == .gzip ? gzip : identity }
      set { if coding == .gzip { gzip = newValue } else { identity = newValue } }
    }
  }

  /// A revision stands for one content of one group for ever.
  private var groups: [UInt64: Group] = [:]
  private var headers: [Key: Pieces] = [:]
  /// What the groups of these revisions come to; thousands of slices that an unchanged fleet need not have sorted again.
  private var bodies: [Key: ScrapeBody] = [:]
  private var bodyRevisions: [UInt64] = []
  private var lastAsked: [ContentCoding: Moment] = [:]
  private var offset: EpochOffset?
  private var vmLabels: [VMLabel] = []
  /// How long was last what is not kept, by what was asked for.
  var fleetLengths: [Set<ScrapePart>: Int] = [:]

  /// A step of the wall clock changes every moment: what was rendered before shows another time; and so do other labels.
  mutating func settle(_ new: EpochOffset, vmLabels names: [String]) {
    guard offset != new || vmLabels.map(\.name) != names else { return }
    offset = new
    vmLabels = names.map(VMLabel.init)
    groups = [:]
    bodies = [:]
  }

  /// Drops what is kept in a coding that nobody has asked for since.
  mutating func drop(unusedSince moment: Moment) {
    for (coding, asked) in lastAsked where asked < moment {
      lastAsked[coding] = nil
      bodies = bodies.filter { $0.key.coding != coding }
      for revision in groups.keys { groups[revision]?[coding] = nil }
      groups = groups.filter { $0.value.identity != nil || $0.value.gzip != nil }
    }
  }

  /// Everything that has a series for each migration.
  mutating func migrations(
    of snapshot: FleetSnapshot, in format: ExpositionFormat, with deflater: Deflater?, offset: EpochOffset,
    now: Moment
  ) throws(DeflateError) -> ScrapeBody {
    let key = Key(format: format, coding: deflater == nil ? .identity : .gzip)
    lastAsked[key.coding] = now
    let revisions = snapshot.groups.map(\.revision)
    if revisions != bodyRevisions {
      bodies = [:]
      bodyRevisions = revisions
    }
    if let body = bodies[key] { return body }

    let headers = try headers(for: key, with: deflater)
    let samples = try samples(of: snapshot, for: key.coding, with: deflater, offset: offset)
    var body = ScrapeBody(isCompressed: deflater != nil)
    for family in MigrationFamilies.all.indices {
      guard samples.contains(where: { !$0.range(family).isEmpty }) else { continue }
      body.add(headers, family)
      for group in samples { body.add(group, family) }
    }
    bodies[key] = body
    return body
  }

  /// The lines before the samples, family by family.
  private mutating func headers(
    for key: Key, with deflater: Deflater?
  ) throws(DeflateError) -> Pieces {
    if let kept = headers[key] { return kept }
    let pieces = try Pieces(headersIn: key.format).compressed(with: deflater)
    headers[key] = pieces
    return pieces
  }

  /// The samples of all groups, rendering those that changed and forgetting those that are gone.
  private mutating func samples(
    of snapshot: FleetSnapshot, for coding: ContentCoding, with deflater: Deflater?, offset: EpochOffset
  ) throws(DeflateError) -> [Pieces] {
    let revisions = Set(snapshot.groups.map(\.revision))
    groups = groups.filter { revisions.contains($0.key) }

    let isComplete = snapshot.groups.allSatisfy { groups[$0.revision]?[coding] != nil }
    var sink = SampleSink(capacity: isComplete ? 0 : 1 << 19, offset: offset, vmLabels: vmLabels)
    var samples: [Pieces] = []
    samples.reserveCapacity(snapshot.groups.count)
    for group in snapshot.groups {
      var kept = groups[group.revision] ?? Group()
      if let pieces = kept[coding] {
        samples.append(pieces)
        continue
      }
      let plain = kept.identity ?? Pieces(group.views, using: &sink)
      let pieces = try plain.compressed(with: deflater)
      kept[coding] = pieces
      groups[group.revision] = kept
      samples.append(pieces)
    }
    return samples
  }

  /// Bytes that are kept.
  var byteCount: Int {
    groups.values.reduce(0) { $0 + ($1.identity?.block.count ?? 0) + ($1.gzip?.block.count ?? 0) }
      + headers.values.reduce(0) { $0 + $1.block.count }
  }
}

extension Pieces {
  /// The pieces compressed, or as they are where there is nothing to compress with.
  fileprivate func compressed(with deflater: Deflater?) throws(DeflateError) -> Pieces {
    guard let deflater else { return self }
    return try Pieces(compressing: self, with: deflater)
  }
}
