/// What a back end tells the tracker.
public enum BackendMessage: Sendable {
  /// A migration as its source sees it now, or how it ended.
  case migration(MigrationObservation)
  /// A VM that arrives, as the destination sees it.
  case inbound(InboundObservation)
  /// The source's word, after the end of a migration, that its guest was started or stopped behind it.
  case guestMoved(GuestMove)
  /// A VM that was found, or whose facts changed.
  case vm(VMObservation)
  /// A VM that is no longer there.
  case vmGone(VMKey)
  /// The network under a migration.
  case network(NetworkObservation)
  /// How fast a VM that does not migrate dirties its memory; nil where that is known no more.
  case dirtyRate(VMKey, BytesPerSecond?)
  /// A node that was found.
  case node(BackendName, String)
  /// A node as a back end that watches a whole cluster sees it.
  case nodeState(NodeObservation)
  /// A node that is no longer there.
  case nodeGone(BackendName, String)
  /// How many migrations may run at a time in the whole cluster, and how many do.
  case slots(BackendName, SlotUse)
  /// All requests that the back end has made, by kind and answer.
  case requests(BackendName, [RequestCount])
  /// Which of several Drovers leads, as the back end's Lease has it.
  case leader(BackendName, LeaderTerm)
  /// The back end's own health.
  case health(BackendHealth)
}

/// A migration as its source sees it at one moment.
public struct MigrationObservation: Sendable {
  /// Names the migration.
  public var id: MigrationID
  /// The VM that moves.
  public var vm: VMRef
  /// The VM's key on both ends.
  public var domain: DomainKey
  /// When the source answered.
  public var takenAt: Moment
  /// Start of the job: the source's own time where it tells one, else the first sight; its creation while it has not
  /// started.
  public var startedAt: Moment
  /// Whether it has started; one that waits for a slot or a target has not.
  public var hasStarted = true
  /// When it was asked for; nil where that is not told.
  public var createdAt: Moment?
  /// The phase as the source tells it.
  public var phase: Phase
  /// When it entered that phase, where the source tells.
  public var phaseEnteredAt: Moment?
  /// How it ended; only with a final phase, and always with one.
  ///
  /// Where the two disagree, this tells; a final phase without it is an end of unknown cause.
  public var ending: Ending?
  /// The counters.
  public var sample: Sample
  /// When the counters were read, where that is not when the source answered.
  public var sampledAt: Moment?
  /// How much later than read a sample may come in.
  public var sampleDelay = Duration.zero
  /// Facts that change seldom.
  public var facts: MigrationFacts
  /// The time-outs that the watched system enforces by itself; nil where those configured for the back end apply.
  public var budgets: OwnBudgets?
  /// Why it waits; nil where it does not.
  public var waiting: PendingWait?
  /// The word that the product above the source shows for its state, such as Harvester's; empty where there is none.
  public var statusWord = ""
  /// Whether it was over when its back end looked for the first time: then it counts nothing.
  public var isHistory = false
  /// How often the back end samples this migration.
  public var samplingInterval: Duration
  /// Whether the source runs the guest or holds it paused; nil where it cannot tell.
  public var guestOnSource: Bool?
  /// Whether the target runs the guest, as far as the source can tell; nil where it cannot.
  public var guestOnTarget: Bool?

  /// Describes one sight of a migration.
  public init(
    id: MigrationID, vm: VMRef, domain: DomainKey, takenAt: Moment, startedAt: Moment, phase: Phase,
    ending: Ending? = nil, sample: Sample = Sample(), facts: MigrationFacts = MigrationFacts(),
    samplingInterval: Duration = .milliseconds(500), guestOnSource: Bool? = nil, guestOnTarget: Bool? = nil
  ) {
    self.id = id
    self.vm = vm
    self.domain = domain
    self.takenAt = takenAt
    self.startedAt = startedAt
    self.phase = phase
    self.ending = ending
    self.sample = sample
    self.facts = facts
    self.samplingInterval = samplingInterval
    self.guestOnSource = guestOnSource
    self.guestOnTarget = guestOnTarget
  }

  /// Makes this the last word on the migration: what only a running one has is gone.
  public mutating func end(_ ending: Ending) {
    self.ending = ending
    phase = ending.outcome.phase
    sample.dirtyRate = nil
    sample.expectedDowntime = nil
    sample.cpuThrottle = nil
  }
}

/// A guest that was started or stopped at the source of a migration that is over.
public struct GuestMove: Hashable, Sendable {
  /// The back end that tells it.
  public var backend: BackendName
  /// The migration.
  public var id: MigrationID
  /// Whether the source runs the guest now, or holds it paused.
  public var isOnSource: Bool
  /// Whether what the source said of the target at the end still holds, where the target cannot be asked.
  public var isTargetKnown: Bool

  /// Describes a move.
  public init(backend: BackendName, id: MigrationID, isOnSource: Bool, isTargetKnown: Bool = true) {
    self.backend = backend
    self.id = id
    self.isOnSource = isOnSource
    self.isTargetKnown = isTargetKnown
  }
}

