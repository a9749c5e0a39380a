/// Turns what the back ends say into what is shown: identities, life cycles, budgets, verdicts, counters.
///
/// Pure: time is a parameter, and nothing here waits, sends or reads a clock.
public struct MigrationTracker: Sendable {
  /// The figures that the tracker works with.
  public struct Settings: Hashable, Sendable {
    /// For verdicts.
    public var verdict: VerdictSettings
    /// How long an ended migration stays visible.
    public var retention: Duration
    /// How many migrations are tracked at a time.
    public var maxMigrations: Int
    /// What is ended without a person: it tells who enforces a time-out.
    public var automatic = AutomaticSettings()

    /// The documented defaults.
    public init(
      verdict: VerdictSettings = VerdictSettings(), retention: Duration = .seconds(900),
      maxMigrations: Int = 5000
    ) {
      self.verdict = verdict
      self.retention = retention
      self.maxMigrations = maxMigrations
    }
  }

  private var settings: Settings
  private let startedAt: Moment
  /// Since when each back end is listened to: what happened before is not counted.
  private var registeredAt: [BackendName: Moment] = [:]
  private var store = MigrationStore()
  private var ledger = Ledger()
  private var inventory = Inventory()
  private var backends: [BackendView] = []
  private var arrivals = Arrivals()
  private var arrivalsSweptAt: Moment
  private var dropped = DroppedMigrations()
  private var former = FormerMigrations()

  /// A tracker that knows nothing; `startedAt` tells old ends, which do not count, from new ones.
  public init(settings: Settings = Settings(), startedAt: Moment) {
    self.settings = settings
    self.startedAt = startedAt
    arrivalsSweptAt = startedAt
  }

  // MARK: Back ends

  /// Adds a back end: its counters exist from now on, at 0 or where ``unregister(_:keepingTotals:)`` kept them.
  ///
  /// - Parameter now: What it tells of an earlier time counts nothing; nil for the start of the tracker.
  public mutating func register(_ descriptor: BackendDescriptor, at now: Moment? = nil) {
    guard !backends.contains(where: { $0.descriptor.name == descriptor.name }) else { return }
    backends.append(BackendView(descriptor))
    registeredAt[descriptor.name] = now ?? startedAt
    backends.sort { $0.descriptor.name < $1.descriptor.name }
    ledger.prepare(descriptor)
    if let node = descriptor.node { inventory.nodes.prepare(node, of: descriptor.name) }
  }

  /// Forgets a back end and everything it told.
  ///
  /// - Parameter keepingTotals: For one that comes back in another form at once: its counters go on.
  public mutating func unregister(_ backend: BackendName, keepingTotals: Bool = false) {
    backends.removeAll { $0.descriptor.name == backend }
    registeredAt[backend] = nil
    former.forgetNames(of: backend)
    for view in store.groups.lazy.flatMap(\.views) where view.identity.vm.backend == backend && !view.isOver {
      former.insert(view.identity.id, of: backend)
    }
    store.removeAll { view, _ in view.identity.vm.backend == backend }
    if !keepingTotals { ledger.remove(backend) }
    inventory.remove(backend)
    arrivals.remove(backend)
    dropped.remove(backend)
  }

  /// Takes other figures into use; what is running is judged by them at once.
  @discardableResult
  public mutating func apply(
    _ settings: Settings, budgets: [BackendName: BudgetSettings], at now: Moment
  ) -> [LifecycleEvent] {
    self.settings = settings
    for index in backends.indices {
      if let budget = budgets[backends[index].descriptor.name] { backends[index].descriptor.budget = budget }
    }
    var events: [LifecycleEvent] = []
    let backends = backends
    store.update(where: { view, _ in !view.isOver }) { view, watch in
      let backend = view.identity.vm.backend
      let before = view.verdict.kind
      if let budget = backends.first(where: { $0.descriptor.name == backend })?.descriptor.budget {
        watch.setDeadlines(of: &view, budget: budget, automatic: settings.automatic)
      }
      watch.judge(&view, settings: settings.verdict, at: now)
      if view.verdict.kind != before { events.append(.verdictChanged(view, from: before)) }
    }
    return events
  }

  // MARK: Observations

