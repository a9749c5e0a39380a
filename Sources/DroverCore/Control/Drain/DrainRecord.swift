/// How far a drain that Drover runs is.
public enum DrainState: String, CaseIterable, Sendable {
  /// VMs are moved away, or wait for it.
  case active
  /// Somebody ended it: nothing more is begun, and what is under way comes to its end.
  case cancelling
  /// The node was seen without a running VM.
  case complete
  /// It is over, and VMs are left that it does not move.
  case incomplete
  /// It is over because somebody ended it.
  case cancelled

  /// Whether it still does something.
  public var isInForce: Bool { self == .active || self == .cancelling }
}

/// A node or host of a back end.
public struct NodeRef: Hashable, Sendable {
  /// The back end that knows it.
  public var backend: BackendName
  /// Its name.
  public var node: String

  /// Names a node.
  public init(backend: BackendName, node: String) {
    self.backend = backend
    self.node = node
  }
}

/// What a drain knows of one VM, and does not forget over a restart.
public struct DrainVM: Hashable, Sendable {
  /// The VM.
  public var vm: VMRef
  /// The VM's own identity: one of the same name that was made anew is another.
  public var domain: String
  /// What it needs at a target; nil where that is not known.
  public var memory: Bytes?
  /// What became of it.
  public var state = DrainVMState.pending
  /// Whether this drain does not try it again.
  public var isSettled = false
  /// Migrations of it that this drain has asked for.
  public var attempts = 0
  /// Its last migration, whoever began it; nil where none is known.
  public var migration: MigrationID?
  /// Whether this drain began that.
  public var isOwn = false
  /// When this drain asked for a migration whose end is not known, in Unix milliseconds; nil where there is none.
  public var sentAt: Int64?
  /// The node or host that it was sent to; empty where the system chose, or it was sent nowhere.
  public var target = ""
  /// The time-out that this drain ended its migration for; nil where it did not.
  public var timeout: Trigger?
  /// Why it is as it is, in words; empty where nothing is to be said.
  public var text = ""

  /// A VM that waits.
  public init(vm: VMRef, domain: String, memory: Bytes? = nil) {
    self.vm = vm
    self.domain = domain
    self.memory = memory
  }
}

/// A drain as it is kept over a restart.
///
/// Times are Unix milliseconds.
public struct DrainRecord: Hashable, Sendable {
  /// The decision that began it.
  public var id: DecisionID
  /// Grows with each change; a smaller one never takes the place of a larger.
  public var revision: Int64 = 0
  /// The node that is emptied.
  public var node: NodeRef
  /// Who asked for it, as far as is known.
  public var requester: String
  /// When that was.
  public var startedAt: Int64
  /// How far it is.
  public var state = DrainState.active
  /// When it was over; nil while it is not.
  public var endedAt: Int64?
  /// Whether new guests are kept off the node, as far as this drain has to do with it.
  public var isCordoned = false
  /// Whether something else empties the node, so that this drain only follows.
  public var isFollowing = false
  /// Whether the node was given free again: then nothing is shown of this drain any more.
  public var isReopened = false
  /// Whom it follows, or how it ended, in words.
  public var text = ""
  /// Each VM that it has met, in the order of back end, scope and name.
  public var vms: [DrainVM] = []

  /// A drain that begins.
  public init(id: DecisionID, node: NodeRef, requester: String, startedAt: Int64) {
    self.id = id
    self.node = node
    self.requester = requester
    self.startedAt = startedAt
  }

  /// How many of its VMs are in each state; all states are told.
  public var counts: [DrainVMState: UInt64] {
    var counts = Dictionary(uniqueKeysWithValues: DrainVMState.allCases.map { ($0, UInt64(0)) })
    for vm in vms { counts[vm.state, default: 0] += 1 }
    return counts
  }
}

/// Where drains are kept so that a restart takes them up again.
public protocol DrainStore: Sendable {
  /// Stores a drain, unless a later revision of it is stored; it is on the disk when this returns.
  func save(_ drain: DrainRecord) async throws(JournalError)
  /// The latest drain of each node, the earliest first; not those that are over and whose node was given free again.
  func latestDrains() async throws(JournalError) -> [DrainRecord]
}

/// A drain as it is shown.
public struct DrainStatus: Hashable, Sendable {
  /// What is kept of it.
  public var record: DrainRecord
  /// When it was asked for.
  public var startedAt: Moment
  /// When it was over; nil while it is not.
  public var endedAt: Moment?
  /// As of when it is known what runs on the node; nil where that was not read yet.
  public var knownAt: Moment?
  /// How many VMs ran there then; nil where that was not read yet.
  public var running: UInt64?
  /// Why nothing is begun at this moment although it is in force; empty where nothing speaks against it.
  public var hold = ""

  /// Shows a drain.
  public init(
    _ record: DrainRecord, startedAt: Moment, endedAt: Moment? = nil, knownAt: Moment? = nil,
    running: UInt64? = nil, hold: String = ""
  ) {
    self.record = record
    self.startedAt = startedAt
    self.endedAt = endedAt
    self.knownAt = knownAt
    self.running = running
    self.hold = hold
  }
}
