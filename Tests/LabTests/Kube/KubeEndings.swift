import DroverCore
import KubeLab
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("KubeVirt: how migrations end")
  struct KubeEndings {
    @Test("a success goes through its phases, with KubeVirt's own budget, and is counted once")
    func success() async throws {
      try await KubeScene.with { scene in
        let vm = try await scene.cluster.addVMI(
          "db", on: "n1", memory: "8Gi", migrationMethod: "LiveMigration")
        let migration = try await scene.cluster.createVMIM(for: vm, origin: .ui, targetNode: "n2")
        try await scene.until("waiting", migration) { $0.phase == .pending }
        try await migration.pending()
        try await migration.scheduling()
        try await scene.until("scheduling", migration) { $0.phase == .scheduling }
        try await migration.scheduled("n2")
        try await scene.until("preparing", migration) { $0.phase == .preparing && !$0.hasStarted }
        try await migration.advance(to: .running, on: "n2")
        try await scene.cluster.handlers.begin(migration.copy, total: 8 << 30, rate: 200 << 20, dirtyRate: 0)
        let running = try await scene.until("bytes", migration) {
          $0.phase == .precopy && ($0.sample.transferred ?? 0) > 0
        }
        #expect(running.facts.origin == .manual && running.facts.requestedTarget == "n2")
        #expect(
          running.facts.source == "n1" && running.facts.target == "n2" && running.facts.network == "pod")
        #expect(running.facts.object == migration.name)
        #expect(running.completion?.timeout == .seconds(1350) && running.completion?.setBy == .vmi)
        #expect(running.completion?.enforcedBy == .kubevirt && running.completion?.action == .abort)
        #expect(running.progressBudget?.timeout == .seconds(150))
        #expect(running.guest == .source)
        try await scene.watcher.until("a migration leaving and arriving") { record in
          let nodes = record.snapshot.nodes
          return nodes.contains { $0.node == "n1" && $0.outbound == 1 && $0.pending == 0 }
            && nodes.contains { $0.node == "n2" && $0.inbound == 1 } ? true : nil
        }
        try await migration.succeed()
        let over = try await scene.untilOver(migration)
        #expect(over.phase == .succeeded && over.ending?.certainty == .reported)
        #expect(over.guest == .target)
        let record = scene.watcher.record
        #expect(record.countedStarts == 1 && record.countedEnds == 1)
        try await scene.watcher.until("the VM at its new node") { record in
          record.snapshot.nodes.contains { $0.node == "n2" && $0.vms == 1 && $0.inbound == 0 } ? true : nil
        }
      }
    }
  }
}
