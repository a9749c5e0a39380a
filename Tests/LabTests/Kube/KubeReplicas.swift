import DroverCore
import Foundation
import KubeLab
import KubeVirtBackend
import QEMURig
import Synchronization
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("KubeVirt: several Drovers, one of which acts")
  struct KubeReplicas {
    @Test(
      "one leads and speaks for the fleet; when it is frozen the other one does, and never both"
    )
    func leads() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        for node in ["n1", "n2"] { try await cluster.addNode(node) }
        let vm = try await cluster.addVMI("web", on: "n1")
        let migration = try await cluster.createVMIM(for: vm)
        try await migration.advance(to: .running, on: "n2")
        try await Replica.with(cluster, count: 2) { replicas in
          let first = try await Replica.leader(of: replicas, "a first leader")
          let second = try #require(replicas.first { $0.number != first.number })
          #expect(try await first.metrics().contains("drover_migration_info{"))
          let standby = try await second.metrics()
          #expect(standby.contains("drover_backend_up{"), "a standby shows itself")
          for family in ["drover_migration_", "drover_vm_", "drover_node_"] {
            #expect(!standby.contains("\n\(family)"), "a standby speaks for nobody: \(family)")
          }

          var refused = try await second.run(["abort", migration.uid, "--dry-run"])
          let end = ContinuousClock.now + .seconds(10)
          // It may not have read the Lease since there is a leader.
          while !refused.errors.contains("ask the leader, \(first.host)"), ContinuousClock.now < end {
            refused = try await second.run(["abort", migration.uid, "--dry-run"])
          }
          #expect(refused.code == 1 && refused.errors.contains("ask the leader, \(first.host)"), "\(refused)")
          let allowed = try await first.run(["abort", migration.uid, "--dry-run"])
          #expect(allowed.code == 0, "\(allowed)")

          // A process that is stopped leads no more when it goes on, however long nobody asked it.
          first.send(SIGSTOP)
          _ = try await Replica.leader(of: [second], "another leader while the first is frozen")
          first.send(SIGCONT)
          #expect(try await !first.leads())
          let late = try await first.run(["abort", migration.uid])
          #expect(late.code == 1 && late.errors.contains("does not lead"), "\(late)")
          #expect(
            try await cluster.api.get(.vmims, migration.name, in: migration.namespace)[
              path: "metadata", "deletionTimestamp"] == nil)

          // What was claimed outlives its process.
          #expect(try await second.run(["abort", migration.uid, "--no-wait"]).code == 0)
          let claims = try await cluster.api.get(.configMaps, first.lease, in: "default")
          #expect(claims[path: "data", "claims.json"]?.string?.contains(migration.uid) == true)
        }
      }
    }

    @Test("a leader that ends gives its place to the other one at once")
    func gives() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        try await Replica.with(cluster, count: 2) { replicas in
          let first = try await Replica.leader(of: replicas, "a first leader")
          let second = try #require(replicas.first { $0.number != first.number })
          first.send(SIGTERM)
          let ended = ContinuousClock.now
          _ = try await Replica.leader(of: [second], "the other one")
          #expect(ContinuousClock.now - ended < .seconds(8))
        }
      }
    }

    @Test("two Drovers that claim at once: one automatic abort of a migration, and no claim is lost")
    func claims() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        let kubeconfig = try cluster.server.kubeconfig(.admin)
        func configuration(_ name: String) -> KubeVirtConfiguration {
          var configuration = KubeVirtConfiguration(
            name: BackendName(rawValue: name), access: .kubeconfig(path: kubeconfig, context: nil))
          configuration.lease = .init(namespace: "default", identity: name)
          return configuration
        }
        let made = Mutex<[KubeVirtBackend]>([])
        try await Watcher.with(backends: { clock, log in
          let backends = ["a", "b"].map {
            KubeVirtBackend(configuration: configuration($0), clock: clock, log: log)
          }
          made.withLock { $0 = backends }
          return backends
        }) { watcher in
          try await watcher.until("both") { record in
            record.snapshot.backends.filter(\.isUp).count == 2 ? true : nil
          }
          let both = made.withLock(\.self)
          let (a, b) = (try #require(both.first), try #require(both.last))
          let vm = VMRef(backend: a.descriptor.name, scope: .namespace("default"), name: "web")
          func claim(_ id: String, by backend: KubeVirtBackend) async -> ControlError? {
            do throws(ControlError) {
              guard let id = MigrationID(id) else { return nil }
              try await backend.claim(
                AbortClaim(
                  migration: id, vm: vm, trigger: .alert,
                  claimedAt: Int64(Date().timeIntervalSince1970 * 1000)))
              return nil
            } catch { return error }
          }
          async let one = claim("same", by: a)
          async let two = claim("same", by: b)
          let answers = await [one, two]
          #expect(
            answers.filter { $0 == nil }.count == 1 && answers.contains { $0?.kind == .refused }, "\(answers)"
          )
          for n in 0..<5 {
            async let left = claim("a-\(n)", by: a)
            async let right = claim("b-\(n)", by: b)
            let both = await [left, right]
            #expect(both == [nil, nil], "\(both)")
          }
          #expect(try await a.claims().claims.count == 11)

          // Why aborts wait stands beside the claims: neither is lost to the other.
          func share(_ change: (inout SharedHolds) -> Void, by backend: KubeVirtBackend) async
            -> ControlError?
          {
            var holds = SharedHolds()
            change(&holds)
            do throws(ControlError) {
              try await backend.share(holds)
              return nil
            } catch { return error }
          }
          async let left = claim("beside", by: a)
          async let right = share({ $0.breaker = .init(since: 1000, lastWish: 1000, trigger: .alert) }, by: b)
          let beside = await [left, right]
          #expect(beside == [nil, nil], "\(beside)")
          #expect(try await a.claims().holds.breaker?.trigger == .alert)
          #expect(await share({ $0.breakerResetAt = 2000 }, by: a) == nil)
          // One that was stopped for a while writes what it knew.
          #expect(
            await share({ $0.breaker = .init(since: 1000, lastWish: 1500, trigger: .alert) }, by: b) == nil)
          let book = try await b.claims()
          #expect(book.holds.breaker == nil && book.holds.breakerResetAt == 2000)
          #expect(book.claims.count == 12)
          #expect(try await a.claims() == book)
        }
      }
    }
  }
}
