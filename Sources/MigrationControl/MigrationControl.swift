public import DroverCore
public import Logging
internal import Synchronization

/// What the control module knows of migrations, and tells of them.
public protocol ControlledFleet: Sendable {
  /// What is known now.
  func snapshot() -> FleetSnapshot
  /// Says who is about to abort a migration, so that its end gets the right cause.
  func announceAbort(of id: MigrationID, cause: FailureCause?)
  /// Says that Drover ends a migration at deadlines that nothing else enforces.
  func announceEnforcement(of id: MigrationID)
  /// Shows Drover's own drains at their nodes, and no others.
  func show(_ drains: [DrainStatus])
}

extension ControlledFleet {
  /// Says nothing.
  public func announceEnforcement(of id: MigrationID) {}
  /// Shows nothing.
  public func show(_ drains: [DrainStatus]) {}
}

/// The only caller of what a back end can be asked to do: it guards, looks at the live state, records, sends and follows.
public final class MigrationControl: Sendable {
  let fleet: any ControlledFleet
  let backend: @Sendable (BackendName) -> (any ControllableBackend)?
  let journal: (any DecisionJournal)?
  let election: Election
  let clock: any Timepiece
  let log: Logger
  /// How long the journal may take; a disk that hangs must not make an abort come late.
  private let longestRecording: Duration
  let lookInterval: Duration
  private let state = Mutex(State())
  /// What this process claims by; another for each.
  let claimant = String(UInt64.random(in: .min ... .max), radix: 16)

  struct State {
    var totals = ControlTotals()
    /// Migrations that an abort is being sent to.
    var sending: Set<MigrationID> = []
    /// VMs that a migration is being started of.
    var starting: Set<VMRef> = []
    /// Evacuations that are being ended.
    var stopping: Set<Stopping> = []
    /// Aborts whose migrations are not over yet.
    var followed: [FollowedAbort] = []
    var lastFollowed: UInt64 = 0
    /// Migrations that were begun and are not seen yet.
    var unseen: [UnseenStart] = []
    /// Notes that are being left.
    var notes = 0
    /// What is known of decisions, and the journal has not taken yet.
    var unrecorded: [(id: DecisionID, result: DecisionResult, text: String, at: Int64)] = []
    /// Decisions that are carried out although the journal has not taken them yet: what came first, its number or its end.
    var late: [LateDecision: LateRecord] = [:]
    /// Migrations that automatic aborts were sent to, or may have been: what was claimed of others was not sent.
    var sent: Set<MigrationID> = []
    /// Wakes what looks at all that.
    var wake: AsyncStream<Void>.Continuation?

    var hasToLook: Bool { !(followed.isEmpty && unseen.isEmpty && unrecorded.isEmpty) }
  }

  /// Makes a module that decides about the migrations of `fleet`.
  ///
  /// - Parameters:
  ///   - backend: The running back end of a name; nil where there is none, or it cannot be asked to do anything.
  ///   - journal: Where decisions are kept; nil where there is none.
  ///   - longestRecording: How long that may take.
  ///   - lookInterval: How often migrations that were aborted or begun are looked at.
  ///   - election: Who leads, where several Drovers watch the same.
  public init(
    fleet: any ControlledFleet, journal: (any DecisionJournal)?, clock: any Timepiece, log: Logger,
    longestRecording: Duration = .seconds(3), lookInterval: Duration = .milliseconds(200),
    election: Election = .none,
    backend: @escaping @Sendable (BackendName) -> (any ControllableBackend)?
  ) {
    self.fleet = fleet
    self.backend = backend
    self.journal = journal
    self.election = election
    self.clock = clock
    self.log = log
    self.longestRecording = longestRecording
    self.lookInterval = lookInterval
  }

  /// What was decided since the start.
  public var totals: ControlTotals { state.withLock(\.totals) }

  func withState<Value>(_ body: (inout State) -> Value) -> Value { state.withLock { body(&$0) } }

  /// Adds what has to be looked at, and wakes what looks.
  func queue(_ body: (inout State) -> Void) {
    let wake = withState { state in
      body(&state)
      return state.wake
    }
    wake?.yield()
  }

  /// Now, in Unix milliseconds.
  var unixNow: Int64 { clock.epochOffset().unixMilliseconds(clock.now()) }

