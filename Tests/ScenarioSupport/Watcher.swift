import DroverCore
import DroverService
import Logging
import MigrationControl
import QEMUBackend
import QEMURig
import Synchronization

/// Watches real hosts and QEMUs the way the daemon does, and remembers everything that was said on the way.
final class Watcher: ControlledFleet {
  /// All that has been seen, in order.
  struct Record: Sendable {
    fileprivate var tracker: MigrationTracker
    /// What the back ends told.
    fileprivate(set) var messages: [BackendMessage] = []
    /// When each message came.
    fileprivate(set) var heardAt: [Moment] = []
    /// What the tracker told.
    fileprivate(set) var events: [LifecycleEvent] = []
    /// Each view that a migration ever had, in order, all migrations mixed.
    fileprivate(set) var views: [MigrationView] = []
    /// All that was shown of migrations under way at each look.
    fileprivate(set) var looks: [Look] = []
    /// What the back ends logged.
    fileprivate(set) var lines: [String] = []
    /// What is shown now.
    fileprivate(set) var snapshot: FleetSnapshot
    /// The moment of the last message or look.
    fileprivate(set) var now: Moment
  }

  /// What anybody who looked then was shown, whether or not it had changed.
  struct Look: Sendable {
    let at: Moment
    let views: [MigrationView]
  }

  private struct State {
    var record: Record
    var waiting: [Int: AsyncStream<Void>.Continuation] = [:]
    var lastWaiting = 0
  }

  /// How often silence is looked at.
  private static let tickInterval = Duration.milliseconds(250)

  let clock: any Timepiece
  private let state: Mutex<State>

  private init(clock: any Timepiece, _ settings: MigrationTracker.Settings) {
    let now = clock.now()
    self.clock = clock
    let tracker = MigrationTracker(settings: settings, startedAt: now)
    let snapshot = tracker.snapshot()
    state = Mutex(State(record: Record(tracker: tracker, snapshot: snapshot, now: now)))
  }

  /// Lends `body` a watcher that is at work; everything has ended on return.
  ///
  /// - Parameter backends: makes the back ends, for this clock and with this log.
  static func with<R: Sendable>(
    backends: (any Timepiece, Logger) throws -> [any MigrationBackend],
    settings: MigrationTracker.Settings = MigrationTracker.Settings(),
    _ body: (Watcher) async throws -> R
  ) async throws -> R {
    let watcher = Watcher(clock: SystemTimepiece(), settings)
    let log = Logger(label: "test") { _ in LineKeeper { watcher.note($0) } }
    let backends = try backends(watcher.clock, log)
    for backend in backends { watcher.register(backend.descriptor) }
    return try await withThrowingTaskGroup(of: Void.self) { group in
      defer { group.cancelAll() }
      for backend in backends { group.addTask { await backend.run { watcher.receive($0) } } }
      group.addTask {
        while !Task.isCancelled {
          watcher.tick()
          try? await Task.sleep(for: tickInterval)
        }
      }
      return try await body(watcher)
    }
  }

  /// Lends `body` a watcher of QEMUs.
  static func with<R: Sendable>(
    _ configuration: QEMUConfiguration, settings: MigrationTracker.Settings = MigrationTracker.Settings(),
    _ body: (Watcher) async throws -> R
  ) async throws -> R {
    try configuration.validate()
    return try await with(
      backends: { [QEMUBackend(configuration: configuration, clock: $0, log: $1)] }, settings: settings, body)
  }

  /// Lends `body` a pair whose guest has dirtied its memory, and a watcher that has seen both of its ends.
  static func with<R: Sendable>(
    _ spec: GuestSpec, isRelayed: Bool = false,
    settings: MigrationTracker.Settings = MigrationTracker.Settings(),
    _ body: (GuestPair, Watcher) async throws -> R
  ) async throws -> R {
    try await GuestPair.with(spec, isRelayed: isRelayed) { pair in
      try await pair.warmUp()
      return try await with(await .watching(pair), settings: settings) { watcher in
        try await watcher.untilBothEnds()
        return try await body(pair, watcher)
      }
    }
  }

  // MARK: What was seen

