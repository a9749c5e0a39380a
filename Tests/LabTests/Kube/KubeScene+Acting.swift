import DroverCore
import KubeLab
import KubeVirtBackend
import Logging
import MigrationControl
import QEMURig
import Synchronization
import Testing

@testable import ScenarioSupport

extension KubeScene {
  /// Lends `body` a cluster with three nodes that is watched by a back end which can be asked to act.
  ///
  /// - Parameter user: As whom; anybody but the cluster's admin gets the right to read everything, and no other.
  static func acting(
    _ cluster: Cluster, version: String, as user: User,
    _ body: (KubeScene, MigrationControl, KubeVirtBackend) async throws -> Void
  ) async throws {
    try await cluster.addKubeVirt(version: version)
    for node in ["n1", "n2", "n3"] { try await cluster.addNode(node) }
    if user != .admin {
      try await cluster.grant(
        "read", [Cluster.Rule(["*"], ["*"], ["get", "list", "watch"])], to: .user(user))
    }
    let kubeconfig = try cluster.server.kubeconfig(user)
    let made = Mutex<KubeVirtBackend?>(nil)
    try await Watcher.with(backends: { clock, log in
      let backend = KubeVirtBackend(
        configuration: KubeVirtConfiguration(
          name: KubeScene.backend, access: .kubeconfig(path: kubeconfig, context: nil)), clock: clock,
        log: log)
      made.withLock { $0 = backend }
      return [backend]
    }) { watcher in
      let scene = KubeScene(cluster: cluster, watcher: watcher)
      try await watcher.until("the first complete look at the cluster") { $0.isClusterUp ? true : nil }
      let held = made.withLock { $0 }
      let backend = try #require(held)
      let control = MigrationControl(
        fleet: watcher, journal: nil, clock: watcher.clock, log: Logger(label: "test")
      ) { $0 == KubeScene.backend ? backend : nil }
      try await body(scene, control, backend)
    }
  }
}
