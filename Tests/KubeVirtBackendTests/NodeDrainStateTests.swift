import Testing

@testable import DroverCore
@testable import KubeVirtBackend

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
