public import DroverCore
internal import Logging
internal import Synchronization

/// Runs drains: reads what they decide by, and has the control module do what they decide.
///
/// Nothing here waits for a back end but the task that asked it: one that hangs holds up its own node or VM only.
public final class DrainControl: Sendable {
  let control: MigrationControl
  let store: (any DrainStore)?
  private let state: Mutex<State>

  struct State {
    var settings: DrainSettings
    /// The last drain of each node.
    var drains: [NodeRef: Running] = [:]
    /// Nodes whose drain is being begun.
    var beginning: Set<NodeRef> = []
    /// What was shown last.
    var shown: [DrainStatus] = []
    /// Whether what an earlier run left was taken up.
    var isLoaded = false
  }

  /// A drain, and what is under way for it.
  struct Running {
    var plan: DrainPlan
    var reading: DrainPlan.Reading?
    /// Why the node could not be read last; empty where it could.
    var readingError = ""
    var isReading = false
    var readAt: Moment?
    /// What the store has, apart from its revision.
    var saved: DrainRecord?
    var savedRevision: Int64 = 0
    /// The last that was given away.
    var revision: Int64 = 0
    var isSaving = false
    /// The store is not tried before.
    var saveNotBefore: Moment?
  }

  /// How often everything is looked at.
  private static let interval = Duration.milliseconds(500)
  /// How often a node is read.
  private static let readInterval = Duration.seconds(2)
  /// How long the store may take.
  static let longestSave = Duration.seconds(5)

  /// Runs drains by means of `control`; without a store none can be begun.
  public init(
    _ control: MigrationControl, store: (any DrainStore)?, settings: DrainSettings = DrainSettings()
  ) {
    self.control = control
    self.store = store
    state = Mutex(State(settings: settings))
  }

  func withState<Value>(_ body: (inout State) -> Value) -> Value { state.withLock { body(&$0) } }

  var clock: any Timepiece { control.clock }

  /// Takes other figures into use, also for drains that run.
  public func apply(_ settings: DrainSettings) {
    withState { state in
      state.settings = settings
      for node in state.drains.keys { state.drains[node]?.plan.settings = settings }
    }
  }

  /// The last drain of a node; nil where none is known, or the node was given free again.
  public func status(_ node: NodeRef) -> DrainStatus? {
    let epoch = clock.epochOffset()
    return withState { $0.drains[node]?.status(epoch) }.flatMap { $0.isShown ? $0 : nil }
  }

  // MARK: From an earlier run

  /// Takes up what an earlier run left, and runs everything until cancelled.
  public func run() async {
    while !Task.isCancelled {
      await load()
      turn()
      try? await Task.sleep(for: Self.interval)
    }
  }

  /// Takes up the drains of an earlier run, once.
  func load() async {
    guard let store, !withState(\.isLoaded) else { return }
    let records: [DrainRecord]
    do throws(JournalError) {
      records = try await store.latestDrains()
    } catch {
      // The journal says so itself; a drain that was under way waits for it.
      control.log.debug("drains of an earlier run are not known yet", metadata: ["error": "\(error)"])
      return
    }
    withState { state in
      state.isLoaded = true
      for stored in records where state.drains[stored.node] == nil {
        var record = stored
        record.revision = 0
        state.drains[record.node] = Running(
          plan: DrainPlan(record, settings: state.settings), saved: record, savedRevision: stored.revision,
          revision: stored.revision)
      }
    }
    for record in records where record.state.isInForce {
      control.log.notice(
        "drain taken up again",
        metadata: ["backend": "\(record.node.backend.rawValue)", "node": "\(record.node.node)"])
    }
  }

  /// Closes decisions for drains that began and of which nothing is kept.
  public func resume(_ decisions: [Decision]) async {
    await load()
    let known = withState { Set($0.drains.values.map(\.plan.record.id)) }
    guard withState(\.isLoaded) else { return }
    for decision in decisions
    where decision.action == .drain && decision.kind == .acted && decision.result == nil {
      guard let id = decision.id, !known.contains(id) else { continue }
      _ = await control.finish(decision, .error, "Drover ended before it had begun")
    }
  }

