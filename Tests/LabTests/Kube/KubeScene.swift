import DroverCore
import FoundationEssentials
import KubeLab
import KubeVirtBackend
import Logging
import QEMURig
import Testing

@testable import ScenarioSupport

/// A cluster on a real API server, and Drover watching it.
struct KubeScene {
  /// How virt-handler's copies are sampled here: as often as a test can wait for.
  static let sampling = Duration.seconds(1)

  let cluster: Cluster
  let watcher: Watcher

  static let backend = BackendName(rawValue: "kube")

  /// Lends `body` a cluster with three nodes, which Drover watches as cluster admin.
  ///
  /// - Parameters:
  ///   - version: KubeVirt's.
  ///   - prepare: What is there before Drover is.
  ///   - configure: Changes to how Drover watches.
  static func with<R: Sendable>(
    version: String = "1.9.0", nodes: [String] = ["n1", "n2", "n3"], migrations: JSONValue? = nil,
    as user: User = .admin, prepare: (Cluster) async throws -> Void = { _ in },
    configure: (inout KubeVirtConfiguration) -> Void = { _ in }, _ body: (KubeScene) async throws -> R
  ) async throws -> R {
    try await Cluster.with { cluster in
      try await cluster.addKubeVirt(version: version, migrations: migrations)
      for node in nodes { try await cluster.addNode(node) }
      try await cluster.handlers.setInterval(sampling)
      try await prepare(cluster)
      let kubeconfig = try cluster.server.kubeconfig(user)
      return try await watch(cluster, kubeconfig: kubeconfig, configure: configure, body)
    }
  }

  /// Lends `body` a Drover that watches a cluster which is there already.
  ///
  /// - Parameter isWhole: Whether it can read all that it must; then it has when `body` begins.
  static func watch<R: Sendable>(
    _ cluster: Cluster, kubeconfig: String, isWhole: Bool = true,
    configure: (inout KubeVirtConfiguration) -> Void = { _ in },
    _ body: (KubeScene) async throws -> R
  ) async throws -> R {
    var configuration = KubeVirtConfiguration(
      name: backend, access: .kubeconfig(path: kubeconfig, context: nil))
    configuration.handlerInterval = sampling
    configure(&configuration)
    let final = configuration
    return try await Watcher.with(backends: { clock, log in
      [KubeVirtBackend(configuration: final, clock: clock, log: log)]
    }) { watcher in
      let scene = KubeScene(cluster: cluster, watcher: watcher)
      if isWhole {
        try await watcher.until("the first complete look at the cluster") { $0.isClusterUp ? true : nil }
      }
      return try await body(scene)
    }
  }

  /// A guest with a copy that virt-handler tells of, in pre-copy.
  func migrating(
    _ name: String = "vm", memory: String = "2Gi", from source: String = "n1", to target: String = "n2",
    rate: Int = 50 << 20, dirtyRate: Int = 0
  ) async throws -> Migration {
    let vm = try await cluster.addVMI(name, on: source, memory: memory, migrationMethod: "LiveMigration")
    let migration = try await cluster.createVMIM(for: vm)
    try await migration.advance(to: .running, on: target)
    try await cluster.handlers.begin(
      migration.copy, total: 2 << 30, rate: rate, dirtyRate: dirtyRate)
    return migration
  }

  /// Waits until a migration is shown in a way.
  @discardableResult
  func until(
    _ what: String, _ migration: Migration, within limit: Duration = .seconds(60),
    _ holds: @escaping @Sendable (MigrationView) -> Bool
  ) async throws -> MigrationView {
    let uid = migration.uid
    return try await watcher.until("\(what) of \(migration.name)", within: limit) { record in
      record.snapshot.migrations.first { $0.identity.id.description == uid && holds($0) }
    }
  }

  /// Waits until a node is shown in a way.
  @discardableResult
  func until(
    _ what: String, node: String, within limit: Duration = .seconds(60),
    _ holds: @escaping @Sendable (NodeView) -> Bool
  ) async throws -> NodeView {
    try await watcher.until("\(what) of \(node)", within: limit) { record in
      record.snapshot.nodes.first { $0.node == node && holds($0) }
    }
  }

  /// What is shown of a migration now.
  func view(_ migration: Migration) -> MigrationView? {
    watcher.record.snapshot.migrations.first { $0.identity.id.description == migration.uid }
  }

  /// Waits until a migration is over.
  @discardableResult
  func untilOver(_ migration: Migration) async throws -> MigrationView {
    try await until("the end", migration) { $0.isOver }
  }
}

extension Watcher.Record {
  var isClusterUp: Bool {
    snapshot.backends.contains { $0.descriptor.type == "kubevirt" && $0.isUp }
      && messages.contains { if case .slots = $0 { true } else { false } }
  }

  /// A counter of ends by cause, all origins together.
  func failures(_ cause: FailureCause) -> UInt64 {
    (snapshot.totals.failed + snapshot.totals.aborted).filter { $0.cause == cause }.reduce(0) {
      $0 + $1.count
    }
  }

  /// Everything that any counter of ends has counted.
  var countedEnds: UInt64 {
    (snapshot.totals.failed + snapshot.totals.aborted).reduce(0) { $0 + $1.count }
      + snapshot.totals.succeeded.reduce(0) { $0 + $1.count }
  }

  var countedStarts: UInt64 { snapshot.totals.started.reduce(0) { $0 + $1.count } }
}
