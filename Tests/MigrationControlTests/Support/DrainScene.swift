import DroverCore
import Logging
import Synchronization
import Testing

@testable import MigrationControl

/// A store in memory that may refuse.
final class DrainNotes: DrainStore {
  struct State {
    var records: [DecisionID: DrainRecord] = [:]
    var error: JournalError?
    /// Waited for before anything is stored.
    var gate: (@Sendable () async -> Void)?
    var asked = 0
  }

  let state = Mutex(State())

  var last: DrainRecord? { state.withLock { $0.records.values.max { $0.id < $1.id } } }

  func save(_ drain: DrainRecord) async throws(JournalError) {
    let gate = state.withLock { state in
      state.asked += 1
      return state.gate
    }
    await gate?()
    let error = state.withLock { state in
      if state.error == nil, state.records[drain.id].map({ $0.revision <= drain.revision }) ?? true {
        state.records[drain.id] = drain
      }
      return state.error
    }
    if let error { throw error }
  }

  func latestDrains() async throws(JournalError) -> [DrainRecord] {
    try state.withLock { state -> Result<[DrainRecord], JournalError> in
      state.error.map { .failure($0) } ?? .success(state.records.values.sorted { $0.id < $1.id })
    }.get()
  }
}

/// A host whose guests leave when they are told to.
final class DrainedHost: ControllableBackend {
  struct State {
    var guests: [NodeReading.Guest] = []
    var isCordoned: Bool?
    var drainedBy: NodeReading.DrainedBy?
    var nodeError: ControlError?
    var choices: [String: MoveChoices] = [:]
    var startErrors: [String: ControlError] = [:]
    var cordonError: ControlError?
    /// Waited for before the node is read.
    var gate: (@Sendable () async -> Void)?
    /// Waited for before the node is closed.
    var cordonGate: (@Sendable () async -> Void)?
    var notes: [String: ControlNote.Kind] = [:]
    /// Done when something is started.
    var starting: (@Sendable (StartOrder) -> Void)?
    var calls: [String] = []
  }

  let descriptor: BackendDescriptor
  let state = Mutex(State())

  init(_ name: String) {
    descriptor = BackendDescriptor(
      name: BackendName(rawValue: name), type: "libvirt", endpoint: "x", node: "a", origins: [.unknown],
      causes: [.userAbort, .policyAbort, .other, .unknown], errorKinds: [], budget: BudgetSettings())
  }

  var calls: [String] { state.withLock(\.calls) }
  private func note(_ call: String) { state.withLock { $0.calls.append(call) } }

  func run(telling sink: @escaping @Sendable (BackendMessage) -> Void) async {}
  func live(_ migration: MigrationTarget) async throws(ControlError) -> LiveMigration {
    LiveMigration(.running(.precopy), word: "active")
  }
  func abort(_ migration: MigrationTarget) async throws(ControlError) { note("abort \(migration.vm.name)") }
  func plan(_ order: StartOrder) async throws(ControlError) -> StartPlan { StartPlan(source: "a") }

  func start(_ order: StartOrder) async throws(ControlError) -> StartReceipt {
    note("start \(order.vm.name) \(order.node ?? "-")")
    let (error, starting) = state.withLock { ($0.startErrors[order.vm.name], $0.starting) }
    if let error { throw error }
    starting?(order)
    return StartReceipt()
  }

  func node(_ name: String) async throws(ControlError) -> NodeReading {
    let gate = state.withLock(\.gate)
    await gate?()
    return try state.withLock { state -> Result<NodeReading, ControlError> in
      if let error = state.nodeError { return .failure(error) }
      return .success(
        NodeReading(
          node: name, isCordoned: state.isCordoned, drainedBy: state.drainedBy, guests: state.guests))
    }.get()
  }

  func tell(_ note: ControlNote, of vm: VMRef) async {
    state.withLock { $0.notes[vm.name] = note.kind }
  }

  func cordon(_ node: String, isCordoned: Bool) async throws(ControlError) {
    note("cordon \(isCordoned)")
    if isCordoned {
      let gate = state.withLock(\.cordonGate)
      await gate?()
    }
    if let error = state.withLock(\.cordonError) { throw error }
    state.withLock { $0.isCordoned = isCordoned }
  }

