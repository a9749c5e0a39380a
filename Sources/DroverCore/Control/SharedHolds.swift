/// Why automatic aborts wait, and what a person said about that, as Drovers of one election share it.
///
/// All times are in Unix milliseconds. What two of them wrote comes to the same in any order, so that one that was stopped
/// between reading and writing takes nothing back.
public struct SharedHolds: Hashable, Sendable {
  /// The hold after as many aborts as are allowed.
  public struct Breaker: Hashable, Sendable {
    /// When it began.
    public var since: Int64
    /// When an abort was wished for last.
    public var lastWish: Int64
    /// What asked for the abort that began it.
    public var trigger: Trigger

    /// Describes a hold.
    public init(since: Int64, lastWish: Int64, trigger: Trigger) {
      self.since = since
      self.lastWish = lastWish
      self.trigger = trigger
    }
  }

  /// A partition that is waited out.
  public struct Partition: Hashable, Sendable {
    /// When it began.
    public var since: Int64
    /// For how many milliseconds nothing may change until it ends.
    public var quiet: Int64
    /// VMs that it began with; the first of them where they are many.
    public var names: [String]

    /// Describes a hold.
    public init(since: Int64, quiet: Int64, names: [String]) {
      self.since = since
      self.quiet = quiet
      self.names = names
    }
  }

  /// A migration without its network: whoever takes over must not take that for news.
  public struct Loss: Hashable, Sendable {
    /// Which.
    public var migration: MigrationID
    /// When it lost its network.
    public var at: Int64

    /// Describes a loss.
    public init(migration: MigrationID, at: Int64) {
      self.migration = migration
      self.at = at
    }
  }

  /// Nil where there is none.
  public var breaker: Breaker?
  /// When a person ended such a hold last; what was aborted before does not count any more.
  public var breakerResetAt: Int64?
  /// Nil where there is none.
  public var partition: Partition?
  /// When a partition ended last, by itself or by a person.
  public var partitionEndedAt: Int64?
  /// Migrations without their network, the earliest first.
  public var losses: [Loss] = []
  /// As of when `losses` are.
  public var asOf: Int64 = 0

  /// A ConfigMap takes a MiB.
  static let mostLosses = 2000
  static let mostNames = 20

  /// Nothing waits.
  public init() {}

  /// Adds what another has told.
  public mutating func merge(_ other: SharedHolds) {
    breakerResetAt = [breakerResetAt, other.breakerResetAt].compactMap(\.self).max()
    partitionEndedAt = [partitionEndedAt, other.partitionEndedAt].compactMap(\.self).max()
    breaker = [breaker, other.breaker].compactMap(\.self)
      .filter { held in breakerResetAt.map { held.since > $0 } ?? true }
      .max { ($0.lastWish, $0.since) < ($1.lastWish, $1.since) }
    partition = [partition, other.partition].compactMap(\.self)
      .filter { held in partitionEndedAt.map { held.since > $0 } ?? true }
      .max { ($0.since, $0.quiet) < ($1.since, $1.quiet) }
    guard other.asOf >= asOf else { return }
    asOf = other.asOf
    losses = other.losses
  }
}

/// The same while a Drover decides by it: equal for as long as nobody else has to hear of a change.
public struct HoldState: Hashable, Sendable {
  var breaker: AbortLedger.Breaker?
  var breakerResetAt: Moment?
  var partition: NetworkHold.Hold?
  var partitionEndedAt: Moment?
  var losses: [MigrationID: Moment] = [:]

  /// Nothing waits.
  public init() {}

  /// What others may read.
  public func shared(_ epoch: EpochOffset, at now: Moment) -> SharedHolds {
    var shared = SharedHolds()
    shared.breaker = breaker.map {
      .init(
        since: epoch.unixMilliseconds($0.since), lastWish: epoch.unixMilliseconds($0.lastWish),
        trigger: $0.trigger)
    }
    shared.breakerResetAt = breakerResetAt.map(epoch.unixMilliseconds)
    shared.partition = partition.map {
      .init(
        since: epoch.unixMilliseconds($0.since), quiet: $0.quiet.milliseconds,
        names: Array($0.names.prefix(SharedHolds.mostNames)))
    }
    shared.partitionEndedAt = partitionEndedAt.map(epoch.unixMilliseconds)
    shared.losses = losses.map { .init(migration: $0.key, at: epoch.unixMilliseconds($0.value)) }
      .sorted { ($0.at, $0.migration.description) < ($1.at, $1.migration.description) }
      .suffix(SharedHolds.mostLosses)
    shared.asOf = epoch.unixMilliseconds(now)
    return shared
  }
}
