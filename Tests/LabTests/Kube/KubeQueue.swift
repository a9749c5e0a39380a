import DroverCore
import KubeLab
import KubeVirtBackend
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("KubeVirt: what migrations wait for")
  struct KubeQueue {
    @Test("over the limits they queue, for the node or for the cluster, each with its place")
    func queue() async throws {
      try await KubeScene.with(
        version: "1.9.0",
        migrations: ["parallelMigrationsPerCluster": 3, "parallelOutboundMigrationsPerNode": 2]
      ) { scene in
        let cluster = scene.cluster
        @Sendable func waiting(
          _ name: String, on node: String, _ origin: Cluster.Origin = .virtctl
        ) async throws -> Migration {
          let vm = try await cluster.addVMI(name, on: node, migrationMethod: "LiveMigration")
          let migration = try await cluster.createVMIM(for: vm, origin: origin)
          try await migration.pending()
          return migration
        }
        func slots(_ used: UInt64, n1: UInt64, n2: UInt64) async throws {
          try await scene.watcher.until("\(used) slots used") { record in
            let nodes = record.snapshot.nodes
            func slots(_ name: String) -> SlotUse? { nodes.first { $0.node == name }?.state?.slots }
            return record.backend?.slots == SlotUse(used: used, limit: 3)
              && slots("n1") == SlotUse(used: n1, limit: 2) && slots("n2") == SlotUse(used: n2, limit: 2)
              ? true : nil
          }
        }
        func expect(_ migration: Migration, _ reason: PendingReason, _ position: UInt64?) async throws {
          try await scene.until("\(reason) \(position ?? 0)", migration) {
            $0.phase == .pending && $0.waiting?.reason == reason && $0.waiting?.position == position
          }
        }
        try await slots(0, n1: 0, n2: 0)
        let leaving = try await KubeScene.each(["a", "b"]) { try await waiting($0, on: "n1") }
        for migration in leaving { try await migration.advance(to: .running, on: "n3") }
        try await slots(2, n1: 2, n2: 0)
        let c = try await waiting("c", on: "n1")
        try await expect(c, .queueNode, 1)
        let d = try await waiting("d", on: "n1", .evacuation("n1"))
        // KubeVirt's own go before what people ask for.
        try await expect(d, .queueNode, 1)
        try await expect(c, .queueNode, 2)
        let e = try await waiting("e", on: "n2")
        try await e.advance(to: .running, on: "n3")
        try await slots(3, n1: 2, n2: 1)
        let f = try await waiting("f", on: "n2", .workloadUpdate)
        try await expect(d, .queueCluster, 1)
        try await expect(f, .queueCluster, 2)
        try await expect(c, .queueCluster, 3)
        try await e.succeed()
        // f could have the slot: nothing that is known keeps it.
        try await expect(f, .unknown, nil)
        try await expect(c, .queueNode, 2)
        // A slot is taken with the target's pod, before the phase says so.
        try await f.createTargetPod()
        try await slots(3, n1: 2, n2: 1)
        try await expect(f, .podPending, nil)
        try await expect(c, .queueCluster, 2)
        try await leaving[0].fail(.libvirt("words"))
        try await slots(2, n1: 1, n2: 1)
        try await expect(d, .unknown, nil)
      }
    }

    @Test("what is not the queue is told by name: quota, backup, utility volumes, the target's pod")
    func reasons() async throws {
      try await KubeScene.with { scene in
        let cases: [(name: String, play: Migration.PendingReason, reason: PendingReason)] = [
          ("quota", .quota, .quota), ("backup", .backup, .backup),
          ("volumes", .utilityVolumes, .utilityVolumes),
        ]
        try await KubeScene.each(cases) { name, play, reason in
          let vm = try await scene.cluster.addVMI(name, on: "n1")
          let migration = try await scene.cluster.createVMIM(for: vm)
          try await migration.pending(play)
          let view = try await scene.until("its reason", migration) { $0.waiting?.reason == reason }
          #expect(view.phase == .pending && view.waiting?.position == nil, "\(name)")
          // Once nothing blocks it, it goes on.
          try await migration.advance(to: .scheduling, on: "n2")
          try await scene.until("its pod", migration) {
            $0.phase == .scheduling && $0.waiting?.reason == .podPending
          }
          let words = "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu."
          try await migration.unschedulable(words)
          try await scene.until("the scheduler's words", migration) {
            $0.waiting?.reason == .unschedulable && $0.waiting?.text == words
          }
          try await migration.advance(to: .scheduled, on: "n2")
          try await scene.until("a place", migration) { $0.phase == .preparing && $0.waiting == nil }
        }
      }
    }

    @Test("an evacuation that fails comes back after a while, and its VM's failures are counted")
    func evacuationComesBack() async throws {
      try await KubeScene.with { scene in
        let vm = try await scene.cluster.addVMI("db", on: "n1", migrationMethod: "LiveMigration")
        try await vm.markForEviction()
        for number in 1...2 {
          let migration = try await scene.cluster.createVMIM(for: vm, origin: .evacuation("n1"))
          if number > 1 {
            try await migration.pending(.backoff)
            let waiting = try await scene.until("the back-off", migration) { $0.waiting?.reason == .backoff }
            #expect(waiting.phase == .pending && waiting.waiting?.position == nil)
          }
          try await migration.advance(to: .running, on: "n2")
          try await scene.until("the copy", migration) { $0.phase == .precopy }
          try await migration.fail(.libvirt("internal error: client socket is closed"))
          let over = try await scene.untilOver(migration)
          #expect(over.facts.origin == .evacuation && over.guest == .source)
          try await scene.watcher.until("\(number) failures in a row") { record in
            record.snapshot.vms.contains { $0.vm.name == "db" && $0.consecutiveFailures == number }
              ? true : nil
          }
        }
        // One that is aborted is no reason to wait longer; the next one that succeeds ends the row.
        let last = try await scene.cluster.createVMIM(for: vm, origin: .evacuation("n1"))
        try await last.advance(to: .running, on: "n2")
        try await last.succeed()
        try await scene.untilOver(last)
        try await scene.watcher.until("no failures in a row") { record in
          record.snapshot.vms.contains { $0.vm.name == "db" && $0.consecutiveFailures == 0 } ? true : nil
        }
      }
    }
  }
}
