import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("What a drain does to a VM")
struct NodeOutcomeTests {
  @Test(
    "By its own strategy and whether it can be migrated",
    arguments: [
      ("LiveMigrate", "True", DrainOutcome.migrates), ("LiveMigrate", "False", .blocks),
      ("LiveMigrate", "", .blocks), ("LiveMigrateIfPossible", "True", .migrates),
      ("LiveMigrateIfPossible", "False", .willBeShutDown), ("LiveMigrateIfPossible", "", .willBeShutDown),
      ("External", "True", .blocks), ("None", "True", .willBeShutDown), ("", "True", .willBeShutDown),
    ])
  func own(strategy: String, migratable: String, outcome: DrainOutcome) {
    let script = ClusterScript(vmis: [MadeVMI(evictionStrategy: strategy, migratable: (migratable, ""))])
    #expect(script.outcome() == outcome)
  }

  @Test("By the cluster's, where it has none; not known where that cannot be read")
  func cluster() {
    var script = ClusterScript(
      kubeVirt: nil, vmis: [MadeVMI(evictionStrategy: ""), MadeVMI(name: "vm2")])
    #expect(script.outcome() == nil)
    #expect(script.outcome("vm2") == .migrates)
    script.put(MadeKubeVirt(evictionStrategy: "LiveMigrate"))
    #expect(script.outcome() == .migrates)
    script.put(MadeKubeVirt())
    #expect(script.outcome() == .willBeShutDown)
  }

  @Test("One that somebody deletes is shut down")
  func deleted() {
    #expect(ClusterScript(vmis: [MadeVMI(deleted: 5)]).outcome() == .willBeShutDown)
  }

  @Test(
    "Harvester's label has it shut down by maintenance, but not where that is forced or an upgrade goes on",
    arguments: ["Shutdown", "ShutdownAndRestartAfterEnable", "ShutdownAndRestartAfterDisable"])
  func maintenance(strategy: String) {
    let label = "harvesterhci.io/maintain-mode-strategy"
    var script = ClusterScript(vmis: [MadeVMI(labels: [label: strategy])])
    #expect(script.outcome() == .willBeShutDown)
    script.put(MadeVMI(labels: [label: "Migrate"]))
    #expect(script.outcome() == .migrates)
    script.put(MadeVMI(labels: [label: strategy]))
    script.put(MadeNode(annotations: ["harvesterhci.io/drain-requested": "true"]))
    #expect(script.outcome() == .willBeShutDown)
    script.put(
      MadeNode(annotations: [
        "harvesterhci.io/drain-requested": "true", "harvesterhci.io/drain-forced": "true",
      ]))
    #expect(script.outcome() == .migrates)
    script.put(upgrading)
    #expect(script.outcome() == .migrates)
  }

  @Test("Forced maintenance stops what cannot be migrated")
  func forced() {
    var script = ClusterScript(vmis: [
      MadeVMI(evictionStrategy: "LiveMigrate", migratable: MadeVMI.notMigratable)
    ])
    #expect(script.outcome() == .blocks)
    script.put(MadeNode(annotations: ["harvesterhci.io/drain-requested": "true"]))
    #expect(script.outcome() == .blocks)
    script.put(
      MadeNode(annotations: [
        "harvesterhci.io/drain-requested": "true", "harvesterhci.io/drain-forced": "true",
      ]))
    #expect(script.outcome() == .willBeShutDown)
    script.put(MadeNode())
    #expect(script.outcome() == .blocks)
  }

  private var upgrading: MadeNode {
    var node = MadeNode.drained()
    node.labels = ["harvesterhci.io/managed": "true"]
    node.tainted.value = "draining"
    return node
  }

  @Test(
    "A Harvester upgrade since 1.7 stops a VM whose evacuation failed once",
    arguments: [("1.5.2", DrainOutcome.migrates), ("1.6.0", .willBeShutDown), ("1.7.1", .willBeShutDown)])
  func upgrade(version: String, outcome: DrainOutcome) {
    var script = ClusterScript(kubeVirt: MadeKubeVirt(version: version))
    script.put(upgrading)
    #expect(script.outcome() == .migrates)
    script.put(failing)
    #expect(script.outcome() == outcome)
    #expect(script.vms() == [.failed: 1])
    script.put(MadeVMIM.evacuation("m2", at: 0).entering("Running", at: 0).ended("Succeeded", at: 0))
    script.put(MadeVMI(node: "node-b"))
    #expect(script.outcome() == .migrates)
  }

  @Test("Where no upgrade goes on, KubeVirt tries for ever")
  func noUpgrade() {
    var script = ClusterScript()
    script.put(MadeNode.drained())
    script.put(failing)
    #expect(script.outcome() == .migrates)
  }

  private var failing: MadeVMIM {
    MadeVMIM.evacuation(at: 0).entering("Running", at: 0)
      .ended("Failed", at: 0, MadeState(start: 0).failed("Target pod is down", at: 0))
  }
}