  /// Takes one message of a back end; one that is not registered, or no longer, is not listened to.
  public mutating func receive(_ message: BackendMessage, at now: Moment) -> [LifecycleEvent] {
    guard let index = backends.firstIndex(where: { $0.descriptor.name == message.backend }) else { return [] }
    switch message {
    case .migration(let observation):
      return observe(observation, budget: backends[index].descriptor.budget, at: now)
    case .inbound(let observation): take(observation, at: now)
    case .guestMoved(let move):
      // Only where the migration is still shown: nothing that is said after an end may count it again.
      let arrivals = arrivals
      store.update(former.name(of: move.id, from: move.backend)) { view, watch in
        let arrival = arrivals.arrival(of: view.identity.domain, since: view.startedAt)
        watch.relocate(move, in: &view, evidence: arrival?.guestRuns, at: now)
      }
    case .network(let observation):
      return observe(observation, at: now)
    case .vm(let observation): inventory.insert(observation)
    case .dirtyRate(let key, let rate): inventory.setDirtyRate(rate, of: key)
    case .node(let backend, let node): inventory.nodes.prepare(node, of: backend)
    case .nodeState(let state): inventory.nodes.take(state, at: now)
    case .nodeGone(let backend, let node): inventory.nodes.remove(node, of: backend)
    case .slots(_, let slots): backends[index].slots = slots
    case .requests(_, let requests): backends[index].requests = requests
    case .vmGone(let key): inventory.remove(key)
    case .health(let health):
      backends[index].take(health, at: now)
      if health.isUp { inventory.nodes.takeAnswer(of: message.backend) }
    // Who leads is no matter of migrations.
    case .leader: break
    }
    return []
  }

  /// Looks at everything again, once a second: verdicts by silence, ends of retention.
  public mutating func tick(at now: Moment) -> [LifecycleEvent] {
    var events: [LifecycleEvent] = []
    let settings = settings
    let arrivals = arrivals
    store.update(where: { view, watch in watch.needsLook(at: view, settings: settings.verdict, at: now) }) {
      view, watch in
      let before = view.verdict.kind
      watch.judge(&view, settings: settings.verdict, at: now)
      if watch.awaitsLocation(of: view) {
        let arrival = arrivals.arrival(of: view.identity.domain, since: view.startedAt)
        watch.locate(in: &view, evidence: arrival?.guestRuns, at: now)
      }
      watch.runRetention(of: view, at: now)
      if view.verdict.kind != before { events.append(.verdictChanged(view, from: before)) }
    }
    store.removeAll { _, watch in watch.isPastRetention(settings.retention, at: now) }
    inventory.nodes.age(at: now)
    if now - arrivalsSweptAt >= .seconds(60) {
      self.arrivals.forget(before: now - MigrationWatch.longestWait)
      arrivalsSweptAt = now
    }
    return events
  }

  /// Says that a migration was under way when an earlier run, or an earlier watch of the same back end, saw it last: once
  /// it is seen again it keeps its name.
  public mutating func expect(_ id: MigrationID, of backend: BackendName) { former.insert(id, of: backend) }

  /// Says, before an abort is sent, who asked for it: the source itself can only say that somebody did.
  ///
  /// - Parameter cause: Nil takes it back, where it surely was not sent.
  public mutating func announceAbort(of id: MigrationID, cause: FailureCause?) {
    store.update(id) { _, watch in watch.announcedAbort = cause }
  }

  /// Says that Drover ends a migration at its deadlines, where nothing else does.
  public mutating func announceEnforcement(of id: MigrationID) {
    let (backends, automatic) = (backends, settings.automatic)
    store.update(id) { view, watch in
      watch.isEnforced = true
      let backend = view.identity.vm.backend
      guard !view.isOver,
        let budget = backends.first(where: { $0.descriptor.name == backend })?.descriptor.budget
      else { return }
      watch.setDeadlines(of: &view, budget: budget, automatic: automatic)
    }
  }

  /// Shows Drover's own drains at their nodes, and no others.
  public mutating func show(_ drains: [DrainStatus], at now: Moment) {
    let backends = backends
    inventory.nodes.show(
      drains.filter { drain in backends.contains { $0.descriptor.name == drain.record.node.backend } }
    ) {
      name in
      guard let backend = backends.first(where: { $0.descriptor.name == name }), backend.isUp,
        let lastSuccess = backend.lastSuccess
      else { return true }
      return now - lastSuccess > NodeTable.longestAge
    }
  }