  func choices(for vm: VMRef) async throws(ControlError) -> MoveChoices? {
    state.withLock { $0.choices[vm.name] }
  }
}

/// Drains of a host with some guests, and a second back end beside it.
struct DrainScene {
  let clock = Clock()
  let host = DrainedHost("rack1")
  let beside = DrainedHost("rack2")
  let journal = Notes()
  let store = DrainNotes()
  let fleet: Fleet
  let control: MigrationControl
  let drains: DrainControl
  let node = NodeRef(backend: BackendName(rawValue: "rack1"), node: "a")
  let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  init(
    _ names: String..., hasJournal: Bool = true, settings: DrainSettings = DrainSettings(),
    standing: @escaping @Sendable () -> Leadership = { Leadership() }
  ) {
    fleet = Fleet(clock, host.descriptor)
    let (host, beside) = (host, beside)
    control = MigrationControl(
      fleet: fleet, journal: hasJournal ? journal : nil, clock: clock, log: log,
      longestRecording: .seconds(3), election: Election(standing: standing, claims: { nil })
    ) { name in
      [host, beside].first { $0.descriptor.name == name }
    }
    drains = DrainControl(control, store: hasJournal ? store : nil, settings: settings)
    host.state.withLock { state in
      state.guests = names.map { Self.guest($0) }
      let (fleet, clock) = (fleet, clock)
      state.starting = { order in
        fleet.tell(Self.observation(order.vm.name, startedAt: clock.now(), takenAt: clock.now()))
      }
    }
  }

  static func domain(_ name: String) -> DomainKey {
    DomainKey(backend: BackendName(rawValue: "rack1"), socketPath: name)
  }

  static func guest(_ name: String, memory: UInt64 = 64) -> NodeReading.Guest {
    NodeReading.Guest(vm: vm(name), domain: domain(name), memory: .mebibytes(memory))
  }

  static func vm(_ name: String) -> VMRef {
    VMRef(backend: BackendName(rawValue: "rack1"), scope: .host("a"), name: name)
  }

  static func id(_ name: String) -> MigrationID {
    MigrationID(domain: domain(name), startedUnixMilliseconds: 1_700_001_000_000)
  }

  static func observation(
    _ name: String, startedAt: Moment, takenAt: Moment, phase: Phase = .precopy, ending: Ending? = nil
  ) -> MigrationObservation {
    var observation = MigrationObservation(
      id: id(name), vm: vm(name), domain: domain(name), takenAt: takenAt, startedAt: startedAt, phase: phase,
      sample: Sample())
    observation.facts.source = "a"
    observation.facts.size = .gibibytes(1)
    if let ending { observation.end(ending) }
    return observation
  }

  /// Lets a migration of a guest end; where it succeeded the guest is gone.
  func end(_ name: String, _ outcome: Outcome, _ cause: FailureCause? = nil) {
    let now = clock.now()
    fleet.tell(
      Self.observation(
        name, startedAt: now - .seconds(5), takenAt: now, phase: outcome.phase,
        ending: Ending(outcome: outcome, cause: cause, certainty: .reported, endedAt: now)))
    if outcome == .succeeded { host.state.withLock { $0.guests.removeAll { $0.vm.name == name } } }
  }

  /// Looks, and has everything done that this sets going, until nothing more is.
  func settle(_ drains: DrainControl? = nil, after pause: Duration = .seconds(2)) async {
    clock.advance(pause)
    fleet.setUp(true)
    // A reading that is fetched in one look decides in the next.
    for _ in 1...4 { for task in (drains ?? self.drains).turn() { await task.value } }
  }

  @discardableResult
  func begin() async -> DrainAnswer { await drains.begin(node, requester: "uid 0") }

  func state(_ name: String) -> DrainVMState? {
    drains.status(node)?.record.vms.first { $0.vm.name == name }?.state
  }

  var starts: [String] { host.calls.filter { $0.hasPrefix("start") } }
}