  // MARK: One look

  /// Looks at every drain once, and has done what is due; returns what that set going.
  @discardableResult
  func turn() -> [Task<Void, Never>] {
    let nodes = withState { Array($0.drains.keys) }
    guard !nodes.isEmpty else { return [] }
    // Whoever leads now may have drains of its own.
    guard control.notLeading == nil else {
      control.fleet.show([])
      return []
    }
    let now = clock.now()
    let epoch = clock.epochOffset()
    let snapshot = control.fleet.snapshot()
    var work: [Task<Void, Never>] = []
    for node in nodes { work += turn(node, snapshot, now, epoch) }
    show(epoch)
    return work
  }

  private func turn(_ node: NodeRef, _ snapshot: FleetSnapshot, _ now: Moment, _ epoch: EpochOffset) -> [Task<
    Void, Never
  >] {
    let migrations = snapshot.migrations.filter { $0.identity.vm.backend == node.backend }
    let isUp = snapshot.backends.contains { $0.descriptor.name == node.backend && $0.isUp }
    var parked: [DrainVM] = []
    let (commands, isReadingDue, isSaveDue) = withState { state -> ([DrainCommand], Bool, Bool) in
      guard var running = state.drains[node] else { return ([], false, false) }
      defer { state.drains[node] = running }
      let before = Set(running.plan.record.vms.filter(\.isParked).map(\.vm))
      let commands = running.plan.step(
        DrainPlan.Situation(
          now: now, epoch: epoch, reading: running.reading, migrations: Array(migrations), isUp: isUp))
      parked = running.plan.record.vms.filter { $0.isParked && !before.contains($0.vm) }
      let isInForce = running.plan.record.state.isInForce
      let isReadingDue =
        isInForce && !running.isReading && running.readAt.map { now - $0 >= Self.readInterval } ?? true
      if isReadingDue {
        running.isReading = true
        running.readAt = now
      }
      let isSaveDue =
        running.plan.record != running.saved && !running.isSaving
        && running.saveNotBefore.map { now >= $0 } ?? true
      if isSaveDue { running.isSaving = true }
      return (commands, isReadingDue, isSaveDue)
    }
    for vm in parked {
      control.leave(ControlNote(.drainParked, "the drain of \(node.node) leaves it: \(vm.text)"), at: vm.vm)
    }
    enforce(node, snapshot)
    var work = commands.map { command in Task { await self.carryOut(command, node) } }
    if isReadingDue { work.append(Task { await self.read(node) }) }
    if isSaveDue {
      work.append(
        Task {
          let isSaved = await self.save(node)
          self.withState { state in
            state.drains[node]?.isSaving = false
            state.drains[node]?.saveNotBefore = isSaved ? nil : self.clock.now() + .seconds(10)
          }
        })
    }
    return work
  }

  /// Tells the fleet which migrations are ended at their deadlines.
  private func enforce(_ node: NodeRef, _ snapshot: FleetSnapshot) {
    let own = withState { state in
      Set(
        (state.drains[node]?.plan.record.vms ?? []).filter { $0.isOwn && $0.sentAt != nil }.map(\.migration))
    }
    for view in snapshot.migrations where !view.isOver && own.contains(view.identity.id) {
      guard view.completion?.enforcedBy == Enforcer.none || view.progressBudget?.enforcedBy == Enforcer.none
      else { continue }
      control.fleet.announceEnforcement(of: view.identity.id)
    }
  }

  private func show(_ epoch: EpochOffset) {
    let (statuses, isNew) = withState { state in
      let statuses = state.drains.values.map { $0.status(epoch) }.filter(\.isShown)
        .sorted { $0.record.id < $1.record.id }
      defer { state.shown = statuses }
      return (statuses, statuses != state.shown || !statuses.isEmpty)
    }
    if isNew { control.fleet.show(statuses) }
  }

  // MARK: Readings

