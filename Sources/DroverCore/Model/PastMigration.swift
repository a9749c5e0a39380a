/// A migration as the journal keeps it: open, or over for good.
///
/// Times are Unix milliseconds; what is not known is nil, never 0.
public struct PastMigration: Hashable, Sendable {
  /// Which one.
  public var id: MigrationID
  /// The VM that it moved.
  public var vm: VMRef
  /// The VM's own identity.
  public var domain: String
  /// From where, where to, as which object, for which reason.
  public var facts: MigrationFacts
  /// When it was asked for.
  public var createdAt: Int64?
  /// When its copy began, or was first seen.
  public var startedAt: Int64
  /// When it was over; nil while it is open.
  public var endedAt: Int64?
  /// How it ended; nil while it is open.
  public var outcome: Outcome?
  /// Why it did not succeed.
  public var cause: FailureCause?
  /// How that is known.
  public var certainty: Certainty?
  /// The source's own words.
  public var text = ""
  /// How long it took.
  public var duration: Duration?
  /// How long the guest stood still.
  public var downtime: Duration?
  /// What was sent.
  public var transferred: Bytes?
  /// The smallest amount that was ever left to send.
  public var bestRemaining: Bytes?
  /// Passes over memory.
  public var iterations: UInt64?
  /// Whether the guest ran at the target before all of its memory was there.
  public var usedPostcopy = false
  /// Its time-outs, with who set and who enforces them.
  public var completion: CompletionBudget?
  /// The time-out without progress.
  public var progress: ProgressBudget?
  /// Where the guest was at the end.
  public var guest = GuestLocation.unknown

  /// Makes a record.
  public init(
    id: MigrationID, vm: VMRef, domain: String, facts: MigrationFacts = MigrationFacts(), startedAt: Int64
  ) {
    self.id = id
    self.vm = vm
    self.domain = domain
    self.facts = facts
    self.startedAt = startedAt
  }
}
