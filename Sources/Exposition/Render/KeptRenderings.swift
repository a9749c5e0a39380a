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
    of snapshot: FleetSnapshot, in format: ExpositionFormat, as coding: ContentCoding, offset: EpochOffset,
    now: Moment
  ) throws(DeflateError) -> ScrapeBody {
    let key = Key(format: format, coding: coding)
    lastAsked[key.coding] = now
    let revisions = snapshot.groups.map(\.revision)
    if revisions != bodyRevisions {
      bodies = [:]
      bodyRevisions = revisions
    }
    if let body = bodies[key] { return body }

    let headers = try headers(for: key)
    let samples = try samples(of: snapshot, as: coding, offset: offset)
    var body = ScrapeBody(isCompressed: coding == .gzip)
    for family in MigrationFamilies.all.indices {
      guard samples.contains(where: { !$0.range(family).isEmpty }) else { continue }
      body.add(headers, family)
      for group in samples { body.add(group, family) }
    }
    bodies[key] = body
    return body
  }

  /// The lines before the samples, family by family.
  private mutating func headers(for key: Key) throws(DeflateError) -> Pieces {
    if let kept = headers[key] { return kept }
    let pieces = try Pieces(headersIn: key.format).compressed(with: key.coding.deflater())
    headers[key] = pieces
    return pieces
  }

  /// The samples of all groups, rendering those that changed and forgetting those that are gone.
  private mutating func samples(
    of snapshot: FleetSnapshot, as coding: ContentCoding, offset: EpochOffset
  ) throws(DeflateError) -> [Pieces] {
    let revisions = Set(snapshot.groups.map(\.revision))
    groups = groups.filter { revisions.contains($0.key) }

    let changed = snapshot.groups.filter { groups[$0.revision]?[coding] == nil }
    let work = Work(
      changed: changed.map { ($0, groups[$0.revision]?.identity) }, coding: coding, offset: offset,
      vmLabels: vmLabels)
    for (group, pieces) in zip(changed, try work.shared()) {
      groups[group.revision, default: Group()][coding] = pieces
    }
    return snapshot.groups.compactMap { groups[$0.revision]?[coding] }
  }

  /// Bytes that are kept.
  var byteCount: Int {
    groups.values.reduce(0) { $0 + ($1.identity?.block.count ?? 0) + ($1.gzip?.block.count ?? 0) }
      + headers.values.reduce(0) { $0 + $1.block.count }
  }
}

/// Groups that are to be rendered.
private struct Work: Sendable {
  /// So few in a half are not worth another thread.
  private static let few = 2
  /// Room for a migration's samples, and the most at once.
  private static let (room, mostRoom) = (12 << 10, 1 << 19)

  /// Each with what is kept of it uncompressed.
  let changed: [(MigrationGroup, Pieces?)]
  let coding: ContentCoding
  let offset: EpochOffset
  let vmLabels: [VMLabel]

  func shared() throws(DeflateError) -> [Pieces] {
    let middle = changed.count / 2
    guard middle >= Self.few else { return try render(changed[...]) }
    let (one, other) = SideBySide.both {
      Result { () throws(DeflateError) in try render(changed[..<middle]) }
    } _: {
      Result { () throws(DeflateError) in try render(changed[middle...]) }
    }
    return try one.get() + other.get()
  }

  private func render(_ some: ArraySlice<(MigrationGroup, Pieces?)>) throws(DeflateError) -> [Pieces] {
    guard !some.isEmpty else { return [] }
    let deflater = try coding.deflater()
    let largest = some.lazy.map(\.0.views.count).max() ?? 0
    var sink = SampleSink(
      capacity: min(Self.mostRoom, largest * Self.room), offset: offset, vmLabels: vmLabels)
    var rendered: [Pieces] = []
    rendered.reserveCapacity(some.count)
    for (group, kept) in some {
      let plain = kept ?? Pieces(group.views, using: &sink)
      rendered.append(try plain.compressed(with: deflater))
    }
    return rendered
  }
}

extension ContentCoding {
  /// What compresses; nil where nothing is.
  fileprivate func deflater() throws(DeflateError) -> Deflater? { self == .gzip ? try Deflater() : nil }
}

extension Pieces {
  /// The pieces compressed, or as they are where there is nothing to compress with.
  fileprivate func compressed(with deflater: Deflater?) throws(DeflateError) -> Pieces {
    guard let deflater else { return self }
    return try Pieces(compressing: self, with: deflater)
  }
}
