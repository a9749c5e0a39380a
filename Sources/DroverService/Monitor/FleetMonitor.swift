public import DroverCore
public import Logging
public import MigrationControl
import Synchronization

/// Holds the tracker behind a lock and shows it to everybody else as snapshots.
///
/// Back ends tell, scrapes read; neither waits for the other longer than it takes to copy a few references.
public final class FleetMonitor: ControlledFleet {
  private let tracker: Mutex<MigrationTracker>
  private let standing = Mutex(Leadership())
  private let clock: any Timepiece
  private let log: Logger
  private let observer: @Sendable ([LifecycleEvent]) -> Void

  /// A monitor that knows nothing yet.
  ///
  /// - Parameter observer: Is told what happened, outside of the lock and from any thread; must not block.
  public init(
    settings: MigrationTracker.Settings, clock: any Timepiece, log: Logger,
    observer: @escaping @Sendable ([LifecycleEvent]) -> Void = { _ in }
  ) {
    tracker = Mutex(MigrationTracker(settings: settings, startedAt: clock.now()))
    self.clock = clock
    self.log = log
    self.observer = observer
  }

  /// Adds a back end: its counters exist from now on.
  public func register(_ descriptor: BackendDescriptor) {
    let now = clock.now()
    tracker.withLock { $0.register(descriptor, at: now) }
    log.info(
      "watching", metadata: ["backend": "\(descriptor.name.rawValue)", "endpoint": "\(descriptor.endpoint)"])
  }

  /// Forgets a back end and everything it told, but for its counters where it comes back at once.
  public func unregister(_ backend: BackendName, keepingTotals: Bool) {
    tracker.withLock { $0.unregister(backend, keepingTotals: keepingTotals) }
    // It gives its Lease back, and whoever takes its place has not got it yet.
    standing.withLock { if $0.election == backend { $0.endTerm() } }
  }

  /// Whether this process leads, and who does.
  public var leadership: Leadership { standing.withLock(\.self) }

  /// Lets a back end's Lease decide who leads; nil: this process leads.
  public func setElection(_ backend: BackendName?) {
    standing.withLock { $0.elect(by: backend) }
  }

  /// Takes other figures into use.
  public func apply(_ settings: MigrationTracker.Settings, budgets: [BackendName: BudgetSettings]) {
    let now = clock.now()
    log(tracker.withLock { $0.apply(settings, budgets: budgets, at: now) })
  }

  /// Takes one message of a back end.
  public func receive(_ message: BackendMessage) {
    let now = clock.now()
    switch message {
    case .leader(let backend, let term):
      return standing.withLock { if $0.election == backend { $0.take(term, at: now) } }
    case .vm(let vm):
      log.log(level: Self.level(of: vm.vm), "VM is here", metadata: Self.metadata(vm.vm))
    case .vmGone(let key):
      if let vm = tracker.withLock({ $0.vm(of: key) }) {
        log.log(
          level: Self.level(of: vm), "VM has gone", metadata: Self.metadata(vm, ["key": "\(key.text)"]))
      }
    default: break
    }
    log(tracker.withLock { $0.receive(message, at: now) })
  }

  /// Says which migrations were under way when an earlier run ended.
  func expect(_ migrations: some Sequence<(MigrationID, BackendName)>) {
    tracker.withLock { tracker in
      for (id, backend) in migrations { tracker.expect(id, of: backend) }
    }
  }

  /// Says who is about to abort a migration.
  public func announceAbort(of id: MigrationID, cause: FailureCause?) {
    tracker.withLock { $0.announceAbort(of: id, cause: cause) }
  }

  /// Says that Drover ends a migration at deadlines that nothing else enforces.
  public func announceEnforcement(of id: MigrationID) {
    tracker.withLock { $0.announceEnforcement(of: id) }
  }

  /// Shows Drover's own drains at their nodes, and no others.
  public func show(_ drains: [DrainStatus]) {
    let now = clock.now()
    tracker.withLock { $0.show(drains, at: now) }
  }

