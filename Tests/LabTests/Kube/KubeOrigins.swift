import DroverCore
import KubeLab
import KubeVirtBackend
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("KubeVirt: who asked for a migration")
  struct KubeOrigins {
    @Test("annotations tell who asked, not names; a target that was asked for is shown")
    func origins() async throws {
      try await KubeScene.with(version: "1.9.0") { scene in
        struct Case: Sendable {
          let vm: String
          let made: Cluster.Origin
          let origin: DroverCore.Origin
          var target: String?
        }
        let cases = [
          Case(vm: "kubevirt-evacuation-x", made: .manual, origin: .manual),
          Case(vm: "kubevirt-evacuation", made: .ui, origin: .manual, target: "n2"),
          Case(vm: "by-virtctl", made: .virtctl, origin: .manual),
          Case(vm: "drained", made: .evacuation("n1"), origin: .evacuation),
          Case(vm: "descheduled", made: .descheduler("n1"), origin: .descheduler),
          Case(vm: "updated", made: .workloadUpdate, origin: .workloadUpdate),
          Case(
            vm: "sent", made: .decentralizedSource(id: "m1", url: "10.0.0.9:9185"), origin: .decentralized),
        ]
        try await KubeScene.each(cases) { each in
          let vm = try await scene.cluster.addVMI(each.vm, on: "n1")
          let migration = try await scene.cluster.createVMIM(
            for: vm, origin: each.made, targetNode: each.target)
          try await migration.pending()
          let view = try await scene.until("it", migration) { $0.phase == .pending && $0.facts.memory != nil }
          #expect(view.facts.origin == each.origin, "\(each.vm)")
          #expect(view.facts.requestedTarget == each.target ?? "", "\(each.vm)")
          #expect(view.facts.object == migration.name && view.identity.vm.name == each.vm)
        }
        let started = scene.watcher.record.snapshot.totals.started
        #expect(started.allSatisfy { $0.count == 0 })
      }
    }

    @Test("of a migration into another namespace the source counts, and its target is an arrival only")
    func decentralized() async throws {
      try await KubeScene.with { scene in
        let cluster = scene.cluster
        let uuid = "6f5a0d0c-8a52-4c3e-9d0a-3f1c5b7e9a11"
        let vm = try await cluster.addVMI("web", on: "n1", migrationMethod: "LiveMigration") {
          $0[path: "spec", "domain", "firmware", "uuid"] = .string(uuid)
        }
        let other = try await cluster.addVMI("web", in: "other", on: "n3") {
          $0[path: "spec", "domain", "firmware", "uuid"] = .string(uuid)
          $0[path: "status", "phase"] = "WaitingForSync"
        }
        let source = try await cluster.createVMIM(
          for: vm, origin: .decentralizedSource(id: "m1", url: "10.0.0.9:9185"))
        let target = try await cluster.createVMIM(for: other, origin: .decentralizedTarget(id: "m1"))
        try await target.waiting(.waitingForSync)
        try await source.waiting(.synchronizing)
        let waiting = try await scene.until("waiting", source) { $0.phase == .pending }
        #expect(waiting.facts.origin == .decentralized && waiting.waiting?.reason == .unknown)
        try await source.advance(to: .running, on: "n3")
        try await target.advance(to: .targetReady, on: "n3")
        try await scene.until("the copy", source) { $0.phase == .precopy }
        try await scene.watcher.until("one leaving, one arriving") { record in
          let nodes = record.snapshot.nodes
          return nodes.contains { $0.node == "n1" && $0.outbound == 1 }
            && nodes.contains { $0.node == "n3" && $0.inbound == 1 && $0.outbound == 0 } ? true : nil
        }
        #expect(scene.view(target) == nil)
        try await target.succeed()
        try await source.succeed()
        let over = try await scene.untilOver(source)
        #expect(over.phase == .succeeded && over.ending?.certainty == .reported)
        let record = scene.watcher.record
        #expect(record.counts == Counts(started: 1, succeeded: 1))
        #expect(Array(record.snapshot.migrations).count == 1)
      }
    }

    @Test("Harvester's own word for a migration stands beside the phase, as long as it is this migration's")
    func harvesterStatus() async throws {
      try await KubeScene.with(version: "1.7.0") { scene in
        scene.cluster.isHarvester = true
        let vm = try await scene.cluster.addVMI("db", on: "n1", migrationMethod: "LiveMigration")
        let migration = try await scene.cluster.createVMIM(for: vm, origin: .ui, targetNode: "n2")
        try await migration.pending()
        try await scene.until("the first word", migration) {
          $0.statusWord == "Pending migration" && $0.phase == .pending
        }
        try await migration.advance(to: .running, on: "n2")
        try await scene.until("the second", migration) {
          $0.statusWord == "Migrating" && $0.phase == .precopy
        }
        try await migration.requestAbort()
        try await scene.until("the third", migration) {
          $0.statusWord == "Aborting migration" && $0.phase == .aborting
        }
        try await migration.finishAbort()
        try await scene.untilOver(migration)
        let next = try await scene.cluster.createVMIM(for: vm, origin: .ui)
        let fresh = try await scene.until("the next", next) { $0.phase == .pending }
        #expect(fresh.statusWord.isEmpty)
      }
    }
  }
}
