import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("Migrations that never start")
struct UnstartedTests {
  /// How one ends that leaves `phases` at second `end`, by itself.
  private func ending(
    _ phases: [(String, Double)], failed end: Double, annotations: [String: String] = [:],
    before: (inout ClusterScript) -> Void = { _ in }
  ) -> String {
    var script = ClusterScript()
    var vmim = MadeVMIM(annotations: annotations)
    for (phase, at) in phases {
      vmim.enter(phase, at: at)
      script.advance(to: at)
      script.put(vmim)
    }
    before(&script)
    script.advance(to: end)
    vmim.enter("Failed", at: end)
    script.put(vmim)
    script.advance(to: end + 5)
    #expect(script.view()?.duration == nil && script.counters[0] == 0)
    return script.endings.joined()
  }

  private static let scheduling = [("Pending", 1.0), ("Scheduling", 2)]
  private static let unschedulable = MadePod(unschedulable: "0/3 nodes are available")

  @Test("A pod that no node takes is given up after 300 s")
  func unschedulable() {
    #expect(ending(Self.scheduling, failed: 303) == "failed unschedulable inferred")
    #expect(
      ending(Self.scheduling, failed: 303) { $0.put(Self.unschedulable) } == "failed unschedulable reported")
    #expect(
      ending(Self.scheduling, failed: 303) {
        $0.put(
          MadeEvent(
            reason: "migrationTargetPodUnschedulable",
            message: "Migration target pod for VMI is currently unschedulable."))
      } == "failed unschedulable reported")
    let sooner = ["kubevirt.io/migrationUnschedulablePodTimeoutSeconds": "60"]
    #expect(ending(Self.scheduling, failed: 63, annotations: sooner) == "failed unschedulable inferred")
    #expect(ending(Self.scheduling, failed: 303, annotations: sooner) == "failed unknown inferred")
    let nonsense = ["kubevirt.io/migrationUnschedulablePodTimeoutSeconds": "99999999999999999999"]
    #expect(ending(Self.scheduling, failed: 303, annotations: nonsense) == "failed unschedulable inferred")
  }

  @Test("One that is pending for any reason after 900 s")
  func pending() {
    #expect(ending(Self.scheduling, failed: 903) == "failed pod_pending_timeout inferred")
    // It found a node after all, and then did not start there.
    #expect(
      ending(Self.scheduling, failed: 903) {
        $0.put(Self.unschedulable)
        $0.put(MadePod(node: "node-b"))
      } == "failed pod_pending_timeout inferred")
    let sooner = ["kubevirt.io/migrationPendingPodTimeoutSeconds": "100"]
    #expect(
      ending(Self.scheduling, failed: 103, annotations: sooner) == "failed pod_pending_timeout inferred")
    // Without a pod nothing was pending but itself.
    #expect(ending([("Pending", 1)], failed: 903) == "failed unknown inferred")
    #expect(ending([("Pending", 1)], failed: 303) == "failed unknown inferred")
  }

  @Test("A quota that refuses the pod, unless the guest is gone meanwhile")
  func quota() {
    func ending(_ vmi: MadeVMI?) -> [String] {
      var script = ClusterScript()
      var vmim = MadeVMIM().entering("Pending", at: 1)
      vmim.conditions = [("migrationRejectedByResourceQuota", "")]
      script.put(vmim)
      if let vmi { script.put(vmi) } else { script.remove(MadeVMI()) }
      vmim.enter("Failed", at: 3)
      script.advance(to: 3)
      script.put(vmim)
      script.advance(to: 9)
      return script.endings
    }
    #expect(ending(MadeVMI()) == ["failed quota reported"])
    #expect(ending(MadeVMI(phase: "Succeeded")) == ["failed guest_shutdown inferred"])
    #expect(ending(MadeVMI(phase: "Failed")) == ["failed guest_crashed inferred"])
    #expect(ending(nil) == ["failed vm_lost inferred"])
  }

  @Test("A target's pod that dies as it is handed over never was a copy")
  func podDown() throws {
    var script = ClusterScript()
    script.put(MadeVMIM().entering("Scheduled", at: 2))
    script.advance(to: 20)
    let state = MadeState(start: 19).failed("Target pod is down", at: 19)
    script.put(MadeVMI().with(state))
    #expect(script.view()?.phase == .preparing && script.view()?.hasStarted == false)
    var vmim = MadeVMIM().entering("Failed", at: 20)
    vmim.state = state
    script.put(vmim)
    #expect(script.endings == ["failed target_lost reported"] && script.counters == [0, 0, 1, 0])
    #expect(try #require(script.view()).duration == nil)
  }

  @Test(
    "An abort before the hand-over fails it, and somebody asked for that",
    arguments: ["", "Pending", "Scheduling", "Scheduled"], [true, false])
  func abortedEarly(phase: String, hasEvent: Bool) {
    var script = ClusterScript()
    var vmim = MadeVMIM()
    if !phase.isEmpty { vmim.enter(phase, at: 1) }
    script.put(vmim)
    script.advance(to: 5)
    vmim.deleted = 5
    script.put(vmim)
    #expect(script.view()?.phase == .aborting)
    if hasEvent { script.put(MadeEvent(message: "Migration failed due to being canceled")) }
    vmim.enter("Failed", at: 6)
    vmim.conditions = [("migrationAbortRequested", "")]
    script.put(vmim)
    script.remove(vmim)
    #expect(script.endings == ["aborted user_abort reported"] && script.counters == [0, 0, 0, 1])
  }

  @Test(
    "An abort after it waits until the copy runs", arguments: ["Scheduled", "PreparingTarget", "TargetReady"])
  func abortedLate(phase: String) {
    var script = ClusterScript()
    var vmim = MadeVMIM().entering(phase, at: 1)
    script.put(MadeVMI().with(MadeState()))
    script.put(vmim)
    vmim.deleted = 3
    vmim.conditions = [("migrationAbortRequested", "")]
    script.advance(to: 3)
    script.put(vmim)
    #expect(script.view()?.phase == .aborting && script.view()?.isOver == false)
    script.advance(to: 6)
    script.put(MadeVMI().with(MadeState(start: 6)))
    vmim.enter("Running", at: 6)
    script.put(vmim)
    #expect(script.view()?.phase == .aborting)
    var state = MadeState(start: 6, isAbortRequested: true)
    script.put(MadeVMI().with(state))
    #expect(script.view()?.phase == .aborting)
    state = state.failed("Live migration aborted ", at: 8, abortStatus: "Succeeded")
    script.advance(to: 8)
    script.put(MadeVMI().with(state))
    vmim.enter("Failed", at: 8)
    vmim.state = state
    script.remove(vmim)
    #expect(script.endings == ["aborted user_abort reported"])
    #expect(script.view()?.guest == .source)
  }

  @Test("An abort that comes too late changes nothing of a success")
  func abortedTooLate() {
    var script = ClusterScript()
    script.advance(to: 6)
    script.put(MadeVMI().with(MadeState(start: 5)))
    script.put(.running())
    var vmim = MadeVMIM.running()
    vmim.deleted = 60
    vmim.conditions = [("migrationAbortRequested", "")]
    script.advance(to: 60)
    script.put(vmim)
    let state = MadeState(start: 5, isAbortRequested: true).succeeded(at: 60)
    script.put(MadeVMI().with(state, node: "node-b"))
    #expect(script.view()?.phase == .switchover)
    vmim.enter("Succeeded", at: 61)
    vmim.state = state
    script.advance(to: 61)
    script.put(vmim)
    script.remove(vmim)
    #expect(script.endings == ["succeeded -"] && script.counters == [1, 1, 0, 0])
    #expect(script.view()?.guest == .target)
  }
}
