import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("Clocks that are wrong")
struct ClockTests {
  /// Plays a migration from 10 to 100 that is seen live, with the clocks of the nodes, of virt-controller and of the API
  /// server wrong by so many seconds; from second `from` on, having been there in the first list where that is later.
  private func play(node: Double, controller: Double = 0, server: Double = 0, from: Double = 0)
    -> ClusterScript
  {
    var script = ClusterScript(empty: from)
    script.isAnswering = true
    for name in ["node-a", "node-b"] { script.put(MadeNode(name: name)) }
    script.put(MadeKubeVirt())
    var vmim = MadeVMIM(created: 4 + server)
    var vmi = MadeVMI()
    let steps: [(String, Double)] = [
      ("Pending", 4), ("Scheduling", 5), ("Scheduled", 7), ("PreparingTarget", 8), ("TargetReady", 9),
      ("Running", 11),
    ]
    for (phase, at) in steps {
      vmim.enter(phase, at: at + controller)
      if at == 11 { vmi = MadeVMI().with(MadeState(start: 10 + node)) }
      guard at >= from else { continue }
      script.advance(to: at)
      if at == 4 { script.begin() }
      script.put(vmi)
      script.put(vmim)
    }
    if from > 11 {
      script.put(vmi)
      script.put(vmim, isInitial: true)
      script.begin()
    }
    script.advance(to: 100)
    let state = MadeState(start: 10 + node).succeeded(at: 100 + node)
    script.put(vmi.with(state, node: "node-b"))
    script.advance(to: 101)
    vmim.enter("Succeeded", at: 101 + controller)
    vmim.state = state
    script.put(vmim)
    return script
  }

  @Test("A clock that is right makes no noise")
  func right() throws {
    for from in [0.0, 50] {
      var script = play(node: 0, from: from)
      let view = try #require(script.view())
      #expect(view.startedAt == TestTime.moment(10) && view.ending?.endedAt == TestTime.moment(100))
      #expect(script.watch.problems.takeNews().isEmpty)
    }
  }

  @Test(
    "A node's that is an hour wrong does not move start or end by more than was seen, and is noted once",
    arguments: [3600.0, -3600, 86_400, -86_400, 60, -60], [0.0, 50])
  func node(error: Double, from: Double) throws {
    var script = play(node: error, from: from)
    let view = try #require(script.view())
    let started = TestTime.seconds(view.startedAt)
    let ended = TestTime.seconds(try #require(view.ending).endedAt)
    #expect(started >= 0 && started <= 11, "\(started)")
    #expect(ended >= 89 && ended <= 101, "\(ended)")
    #expect(script.counters == [from == 0 ? 1 : 0, 1, 0, 0])
    let news = script.watch.problems.takeNews()
    #expect(news.map(\.kind) == [.clockSkew] && news.map(\.object) == ["m1-uid"])
  }

  @Test(
    "Nor does virt-controller's, or the API server's",
    arguments: [(3600.0, 0.0), (-3600, 0), (0, 3600), (0, -3600), (3600, 3600), (-3600, -3600)])
  func others(controller: Double, server: Double) throws {
    for from in [0.0, 50] {
      let view = try #require(play(node: 0, controller: controller, server: server, from: from).view())
      #expect(view.startedAt == TestTime.moment(10) && view.ending?.endedAt == TestTime.moment(100))
    }
    let script = play(node: 0, controller: controller, server: server)
    for observation in script.observations {
      if let entered = observation.phaseEnteredAt { #expect(entered <= observation.takenAt) }
      #expect(observation.createdAt.map { $0 <= observation.takenAt } ?? false)
    }
  }

  @Test("A migration that is over in a first list with a clock ahead is history all the same")
  func history() {
    var script = ClusterScript(empty: 100)
    script.put(MadeVMI())
    var vmim = MadeVMIM.running(at: 3610).entering("Succeeded", at: 3700)
    vmim.state = MadeState(start: 3610).succeeded(at: 3700)
    script.put(vmim, isInitial: true)
    script.begin()
    #expect(script.counters == [0, 0, 0, 0] && script.endings == ["found succeeded -"])
  }

  @Test("What comes late after an outage is late, and no clock is wrong")
  func late() throws {
    var script = ClusterScript()
    script.isAnswering = true
    script.put(MadeVMIM().entering("Pending", at: 0))
    script.advance(to: 20)
    // The watch is cut at 25 and goes on at 300; what happened meanwhile comes all at once.
    script.isAnswering = false
    for resource in [ClusterResource.vmims, .vmis] { script.take(.failed(resource, .passing)) }
    script.advance(to: 300)
    script.answer()
    var vmim = MadeVMIM().entering("Pending", at: 0)
    for (phase, at) in [("Scheduling", 30.0), ("Scheduled", 40), ("TargetReady", 42)] {
      vmim.enter(phase, at: at)
      script.put(vmim)
      if phase == "Scheduled" { #expect(script.view()?.phaseEnteredAt == TestTime.moment(40)) }
    }
    script.put(MadeVMI().with(MadeState(start: 44)))
    vmim.enter("Running", at: 45)
    script.put(vmim)
    #expect(script.view()?.startedAt == TestTime.moment(44))
    let state = MadeState(start: 44).succeeded(at: 200)
    script.put(MadeVMI().with(state, node: "node-b"))
    vmim.enter("Succeeded", at: 201)
    vmim.state = state
    script.put(vmim)
    #expect(script.view()?.ending?.endedAt == TestTime.moment(200))
    #expect(script.watch.problems.takeNews().isEmpty)
  }

  @Test("Points from the future are moved back to now, in their distances, and one ahead for good is noted")
  func points() throws {
    var script = ClusterScript()
    script.advance(to: 31)
    script.put(MadeVMI().with(MadeState(start: 10)))
    script.put(.running(at: 10))
    script.copy(
      point(at: 20.4, sent: 1, remaining: 7), point(at: 25.4, sent: 2, remaining: 6),
      point(at: 31.4, sent: 3, remaining: 5))
    #expect(
      script.view()?.sampledAt == TestTime.moment(31) && script.view()?.sample.transferred == 3_000_000_000)
    #expect(script.watch.problems.takeNews().isEmpty)
    // What happens next is news in spite of that.
    script.put(MadeVMI().with(MadeState(start: 10, mode: "PostCopy")))
    #expect(script.view()?.phase == .postcopy)
    script.advance(to: 36)
    script.copy(point(at: 3636, sent: 4, remaining: 4))
    #expect(
      script.view()?.sampledAt == TestTime.moment(36) && script.view()?.sample.transferred == 4_000_000_000)
    #expect(script.watch.problems.takeNews().map(\.kind) == [.clockSkew])
  }
}
