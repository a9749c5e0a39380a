import Foundation
import KubeLab
import QEMURig
import Testing

@testable import ProgramSupport

extension Soak {
  @Suite("Alerts of a large evacuation", .serialized, .enabled(if: Soak.wants("noise")))
  struct Noise {
    /// Which wire of one node is cut.
    enum Network: String, CaseIterable { case migration, management }

    private static let nodes = (0..<10).map { "n\($0)" }
    private static let lanes = 2
    private static let struck = "n3"

    @Test("200 VMs leave ten nodes, and one wire is cut: at most three messages", arguments: Network.allCases)
    func evacuation(network: Network) async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(
          version: "1.9.0",
          migrations: [
            "parallelOutboundMigrationsPerNode": .int(Int64(Self.lanes)), "parallelMigrationsPerCluster": 20,
            "progressTimeout": 40,
          ])
        for node in Self.nodes + ["away"] { try await cluster.addNode(node) }
        var vms: [String: [VM]] = [:]
        for node in Self.nodes {
          vms[node] = try await Self.together(0..<20) { number in
            try await cluster.addVMI(
              "vm-\(node)-\(number)", in: "shop", on: node, migrationMethod: "LiveMigration")
          }
        }
        let all = vms
        let serving = try await Serving(["--kubevirt.kubeconfig", try cluster.server.kubeconfig(User.admin)])
        let (isContent, text) = try await BoardsWatch.at(.noise, of: serving.web.hostAndPort) {
          for node in Self.nodes {
            try await cluster.cordon(node)
            try await cluster.taint(node)
          }
          try await withThrowingTaskGroup { group in
            for node in Self.nodes {
              group.addTask { try await Self.empty(node, of: all[node] ?? [], in: cluster, network) }
            }
            try await group.waitForAll()
          }
        }
        Soak.tell("noise: \(network.rawValue) network: \(text)")
        #expect(isContent, "\(text)")
        let succeeded = try await serving.web.metrics()["drover_migrations_succeeded_total"].values
        #expect(succeeded.reduce(0, +) == 198)
        serving.program.signal(SIGTERM)
        _ = try await serving.program.end()
      }
    }

    /// The guests of a node leave it, two at a time; those of one node stand still after 20 s.
    private static func empty(
      _ node: String, of vms: [VM], in cluster: Cluster, _ network: Network
    ) async throws {
      let migrations = try await together(vms.indices) { index in
        let migration = try await cluster.createVMIM(for: vms[index], origin: .evacuation(node))
        try await migration.pending()
        return migration
      }
      _ = try await together(0..<lanes) { lane in
        for (turn, migration) in migrations.enumerated() where turn % lanes == lane {
          try await move(migration, isStruck: node == struck && turn / lanes == 1, in: cluster, network)
        }
      }
    }

    private static func move(
      _ migration: Migration, isStruck: Bool, in cluster: Cluster, _ network: Network
    ) async throws {
      try await migration.advance(to: .running, on: "away")
      try await cluster.handlers.begin(migration.copy, total: 2 << 30, rate: 200 << 20, dirtyRate: 0)
      try await Task.sleep(for: .seconds(10))
      guard isStruck else {
        try await migration.succeed()
        return
      }
      switch network {
      case .migration:
        try await cluster.handlers.freeze(migration.copy)
        // Past its progress deadline, and the next look of KubeVirt.
        try await Task.sleep(for: .seconds(60))
        try await migration.fail(.progressTimeout(seconds: 40))
      case .management:
        try await cluster.handlers.setMode(.hang, of: struck)
        try await cluster.setNodeReady(struck, .unknown)
        try await Task.sleep(for: .seconds(30))
        try await migration.fail(.libvirt("operation failed: Lost connection to destination host"))
        try await cluster.setNodeReady(struck, .ready)
        try await cluster.handlers.setMode(.answer, of: struck)
      }
    }

    /// Does something for each, side by side; the results in order.
    private static func together<R: Sendable>(
      _ range: Range<Int>, _ body: @escaping @Sendable (Int) async throws -> R
    ) async throws -> [R] {
      try await withThrowingTaskGroup(of: (Int, R).self) { group in
        for index in range { group.addTask { (index, try await body(index)) } }
        return try await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
      }
    }
  }
}