  /// The VM that an entry of the inventory stands for; nil where there is no such entry.
  public func vm(of key: VMKey) -> VMRef? { inventory.vm(of: key) }

  /// What is known now.
  public func snapshot() -> FleetSnapshot {
    var snapshot = FleetSnapshot()
    snapshot.groups = store.groups
    snapshot.vms = inventory.vms
    snapshot.dirtyRates = inventory.dirtyRates
    snapshot.nodes = inventory.nodes.views
    snapshot.backends = backends
    snapshot.totals = ledger.totals
    snapshot.trackedCount = store.count
    snapshot.droppedCount = dropped.count
    return snapshot
  }

  // MARK: One migration

  private mutating func observe(
    _ told: MigrationObservation, budget: BudgetSettings, at now: Moment
  ) -> [LifecycleEvent] {
    var observation = told.consistent
    let backend = observation.vm.backend
    observation.id = former.name(
      of: told.id, from: backend,
      isWatched: { [backends] name in backends.contains { $0.descriptor.name == name } },
      isTaken: { [store] id in store.owner(of: id) != nil })
    let id = observation.id
    var events: [LifecycleEvent] = []
    if let owner = store.owner(of: id) {
      // The same migration seen by two back ends belongs to the one that saw it first.
      guard owner == backend else { return [] }
    } else {
      // What had started before Drover did was counted then, by the Drover that ran then.
      let since = registeredAt[backend] ?? startedAt
      let startedEarlier =
        observation.hasStarted && observation.startedAt < since && !observation.phase.precedesStart
      var view = MigrationView(first: observation, calledBySource: told.id)
      if startedEarlier { view.watchedSince = observation.takenAt }
      var watch = MigrationWatch(
        samplingInterval: observation.samplingInterval, isCountedAsStarted: startedEarlier)
      if let ending = observation.ending, observation.isHistory || ending.endedAt < since {
        _ = watch.apply(
          observation, to: &view, budget: budget, verdict: settings.verdict, automatic: settings.automatic,
          arrival: nil, at: now)
        inventory.noteEnd(of: observation.vm, ending.outcome)
        return [.foundEnded(view)]
      }
      guard !dropped.isOver(id), makeRoom() else {
        return drop(observation, startedEarlier: startedEarlier)
      }
      if let wasCounted = dropped.adopt(id) { watch.isCountedAsStarted = wasCounted || startedEarlier }
      store.insert(view, watch)
      inventory.count(view, by: +1)
      events.append(.began(view))
    }

    let settings = settings
    let arrivals = arrivals
    var change: (before: MigrationView, after: MigrationView)?
    var hasStarted = false
    store.update(id) { view, watch in
      // An end is final. An answer that was overtaken by a later one says nothing new, unless it tells the end, which
      // is told once only.
      let isNews = observation.ending != nil || observation.takenAt >= view.sampledAt
      guard !view.isOver, isNews else { return }
      let before = view
      let arrival = arrivals.arrival(of: view.identity.domain, since: view.startedAt)
      let interruption = watch.apply(
        observation, to: &view, budget: budget, verdict: settings.verdict, automatic: settings.automatic,
        arrival: arrival, at: now)
      if let interruption { events.append(.interrupted(view, length: interruption)) }
      if observation.provesStart, !watch.isCountedAsStarted {
        watch.isCountedAsStarted = true
        hasStarted = true
      }
      change = (before, view)
    }
    guard let (before, after) = change else { return events }

    if case .began = events.first, !after.isOver { events[0] = .began(after) }
    if hasStarted { ledger.countStart(of: backend, origin: after.facts.origin) }
    let places = [before, after].map { ($0.facts.source, $0.facts.target, $0.phase == .pending, $0.isOver) }
    if places[0] != places[1] {
      inventory.count(before, by: -1)
      inventory.count(after, by: +1)
    }
    if let ending = after.ending {
      inventory.countEnd(of: after, ending: ending)
      ledger.countEnd(of: after, ending: ending)
      var last = before
      last.sample.iterations = observation.sample.iterations ?? last.sample.iterations
      events += [.lastSeen(last), .ended(after)]
    } else {
      if after.phase != before.phase { events.append(.phaseChanged(after, from: before.phase)) }
      if after.verdict.kind != before.verdict.kind {
        events.append(.verdictChanged(after, from: before.verdict.kind))
      }
    }
    return events
  }

