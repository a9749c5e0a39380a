/// What never changes about a migration; shared by every view of it.
public final class MigrationIdentity: Sendable, Equatable {
  /// Names the migration.
  public let id: MigrationID
  /// What its back end calls it: another name than `id` where it was under way before it was found anew.
  public let sourceID: MigrationID
  /// The VM that moves.
  public let vm: VMRef
  /// The VM's key on both ends.
  public let domain: DomainKey

  /// Binds an identifier to its VM.
  ///
  /// - Parameter sourceID: Its back end's name for it; nil where that is the same.
  public init(id: MigrationID, sourceID: MigrationID? = nil, vm: VMRef, domain: DomainKey) {
    self.id = id
    self.sourceID = sourceID ?? id
    self.vm = vm
    self.domain = domain
  }

  /// Whether both name the same migration.
  public static func == (a: MigrationIdentity, b: MigrationIdentity) -> Bool { a === b || a.id == b.id }
}

/// All that is shown of one migration, as of its last change.
public struct MigrationView: Sendable, Equatable {
  /// Its names.
  public let identity: MigrationIdentity
  /// Source, target, origin, size.
  public internal(set) var facts = MigrationFacts()
  /// The phase now.
  public internal(set) var phase: Phase
  /// When that phase was entered.
  public internal(set) var phaseEnteredAt: Moment
  /// Start of the job; its creation while it has not started.
  public internal(set) var startedAt: Moment
  /// Whether it has started.
  public internal(set) var hasStarted: Bool
  /// When it was asked for; nil where that is not told.
  public internal(set) var createdAt: Moment?
  /// When it was first seen, where it had begun before; nil where it was watched from its beginning.
  ///
  /// Its clocks, its interruptions and its smallest remaining know nothing of the time before.
  public internal(set) var watchedSince: Moment?
  /// What it waits for before it starts; nil where it does not wait.
  public internal(set) var waiting: PendingWait?
  /// The word of the product above the source for its state; empty where there is none.
  public internal(set) var statusWord = ""
  /// How it ended; nil while it has not.
  public internal(set) var ending: Ending?
  /// When the source last answered; where it tells when its counters were read, and has told any, that.
  public internal(set) var sampledAt: Moment
  /// Age from which that says nothing any more.
  public internal(set) var sampleAgeLimit = VerdictSettings().longestSampleAge(.milliseconds(500))
  /// How far apart two samples are, and how much later than read one may come in.
  public internal(set) var sampleSpacing = Duration.milliseconds(500)
  /// The counters of that answer, less those that are not believed.
  public internal(set) var sample = Sample()
  /// Throughput derived from the bytes sent; nil before there are two samples and after the end.
  public internal(set) var transferRate: BytesPerSecond?
  /// The three progress clocks; nil before the copy begins.
  public internal(set) var progress: ProgressClocks?
  /// Interruptions seen so far.
  public internal(set) var interruptions = Interruptions()
  /// The completion budget; nil where there is none, or its size is not known.
  public internal(set) var completion: CompletionBudget?
  /// When the completion budget is used up; nil where no deadline applies in this phase.
  public internal(set) var completionDeadline: Moment?
  /// How long the remaining bytes may not fall; nil where there is no such limit, or none applies in this phase.
  public internal(set) var progressBudget: ProgressBudget?
  /// When that time is over; nil where no deadline applies in this phase.
  public internal(set) var progressDeadline: Moment?
  /// What the source's host sees of the network; nil where nobody looks.
  public internal(set) var network: NetworkReport?
  /// Networks that are lost; the management network first.
  public internal(set) var networkLosses: [NetworkLoss] = []
  /// How long the control connection may be silent; nil where there is no such limit.
  public internal(set) var keepalive: KeepaliveBudget?
  /// Whether it will end by itself, and why that is thought.
  public internal(set) var verdict = Verdict()
  /// Where the guest runs.
  public internal(set) var guest = GuestLocation.unknown

  /// Whether the migration is over.
  public var isOver: Bool { ending != nil }

  /// When its counters were read; nil for one in a cluster, whose state is told by another than its counters, while none
  /// are told.
  public var countersReadAt: Moment? {
    if case .namespace = identity.vm.scope, sample.transferred == nil { return nil }
    return sampledAt
  }

  /// From start to end; nil while it runs, and where the start was not seen.
  public var duration: Duration? {
    guard let ending else { return nil }
    if let duration = ending.duration { return duration }
    return hasStarted && ending.endedAt > startedAt ? ending.endedAt - startedAt : nil
  }

  /// Part of the size that needs no more sending, 0 to 1; nil where size or remaining are not known.
  public var progressRatio: Double? {
    guard !isOver, let size = facts.size, size.count > 0, let remaining = sample.remaining else { return nil }
    return max(0, 1 - Double(remaining.count) / Double(size.count))
  }
}

extension MigrationView {
  /// What the first sight of a migration shows, its counters left out.
  init(first observation: MigrationObservation, calledBySource sourceID: MigrationID? = nil) {
    identity = MigrationIdentity(
      id: observation.id, sourceID: sourceID, vm: observation.vm, domain: observation.domain)
    facts = observation.facts
    // An end is told by its observation; until that is taken in, the migration is open.
    phase = observation.ending == nil ? observation.phase : .preparing
    // A copy that is seen first in pre-copy has been in it since its start, as near as anybody can tell.
    let isEarly = observation.phase == .preparing || observation.phase == .precopy
    phaseEnteredAt = observation.phaseEnteredAt ?? (isEarly ? observation.startedAt : observation.takenAt)
    startedAt = observation.startedAt
    hasStarted = observation.hasStarted
    createdAt = observation.createdAt
    sampledAt = observation.sampledAt ?? observation.takenAt
  }
}

/// Migrations that are kept, and rendered, together.
public struct MigrationGroup: Sendable {
  /// How many migrations a group holds at most.
  public static let capacity = 64

  /// Changes whenever a view in it changes; no two contents of any group ever share one.
  public internal(set) var revision: UInt64
  /// The migrations.
  public internal(set) var views: [MigrationView]
}