  func view(of id: MigrationID) -> MigrationView? {
    fleet.snapshot().migrations.first { $0.identity.id == id }
  }

  // MARK: Recording

  /// Results that wait for the journal; a thousand is more than a night's.
  private static let mostUnrecorded = 1000

  /// Records a decision.
  ///
  /// - Parameters:
  ///   - earlier: The record that it takes the place of; nil for a new one.
  ///   - isWaived: Whether it is done all the same where it could not be recorded.
  /// - Returns: The decision with its number; without one where it could not be recorded in time. If it comes to the
  ///   journal later, it is closed there as not sent, or as it ended where it was done all the same.
  func record(
    _ decision: Decision, inPlaceOf earlier: DecisionID? = nil, isWaived: Bool = false
  ) async -> (decision: Decision, problem: JournalError?) {
    guard let journal else { return (decision, Self.noJournal) }
    let answer = LateAnswer()
    let key = LateDecision(decision)
    if isWaived { withState { $0.late[key] = LateRecord() } }
    Task { [self] in
      let result: Result<DecisionID, JournalError>
      do throws(JournalError) {
        if let earlier {
          result = .success(try await journal.revise(earlier, decision))
        } else {
          result = .success(try await journal.record(decision))
        }
      } catch {
        result = .failure(error)
      }
      guard !answer.take(result) else { return }
      if isWaived {
        guard let end = withState({ $0.late.take(try? result.get(), of: key) }) else { return }
        await close(end.id, end.result, end.text, at: end.at)
      } else if case .success(let id) = result, decision.kind == .acted {
        await close(id, .error, "it came into the journal too late, and was not sent", at: unixNow)
      }
    }
    let result = await answer.value(within: longestRecording)
    // Where it comes later, its end is waited for, or waits for it.
    if isWaived, answer.isTaken { withState { $0.late[key] = nil } }
    var decision = decision
    switch result {
    case .success(let id):
      decision.id = id
      return (decision, nil)
    case .failure(let error):
      log.error("decision not recorded", metadata: ["error": "\(error)"])
      return (decision, error)
    }
  }

  /// Why what cannot be recorded is not done; nil where it may be all the same.
  ///
  /// A journal of a newer Drover forbids to act, whoever asks.
  func refusal(of problem: JournalError?, isWaived: Bool) -> Refusal? {
    guard let problem, problem.kind == .newer || !isWaived else { return nil }
    let remedy = problem.kind == .newer ? "" : "; a person may say --without-journal"
    return Refusal(.journal, "it cannot be recorded, so it is not done: \(problem)\(remedy)")
  }

  /// What a dry run says of a journal that would have the real one refused.
  func journalWarnings(isWaived: Bool) -> [String] {
    let problem = journal.map(\.trouble) ?? Self.noJournal
    return refusal(of: problem, isWaived: isWaived).map { ["now it would be refused: \($0.text)"] } ?? []
  }

  func announce(_ decision: Decision) {
    if decision.action == .abort { withState { $0.totals.count(decision.trigger, decision.kind) } }
    log.log(
      level: decision.kind == .acted && decision.trigger == .person ? .notice : .warning,
      "\(decision.action.rawValue) \(decision.kind.rawValue)",
      metadata: Self.metadata(decision))
    leaveNote(of: decision)
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
      level: result == .error ? .error : .notice, "\(decision.action.rawValue): \(result.rawValue)",
      metadata: Self.metadata(decision))
    let at = decision.resultAt ?? unixNow
    let key = LateDecision(decision)
    if let id = decision.id ?? withState({ $0.late.end(key, result, text, at) }) {
      await close(id, result, text, at: at)
    }
    return decision
  }

  /// Adds what became of a decision, now or, where the journal does not take it in time, later.
  ///
  /// - Returns: Whether the journal took it.
  @discardableResult
  func close(_ id: DecisionID, _ result: DecisionResult, _ text: String, at unix: Int64) async -> Bool {
    guard let journal else { return true }
    let answer = LateAnswer()
    Task {
      let taken: Result<DecisionID, JournalError>
      do throws(JournalError) {
        try await journal.finish(id, result, text: text, at: unix)
        taken = .success(id)
      } catch {
        taken = .failure(error)
      }
      _ = answer.take(taken)
    }
    guard case .failure(let error) = await answer.value(within: longestRecording) else { return true }
    log.error("what became of a decision is not recorded yet", metadata: ["error": "\(error)"])
    queue { state in
      if state.unrecorded.count < Self.mostUnrecorded { state.unrecorded.append((id, result, text, unix)) }
    }
    return false
  }

  /// Tells the journal again what it did not take.
  func recordAgain() async {
    let waiting = withState { state in
      defer { state.unrecorded = [] }
      return state.unrecorded
    }
    for (index, entry) in waiting.enumerated() {
      guard await close(entry.id, entry.result, entry.text, at: entry.at) else {
        // Each may take as long as the journal may: the others come first next time.
        return withState { $0.unrecorded.insert(contentsOf: waiting[(index + 1)...], at: 0) }
      }
    }
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
  /// Tells it from another abort of the same migration.
  var serial: UInt64
  var decision: Decision
  var migration: MigrationID
  var sentAt: Moment
  /// Since when the migration is not seen any more, although its back end is up.
  var unseenSince: Moment?
  /// Whether it is of an earlier run, whose tracker is gone.
  var isResumed = false
}

