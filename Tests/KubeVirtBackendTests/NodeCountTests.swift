import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("Migrations counted at their nodes")
struct NodeCountTests {
  @Test("Pending, then outbound and inbound, then none")
  func ordinary() {
    var script = ClusterScript()
    script.put(MadeVMIM().entering("Pending", at: 0))
    #expect(script.node("node-a")?.pending == 1)
    script.put(MadeVMIM.running(at: 5))
    script.put(MadeVMI().with(MadeState(start: 5)))
    #expect(script.node("node-a")?.pending == 0)
    #expect(script.node("node-a")?.outbound == 1)
    #expect(script.node("node-b")?.inbound == 1)
    script.put(MadeVMIM.running(at: 5).ended("Succeeded", at: 6, MadeState(start: 5).succeeded(at: 6)))
    #expect(script.node("node-a")?.outbound == 0)
    #expect(script.node("node-b")?.inbound == 0)
  }

  @Test("A VM that goes to another cluster arrives at no node of this one, though one has that name")
  func elsewhere() {
    var script = ClusterScript()
    script.put(MadeVMIM(isSender: true))
    var vmim = MadeVMIM.running(at: 5)
    vmim.isSender = true
    script.put(vmim)
    script.put(MadeVMI().with(MadeState(start: 5)))
    #expect(script.view()?.facts.target == "node-b")
    #expect(script.node("node-a")?.outbound == 1)
    #expect(script.node("node-b")?.inbound == 0)
    script.put(vmim.ended("Failed", at: 9, MadeState(start: 5).failed("Target pod is down", at: 9)))
    #expect(script.node("node-a")?.failedOutbound == 1)
    #expect(script.node("node-b")?.failedInbound == 0)
  }
}
