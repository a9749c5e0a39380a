import DroverCore
import Logging
import Synchronization
import Testing

@testable import MigrationControl

/// A clock that stands until it is moved.
final class Clock: Timepiece {
  private let moment = Mutex(Moment(milliseconds: 1_000_000))

  func now() -> Moment { moment.withLock(\.self) }
  func epochOffset() -> EpochOffset { EpochOffset(milliseconds: 1_700_000_000_000) }
  func advance(_ duration: Duration) { moment.withLock { $0 = $0 + duration } }
}

/// The real tracker behind a lock, as the daemon has it.
final class Fleet: ControlledFleet {
  private let tracker: Mutex<MigrationTracker>
  private let announcements = Mutex<[FailureCause]>([])
  let clock: Clock

  init(_ clock: Clock, _ descriptor: BackendDescriptor) {
    self.clock = clock
    var tracker = MigrationTracker(settings: MigrationTracker.Settings(), startedAt: clock.now())
    tracker.register(descriptor, at: clock.now())
    self.tracker = Mutex(tracker)
    setUp(true)
  }

  /// Whether the back end answers.
  func setUp(_ isUp: Bool) {
    let health = BackendHealth(backend: BackendName(rawValue: "rack1"), isUp: isUp, lastSuccess: clock.now())
    tracker.withLock { _ = $0.receive(.health(health), at: clock.now()) }
  }

  /// Its back end is taken out of the configuration.
  func remove() { tracker.withLock { $0.unregister(BackendName(rawValue: "rack1")) } }

  func snapshot() -> FleetSnapshot { tracker.withLock { $0.snapshot() } }

  func announceAbort(of id: MigrationID, cause: FailureCause?) {
    // Nil: it was surely not sent.
    announcements.withLock { if let cause { $0.append(cause) } else { _ = $0.popLast() } }
    tracker.withLock { $0.announceAbort(of: id, cause: cause) }
  }

  /// Who was said to abort, in order.
  var announced: [FailureCause] { announcements.withLock(\.self) }

  func tell(_ observation: MigrationObservation) {
    tracker.withLock { _ = $0.receive(.migration(observation), at: clock.now()) }
  }
}

/// A back end that answers as it is told, and keeps what it was asked for.
final class Backend: ControllableBackend {
  struct State {
    var live = LiveMigration(.running(.precopy), word: "active", consequence: "the guest stays")
    /// What later looks show, one after the other.
    var later: [LiveMigration] = []
    var liveError: ControlError?
    var causeError: ControlError?
    var abortError: ControlError?
    var plan = StartPlan(request: "POST it", source: "a")
    var planError: ControlError?
    var startError: ControlError?
    var evacuation = EvacuationReading(found: ["a taint"], steps: ["one", "two"])
    var evacuationError: ControlError?
    var stopError: ControlError?
    var receipt = StartReceipt(migration: MigrationID("made-1"), object: "vm-abcde")
    var marks: [String] = []
    var notes: [ControlNote] = []
    /// Done in the middle of each call.
    var during: (@Sendable () async -> Void)?
    var calls: [String] = []
  }

  let descriptor = BackendDescriptor(
    name: BackendName(rawValue: "rack1"), type: "qemu", endpoint: "x", node: "a", origins: [.unknown],
    causes: [.userAbort, .policyAbort, .other, .unknown], errorKinds: [], budget: BudgetSettings())
  let state = Mutex(State())

  func run(telling sink: @escaping @Sendable (BackendMessage) -> Void) async {}

  private func note(_ call: String) async {
    let during = state.withLock { state in
      state.calls.append(call)
      return state.during
    }
    await during?()
  }

  var calls: [String] { state.withLock(\.calls) }

  func live(_ migration: MigrationTarget) async throws(ControlError) -> LiveMigration {
    await note("live")
    if let error = state.withLock(\.liveError) { throw error }
    return state.withLock { state in
      defer { if !state.later.isEmpty { state.live = state.later.removeFirst() } }
      return state.live
    }
  }

  func abort(_ migration: MigrationTarget) async throws(ControlError) {
    await note("abort \(migration.id)")
    if let error = state.withLock(\.abortError) { throw error }
  }

  func endCause(_ cause: ComesBack, of migration: MigrationTarget) async throws(ControlError) {
    await note("end cause")
    if let error = state.withLock(\.causeError) { throw error }
  }

  func plan(_ order: StartOrder) async throws(ControlError) -> StartPlan {
    await note("plan")
    if let error = state.withLock(\.planError) { throw error }
    return state.withLock(\.plan)
  }

  func evacuation(of subject: EvacuationSubject) async throws(ControlError) -> EvacuationReading {
    await note("evacuation")
    if let error = state.withLock(\.evacuationError) { throw error }
    return state.withLock(\.evacuation)
  }

  func stopEvacuation(of subject: EvacuationSubject) async throws(ControlError) -> [String] {
    await note("stop evacuation")
    if let error = state.withLock(\.stopError) { throw error }
    return ["did one", "did two"]
  }

  func start(_ order: StartOrder) async throws(ControlError) -> StartReceipt {
    await note("start \(order.vm.name) \(order.node ?? "-")")
    if let error = state.withLock(\.startError) { throw error }
    return state.withLock { state in
      state.marks.append(order.mark)
      return state.receipt
    }
  }

