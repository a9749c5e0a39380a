public import DroverCore
public import Logging
internal import Synchronization

/// What the control module knows of migrations, and tells of them.
public protocol ControlledFleet: Sendable {
  /// What is known now.
  func snapshot() -> FleetSnapshot
  /// Says who is about to abort a migration, so that its end gets the right cause.
  func announceAbort(of id: MigrationID, cause: FailureCause)
}

/// The only caller of what a back end can be asked to do: it guards, looks at the live state, records, sends and follows.
public final class MigrationControl: Sendable {
  let fleet: any ControlledFleet
  let backend: @Sendable (BackendName) -> (any ControllableBackend)?
  let journal: (any DecisionJournal)?
  let clock: any Timepiece
  let log: Logger
  private let state = Mutex(State())

  struct State {
    var totals = ControlTotals()
    /// Migrations that an abort is being sent to.
    var sending: Set<MigrationID> = []
    /// VMs that a migration is being started of.
    var starting: Set<VMRef> = []
    /// Aborts whose migrations are not over yet.
    var followed: [MigrationID: FollowedAbort] = [:]
  }

  /// Makes a module that decides about the migrations of `fleet`.
  ///
  /// - Parameters:
  ///   - backend: The running back end of a name; nil where there is none, or it cannot be asked to do anything.
  ///   - journal: Where decisions are kept; nil where there is none.
  public init(
    fleet: any ControlledFleet, journal: (any DecisionJournal)?, clock: any Timepiece, log: Logger,
    backend: @escaping @Sendable (BackendName) -> (any ControllableBackend)?
  ) {
    self.fleet = fleet
    self.backend = backend
    self.journal = journal
    self.clock = clock
    self.log = log
  }

  /// What was decided since the start.
  public var totals: ControlTotals { state.withLock(\.totals) }

  func withState<Value>(_ body: (inout State) -> Value) -> Value { state.withLock { body(&$0) } }

  /// Now, in Unix milliseconds.
  var unixNow: Int64 { clock.epochOffset().unixMilliseconds(clock.now()) }

  func view(of id: MigrationID) -> MigrationView? {
    fleet.snapshot().migrations.first { $0.identity.id == id }
  }

  // MARK: Recording

  /// Records a decision, logs it and counts it where it is about an abort.
  ///
  /// - Returns: The decision with its number; nil number where it could not be recorded.
  func record(_ decision: Decision) async -> (decision: Decision, problem: JournalError?) {
    var decision = decision
    var problem: JournalError?
    do throws(JournalError) {
      guard let journal else { throw Self.noJournal }
      decision.id = try await journal.record(decision)
    } catch {
      problem = error
      log.error("decision not recorded", metadata: ["error": "\(error)"])
    }
    return (decision, problem)
  }

  func announce(_ decision: Decision) {
    if decision.action == .abort { withState { $0.totals.count(decision.trigger, decision.kind) } }
    log.log(
      level: decision.kind == .acted ? .notice : .warning,
      "\(decision.action.rawValue) \(decision.kind.rawValue)",
      metadata: Self.metadata(decision))
  }

  /// Adds to the record what became of a decision.
  func finish(_ decision: Decision, _ result: DecisionResult, _ text: String) async -> Decision {
    var decision = decision
    decision.result = result
    decision.resultText = text
    decision.resultAt = unixNow
    if decision.action == .abort {
      let latency = Duration.milliseconds(max(0, unixNow - decision.madeAt))
      withState { $0.totals.count(decision.trigger, result, after: latency) }
    }
    log.log(
      level: result == .error ? .error : .notice, "\(decision.action.rawValue) \(result.rawValue)",
      metadata: Self.metadata(decision))
    guard let id = decision.id, let journal else { return decision }
    do {
      try await journal.finish(id, result, text: text, at: unixNow)
    } catch {
      log.error("what became of a decision is not recorded", metadata: ["error": "\(error)"])
    }
    return decision
  }

  static let noJournal = JournalError(
    .absent, call: "recording a decision", cause: "there is no journal",
    remedy: "give it a place with --journal.path, or say --without-journal")

  private static func metadata(_ decision: Decision) -> Logger.Metadata {
    var metadata: Logger.Metadata = [
      "trigger": "\(decision.trigger.rawValue)", "by": "\(decision.requester)", "text": "\(decision.text)",
    ]
    if let id = decision.id { metadata["decision"] = "\(id.rawValue)" }
    if let migration = decision.migration { metadata["migration"] = "\(migration)" }
    if let vm = decision.vm { metadata["vm"] = "\(vm.name)" }
    if let refusal = decision.refusal { metadata["refusal"] = "\(refusal.rawValue)" }
    if !decision.resultText.isEmpty { metadata["result"] = "\(decision.resultText)" }
    return metadata
  }
}

/// An abort that was sent, until its migration is over.
struct FollowedAbort: Sendable {
  var decision: Decision
  var sentAt: Moment
  /// Since when the migration is not seen any more.
  var unseenSince: Moment?
}
