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

@Suite("What has become of the VMs of a node that is emptied")
struct DrainStateTests {
  private let draining = MadeNode.drained()

  private func script(_ vmis: MadeVMI..., version: String = "1.6.0") -> ClusterScript {
    var script = ClusterScript(kubeVirt: MadeKubeVirt(version: version), vmis: vmis)
    script.put(draining)
    return script
  }

  @Test("Pending without a migration and with one that waits, migrating, and done")
  func success() {
    var script = script(MadeVMI())
    #expect(script.vms() == [.pending: 1])
    var vmim = MadeVMIM.evacuation(at: 1)
    script.advance(to: 1)
    script.put(vmim)
    #expect(script.vms() == [.pending: 1])
    script.put(vmim.entering("Pending", at: 1))
    #expect(script.vms() == [.pending: 1])
    vmim.enter("Scheduling", at: 2)
    script.put(vmim)
    #expect(script.vms() == [.migrating: 1])
    vmim.enter("Running", at: 5)
    script.advance(to: 5)
    script.put(vmim)
    script.put(MadeVMI().with(MadeState(start: 5)))
    #expect(script.vms() == [.migrating: 1])
    let state = MadeState(start: 5).succeeded(at: 30)
    script.advance(to: 30)
    script.put(vmim.ended("Succeeded", at: 30, state))
    #expect(script.vms() == [.done: 1])
    #expect(script.blockers() == [.vm], "the VMI has not said so yet")
    script.put(MadeVMI().with(state, node: "node-b"))
    #expect(script.vms() == [.done: 1])
    #expect(script.isDrained() == true)
    script.put(MadeVMI().with(state))
    #expect(script.vms() == [.pending: 1], "it came back")
  }

  @Test(
    "Failed and timed out, until the next one runs; aborted is neither",
    arguments: [
      ("Target pod is down", DrainVMState.failed),
      ("Live migration is not completed after 1350 seconds and has been aborted", .timedOut),
      ("Live migration stuck for 151 seconds and has been aborted", .timedOut),
      ("Live migration aborted ", .pending),
    ])
  func failure(text: String, state: DrainVMState) {
    var script = script(MadeVMI())
    func attempt(_ name: String, at second: Double) -> MadeVMIM {
      var made = MadeVMIM.evacuation(name, at: second)
      for phase in ["Pending", "Scheduling", "Scheduled", "Running"] { made.enter(phase, at: second) }
      return made
    }
    script.advance(to: 5)
    var vmim = attempt("m1", at: 5)
    script.put(vmim)
    script.put(MadeVMI().with(MadeState(start: 5)))
    #expect(script.vms() == [.migrating: 1])
    script.advance(to: 20)
    vmim = vmim.ended("Failed", at: 20, MadeState(start: 5).failed(text, at: 20))
    script.put(vmim)
    #expect(script.vms() == [state: 1])
    script.remove(vmim)
    script.put(MadeVMIM.evacuation("m2", at: 21))
    script.advance(to: 22)
    #expect(script.vms() == [state: 1], "the next one waits")
    script.put(attempt("m2", at: 23))
    #expect(script.vms() == [.migrating: 1])
  }

  @Test("One that was asked for by hand and failed is no failed evacuation; one that succeeded is done")
  func byHand() {
    var script = script(MadeVMI(), MadeVMI(name: "vm2"))
    script.put(MadeVMIM())
    script.put(MadeVMIM(name: "m2", vmi: "vm2"))
    script.advance(to: 6)
    script.put(MadeVMIM.running(at: 5))
    script.put(MadeVMIM.running("m2", vmi: "vm2", at: 5))
    #expect(script.vms() == [.migrating: 2])
    script.put(
      MadeVMIM.running(at: 5).ended("Failed", at: 6, MadeState(start: 5).failed("Target pod is down", at: 6)))
    script.put(MadeVMIM.running("m2", vmi: "vm2", at: 5).ended("Succeeded", at: 6))
    script.put(MadeVMI(name: "vm2", node: "node-b"))
    #expect(script.vms() == [.pending: 1, .done: 1])
  }

