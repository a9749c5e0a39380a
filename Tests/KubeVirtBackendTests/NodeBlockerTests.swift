import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("What speaks against a reboot of a node")
struct NodeBlockerTests {
  @Test("Nothing, where no VM is on a node that nothing may be put on")
  func nothing() {
    let script = ClusterScript.cordoned()
    #expect(script.blockers() == [])
    #expect(script.isDrained() == true)
  }

  @Test("That something may be put on it, until it is cordoned")
  func notCordoned() {
    var script = ClusterScript(vmis: [])
    #expect(script.blockers() == [.notCordoned])
    #expect(script.isDrained() == false)
    script.put(MadeNode.cordoned())
    #expect(script.isDrained() == true)
    script.put(MadeNode())
    #expect(script.blockers() == [.notCordoned])
  }

  @Test("A VM on it, whatever state it is in, until it is gone, elsewhere or over")
  func vm() {
    var script = ClusterScript.cordoned(MadeVMI())
    #expect(script.blockers() == [.vm])
    script.put(MadeVMI(phase: "Unknown"))
    #expect(script.blockers() == [.vm], "a VM that nobody hears of may run")
    script.put(MadeVMI(phase: "Succeeded"))
    #expect(script.isDrained() == true)
    script.put(MadeVMI(phase: "Scheduled"))
    #expect(script.blockers() == [.vm])
    script.put(MadeVMI(node: "node-b"))
    #expect(script.isDrained() == true)
    script.put(MadeVMI())
    script.remove(MadeVMI())
    #expect(script.isDrained() == true)
  }

  @Test("A VM that its label puts there, or a pod of its own before it has a node")
  func starting() {
    var script = ClusterScript.cordoned()
    script.put(MadeVMI(labels: ["kubevirt.io/nodeName": "node-a"], phase: "Scheduled", node: ""))
    #expect(script.blockers() == [.vm])
    script.put(MadeVMI(phase: "Scheduling", node: ""))
    #expect(script.isDrained() == true, "it may be put on any node, but not on a cordoned one")
    script.put(MadeVMI(phase: "Scheduling", node: "", activePods: ["p1": ""]))
    #expect(script.isDrained() == true)
    script.put(MadeVMI(phase: "Scheduling", node: "", activePods: ["p1": "node-a"]))
    #expect(script.blockers() == [.vm])
    script.put(MadeVMI(node: "node-b", activePods: ["p0": "node-a", "p1": "node-b"]))
    #expect(script.isDrained() == true, "a pod that was left lying is no VM")
  }

  @Test("The guest at the source of a migration, until the VMI names its new node")
  func source() {
    var script = ClusterScript.cordoned(MadeVMI())
    var vmim = MadeVMIM.running(at: 5)
    script.advance(to: 6)
    script.put(vmim)
    script.put(MadeVMI().with(MadeState(start: 5)))
    #expect(script.blockers() == [.vm])
    // A VMI that names the target too early has still left a guest behind.
    script.put(MadeVMI().with(MadeState(start: 5), node: "node-b"))
    #expect(script.blockers() == [.vm])
    script.advance(to: 60)
    let state = MadeState(start: 5).succeeded(at: 60)
    vmim = vmim.ended("Succeeded", at: 60, state)
    script.put(vmim)
    script.put(MadeVMI().with(state))
    #expect(script.blockers() == [.vm], "it is over, and the VMI still names the source")
    script.put(MadeVMI().with(state, node: "node-b"))
    #expect(script.isDrained() == true)
  }

  @Test("A VM that arrives, from when its target's node is known until it is there or is not to come")
  func inbound() {
    var script = ClusterScript.cordoned()
    script.put(MadeVMI(node: "node-b"))
    var vmim = MadeVMIM().entering("Pending", at: 1)
    script.advance(to: 1)
    script.put(vmim)
    #expect(script.isDrained() == true, "nobody knows where it goes")
    vmim.enter("Scheduling", at: 2)
    script.put(vmim)
    script.put(MadePod(unschedulable: "0/3 nodes are available"))
    #expect(script.isDrained() == true, "no node has its target")
    script.put(MadePod(node: "node-a"))
    #expect(script.blockers() == [.inbound])
    let state = MadeState(sourceNode: "node-b", targetNode: "node-a")
    vmim.enter("Scheduled", at: 3)
    script.put(vmim)
    script.put(MadeVMI(node: "node-b").with(state))
    #expect(script.blockers() == [.inbound])
    script.advance(to: 9)
    vmim = vmim.ended("Failed", at: 9, state.failed("Target pod is down", at: 9))
    script.put(vmim)
    #expect(script.isDrained() == true)
  }

  @Test("A pod of the VM on it while its migration has no target yet, but for pods that were left lying")
  func inboundPod() {
    var vm = MadeVMI(node: "node-b", activePods: ["p1": "node-b", "p0": "node-a"])
    var script = ClusterScript.cordoned(vm)
    script.put(MadeVMIM())
    #expect(script.isDrained() == true)
    script.put(MadeVMIM().entering("Scheduling", at: 0))
    vm.activePods["p2"] = ""
    script.put(vm)
    #expect(script.isDrained() == true, "the new pod has no node")
    vm.activePods["p2"] = "node-a"
    script.put(vm)
    #expect(script.blockers() == [.inbound])
    vm.activePods["p2"] = "node-c"
    script.put(vm)
    #expect(script.isDrained() == true)
  }

  @Test("After a start nobody knows which pods were left lying: each of them may be the target")
  func inboundAfterStart() {
    var script = ClusterScript(empty: 0)
    script.put(MadeNode.cordoned())
    script.put(MadeVMI(node: "node-b", activePods: ["p1": "node-b", "p2": "node-a"]))
    script.put(MadeVMIM().entering("Scheduling", at: 0), isInitial: true)
    script.begin()
    #expect(script.blockers() == [.inbound])
  }

  @Test("A VM that comes from another cluster, but not one that goes to a node of that name elsewhere")
  func decentralized() {
    var script = ClusterScript.cordoned()
    var vmim = MadeVMIM(isReceiver: true).entering("WaitingForSync", at: 0)
    script.put(vmim)
    script.put(MadeVMI(phase: "WaitingForSync", node: ""))
    #expect(script.isDrained() == true)
    script.put(
      MadeVMI(phase: "WaitingForSync", node: "").with(MadeState(sourceNode: "", targetNode: "node-a")))
    #expect(script.blockers() == [.inbound])
    vmim.enter("Failed", at: 3)
    script.put(vmim)
    #expect(script.isDrained() == true)

    var other = ClusterScript.cordoned(MadeVMI(node: "node-b"))
    other.put(MadeVMIM(isSender: true).entering("Running", at: 0))
    other.put(MadeVMI(node: "node-b").with(MadeState(start: 0, sourceNode: "node-b", targetNode: "node-a")))
    #expect(other.isDrained() == true)
    #expect(other.blockers("node-b") == [.vm, .notCordoned])
  }

  @Test("All that speak against it are told together, in their order")
  func together() {
    var script = ClusterScript()
    script.put(MadeReplica())
    script.put(MadeVMI(name: "vm2", node: "node-b"))
    script.put(MadeVMIM.running(vmi: "vm2"))
    script.put(
      MadeVMI(name: "vm2", node: "node-b").with(
        MadeState(start: 5, sourceNode: "node-b", targetNode: "node-a")))
    #expect(script.blockers() == [.vm, .inbound, .notCordoned, .lastReplica])
    script.live(to: 200, without: [.nodes])
    #expect(script.blockers() == RebootBlocker.allCases)
  }
}
