import Testing

@testable import DroverCore
@testable import KubeVirtBackend
@testable import Kubernetes

@Suite("What tells that a node is emptied")
struct NodeDrainTests {
  @Test("A cordon alone does not")
  func cordon() {
    let script = ClusterScript.cordoned(MadeVMI())
    #expect(script.drain()?.isDraining == false)
    #expect(script.drain()?.startedAt == nil)
    #expect(script.drain()?.vms == [:])
  }

  @Test("KubeVirt's taint does, since it was added where that is told, until it is taken away")
  func taint() {
    var script = ClusterScript(at: 100)
    script.put(MadeNode.drained(since: 40))
    #expect(script.drain()?.isDraining == true)
    #expect(script.drainStart() == 40)
    script.advance(to: 110)
    script.put(MadeNode.drained())
    #expect(script.drainStart() == 40)
    script.put(MadeNode.cordoned())
    #expect(script.drain()?.isDraining == false)
    #expect(script.drain()?.vms == [:])
    script.put(MadeNode.drained())
    #expect(script.drainStart() == 110, "another drain, of which nobody tells when it began")
    script.advance(to: 120)
    #expect(script.drainStart() == 110)
  }

  @Test("Only with the key that KubeVirt listens to, and the effect")
  func taintKey() {
    var script = ClusterScript(kubeVirt: MadeKubeVirt(migrations: ["nodeDrainTaintKey": "example.com/out"]))
    script.put(MadeNode.drained())
    #expect(script.drain()?.isDraining == false)
    script.put(MadeNode(taints: [("example.com/out", "NoExecute")]))
    #expect(script.drain()?.isDraining == false)
    script.put(MadeNode(taints: [("example.com/out", "NoSchedule")]))
    #expect(script.drain()?.isDraining == true)
    script.put(MadeKubeVirt())
    #expect(script.drain()?.isDraining == false)
    script.put(MadeKubeVirt(migrations: ["nodeDrainTaintKey": "example.com/out"]))
    #expect(script.drain()?.isDraining == true)
  }

  @Test("A VM that is to be moved away does, as long as it is there")
  func mark() {
    var script = ClusterScript()
    script.advance(to: 7)
    var vm = MadeVMI(evacuationNode: "node-a")
    script.put(vm)
    #expect(script.drainStart() == 7)
    // The mark stays on it sometimes after it has moved.
    vm.node = "node-b"
    script.put(vm)
    #expect(script.drain()?.isDraining == false)
    #expect(script.drain("node-b")?.isDraining == false)
    vm.evacuationNode = "node-b"
    script.put(vm)
    #expect(script.drain("node-b")?.isDraining == true)
    script.remove(vm)
    #expect(script.drain("node-b")?.isDraining == false)
  }

  @Test("A migration that KubeVirt made to empty it does, since it was asked for")
  func evacuation() {
    var script = ClusterScript(at: 50)
    var vmim = MadeVMIM.evacuation(at: 45)
    script.put(vmim)
    #expect(script.drainStart() == 45)
    vmim = vmim.ended("Failed", at: 52)
    script.advance(to: 55)
    script.put(vmim)
    script.put(MadeEvent(message: "Migration failed because target pod shutdown during migration"))
    #expect(script.drain()?.isDraining == false)
  }

  @Test("What the descheduler evicts, and other migrations, do not")
  func others() {
    var script = ClusterScript(vmis: [
      MadeVMI(annotations: ["kubevirt.io/eviction-source": "descheduler"], evacuationNode: "node-a")
    ])
    var vmim = MadeVMIM.evacuation(at: 0)
    vmim.priority = "system-maintenance"
    script.put(vmim)
    #expect(script.drain()?.isDraining == false)
    script.put(MadeVMI(name: "vm2"))
    script.put(MadeVMIM.running("m2", vmi: "vm2"))
    #expect(script.drain()?.isDraining == false)
  }

  @Test("Harvester's maintenance does, from the request until it is complete")
  func maintenance() {
    var script = ClusterScript()
    func node(_ annotations: [String: String]) -> MadeNode {
      MadeNode(annotations: annotations, isUnschedulable: true)
    }
    script.put(node(["harvesterhci.io/drain-requested": "true"]))
    #expect(script.drain()?.isDraining == true)
    script.advance(to: 9)
    script.put(node(["harvesterhci.io/maintain-status": "running"]))
    #expect(script.drain()?.isDraining == true)
    #expect(script.drainStart() == 0)
    script.put(MadeVMI(node: "node-b"))
    script.put(node(["harvesterhci.io/maintain-status": "completed"]))
    #expect(script.drain()?.isDraining == false)
    #expect(script.isDrained() == true)
  }

  @Test(
    "The nodes of Harvester as they are told",
    arguments: [
      ("node-drain-requested.json", true), ("node-entering-maintenance.json", true),
      ("node-draining-upgrade.json", true), ("node-source.json", false),
    ])
  func fixtures(name: String, isDraining: Bool) throws {
    var script = ClusterScript()
    let node: Node = try Fixture.object(name)
    script.take(.node(node))
    #expect(script.drain(node.metadata.name)?.isDraining == isDraining)
    #expect(script.blockers(node.metadata.name)?.contains(.notCordoned) == !node.isUnschedulable)
  }

  @Test("It goes on while what nothing moves is all that is left on a cordoned node")
  func heldUp() {
    let stuck = MadeVMI(name: "stuck", evictionStrategy: "LiveMigrate", migratable: MadeVMI.notMigratable)
    var script = ClusterScript.cordoned(MadeVMI(evacuationNode: "node-a"), stuck)
    #expect(script.vms() == [.pending: 1, .blocked: 1])
    script.put(MadeVMI(node: "node-b"))
    #expect(script.drain()?.isDraining == true)
    #expect(script.vms() == [.blocked: 1], "it left by no migration, so that nobody counts it as done")
    script.put(MadeVMI(name: "stuck", evictionStrategy: "LiveMigrate"))
    #expect(script.drain()?.isDraining == false, "it could be moved, and nobody does")
  }

  @Test("A drain that was taken back is over, though the node stays cordoned")
  func cancelled() {
    var script = ClusterScript.cordoned(MadeVMI(evacuationNode: "node-a"), MadeVMI(name: "vm2"))
    #expect(script.drain()?.isDraining == true)
    script.put(MadeVMI())
    #expect(script.drain()?.isDraining == false)
    #expect(script.blockers() == [.vm])
  }
}