  @Test(
    "Blocked, where nothing would migrate it: until it could, or is moved all the same",
    arguments: [
      MadeVMI(evictionStrategy: "LiveMigrate", migratable: MadeVMI.notMigratable),
      MadeVMI(evictionStrategy: "LiveMigrate", migratable: ("", "")),
      MadeVMI(evictionStrategy: "External"), MadeVMI(evictionStrategy: "None"),
      MadeVMI(evictionStrategy: ""), MadeVMI(deleted: 5),
      MadeVMI(migratable: MadeVMI.notMigratable),
    ])
  func blocked(vm: MadeVMI) {
    var script = script(vm)
    #expect(script.vms() == [.blocked: 1])
    script.put(MadeVMIM())
    #expect(script.vms() == [.pending: 1])
    script.put(MadeVMIM.running(at: 0))
    #expect(script.vms() == [.migrating: 1])
    script.put(MadeVMIM.running(at: 0).ended("Failed", at: 0))
    script.put(MadeEvent(message: "Migration failed due to being canceled"))
    #expect(script.vms() == [.blocked: 1])
    script.put(MadeVMI())
    #expect(script.vms() == [.pending: 1])
  }

  @Test("A VM that is shut down is gone, and not done")
  func shutDown() {
    var script = script(MadeVMI(), MadeVMI(name: "vm2"))
    #expect(script.vms() == [.pending: 2])
    script.remove(MadeVMI())
    script.put(MadeVMI(name: "vm2", phase: "Succeeded"))
    #expect(script.vms() == [:])
    #expect(script.drain()?.isDraining == true)
    #expect(script.isDrained() == true)
  }

  @Test("Of a node that nothing empties as a whole, only VMs that are to be moved away count")
  func single() {
    var script = ClusterScript(vmis: [
      MadeVMI(evacuationNode: "node-a"), MadeVMI(name: "vm2"), MadeVMI(name: "vm3"),
    ])
    #expect(script.vms() == [.pending: 1])
    script.put(MadeVMIM.evacuation("m3", vmi: "vm3", at: 0))
    #expect(script.vms() == [.pending: 2])
    script.put(MadeNode.cordoned())
    #expect(script.vms() == [.pending: 3])
  }

  @Test("Another drain begins with what is there then")
  func again() {
    var script = script(MadeVMI(), MadeVMI(name: "vm2"))
    script.advance(to: 5)
    var failed = MadeVMIM.evacuation(at: 1).entering("Running", at: 1)
    script.put(failed)
    failed = failed.ended("Failed", at: 5, MadeState(start: 1).failed("Target pod is down", at: 5))
    script.put(failed)
    script.put(MadeVMIM.running("m2", vmi: "vm2", at: 4).ended("Succeeded", at: 5))
    script.put(MadeVMI(name: "vm2", node: "node-b"))
    #expect(script.vms() == [.failed: 1, .done: 1])
    script.put(MadeNode())
    script.advance(to: 100)
    script.put(draining)
    #expect(script.vms() == [.pending: 1])
  }

  @Test("After a start, what ended since the drain began counts; VMs that came back do not")
  func afterStart() {
    var script = ClusterScript(empty: 100)
    script.put(MadeNode.drained(since: 50))
    script.put(MadeNode(name: "node-b"))
    script.put(MadeKubeVirt())
    for (n, node) in [(1, "node-b"), (2, "node-b"), (3, "node-a"), (4, "node-a"), (5, "node-a")] {
      script.put(MadeVMI(name: "vm\(n)", node: node))
    }
    func ended(_ n: Int, _ phase: String, at second: Double) -> MadeVMIM {
      var state = MadeState(uid: "m\(n)-uid", start: second - 10)
      state = phase == "Failed" ? state.failed("Target pod is down", at: second) : state.succeeded(at: second)
      return MadeVMIM.evacuation("m\(n)", vmi: "vm\(n)", at: second - 12).ended(phase, at: second, state)
    }
    script.put(ended(1, "Succeeded", at: 30), isInitial: true)
    script.put(ended(2, "Succeeded", at: 70), isInitial: true)
    script.put(ended(3, "Succeeded", at: 70), isInitial: true)
    script.put(ended(4, "Failed", at: 30), isInitial: true)
    script.put(ended(5, "Failed", at: 70), isInitial: true)
    script.begin()
    #expect(script.vms() == [.done: 1, .pending: 2, .failed: 1])
    #expect(script.drainStart() == 50)
    #expect(script.counters == [0, 0, 0, 0])
  }
}
