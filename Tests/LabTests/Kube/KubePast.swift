import DroverCore
import FoundationEssentials
import KubeVirtBackend
import QEMURig
import Testing

@testable import KubeLab
@testable import ScenarioSupport

/// Migrations that have gone on for long when Drover looks first, so that no test waits for them.
extension Cluster {
  /// A moment of the past.
  func ago(_ seconds: Double) -> Date { now().addingTimeInterval(-seconds) }

  /// A migration that copies since `seconds`, with an endpoint that tells of it only what a test puts there.
  func migrating(
    _ name: String, since seconds: Double, to last: Migration.Phase = .running, memory: String = "2Gi",
    from source: String = "n1", to target: String = "n2"
  ) async throws -> Migration {
    let start = ago(seconds)
    func before(_ more: Double) -> Date { start.addingTimeInterval(-more) }
    let vm = try await addVMI(
      name, on: source, memory: memory, migrationMethod: "LiveMigration", at: before(600))
    let migration = try await createVMIM(for: vm)
    try await backdate(migration, to: before(12))
    try await migration.pending(at: before(11))
    try await migration.scheduling(at: before(10))
    try await migration.scheduled(target, at: before(6))
    try await migration.preparingTarget(at: before(4))
    try await migration.targetReady(at: before(2))
    if last == .running { try await migration.running(at: start) }
    return migration
  }

  /// Writes another moment of creation, which the API server lets nobody choose, past it.
  func backdate(_ migration: Migration, to date: Date) async throws {
    var object = try #require(try await migration.object())
    object[path: "metadata", "creationTimestamp"] = stamp(date)
    try await put(object, as: .vmims)
  }

  /// Writes an object past the API server, as if it had made it.
  func put(_ object: JSONValue, as resource: Resource) async throws {
    var object = object
    object[path: "metadata", "resourceVersion"] = nil
    let key = resource.etcdKey(object.name, in: object.namespace)
    try await server.load([(key: key, json: object.text)], words: [:], count: 1)
  }
}

extension KubeScene {
  /// Lends `body` a cluster in which something happened before Drover came.
  static func after<T: Sendable>(
    version: String = "1.9.0", migrations: JSONValue? = nil, _ play: (Cluster) async throws -> T,
    configure: (inout KubeVirtConfiguration) -> Void = { _ in },
    _ body: (KubeScene, T) async throws -> Void
  ) async throws {
    try await Cluster.with { cluster in
      try await cluster.addKubeVirt(version: version, migrations: migrations)
      for node in ["n1", "n2", "n3"] { try await cluster.addNode(node) }
      try await cluster.handlers.setInterval(sampling)
      let played = try await play(cluster)
      try await watch(cluster, kubeconfig: try cluster.server.kubeconfig(.admin), configure: configure) {
        try await body($0, played)
      }
    }
  }

  /// Shows bytes that stopped `seconds` ago, and waits until that is known.
  func silence(_ migration: Migration, for seconds: Double) async throws {
    let now = cluster.now().timeIntervalSince1970
    var numbers = VirtHandlerStandIn.Numbers(
      total: Double(2 << 30), processed: Double(1 << 29), remaining: Double(3 << 29),
      dirtyRate: Double(1 << 20),
      rate: Double(1 << 26))
    try await cluster.handlers.put(numbers, of: migration.copy, at: now - seconds)
    numbers.dirtyRate = Double(1 << 21)
    numbers.rate = 0
    try await cluster.handlers.put(numbers, of: migration.copy, at: now - 0.1)
    try await until("silence", migration) { view in
      view.progress.map { view.sampledAt - $0.lastSent > .seconds(seconds - 5) } ?? false
    }
  }

  /// Does the same for several at a time.
  @discardableResult
  static func each<T: Sendable, R: Sendable>(
    _ items: [T], _ body: @escaping @Sendable (T) async throws -> R
  ) async throws -> [R] {
    try await withThrowingTaskGroup(of: (Int, R).self) { group in
      for (index, item) in items.enumerated() { group.addTask { (index, try await body(item)) } }
      var results: [(Int, R)] = []
      for try await result in group { results.append(result) }
      return results.sorted { $0.0 < $1.0 }.map(\.1)
    }
  }
}
