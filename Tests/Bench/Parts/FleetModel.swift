import DroverCore
import Foundation

/// Migrations under way as QEMU tells of them, each number other in each step.
struct FleetModel: Sendable {
  static let backend = BackendName(rawValue: "rack1")
  /// Seconds between two steps: a usual scrape interval.
  static let stepSeconds: Int64 = 5

  let count: Int
  /// Second 0 of the model.
  let began: Moment
  private let identities: [(id: MigrationID, vm: VMRef, domain: DomainKey)]

  init(count: Int, began: Moment = Moment(milliseconds: 1_000_000_000)) throws {
    self.count = count
    self.began = began
    identities = try (0..<count).map { index in
      let uuid = String(
        format: "%08x-5f3c-4d1e-9b7a-%012x", UInt32(truncatingIfNeeded: index &* 2_654_435_761), index)
      guard let domain = DomainKey(uuid: uuid) else { throw BenchError("\(uuid) is no UUID") }
      let vm = VMRef(
        backend: Self.backend, scope: .host("node-\(index % 200).example.net"),
        name: String(format: "guest-%05d", index))
      let id = MigrationID(domain: domain, startedUnixMilliseconds: 1_790_000_000_000 + Int64(index))
      return (id, vm, domain)
    }
  }

  static var descriptor: BackendDescriptor {
    BackendDescriptor(
      name: backend, type: "qemu", endpoint: "/run/guests/*.qmp", origins: [.unknown],
      causes: [.connectionLost, .userAbort], errorKinds: ["connect"])
  }

  /// A tracker that has followed every migration through `steps` steps.
  func tracker(steps: Int) throws -> MigrationTracker {
    var tracker = MigrationTracker(
      settings: MigrationTracker.Settings(maxMigrations: count), startedAt: began - .seconds(60))
    tracker.register(Self.descriptor)
    for step in 0..<steps { advance(&tracker, to: step) }
    return tracker
  }

  func advance(_ tracker: inout MigrationTracker, to step: Int) {
    for index in 0..<count {
      let observation = observation(index, step: step)
      keep(tracker.receive(.migration(observation), at: observation.takenAt))
    }
  }

  /// When every observation of a step has been taken.
  func end(of step: Int) -> Moment { began + .seconds(Int64(step) * Self.stepSeconds + 1) }

  func observation(_ index: Int, step: Int) -> MigrationObservation {
    let (id, vm, domain) = identities[index]
    var noise = Noise(seed: UInt64(index) << 20 | UInt64(step))
    let size = UInt64(16 + index % 48) << 30
    let sent = UInt64(100 + index % 900) << 20
    // Falls in every step, as far as a run goes, and is never the same for two.
    let left = size / 2 - UInt64(step) << 20 - noise.below(1 << 20)
    var observation = MigrationObservation(
      id: id, vm: vm, domain: domain,
      takenAt: began + .milliseconds(Int64(step) * Self.stepSeconds * 1000 + Int64(index % 500)),
      startedAt: began - .milliseconds(Int64(index)), phase: .precopy, guestOnSource: true)
    observation.sample.memory = StreamCounters(
      transferred: Bytes(sent * UInt64(step + 1) + noise.below(1 << 20)), remaining: Bytes(left),
      total: Bytes(size))
    if index.isMultiple(of: 4) {
      observation.sample.disk = StreamCounters(
        transferred: Bytes(sent * UInt64(step + 1) / 2 + noise.below(1 << 20)),
        remaining: Bytes(size / 2 - UInt64(step) << 20 - noise.below(1 << 20)), total: Bytes(size))
    }
    observation.sample.dirtyRate = BytesPerSecond(4096 * (1000 + noise.below(1000)))
    observation.sample.iterations = UInt64(step + 2)
    observation.sample.postcopyRequests = 0
    observation.sample.expectedDowntime = .milliseconds(Int64(300 + noise.below(10_000)))
    observation.sample.cpuThrottle = Double(20 + (index + step) % 79) / 100
    observation.sample.downtimeLimit = .milliseconds(300)
    observation.sample.bandwidthLimit = BytesPerSecond(1 << 30)
    observation.facts.source = vm.scope.name
    observation.facts.target = "node-\((index + 1) % 200).example.net"
    observation.facts.size = Bytes(size)
    return observation
  }
}

/// Reproducible noise.
private struct Noise {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func below(_ limit: UInt64) -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return (mixed ^ (mixed >> 31)) % limit
  }
}
