public import DroverCore
import Synchronization

/// Runs back ends, and starts and stops single ones while the others go on.
public final class BackendSupervisor: Sendable {
  private let monitor: FleetMonitor
  private let starts: AsyncStream<Run>
  private let requests: AsyncStream<Run>.Continuation
  private let runs = Mutex<[BackendName: Run]>([:])

  /// A supervisor whose back ends tell `monitor`.
  public init(monitor: FleetMonitor) {
    self.monitor = monitor
    (starts, requests) = AsyncStream.makeStream()
  }

  /// Registers a back end and has it started as soon as `run` runs.
  public func start(_ backend: any MigrationBackend) {
    let run = Run(backend)
    monitor.register(backend.descriptor)
    runs.withLock { $0[backend.descriptor.name] = run }
    requests.yield(run)
  }

  /// Stops a back end and forgets what it told, but for its counters where another takes its place.
  public func stop(_ backend: BackendName, keepingTotals: Bool = false) {
    runs.withLock { $0.removeValue(forKey: backend) }?.stop()
    monitor.unregister(backend, keepingTotals: keepingTotals)
  }

  /// A running back end whose migrations can be started and ended; nil where it is another, or not there.
  public func controllable(_ name: BackendName) -> (any ControllableBackend)? {
    runs.withLock { $0[name]?.backend } as? any ControllableBackend
  }

  /// A running back end that can tell whether a VM can be migrated; nil where it is another, or not there.
  public func eligibilitySource(_ name: BackendName) -> (any EligibilitySource)? {
    runs.withLock { $0[name]?.backend } as? any EligibilitySource
  }

  /// A running back end that can ask its cluster about tokens; nil where it is another, or not there.
  public func accessReviewer(_ name: BackendName) -> (any AccessReviewer)? {
    runs.withLock { $0[name]?.backend } as? any AccessReviewer
  }

  /// Runs until cancelled; then every back end has ended.
  public func run() async {
    await withDiscardingTaskGroup { group in
      for await run in starts {
        group.addTask { await run.run(telling: self.monitor) }
      }
      group.cancelAll()
    }
  }
}

/// One back end from its start to its stop.
private final class Run: Sendable {
  let backend: any MigrationBackend
  /// Ends when the back end is to stop.
  private let leash: AsyncStream<Never>
  private let end: AsyncStream<Never>.Continuation
  /// What a stopped back end still says must not be taken for the words of its successor of the same name.
  private let isOpen = Mutex(true)

  init(_ backend: any MigrationBackend) {
    self.backend = backend
    (leash, end) = AsyncStream.makeStream()
  }

  func stop() {
    isOpen.withLock { $0 = false }
    end.finish()
  }

  func run(telling monitor: FleetMonitor) async {
    await withTaskGroup { group in
      group.addTask {
        await self.backend.run { message in
          self.isOpen.withLock { if $0 { monitor.receive(message) } }
        }
      }
      group.addTask { for await _ in self.leash {} }
      await group.next()
      group.cancelAll()
    }
  }
}
