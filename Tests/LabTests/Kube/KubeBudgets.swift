import DroverCore
import KubeLab
import KubeVirtBackend
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("KubeVirt: the time that it allows")
  struct KubeBudgets {
    @Test("the time-out in force is the VMI's, else the policy's, else KubeVirt's, else its version's")
    func effectiveTimeout() async throws {
      try await KubeScene.with(version: "1.6.0") { scene in
        let cluster = scene.cluster
        let vm = try await cluster.addVMI(
          "db", on: "n1", memory: "8Gi", labels: ["tier": "db"], migrationMethod: "LiveMigration")
        let migration = try await cluster.createVMIM(for: vm)
        try await migration.advance(to: .scheduled, on: "n2")
        func expect(_ seconds: Int, _ setter: TimeoutOrigin) async throws {
          let view = try await scene.until("\(seconds) s by \(setter)", migration) {
            $0.completion?.timeout == .seconds(seconds) && $0.completion?.setBy == setter
          }
          #expect(view.completion?.enforcedBy == .kubevirt && view.completion?.action == .abort)
        }
        try await expect(1350, .versionDefault)
        #expect(scene.view(migration)?.progressBudget?.timeout == .seconds(150))
        #expect(scene.view(migration)?.progressBudget?.setBy == .versionDefault)
        try await cluster.setVersion("1.3.1")
        try await expect(7200, .versionDefault)
        try await cluster.setVersion("1.4.0")
        try await expect(1350, .versionDefault)
        try await cluster.configureMigrations(["completionTimeoutPerGiB": 200, "progressTimeout": 60])
        try await expect(1800, .kubevirt)
        #expect(scene.view(migration)?.progressBudget?.timeout == .seconds(60))
        #expect(scene.view(migration)?.progressBudget?.setBy == .kubevirt)
        try await cluster.addPolicy("slow", vmLabels: ["tier": "db"], ["completionTimeoutPerGiB": 10])
        try await expect(90, .policy)
        #expect(scene.view(migration)?.facts.policy == "slow")
        // A policy cannot set it.
        #expect(scene.view(migration)?.progressBudget?.setBy == .kubevirt)
        try await migration.handOver(policy: "slow")
        try await expect(90, .vmi)
        #expect(scene.view(migration)?.progressBudget?.setBy == .vmi)
        // What was resolved at the hand-over stays.
        try await cluster.configureMigrations(["completionTimeoutPerGiB": .null, "progressTimeout": .null])
        try await migration.advance(to: .running, on: "n2")
        let running = try await scene.until("the copy", migration) { $0.phase == .precopy }
        #expect(running.completion?.timeout == .seconds(90) && running.completion?.setBy == .vmi)
        #expect(running.completionDeadline == running.startedAt + .seconds(90))
        #expect(running.progressBudget?.timeout == .seconds(60) && running.facts.policy == "slow")
      }
    }

    @Test("of several policies the one with most labels counts, and none that asks for another")
    func policies() async throws {
      try await KubeScene.with(prepare: { cluster in
        try await cluster.addNamespace("shop", labels: ["team": "shop"])
        try await cluster.addPolicy(
          "a-team", namespaceLabels: ["team": "shop"], ["completionTimeoutPerGiB": 10])
        try await cluster.addPolicy("b-tier", vmLabels: ["tier": "db"], ["completionTimeoutPerGiB": 20])
        try await cluster.addPolicy(
          "c-both", vmLabels: ["tier": "db"], namespaceLabels: ["team": "shop"],
          ["completionTimeoutPerGiB": 30])
        try await cluster.addPolicy(
          "d-other", vmLabels: ["tier": "db", "big": "yes"], ["allowPostCopy": true])
      }) { scene in
        let cases: [(vm: String, space: String, labels: [String: String], policy: String, seconds: Int)] = [
          ("plain", "default", [:], "", 450), ("shop", "shop", [:], "a-team", 30),
          ("db", "default", ["tier": "db"], "b-tier", 60), ("both", "shop", ["tier": "db"], "c-both", 90),
          ("big", "shop", ["tier": "db", "big": "yes"], "d-other", 450),
        ]
        try await KubeScene.each(cases) { each in
          let vm = try await scene.cluster.addVMI(
            each.vm, in: each.space, on: "n1", labels: each.labels, migrationMethod: "LiveMigration")
          let migration = try await scene.cluster.createVMIM(for: vm)
          try await migration.advance(to: .scheduled, on: "n2")
          let view = try await scene.until("its policy", migration) {
            $0.facts.policy == each.policy && $0.completion?.timeout == .seconds(each.seconds)
          }
          #expect(view.completion?.action == (each.policy == "d-other" ? .postcopy : .abort), "\(each.vm)")
          try await migration.handOver()
          let resolved = try await scene.until("what was resolved", migration) {
            $0.completion?.setBy == .vmi
          }
          #expect(resolved.facts.policy == each.policy, "\(each.vm)")
          #expect(resolved.completion?.timeout == .seconds(each.seconds), "\(each.vm)")
          #expect(resolved.completion?.action == view.completion?.action, "\(each.vm)")
        }
      }
    }

    @Test(
      "what the disks of a BlockMigration add is uncertain, and less so once virt-handler tells the whole")
    func blockMigration() async throws {
      try await KubeScene.with { scene in
        let cluster = scene.cluster
        let plain = try await cluster.addVMI("plain", on: "n1", migrationMethod: "LiveMigration")
        let block = try await cluster.addVMI("block", on: "n1") {
          $0[path: "spec", "volumes"] = [
            ["name": "rootdisk", "persistentVolumeClaim": ["claimName": "block-root"]],
            ["name": "box", "containerDisk": ["image": "registry.example.test/box:1"]],
          ]
        }
        let migrations = try await KubeScene.each([plain, block]) { vm in
          let migration = try await cluster.createVMIM(for: vm)
          return try await migration.advance(to: .running, on: "n2")
        }
        let sure = try await scene.until("the copy", migrations[0]) { $0.phase == .precopy }
        let unsure = try await scene.until("the copy", migrations[1]) { $0.phase == .precopy }
        let rest = try #require(sure.completion?.uncertainty)
        #expect(rest < .seconds(10))
        #expect(sure.completion?.timeout == .seconds(450) && unsure.completion?.timeout == .seconds(450))
        let wide = try #require(unsure.completion?.uncertainty)
        #expect(wide >= .seconds(1350))
        // 2.1 GB of memory and 3 GB of disks: three units more at most.
        try await cluster.handlers.begin(
          migrations[1].copy, total: 5_147_483_648, rate: 20 << 20, dirtyRate: 0)
        let told = try await scene.until("the whole", migrations[1]) {
          ($0.completion?.uncertainty ?? wide) < wide
        }
        #expect(told.completion?.timeout == .seconds(450))
        #expect(told.completion?.uncertainty == .seconds(450) + rest)
        #expect(told.facts.size == Bytes(5_147_483_648))
      }
    }

    @Test("KubeVirt's stall detector takes the place of the time-out without progress")
    func stallDetector() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0") {
          $0[path: "spec", "configuration", "developerConfiguration", "featureGates"] = [
            "MigrationStallDetection"
          ]
        }
        for node in ["n1", "n2"] { try await cluster.addNode(node) }
        try await KubeScene.watch(cluster, kubeconfig: try cluster.server.kubeconfig(.admin)) { scene in
          let migration = try await scene.migrating()
          let running = try await scene.until("bytes", migration) { $0.sample.transferred != nil }
          #expect(running.progressBudget == nil && running.progressDeadline == nil)
          #expect(running.completion?.timeout == .seconds(450))
          #expect(try #require(running.completion?.uncertainty) >= .seconds(450))
        }
      }
    }
  }
}
