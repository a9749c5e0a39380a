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

  /// However alarming the end of a migration was, it does not stay for longer.
  static let longestRetention = Duration.seconds(86_400)

  private var settings: Settings
  private let startedAt: Moment
  private var store = MigrationStore()
  private var ledger = Ledger()
  private var inventory = Inventory()
  private var backends: [BackendView] = []
  private var arrivals: [DomainKey: InboundObservation] = [:]
  private var dropped = DroppedMigrations()

  /// A tracker that knows nothing; `startedAt` tells old ends, which do not count, from new ones.
  public init(settings: Settings = Settings(), startedAt: Moment) {
    self.settings = settings
    self.startedAt = startedAt
  }

  // MARK: Back ends

  /// Adds a back end: its counters exist at 0 from now on.
  public mutating func register(_ descriptor: BackendDescriptor) {
    guard !backends.contains(where: { $0.descriptor.name == descriptor.name }) else { return }
    backends.append(BackendView(descriptor))
    backends.sort { $0.descriptor.name < $1.descriptor.name }
    ledger.prepare(descriptor)
    if let node = descriptor.node { inventory.prepareNode(node, of: descriptor.name) }
  }

  /// Forgets a back end and everything it told.
  public mutating func unregister(_ backend: BackendName) {
    backends.removeAll { $0.descriptor.name == backend }
    store.removeAll { view, _ in view.identity.vm.backend == backend }
    ledger.remove(backend)
    inventory.remove(backend)
    arrivals = arrivals.filter { $0.value.vm.backend != backend }
  }

  /// Takes other figures into use; what is running is judged by them at once.
  public mutating func apply(_ settings: Settings, budgets: [BackendName: BudgetSettings], at now: Moment) {
    self.settings = settings
    for index in backends.indices {
      if let budget = budgets[backends[index].descriptor.name] { backends[index].descriptor.budget = budget }
    }
    let budgets = Dictionary(
      uniqueKeysWithValues: backends.map { ($0.descriptor.name, $0.descriptor.budget) })
    store.update { view, watch in
      guard !view.isOver, let budget = budgets[view.identity.vm.backend] else { return }
      watch.setDeadlines(of: &view, budget: budget)
      watch.judge(&view, settings: settings.verdict, at: now)
    }
  }

  // MARK: Observations

  /// Takes one message of a back end.
  public mutating func receive(_ message: BackendMessage, at now: Moment) -> [LifecycleEvent] {
    switch message {
    case .migration(let observation): return observe(observation, at: now)
    case .inbound(let observation): take(observation)
    case .vm(let observation): inventory.insert(observation)
    case .vmGone(let key): inventory.remove(key)
    case .health(let health): take(health)
    }
    return []
  }

  /// Looks at everything again, once a second: verdicts by silence, ends of retention.
  public mutating func tick(at now: Moment) -> [LifecycleEvent] {
    var events: [LifecycleEvent] = []
    let settings = settings
    store.update { view, watch in
      let before = view.verdict.kind
      watch.judge(&view, settings: settings.verdict, at: now)
      if view.verdict.kind != before { events.append(.verdictChanged(view, from: before)) }
    }
    store.removeAll { view, watch in
      guard let seen = watch.endSeenAt else { return false }
      if !view.guest.isAlarming, watch.retentionBegan == nil { watch.retentionBegan = now }
      if view.guest.isAlarming { watch.retentionBegan = nil }
      let isDue = watch.retentionBegan.map { now - $0 >= settings.retention } ?? false
      return isDue || now - seen >= Self.longestRetention + settings.retention
    }
    return events
  }

  /// Says, before an abort is sent, who asked for it: the source itself can only say that somebody did.
  public mutating func announceAbort(of id: MigrationID, cause: FailureCause) {
    store.update(id) { _, watch in watch.announcedAbort = cause }
  }

  /// What is known now.
  public mutating func snapshot() -> FleetSnapshot {
    var snapshot = FleetSnapshot()
    snapshot.groups = store.groups
    snapshot.vms = inventory.vms()
    snapshot.nodes = inventory.nodes
    snapshot.backends = backends
    snapshot.totals = ledger.totals
    snapshot.trackedCount = store.count
    snapshot.droppedCount = dropped.count
    return snapshot
  }

  // MARK: One migration

  private mutating func observe(_ observation: MigrationObservation, at now: Moment) -> [LifecycleEvent] {
    var events: [LifecycleEvent] = []
    if !store.contains(observation.id) {
      let view = MigrationView(first: observation)
      if let ending = observation.ending, ending.endedAt < startedAt { return [.foundEnded(view)] }
      guard makeRoom() else { return drop(observation) }
      store.insert(view, MigrationWatch(samplingInterval: observation.samplingInterval))
      inventory.countOutbound(of: view, by: +1)
      events.append(.began(view))
    }

    let budget = budget(of: observation.vm.backend)
    let settings = settings
    let evidence = arrivals[observation.domain]?.guestRuns
    var ended: MigrationView?
    var mayHaveStarted: MigrationView?
    store.update(observation.id) { view, watch in
      // An end is final; and an answer that was overtaken by a later one says nothing new.
      guard !view.isOver, observation.takenAt >= view.sampledAt else { return }
      let before = (phase: view.phase, verdict: view.verdict.kind)
      let interruption = watch.apply(
        observation, to: &view, budget: budget, verdict: settings.verdict, evidence: evidence, at: now)
      if let interruption { events.append(.interrupted(view, length: interruption)) }
      if view.isOver {
        ended = view
      } else {
        if view.phase != before.phase { events.append(.phaseChanged(view, from: before.phase)) }
        if view.verdict.kind != before.verdict { events.append(.verdictChanged(view, from: before.verdict)) }
      }
      if view.phase.provesStart, !watch.isCountedAsStarted {
        watch.isCountedAsStarted = true
        mayHaveStarted = view
      }
    }
    // What had started before Drover did was counted then, by the Drover that ran then.
    if let view = mayHaveStarted, view.startedAt >= startedAt {
      ledger.countStart(of: view.identity.vm.backend, origin: view.facts.origin)
    }
    if let view = ended, let ending = view.ending {
      inventory.countOutbound(of: view, by: -1)
      inventory.countEnd(of: view, ending: ending)
      ledger.countEnd(of: view, ending: ending)
      events.append(.ended(view))
    }
    return events
  }

  /// Makes sure that one more migration can be tracked; the one that ended longest ago gives way.
  private mutating func makeRoom() -> Bool {
    store.count < settings.maxMigrations || store.removeOldestEnded()
  }

  private mutating func drop(_ observation: MigrationObservation) -> [LifecycleEvent] {
    let isNew = dropped.note(observation.id, isOver: observation.ending != nil)
    if let ending = observation.ending {
      var view = MigrationView(first: observation)
      view.sample = observation.sample
      view.facts = observation.facts
      ledger.countEnd(of: view, ending: ending)
    }
    return isNew ? [.dropped(observation.id, observation.vm)] : []
  }

  // MARK: What the other messages change

  private mutating func take(_ arrival: InboundObservation) {
    let before = arrivals[arrival.domain]
    arrivals[arrival.domain] = arrival
    inventory.countInbound(before, by: -1)
    inventory.countInbound(arrival, by: +1)
    guard before?.guestRuns != arrival.guestRuns, arrival.domain.isShared else { return }
    store.update { view, watch in
      if view.identity.domain == arrival.domain { watch.locate(in: &view, evidence: arrival.guestRuns) }
    }
  }

  private mutating func take(_ health: BackendHealth) {
    guard let index = backends.firstIndex(where: { $0.descriptor.name == health.backend }) else { return }
    backends[index].take(health)
  }

  private func budget(of backend: BackendName) -> BudgetSettings {
    backends.first { $0.descriptor.name == backend }?.descriptor.budget ?? BudgetSettings()
  }
}