/// What tells a decision that has no number yet from others.
struct LateDecision: Hashable, Sendable {
  private let madeAt: Int64
  private let action: ControlAction
  private let vm: VMRef?
  private let node: String

  init(_ decision: Decision) {
    (madeAt, action, vm, node) = (decision.madeAt, decision.action, decision.vm, decision.node)
  }
}

/// The half of a record that has come: its number, or what became of it.
struct LateRecord: Sendable {
  var id: DecisionID?
  var end: (result: DecisionResult, text: String, at: Int64)?
}

extension [LateDecision: LateRecord] {
  /// Takes the number that the journal gave at last, nil where it refused; with the end, if that came before.
  mutating func take(_ id: DecisionID?, of key: LateDecision) -> (
    id: DecisionID, result: DecisionResult, text: String, at: Int64
  )? {
    guard let record = self[key] else { return nil }
    guard let id, let end = record.end else {
      if let id { self[key]?.id = id } else { self[key] = nil }
      return nil
    }
    self[key] = nil
    return (id, end.result, end.text, end.at)
  }

  /// Takes an end; with the number, if that came before.
  mutating func end(
    _ key: LateDecision, _ result: DecisionResult, _ text: String, _ at: Int64
  ) -> DecisionID? {
    guard let record = self[key] else { return nil }
    if record.id != nil { self[key] = nil } else { self[key]?.end = (result, text, at) }
    return record.id
  }
}

/// The journal's answer, or that it has none yet.
private final class LateAnswer: Sendable {
  private struct State {
    var result: Result<DecisionID, JournalError>?
    var isOver = false
    var waiter: CheckedContinuation<Result<DecisionID, JournalError>, Never>?
  }

  private let state = Mutex(State())

  private static let late = JournalError(
    .busy, call: "recording a decision", cause: "the journal did not take it in time",
    remedy: "see whether its disk hangs")

  /// Whether there was an answer in time.
  var isTaken: Bool { state.withLock { $0.result != nil } }

  /// Takes the answer; false where nobody waits for it any more.
  func take(_ result: Result<DecisionID, JournalError>) -> Bool {
    let (waiter, isInTime) = state.withLock { state in
      defer { state.waiter = nil }
      guard !state.isOver else {
        return (nil as CheckedContinuation<Result<DecisionID, JournalError>, Never>?, false)
      }
      state.result = result
      if state.waiter != nil { state.isOver = true }
      return (state.waiter, true)
    }
    waiter?.resume(returning: result)
    return isInTime
  }

  func value(within limit: Duration) async -> Result<DecisionID, JournalError> {
    Task {
      try? await Task.sleep(for: limit)
      giveUp()
    }
    return await withCheckedContinuation { continuation in
      let result = state.withLock { state -> Result<DecisionID, JournalError>? in
        if let result = state.result {
          state.isOver = true
          return result
        }
        // The caller may have been paused for longer than that.
        if state.isOver { return .failure(Self.late) }
        state.waiter = continuation
        return nil
      }
      if let result { continuation.resume(returning: result) }
    }
  }

  private func giveUp() {
    let waiter = state.withLock { state in
      defer { state.waiter = nil }
      if state.result == nil { state.isOver = true }
      return state.waiter
    }
    waiter?.resume(returning: .failure(Self.late))
  }
}