  private func read(_ node: NodeRef) async {
    let askedAt = clock.now()
    let result: Result<NodeReading, ControlError>
    if let backend = control.backend(node.backend) {
      do throws(ControlError) { result = .success(try await backend.node(node.node)) } catch {
        result = .failure(error)
      }
    } else {
      result = .failure(Self.noBackend(node))
    }
    withState { state in
      state.drains[node]?.isReading = false
      switch result {
      case .success(let reading):
        state.drains[node]?.reading = DrainPlan.Reading(reading, askedAt: askedAt)
        state.drains[node]?.readingError = ""
      case .failure(let error): state.drains[node]?.readingError = "\(error)"
      }
    }
  }

  static func noBackend(_ node: NodeRef) -> ControlError {
    ControlError(
      .unsupported, call: "draining node \(node.node)",
      cause: "back end \(node.backend.rawValue) is not there, or cannot move VMs",
      remedy: "see the configuration")
  }

  // MARK: Storing

  /// Brings a drain as it is now to the disk; false where that did not happen in time.
  func save(_ node: NodeRef) async -> Bool {
    guard let store else { return false }
    let record = withState { state -> DrainRecord? in
      guard var record = state.drains[node]?.plan.record else { return nil }
      let revision = (state.drains[node]?.revision ?? 0) + 1
      state.drains[node]?.revision = revision
      record.revision = revision
      return record
    }
    guard let record else { return false }
    let error = await answer(within: Self.longestSave, orElse: Self.lateSave) {
      do throws(JournalError) {
        try await store.save(record)
        return JournalError?.none
      } catch {
        return error
      }
    }
    if let error {
      control.log.error("a drain is not stored", metadata: ["node": "\(node.node)", "error": "\(error)"])
      return false
    }
    withState { state in
      guard let running = state.drains[node], running.plan.record.id == record.id,
        running.savedRevision < record.revision
      else { return }
      var saved = record
      saved.revision = 0
      state.drains[node]?.saved = saved
      state.drains[node]?.savedRevision = record.revision
    }
    return true
  }

  private static let lateSave: JournalError? = JournalError(
    .busy, call: "storing a drain", cause: "the journal did not take it in time",
    remedy: "see whether its disk hangs")
}

extension DrainStatus {
  /// One that is over is not, once its node was given free again.
  fileprivate var isShown: Bool { record.state.isInForce || !record.isReopened }
}

extension DrainControl.Running {
  /// As it is shown.
  func status(_ epoch: EpochOffset) -> DrainStatus {
    let record = plan.record
    var hold = ""
    if record.state == .active, !record.isFollowing {
      if !plan.settings.isArmed {
        hold = "control.switches.drain is disabled"
      } else if !readingError.isEmpty {
        hold = readingError
      }
    }
    return DrainStatus(
      record, startedAt: epoch.moment(unixMilliseconds: record.startedAt),
      endedAt: record.endedAt.map { epoch.moment(unixMilliseconds: $0) }, knownAt: reading?.askedAt,
      running: reading.map { UInt64($0.node.guests.count) }, hold: hold)
  }
}

/// Waits for an answer, but not for ever; what is late is left to itself.
func answer<Value: Sendable>(
  within limit: Duration, orElse late: Value, _ body: @escaping @Sendable () async -> Value
) async -> Value {
  await withCheckedContinuation { continuation in
    let shared = OneResumption(continuation)
    Task { shared.resume(await body()) }
    Task {
      try? await Task.sleep(for: limit)
      shared.resume(late)
    }
  }
}

/// Resumes once.
private final class OneResumption<Value: Sendable>: Sendable {
  private let continuation: Mutex<CheckedContinuation<Value, Never>?>

  init(_ continuation: CheckedContinuation<Value, Never>) { self.continuation = Mutex(continuation) }

  func resume(_ value: Value) {
    continuation.withLock { continuation in
      defer { continuation = nil }
      return continuation
    }?.resume(returning: value)
  }
}

extension DrainVM {
  /// Whether it stays where it is until somebody does something.
  fileprivate var isParked: Bool { isSettled && state != .done }
}
