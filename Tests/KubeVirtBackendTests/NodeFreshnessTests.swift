import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("How old what is known of a node may be")
struct NodeFreshnessTests {
  @Test(
    "A watch that is silent for too long says nothing more, until it is heard of and has caught up",
    arguments: [ClusterResource.nodes, .vmis, .vmims])
  func silent(resource: ClusterResource) {
    var script = ClusterScript.cordoned()
    script.live(to: 150, without: [resource])
    #expect(script.isDrained() == true)
    script.live(to: 151, without: [resource])
    #expect(script.blockers() == [.dataStale])
    script.take(.fresh(resource))
    script.live(to: 155)
    #expect(script.blockers() == [.dataStale], "what it missed may be on its way")
    script.live(to: 157)
    #expect(script.isDrained() == true)
  }

  @Test(
    "One that is known to be broken is believed for a shorter time, and a whole list mends it at once",
    arguments: [ClusterResource.nodes, .vmis, .vmims])
  func broken(resource: ClusterResource) {
    var script = ClusterScript.cordoned()
    script.take(.failed(resource, .passing))
    script.live(to: 30, without: [resource])
    #expect(script.isDrained() == true, "a server that is started anew is back by then")
    script.live(to: 31, without: [resource])
    #expect(script.blockers() == [.dataStale])
    script.take(.synced(resource))
    script.live(to: 32)
    #expect(script.isDrained() == true)
  }

  @Test(
    "What may not be read any more says nothing, nor, a while later, what the server says that it does not know",
    arguments: [ClusterResource.nodes, .vmis, .vmims],
    [(ReadFailure.denied, 2), (.absent, 31)] as [(ReadFailure, Double)])
  func denied(resource: ClusterResource, failure: (kind: ReadFailure, from: Double)) {
    var script = ClusterScript.cordoned()
    script.take(.failed(resource, failure.kind))
    script.live(to: failure.from, without: [resource])
    #expect(script.blockers() == [.dataStale])
    script.take(.synced(resource))
    script.live(to: failure.from + 1)
    #expect(script.isDrained() == true)
  }

  @Test(
    "A list that is not whole is no sign of life: what went away while nobody watched is not in it",
    arguments: [ClusterResource.nodes, .vmis, .vmims])
  func listing(resource: ClusterResource) {
    var script = ClusterScript.cordoned()
    script.take(.failed(resource, .passing))
    script.take(.listing(resource))
    script.live(to: 29)
    #expect(script.isDrained() == true)
    // Pages come, and the server answers others.
    script.put(MadeVMI(node: "node-b"))
    script.put(MadeNode(name: "node-c"))
    script.live(to: 31)
    #expect(script.blockers() == [.dataStale])
    script.take(.synced(resource))
    script.live(to: 32)
    #expect(script.isDrained() == true)
  }

  @Test("VMs that may not be read from the start leave every node undrained")
  func neverRead() {
    var script = ClusterScript(empty: 0)
    script.put(MadeNode.cordoned())
    for resource in ClusterResource.allCases where resource != .vmis { script.take(.synced(resource)) }
    script.take(.failed(.vmis, .denied))
    #expect(script.blockers() == [.dataStale])
  }

  @Test("Any object is a sign of life of its watch")
  func objects() {
    var script = ClusterScript.cordoned()
    script.take(.failed(.vmis, .passing))
    script.live(to: 29, without: [.vmis])
    script.put(MadeVMI(node: "node-b"))
    script.live(to: 100, without: [.vmis])
    #expect(script.isDrained() == true)
  }

  @Test("In some namespaces only, other VMs may be on any node")
  func restricted() {
    var script = ClusterScript.cordoned()
    script.watch.isRestricted = true
    script.advance(to: 1)
    #expect(script.blockers() == [.dataStale])
    #expect(script.isDrained() == false)
  }

  @Test(
    "Nothing of what else cannot be read matters",
    arguments: [ClusterResource.policies, .events, .namespaces])
  func others(resource: ClusterResource) {
    var script = ClusterScript.cordoned()
    script.take(.failed(resource, .denied))
    script.live(to: 200, without: [resource])
    #expect(script.isDrained() == true)
  }

  @Test("A node that is cordoned is told every 5 s; without that it is believed for 30 s")
  func renewed() {
    var script = ClusterScript.cordoned()
    let before = script.timesTold("node-a")
    script.live(to: 60)
    #expect(script.timesTold("node-a") - before == 12)
    var tracker = script.tracker
    _ = tracker.tick(at: TestTime.moment(90))
    #expect(tracker.snapshot().nodes.first?.isDrained == true)
    _ = tracker.tick(at: TestTime.moment(91))
    #expect(tracker.snapshot().nodes.first?.rebootBlockers == [.dataStale])
  }

  @Test("A node that nothing empties is told when something of it changes, and only then")
  func quiet() {
    var script = ClusterScript()
    let before = script.timesTold("node-b")
    script.live(to: 60)
    #expect(script.timesTold("node-b") == before)
    script.put(MadeNode(name: "node-b", heartbeat: 59))
    script.put(MadeNode(name: "node-b", labels: ["any": "label"], heartbeat: 59))
    #expect(script.timesTold("node-b") == before + 1)
    #expect(script.node("node-b")?.state?.heartbeat.map(TestTime.seconds) == 59)
    script.put(MadeNode(name: "node-b", ready: "False", heartbeat: 59))
    #expect(script.node("node-b")?.state?.isReady == false)
    script.put(MadeVMI(name: "vm9", node: "node-b"))
    #expect(script.timesTold("node-b") == before + 3)
    #expect(script.blockers("node-b") == [.vm, .notCordoned])
    script.put(MadeVMI(name: "vm8", node: "node-b"))
    #expect(script.timesTold("node-b") == before + 3, "one VM or two make no difference to a reboot")
  }

  @Test("A node that is gone is forgotten, and comes back as it is then")
  func gone() {
    var script = ClusterScript.cordoned(MadeVMI())
    script.take(.nodeGone("node-a"))
    #expect(script.node("node-a") == nil)
    script.put(MadeNode.cordoned())
    #expect(script.blockers() == [.vm])
    #expect(script.node("node-a")?.vms == 1)
  }

  @Test("How many migrations may leave it, and how many do")
  func slots() {
    var script = ClusterScript()
    #expect(script.node("node-a")?.state?.slots == SlotUse(used: 0, limit: 2))
    script.put(MadeVMIM())
    script.put(MadeVMIM.running(at: 5))
    script.advance(to: 6)
    #expect(script.node("node-a")?.state?.slots == SlotUse(used: 1, limit: 2))
  }
}