  /// The same for every open migration of a domain.
  public func announceAbort(ofRunning domain: DomainKey, cause: FailureCause) {
    tracker.withLock { tracker in
      for view in tracker.snapshot().migrations where !view.isOver && view.identity.domain == domain {
        tracker.announceAbort(of: view.identity.id, cause: cause)
      }
    }
  }

  /// What is known now.
  public func snapshot() -> FleetSnapshot { tracker.withLock { $0.snapshot() } }

  /// Looks at everything again once a second, until cancelled.
  public func keepTicking() async {
    while !Task.isCancelled {
      let now = clock.now()
      log(tracker.withLock { $0.tick(at: now) })
      try? await Task.sleep(for: .seconds(1))
    }
  }

  private func log(_ events: [LifecycleEvent]) {
    if !events.isEmpty { observer(events) }
    for event in events {
      switch event {
      case .began(let view):
        log.info("migration seen", metadata: Self.metadata(view))
      case .phaseChanged(let view, let from):
        log.info("phase changed", metadata: Self.metadata(view, ["from": "\(from.rawValue)"]))
      case .verdictChanged(let view, let from):
        var more: Logger.Metadata = [
          "verdict": "\(view.verdict.kind.rawValue)", "from": "\(from.rawValue)",
        ]
        if !view.networkLosses.isEmpty {
          more["network"] = "\(view.networkLosses.map(\.network.rawValue).joined(separator: ","))"
        }
        // A guest that dirties about as fast as is sent goes from slow to converging and back with every pass.
        let level: Logger.Level = view.verdict.kind.isTrouble ? .warning : from.isTrouble ? .info : .debug
        log.log(level: level, "verdict changed", metadata: Self.metadata(view, more))
      case .interrupted(let view, let length):
        log.warning(
          "bytes had stopped and move again",
          metadata: Self.metadata(view, ["seconds": "\(length.inSeconds)"]))
      case .lastSeen: break
      case .ended(let view):
        log.log(
          level: view.phase == .failed ? .warning : .info, "migration ended",
          metadata: Self.metadata(view, Self.metadata(view.ending)))
      case .foundEnded(let view):
        log.log(
          level: Self.level(of: view.identity.vm),
          "migration had ended before the start, not counted",
          metadata: Self.metadata(view, Self.metadata(view.ending)))
      case .dropped(let id, let vm):
        log.error(
          "migration not tracked: there are more than metrics.maxMigrations",
          metadata: ["migration": "\(id)", "backend": "\(vm.backend.rawValue)", "vm": "\(vm.name)"])
      }
    }
  }

  /// A cluster has thousands, and tells them all at the start.
  private static func level(of vm: VMRef) -> Logger.Level {
    switch vm.scope {
    case .namespace: .debug
    case .host: .info
    }
  }

  private static func metadata(_ view: MigrationView, _ more: Logger.Metadata = [:]) -> Logger.Metadata {
    metadata(
      view.identity.vm,
      ["migration": "\(view.identity.id)", "phase": "\(view.phase.rawValue)"].merging(more) { $1 })
  }

  private static func metadata(_ vm: VMRef, _ more: Logger.Metadata = [:]) -> Logger.Metadata {
    let scope =
      switch vm.scope {
      case .namespace: "namespace"
      case .host: "host"
      }
    return ["backend": "\(vm.backend.rawValue)", scope: "\(vm.scope.name)", "vm": "\(vm.name)"]
      .merging(more) { $1 }
  }

  private static func metadata(_ ending: Ending?) -> Logger.Metadata {
    guard let ending else { return [:] }
    var metadata: Logger.Metadata = ["certainty": "\(ending.certainty.rawValue)"]
    if let cause = ending.cause { metadata["cause"] = "\(cause.rawValue)" }
    if !ending.text.isEmpty { metadata["text"] = "\(ending.text)" }
    return metadata
  }
}
