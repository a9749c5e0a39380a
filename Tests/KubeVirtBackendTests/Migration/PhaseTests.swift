import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("Phases")
struct PhaseTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var vmim: String
    var state: MadeState?
    var isDeleted = false
    var phase: Phase
    var guest = GuestLocation.source

    var testDescription: String {
      "\(vmim.isEmpty ? "unset" : vmim) \(state.map { "\($0.mode) \($0.start ?? -1)" } ?? "-")"
        + "\(state?.isCompleted == true ? " completed" : "")\(isDeleted ? " deleted" : "") > \(phase)"
    }
  }

  private static let handedOver = MadeState()
  private static let copying = MadeState(start: 5)
  private static let postcopy = MadeState(start: 5, mode: "PostCopy")
  private static let paused = MadeState(start: 5, mode: "Paused")
  private static let asked = MadeState(start: 5, isAbortRequested: true)

  static let cases: [Case] = [
    Case(vmim: "", phase: .pending),
    Case(vmim: "Pending", phase: .pending),
    Case(vmim: "WaitingForSync", phase: .pending),
    Case(vmim: "Synchronizing", phase: .pending),
    Case(vmim: "Scheduling", phase: .scheduling),
    Case(vmim: "Scheduled", phase: .preparing),
    Case(vmim: "Scheduled", state: handedOver, phase: .preparing),
    Case(vmim: "PreparingTarget", state: handedOver, phase: .preparing),
    Case(vmim: "TargetReady", state: handedOver, phase: .preparing),
    // The source has begun, and virt-controller has not noticed.
    Case(vmim: "TargetReady", state: copying, phase: .precopy),
    Case(vmim: "TargetReady", state: postcopy, phase: .postcopy, guest: .target),
    Case(vmim: "Running", phase: .precopy),
    Case(vmim: "Running", state: handedOver, phase: .precopy),
    Case(vmim: "Running", state: copying, phase: .precopy),
    Case(vmim: "Running", state: postcopy, phase: .postcopy, guest: .target),
    Case(vmim: "Running", state: paused, phase: .guestSuspended),
    Case(vmim: "Running", state: copying.succeeded(at: 60), phase: .switchover, guest: .target),
    Case(vmim: "Running", state: paused.succeeded(at: 60), phase: .switchover, guest: .target),
    Case(vmim: "Running", state: postcopy.succeeded(at: 60), phase: .postcopy, guest: .target),
    Case(vmim: "Running", state: copying.failed("x", at: 60), phase: .precopy),
    Case(vmim: "Running", state: paused.failed("x", at: 60), phase: .precopy),
    // An abort is a wish: what holds beside it counts more.
    Case(vmim: "", isDeleted: true, phase: .aborting),
    Case(vmim: "Pending", isDeleted: true, phase: .aborting),
    Case(vmim: "Scheduling", isDeleted: true, phase: .aborting),
    Case(vmim: "PreparingTarget", state: handedOver, isDeleted: true, phase: .aborting),
    Case(vmim: "TargetReady", state: copying, isDeleted: true, phase: .aborting),
    Case(vmim: "Running", state: copying, isDeleted: true, phase: .aborting),
    Case(vmim: "Running", state: asked, phase: .aborting),
    Case(vmim: "Running", state: postcopy, isDeleted: true, phase: .postcopy, guest: .target),
    Case(vmim: "Running", state: paused, isDeleted: true, phase: .guestSuspended),
    Case(
      vmim: "Running", state: asked.succeeded(at: 60), isDeleted: true, phase: .switchover, guest: .target),
  ]

  @Test("are those of VMIM and VMI joined, whichever is told first", arguments: cases, [true, false])
  func table(of example: Case, isVMIMFirst: Bool) throws {
    var script = ClusterScript()
    script.advance(to: 70)
    var vmim = MadeVMIM()
    if !example.vmim.isEmpty { vmim.enter(example.vmim, at: 6) }
    if example.isDeleted { vmim.deleted = 8 }
    let vmi = MadeVMI().with(
      example.state,
      node: example.state?.isCompleted == true && example.state?.hasFailed == false ? "node-b" : nil)
    if isVMIMFirst { script.put(vmim) }
    script.put(vmi)
    if !isVMIMFirst { script.put(vmim) }
    let view = try #require(script.view())
    #expect(view.phase == example.phase)
    #expect(view.guest == example.guest)
    #expect(view.facts.source == "node-a")
    #expect(!view.isOver)
  }

  @Test("of the migration before, whose state is still on the VMI, are not taken")
  func previous() throws {
    for old in [
      Self.copying.succeeded(at: 60), Self.postcopy.succeeded(at: 60), Self.copying.failed("x", at: 60),
    ] {
      var state = old
      state.uid = "m0-uid"
      state.configuration = ["completionTimeoutPerGiB": 7]
      state.policyName = "old"
      var script = ClusterScript(at: 100, vmis: [MadeVMI().with(state)])
      var vmim = MadeVMIM(created: 100)
      for (n, phase) in ["Pending", "Scheduling", "Scheduled"].enumerated() {
        vmim.enter(phase, at: 100 + Double(n))
        script.put(vmim)
        script.put(MadeVMI().with(state))
      }
      let view = try #require(script.view())
      #expect(view.phase == .preparing && !view.hasStarted && view.facts.target.isEmpty)
      #expect(view.facts.policy.isEmpty && view.completion?.setBy == .versionDefault)
      #expect(view.guest == .source)
    }
  }

  @Test("are entered when the cluster says so, and pre-copy when the copy starts")
  func entered() throws {
    var script = ClusterScript()
    var vmim = MadeVMIM(created: 0)
    var seen: [Double] = []
    for (phase, at) in [("Pending", 2.0), ("Scheduling", 10), ("PreparingTarget", 20), ("Running", 32)] {
      vmim.enter(phase, at: at)
      script.advance(to: at + 1)
      if phase == "Running" { script.put(MadeVMI().with(MadeState(start: 31))) }
      script.put(vmim)
      seen.append(TestTime.seconds(try #require(script.view()).phaseEnteredAt))
    }
    #expect(seen == [2, 10, 20, 31])
    #expect(script.view()?.startedAt == TestTime.moment(31))
    #expect(script.view()?.createdAt == TestTime.moment(0))
  }

  @Test("A failure is read before a success, and an end in a phase that went unseen is one all the same")
  func failedFirst() {
    for (state, ending) in [
      (
        MadeState(start: 5).failed("Live migration stuck for 151 seconds and has been aborted", at: 60),
        "failed progress_timeout reported"
      ),
      (MadeState(start: 5).succeeded(at: 60), "succeeded -"),
    ] {
      var script = ClusterScript()
      script.put(MadeVMIM().entering("Pending", at: 1))
      script.advance(to: 62)
      var vmim = MadeVMIM.running().entering(state.hasFailed ? "Failed" : "Succeeded", at: 61)
      vmim.state = state
      script.put(vmim)
      #expect(script.endings == [ending])
    }
  }

  @Test("Where the guest runs is not known of a source that nobody hears")
  func unreachable() throws {
    var script = ClusterScript()
    script.put(MadeVMI().with(MadeState(start: 5)))
    script.put(.running())
    #expect(script.view()?.guest == .source)
    script.put(MadeNode(name: "node-a", ready: "Unknown"))
    #expect(script.view()?.guest == .unknown)
    script.put(MadeNode(name: "node-a"))
    #expect(script.view()?.guest == .source)
    // One that calls itself not ready is heard.
    script.put(MadeNode(name: "node-a", ready: "False"))
    #expect(script.view()?.guest == .source)
  }
}
