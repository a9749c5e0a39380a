public import DroverCore

/// How much the journal keeps.
public struct JournalLimits: Hashable, Sendable {
  /// The smallest bound of the size: the log that SQLite writes ahead needs its part of it.
  public static let leastSize = Bytes.mebibytes(16)

  /// What ended, or was decided, longer ago is removed.
  public var maxAge: Duration
  /// Most bytes on the disk; the oldest goes first.
  public var maxSize: Bytes

  /// The documented defaults: 90 days, 1 GiB.
  public init(maxAge: Duration = .seconds(90 * 86_400), maxSize: Bytes = .gibibytes(1)) {
    self.maxAge = maxAge
    self.maxSize = maxSize
  }
}

/// What was removed from the journal.
public struct PruneReport: Hashable, Sendable {
  /// Migrations.
  public internal(set) var migrations = 0
  /// Decisions.
  public internal(set) var decisions = 0

  /// Whether there was nothing to remove.
  public var isNothing: Bool { migrations == 0 && decisions == 0 }

  mutating func add(_ other: PruneReport) {
    migrations += other.migrations
    decisions += other.decisions
  }
}