/// How a migration ended.
public struct Ending: Hashable, Sendable {
  /// Succeeded, failed or aborted.
  public var outcome: Outcome
  /// Why it did not succeed; nil when it did.
  public var cause: FailureCause?
  /// Whether the source said so, or it was inferred.
  public var certainty: Certainty
  /// The source's own words, for the log and the API; never a label.
  public var text: String
  /// When it ended.
  public var endedAt: Moment
  /// How long the whole migration took, as the source measured it; nil where it does not tell.
  public var duration: Duration?

  /// Describes an end; one that did not succeed gets the outcome that its cause belongs to, and a cause if it has none.
  public init(
    outcome: Outcome, cause: FailureCause? = nil, certainty: Certainty, text: String = "", endedAt: Moment,
    duration: Duration? = nil
  ) {
    switch outcome {
    case .succeeded:
      self.outcome = .succeeded
      self.cause = nil
    case .failed, .aborted:
      let cause = cause ?? (outcome == .aborted ? .userAbort : .unknown)
      self.outcome = cause.isAbort ? .aborted : .failed
      self.cause = cause
    }
    self.certainty = certainty
    self.text = text
    self.endedAt = endedAt
    self.duration = duration
  }

  /// Whether an abort that was sent is why it ended: a job that is gone with nothing said has heard it, and that the
  /// target closes the connection then is what an abort does.
  public var isExplainedByAbort: Bool {
    switch cause {
    case .userAbort: true
    case .unknown, .targetLost, .connectionLost: certainty == .inferred
    default: false
    }
  }
}

/// Facts of a migration that seldom change; they become labels of `drover_migration_info`.
public struct MigrationFacts: Hashable, Sendable {
  /// Node or host that the guest leaves.
  public var source = ""
  /// Node or host that it goes to.
  public var target = ""
  /// The source's name of the request, where it has one: the VMIM.
  public var object = ""
  /// The node that was asked for as target.
  public var requestedTarget = ""
  /// The network that the guest's memory goes over, where there is a choice.
  public var network = ""
  /// The policy that set its limits.
  public var policy = ""
  /// Who asked for it.
  public var origin = Origin.unknown
  /// Configured guest memory plus the capacity of each disk that is copied: what the budget counts.
  public var size: Bytes?
  /// The part of `size` that is guest memory; nil where it is not told apart.
  public var memory: Bytes?
  /// The VM's labels; none where its back end knows no such thing.
  public var labels: [String: String] = [:]

  /// No facts yet.
  public init() {}

  /// These facts, and those of `earlier` that are not told any more.
  public func completed(by earlier: MigrationFacts) -> MigrationFacts {
    var facts = self
    if facts.source.isEmpty { facts.source = earlier.source }
    if facts.target.isEmpty { facts.target = earlier.target }
    if facts.object.isEmpty { facts.object = earlier.object }
    if facts.requestedTarget.isEmpty { facts.requestedTarget = earlier.requestedTarget }
    if facts.network.isEmpty { facts.network = earlier.network }
    if facts.policy.isEmpty { facts.policy = earlier.policy }
    if facts.origin == .unknown { facts.origin = earlier.origin }
    facts.size = facts.size ?? earlier.size
    facts.memory = facts.memory ?? earlier.memory
    if facts.labels.isEmpty { facts.labels = earlier.labels }
    return facts
  }
}

/// A VM that arrives at a host, as that host sees it.
public struct InboundObservation: Sendable {
  /// The VM as the destination names it.
  public var vm: VMRef
  /// The host that it arrives at.
  public var host: String
  /// The VM's key on both ends.
  public var domain: DomainKey
  /// Whether the stream is still coming in.
  public var isActive: Bool
  /// Whether the guest runs here; nil where that is not known.
  public var guestRuns: Bool?

  /// Describes one sight of an arriving VM.
  public init(vm: VMRef, host: String, domain: DomainKey, isActive: Bool, guestRuns: Bool?) {
    self.vm = vm
    self.host = host
    self.domain = domain
    self.isActive = isActive
    self.guestRuns = guestRuns
  }
}

/// Identifies one VM of the inventory: two QEMUs of one name are two entries.
public struct VMKey: Hashable, Sendable {
  /// The back end that found it.
  public let backend: BackendName
  /// What the back end knows it by: a socket path, a domain UUID, a VMI's uid.
  public let text: String

  /// Names an entry of the inventory.
  public init(backend: BackendName, text: String) {
    self.backend = backend
    self.text = text
  }
}

/// A VM of the inventory.
public struct VMObservation: Hashable, Sendable {
  /// Which entry this is.
  public var key: VMKey
  /// How the VM is named in labels.
  public var vm: VMRef
  /// The node or host that it is on.
  public var node: String
  /// Why it cannot be migrated, as far as the source tells; empty where nothing speaks against it, nil where the source cannot tell.
  public var blockers: [NotMigratableReason]?
  /// Nodes or hosts that can take it now; nil where that is not known.
  public var targets: UInt64?
  /// What a drain of its node does to it; nil where nobody drains nodes.
  public var drainOutcome: DrainOutcome?

  /// Describes a VM.
  public init(
    key: VMKey, vm: VMRef, node: String, blockers: [NotMigratableReason]?, targets: UInt64? = nil,
    drainOutcome: DrainOutcome? = nil
  ) {
    self.targets = targets
    self.key = key
    self.vm = vm
    self.node = node
    self.blockers = blockers
    self.drainOutcome = drainOutcome
  }
}