  /// Waited for before a note is taken.
  let noteGate = Mutex<(@Sendable () async -> Void)?>(nil)
  var notes: [ControlNote] { state.withLock(\.notes) }
  var marks: [String] { state.withLock(\.marks) }

  func tell(_ note: ControlNote, of vm: VMRef) async {
    let gate = noteGate.withLock(\.self)
    await gate?()
    state.withLock { $0.notes.append(note) }
  }
}

/// A journal in memory that may refuse.
final class Notes: AutomaticJournal {
  struct State {
    var decisions: [Decision] = []
    var error: JournalError?
    /// Why nothing can be read.
    var readError: JournalError?
    /// Waited for before anything is recorded.
    var gate: (@Sendable () async -> Void)?
    /// Waited for before a result is recorded.
    var resultGate: (@Sendable () async -> Void)?
    /// Results that are not taken.
    var refusedResults = 0
  }

  let state = Mutex(State())

  var decisions: [Decision] { state.withLock(\.decisions) }
  var trouble: JournalError? { state.withLock(\.error) }

  func name(_ id: DecisionID, _ migration: MigrationID) async throws(JournalError) {
    state.withLock { $0.decisions[Int(id.rawValue) - 1].migration = migration }
  }

  func record(_ decision: Decision) async throws(JournalError) -> DecisionID {
    let gate = state.withLock(\.gate)
    await gate?()
    let answer: Result<DecisionID, JournalError> = state.withLock { state in
      if let error = state.error { return .failure(error) }
      var decision = decision
      decision.id = DecisionID(rawValue: Int64(state.decisions.count + 1))
      state.decisions.append(decision)
      return .success(DecisionID(rawValue: Int64(state.decisions.count)))
    }
    return try answer.get()
  }

  func revise(_ id: DecisionID, _ decision: Decision) async throws(JournalError) -> DecisionID {
    let isRevised = try state.withLock { state -> Result<Bool, JournalError> in
      if let error = state.error { return .failure(error) }
      let index = Int(id.rawValue) - 1
      guard state.decisions[index].kind != .acted else { return .success(false) }
      state.decisions[index] = decision
      state.decisions[index].id = id
      return .success(true)
    }.get()
    return isRevised ? id : try await record(decision)
  }

  func automaticDecisions(since unixMilliseconds: Int64) async throws(JournalError) -> [Decision] {
    if let error = state.withLock(\.readError) { throw error }
    return decisions
  }

  func finish(_ id: DecisionID, _ result: DecisionResult, text: String, at unixMilliseconds: Int64)
    async throws(JournalError)
  {
    let gate = state.withLock(\.resultGate)
    await gate?()
    let isRefused = state.withLock { state in
      defer { state.refusedResults = max(0, state.refusedResults - 1) }
      return state.refusedResults > 0
    }
    if isRefused { throw JournalError(.full, call: "c", cause: "full", remedy: "r") }
    state.withLock { state in
      let index = Int(id.rawValue) - 1
      state.decisions[index].result = result
      state.decisions[index].resultText = text
      state.decisions[index].resultAt = unixMilliseconds
    }
  }
}

extension ControlError {
  static func sample(_ kind: Kind) -> ControlError {
    ControlError(kind, call: "a call", cause: "a cause", remedy: "a remedy")
  }
}

/// The control module with one running migration.
struct Scene {
  let clock = Clock()
  let backend = Backend()
  let journal = Notes()
  let fleet: Fleet
  let control: MigrationControl
  let vm: VMRef
  let id: MigrationID
  private let domain: DomainKey

  init(
    hasJournal: Bool = true, isControllable: Bool = true, longestRecording: Duration = .seconds(3),
    election: Election = .none
  ) throws {
    fleet = Fleet(clock, backend.descriptor)
    let backend = backend
    control = MigrationControl(
      fleet: fleet, journal: hasJournal ? journal : nil, clock: clock,
      log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      longestRecording: longestRecording, lookInterval: .milliseconds(2), election: election
    ) { name in
      isControllable && name == backend.descriptor.name ? backend : nil
    }
    vm = VMRef(backend: backend.descriptor.name, scope: .host("a"), name: "web-1")
    domain = try #require(DomainKey(uuid: "6f2d8f0e-0000-4000-8000-000000000001"))
    id = MigrationID(domain: domain, startedUnixMilliseconds: 1_700_001_000_000)
    fleet.tell(observation(.precopy))
  }

  func observation(_ phase: Phase, ending: Ending? = nil) -> MigrationObservation {
    var observation = MigrationObservation(
      id: id, vm: vm, domain: domain, takenAt: clock.now(), startedAt: clock.now() - .seconds(10),
      phase: phase,
      sample: Sample())
    observation.facts.source = "a"
    if let ending { observation.end(ending) }
    return observation
  }

  func order(endsCause: Bool = false, withoutJournal: Bool = false, trigger: Trigger = .person) -> AbortOrder
  {
    AbortOrder(
      id, trigger: trigger, requester: "uid 0 on the control socket", endsCause: endsCause,
      withoutJournal: withoutJournal)
  }

  /// Lets the source tell how it ended, and the module look.
  func end(_ outcome: Outcome, cause: FailureCause? = nil, text: String = "") async {
    clock.advance(.milliseconds(300))
    fleet.tell(
      observation(
        outcome.phase,
        ending: Ending(
          outcome: outcome, cause: cause, certainty: .reported, text: text, endedAt: clock.now())))
    await control.look(at: clock.now())
  }
}
