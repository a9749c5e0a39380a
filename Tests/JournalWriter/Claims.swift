import DroverCore
import Glibc
import Journal
import Logging
import MigrationControl
import Synchronization

// Lets an armed policy end migrations without end, as the daemon does, and tells each abort as it is sent.

private final class Clock: Timepiece {
  func now() -> Moment {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Moment(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }

  func epochOffset() -> EpochOffset {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let unix = Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    return EpochOffset(milliseconds: unix - now().milliseconds)
  }
}

/// A back end whose migrations all run, and which takes every abort.
private final class Backend: ControllableBackend {
  let descriptor = BackendDescriptor(
    name: BackendName(rawValue: "b"), type: "qemu", endpoint: "x", node: "h", origins: [.unknown],
    causes: [.policyAbort], errorKinds: [], budget: BudgetSettings(completionPerGiB: .seconds(1)))

  func run(telling sink: @escaping @Sendable (BackendMessage) -> Void) async {}
  func live(_ migration: MigrationTarget) async throws(ControlError) -> LiveMigration {
    LiveMigration(.running(.precopy), word: "active")
  }
  func abort(_ migration: MigrationTarget) async throws(ControlError) { say("sent \(migration.id)") }
  func plan(_ order: StartOrder) async throws(ControlError) -> StartPlan { StartPlan() }
  func start(_ order: StartOrder) async throws(ControlError) -> StartReceipt { StartReceipt() }
}

private final class Fleet: ControlledFleet {
  private let tracker: Mutex<MigrationTracker>

  init(_ descriptor: BackendDescriptor, at now: Moment) {
    var tracker = MigrationTracker(startedAt: now)
    tracker.register(descriptor)
    self.tracker = Mutex(tracker)
  }

  func snapshot() -> FleetSnapshot { tracker.withLock { $0.snapshot() } }
  func announceAbort(of id: MigrationID, cause: FailureCause?) {}
  func tell(_ observation: MigrationObservation, at now: Moment) {
    tracker.withLock { _ = $0.receive(.migration(observation), at: now) }
  }
}

/// - Parameters:
///   - count: Migrations, all past their budget; each of a VM of its own.
///   - aborts: What the fleet may have within ten minutes.
func claims(_ path: String, count: Int, aborts: Int) async throws {
  let journal = try Journal.open(path: path)
  let (clock, backend) = (Clock(), Backend())
  let fleet = Fleet(backend.descriptor, at: clock.now())
  let log = Logger(label: "claims") { _ in SwiftLogNoOpLogHandler() }
  let control = MigrationControl(fleet: fleet, journal: journal, clock: clock, log: log) { _ in backend }
  let automatic = AutomaticControl(control, journal: journal, log: log)
  var settings = AutomaticSettings()
  settings.policies = .abort
  settings.limits.aborts = aborts
  settings.rules = [PolicyRule(name: "r", wishes: [.completionTimeout: PolicyWish(.abort)])]
  automatic.apply(settings)
  say("opened")
  try await withThrowingTaskGroup { group in
    group.addTask { await automatic.run() }
    for number in 1... {
      let now = clock.now()
      // One more after the other, so that a kill comes between any two.
      for n in 1...min(number, count) {
        let name = "vm\(n)"
        guard let domain = DomainKey(uuid: "00000000-0000-4000-8000-\(100_000_000_000 + n)"),
          let id = MigrationID("\(domain.text)-1700000000000")
        else { continue }
        let vm = VMRef(backend: backend.descriptor.name, scope: .host("h"), name: name)
        var facts = MigrationFacts()
        facts.source = "h"
        facts.size = .gibibytes(1)
        var sample = Sample()
        sample.memory = StreamCounters(transferred: Bytes(UInt64(number)), remaining: 1000)
        let told = MigrationObservation(
          id: id, vm: vm, domain: domain, takenAt: now, startedAt: now - .seconds(60), phase: .precopy,
          sample: sample, facts: facts)
        fleet.tell(told, at: now)
      }
      try await Task.sleep(for: .milliseconds(20))
    }
    try await group.waitForAll()
  }
}
