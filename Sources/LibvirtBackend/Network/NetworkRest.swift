internal import DroverCore

/// Says when a host without a migration is at rest, so that its connections need not be read.
///
/// The kernel goes through its whole table, which on such a host costs more than all else together.
struct NetworkRest: Hashable, Sendable {
  /// All connections are read after that although none has been opened: others have ended.
  private static let longest = Duration.seconds(60)

  private var readAt: Moment?
  private var opened: UInt64?

  /// Whether nothing has been opened since all connections were last read, and that was not long ago.
  ///
  /// - Parameter opened: How many connections the host has opened so far; nil where nobody knows, which is no rest.
  func holds(opened: UInt64?, at now: Moment) -> Bool {
    guard let opened, let readAt, opened == self.opened else { return false }
    return now - readAt < Self.longest
  }

  /// Notes that all connections were read.
  ///
  /// - Parameter opened: How many had been opened *before*: one that is opened meanwhile must not count as seen.
  mutating func begin(opened: UInt64?, at now: Moment) {
    readAt = now
    self.opened = opened
  }

  /// There is a migration, or another setting: the next look reads all.
  mutating func end() { self = NetworkRest() }
}
