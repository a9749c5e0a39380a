public import DroverCore
internal import Logging
internal import Synchronization

/// Runs drains: reads what they decide by, and has the control module do what they decide.
///
/// Nothing here waits for a back end but the task that asked it: one that hangs holds up its own node or VM only.
public final class DrainControl: Sendable {
  let control: MigrationControl
  let store: (any DrainStore)?
  /// Whether automatic aborts wait because of a partition.
  let isPartitioned: @Sendable () -> Bool
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
    /// Whether this process led since the start.
    var hasLed = false
    /// Since when another leads; nil while none is known.
    var otherLeadsSince: Moment?
  }

  /// A drain, and what is under way for it.
  struct Running {
    var plan: DrainPlan
    var reading: DrainPlan.Reading?
    /// Why the node could not be read last; empty where it could.
    var readingError = ""
    var isReading = false
    var readAt: Moment?
    /// How long the last reading took.
    var readTook = Duration.zero
    /// Whether it is not begun before the store has it.
    var isHeld = false
    /// VMs that it leaves where they are, and that a note was left at.
    var noted: Set<VMRef> = []
    /// The cordon that was decided last.
    var cordoning: Task<Void, Never>?
    /// What the store has, apart from its revision.
    var saved: DrainRecord?
    var savedRevision: Int64 = 0
    /// The last that was given away.
    var revision: Int64 = 0
    var isSaving = false
    /// The store is not tried before.
    var saveNotBefore: Moment?
  }

  /// How often everything is looked at while a drain is known.
  private static let interval = Duration.milliseconds(500)
  /// How often otherwise.
  private static let restInterval = Duration.seconds(1)
  /// How often a node is read.
  private static let readInterval = Duration.seconds(2)
  /// A large cluster is not kept busy: one part in so many of the time is spent on reading a node.
  private static let readShare = 20
  /// Read however long that takes: upon what is older nothing is decided.
  private static let longestReadInterval = Duration.seconds(20)
  /// How long a question about a drain that is over may wait for a reading.
  private static let longestLook = Duration.seconds(5)

  /// Runs drains by means of `control`; without a store none can be begun.
  ///
  /// - Parameter isPartitioned: Whether many migrations have lost their network at once: none is ended then.
  public init(
    _ control: MigrationControl, store: (any DrainStore)?, settings: DrainSettings = DrainSettings(),
    isPartitioned: @escaping @Sendable () -> Bool = { false }
  ) {
    self.control = control
    self.store = store
    self.isPartitioned = isPartitioned
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

  /// The same, with what runs on the node now where it is over; `running` is nil where that cannot be read in time.
  public func look(_ node: NodeRef) async -> DrainStatus? {
    guard let known = status(node), !known.record.state.isInForce else { return status(node) }
    if let knownAt = known.knownAt, clock.now() - knownAt < Self.readInterval { return known }
    let isRead = await answer(within: Self.longestLook, orElse: false) { await self.read(node) }
    var status = status(node)
    if !isRead { status?.running = nil }
    return status
  }

  // MARK: From an earlier run

  /// Takes up what an earlier run left, and runs everything until cancelled.
  public func run() async {
    while !Task.isCancelled {
      await load()
      turn()
      try? await Task.sleep(for: withState(\.drains.isEmpty) ? Self.restInterval : Self.interval)
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
          plan: DrainPlan(record, settings: state.settings),
          noted: Set(record.vms.filter(\.isParked).map(\.vm)), saved: record,
          savedRevision: stored.revision, revision: stored.revision)
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
    let now = clock.now()
    let epoch = clock.epochOffset()
    guard control.notLeading == nil else {
      control.fleet.show([])
      return standDown(nodes, now, epoch)
    }
    withState { state in
      state.hasLed = true
      state.otherLeadsSince = nil
    }
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
    var work: [Task<Void, Never>] = []
    let isPartitioned = isPartitioned()
    let (commands, isReadingDue, isSaveDue) = withState { state -> ([DrainCommand], Bool, Bool) in
      guard var running = state.drains[node], !running.isHeld else { return ([], false, false) }
      defer { state.drains[node] = running }
      let commands = running.plan.step(
        DrainPlan.Situation(
          now: now, epoch: epoch, reading: running.reading, migrations: Array(migrations), isUp: isUp,
          isPartitioned: isPartitioned))
      // What came of an order is told between two looks, too.
      let left = running.plan.record.vms.filter(\.isParked)
      parked = left.filter { !running.noted.contains($0.vm) }
      running.noted = Set(left.map(\.vm))
      if commands.contains(.cordon) {
        let cordoning = Task { await self.carryOut(.cordon, node) }
        running.cordoning = cordoning
        work.append(cordoning)
      }
      let isInForce = running.plan.record.state.isInForce
      let interval = min(max(Self.readInterval, running.readTook * Self.readShare), Self.longestReadInterval)
      let isReadingDue =
        isInForce && !running.isReading && running.readAt.map { now - $0 >= interval } ?? true
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
    work += commands.filter { $0 != .cordon }.map { command in
      Task { await self.carryOut(command, node) }
    }
    if isReadingDue { work.append(Task { _ = await self.read(node) }) }
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

  /// Reads a node; false where that failed.
  private func read(_ node: NodeRef) async -> Bool {
    let askedAt = clock.now()
    let result: Result<NodeReading, ControlError>
    if let backend = control.backend(node.backend) {
      do throws(ControlError) { result = .success(try await backend.node(node.node)) } catch {
        result = .failure(error)
      }
    } else {
      result = .failure(Self.noBackend(node))
    }
    return withState { state in
      state.drains[node]?.isReading = false
      state.drains[node]?.readTook = clock.now() - askedAt
      switch result {
      case .success(let reading):
        state.drains[node]?.reading = DrainPlan.Reading(reading, askedAt: askedAt)
        state.drains[node]?.readingError = ""
        return true
      case .failure(let error):
        state.drains[node]?.readingError = "\(error)"
        return false
      }
    }
  }

  static func noBackend(_ node: NodeRef) -> ControlError {
    ControlError(
      .unsupported, call: "draining node \(node.node)",
      cause: "back end \(node.backend.rawValue) is not there, or cannot move VMs",
      remedy: "see the configuration")
  }
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

extension DrainVM {
  /// Whether it stays where it is until somebody does something.
  fileprivate var isParked: Bool { isSettled && state != .done }
}
