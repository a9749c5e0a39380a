import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("A migration from beginning to end")
struct ScriptTests {
  @Test("It is told with its phases, its nodes and its end")
  func whole() throws {
    var script = ClusterScript()
    var vmim = MadeVMIM()
    script.put(vmim)
    #expect(script.view()?.phase == .pending)
    for (n, phase) in ["Pending", "Scheduling", "Scheduled"].enumerated() {
      vmim.enter(phase, at: Double(n + 1))
      script.advance(to: Double(n + 1))
      script.put(vmim)
    }
    #expect(script.view()?.phase == .preparing)
    script.advance(to: 6)
    var state = MadeState(start: 6)
    script.put(MadeVMI().with(state))
    vmim.enter("Running", at: 6)
    script.put(vmim)
    #expect(script.view()?.phase == .precopy)
    #expect(script.view()?.facts.target == "node-b")
    #expect(script.counters == [1, 0, 0, 0])
    script.advance(to: 60)
    state = state.succeeded(at: 60)
    script.put(MadeVMI().with(state, node: "node-b"))
    #expect(script.view()?.phase == .switchover)
    vmim.enter("Succeeded", at: 60)
    vmim.state = state
    script.put(vmim)
    script.remove(vmim)
    #expect(script.endings == ["succeeded -"])
    #expect(script.counters == [1, 1, 0, 0])
    #expect(try #require(script.view()).duration == .seconds(54))
  }
}