  /// Everything so far.
  var record: Record { state.withLock { $0.record } }

  /// Waits until `find` finds something in the record.
  ///
  /// - Throws: ``NotSeen`` with what was seen instead.
  @discardableResult
  func until<T: Sendable>(
    _ what: String, within limit: Duration = .seconds(90), _ find: @Sendable (Record) -> T?
  ) async throws -> T {
    let end = ContinuousClock.now + limit
    let (changes, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let key = state.withLock { state in
      state.lastWaiting += 1
      state.waiting[state.lastWaiting] = continuation
      return state.lastWaiting
    }
    defer { state.withLock { _ = $0.waiting.removeValue(forKey: key) } }
    if let found = find(record) { return found }
    for await _ in changes {
      if let found = find(record) { return found }
      // Looks at silence come for ever, so the end is noticed.
      if ContinuousClock.now >= end { break }
    }
    try Task.checkCancellation()
    throw NotSeen(what: what, record: record)
  }

  /// Waits until a guest and the QEMU that waits for it have been looked at.
  func untilBothEnds() async throws {
    try await until("both ends") { record -> Bool? in
      guard record.node?.vms == 1, let arrival = record.arrivals.last else { return nil }
      return !arrival.isActive && arrival.guestRuns == false ? true : nil
    }
  }

  /// What is shown now.
  func snapshot() -> FleetSnapshot { record.snapshot }

  func announceEnforcement(of id: MigrationID) {
    state.withLock { $0.record.tracker.announceEnforcement(of: id) }
  }

  func show(_ drains: [DrainStatus]) {
    let now = clock.now()
    state.withLock { state in
      state.record.tracker.show(drains, at: now)
      state.record.snapshot = state.record.tracker.snapshot()
    }
  }

  /// Says, before an abort is sent, who asked for it.
  func announceAbort(of id: MigrationID, cause: FailureCause?) {
    state.withLock { $0.record.tracker.announceAbort(of: id, cause: cause) }
  }

  // MARK: What is told

  private func receive(_ message: BackendMessage) {
    change { record, now in
      record.messages.append(message)
      record.heardAt.append(now)
      return record.tracker.receive(message, at: now)
    }
  }

  private func tick() {
    change { record, now in
      let events = record.tracker.tick(at: now)
      record.looks.append(
        Look(at: now, views: record.tracker.snapshot().migrations.filter { !$0.isOver }))
      return events
    }
  }

  private func register(_ descriptor: BackendDescriptor) {
    change { record, _ in
      record.tracker.register(descriptor)
      return []
    }
  }

  private func note(_ line: String) { state.withLock { $0.record.lines.append(line) } }

  private func change(_ body: (inout Record, Moment) -> [LifecycleEvent]) {
    let waiting = state.withLock { state in
      state.record.now = clock.now()
      state.record.events += body(&state.record, state.record.now)
      state.record.snapshot = state.record.tracker.snapshot()
      for view in state.record.snapshot.migrations where state.record.last(view.identity.id) != view {
        state.record.views.append(view)
      }
      return Array(state.waiting.values)
    }
    for continuation in waiting { continuation.yield() }
  }
}

/// Something did not happen in time.
struct NotSeen: Error, CustomStringConvertible {
  let what: String
  let record: Watcher.Record

  var description: String {
    let last =
      record.messages.suffix(20).map { "\n  \($0)" } + record.views.suffix(3).map { "\n  \($0)" }
      + record.lines.suffix(20).map { "\n  \($0)" }
    return "not seen: \(what); phases: \(record.views.map(\.phase).withoutRepeats.map(\.rawValue)); "
      + "verdicts: \(record.views.map(\.verdict.kind).withoutRepeats.map(\.rawValue)); "
      + "last messages, views and lines: \(last.joined())"
  }
}

/// Keeps what is logged.
private struct LineKeeper: LogHandler {
  var logLevel = Logger.Level.info
  var metadata: Logger.Metadata = [:]
  let keep: @Sendable (String) -> Void

  init(_ keep: @escaping @Sendable (String) -> Void) { self.keep = keep }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { $1 }
    keep("\(event.level) \(all): \(event.message)")
  }
}