  private mutating func observe(_ told: NetworkObservation, at now: Moment) -> [LifecycleEvent] {
    var network = told
    network.id = former.name(of: told.id, from: told.backend)
    // Another back end's word on the network of this one's migration is none.
    guard store.owner(of: network.id) == network.backend else { return [] }
    // Most looks find what the last one found.
    if store.remember(network.id, { view, watch in watch.renew(network, of: view) }) { return [] }
    var events: [LifecycleEvent] = []
    let settings = settings.verdict
    store.update(network.id) { view, watch in
      let before = view.verdict.kind
      watch.take(network, in: &view, settings: settings, at: now)
      if view.verdict.kind != before { events.append(.verdictChanged(view, from: before)) }
    }
    return events
  }

  /// Makes sure that one more migration can be tracked; the one that ended longest ago gives way.
  private mutating func makeRoom() -> Bool {
    while store.count >= settings.maxMigrations {
      guard store.removeOldestEnded() else { return false }
    }
    return true
  }

  /// Counts a migration that is not tracked: its series are missing, the totals stay right.
  private mutating func drop(_ observation: MigrationObservation, startedEarlier: Bool) -> [LifecycleEvent] {
    let backend = observation.vm.backend
    let news = dropped.note(
      observation.id, of: backend, hasStarted: observation.provesStart,
      isOver: observation.ending != nil)
    if news.hasStarted, !startedEarlier {
      ledger.countStart(of: backend, origin: observation.facts.origin)
    }
    if news.hasEnded, let ending = observation.ending {
      var view = MigrationView(first: observation)
      view.sample = observation.sample
      inventory.countEnd(of: view, ending: ending)
      ledger.countEnd(of: view, ending: ending)
    }
    return news.isFirst ? [.dropped(observation.id, observation.vm)] : []
  }

  // MARK: What the other messages change

  private mutating func take(_ told: InboundObservation, at now: Moment) {
    let (before, after) = arrivals.take(told, at: now)
    inventory.countInbound(before, by: -1)
    inventory.countInbound(after, by: +1)
    guard before?.guestRuns != after.guestRuns || before?.isActive != after.isActive, after.domain.isShared
    else { return }
    let arrivals = arrivals
    store.update(where: { view, _ in view.identity.domain == after.domain }) { view, watch in
      let arrival = arrivals.arrival(of: after.domain, since: view.startedAt)
      watch.locate(in: &view, evidence: arrival?.guestRuns, at: now)
    }
  }
}

extension BackendMessage {
  /// Who tells it.
  fileprivate var backend: BackendName {
    switch self {
    case .migration(let observation): observation.vm.backend
    case .inbound(let observation): observation.vm.backend
    case .guestMoved(let move): move.backend
    case .vm(let observation): observation.key.backend
    case .vmGone(let key): key.backend
    case .network(let observation): observation.backend
    case .dirtyRate(let key, _): key.backend
    case .node(let backend, _), .nodeGone(let backend, _), .slots(let backend, _),
      .requests(let backend, _), .leader(let backend, _):
      backend
    case .nodeState(let state): state.backend
    case .health(let health): health.backend
    }
  }
}

extension MigrationObservation {
  /// Whether the copy could begin: by the phase, or for one that is over by the source's word that it had begun.
  ///
  /// A source that does not tell when a migration was asked for takes its first sight for its start.
  fileprivate var provesStart: Bool {
    phase.provesStart || ending != nil && hasStarted && createdAt != nil
  }

  /// The same with phase and ending agreeing.
  fileprivate var consistent: MigrationObservation {
    var observation = self
    if let ending {
      observation.phase = ending.outcome.phase
    } else if let outcome = phase.outcome {
      observation.ending = Ending(outcome: outcome, certainty: .inferred, endedAt: takenAt)
    }
    return observation
  }
}
