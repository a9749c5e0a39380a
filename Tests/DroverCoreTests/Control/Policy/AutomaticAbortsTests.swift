import Testing

@testable import DroverCore

@Suite("What policies decide")
struct AutomaticAbortsTests {
  @Test("a time-out without progress acts with the sample that shows it, never by time alone")
  func progress() {
    var scene = AutomaticScene()
    #expect(scene.decide([scene.stuck(for: 149.9)]) == [])
    var old = scene.stuck(for: 149.9)
    old.sampledAt = scene.now
    // A second later nobody has looked again.
    #expect(scene.decide([old], after: 1) == [])
    #expect(scene.decide([scene.stuck(for: 150)]) == ["acted progress_timeout"])
  }

  @Test("the whole budget acts at the moment when it is used up, and not before it can be")
  func completion() {
    var scene = AutomaticScene()
    func late(_ scene: AutomaticScene, by: Double, uncertainty: Double = 0) -> MigrationView {
      scene.view {
        $0.completionDeadline = scene.now - .milliseconds(Int64(by * 1000))
        $0.completion?.uncertainty = .milliseconds(Int64(uncertainty * 1000))
      }
    }
    #expect(scene.decide([late(scene, by: -0.001)]) == [])
    #expect(scene.decide([late(scene, by: 5, uncertainty: 6)]) == [])
    #expect(scene.decide([late(scene, by: 0)]) == ["acted completion_timeout"])
    // Nothing new is told, and the deadline passes all the same.
    scene = AutomaticScene()
    let view = late(scene, by: -0.5)
    #expect(scene.see([view]).isEmpty)
    let snapshot = scene.snapshot([view])
    #expect(scene.aborts.step(snapshot, at: scene.now + .milliseconds(499)).isEmpty)
    #expect(scene.aborts.step(snapshot, at: scene.now + .milliseconds(500)).count == 1)
  }

  @Test("what waits for a while acts only once it has held without a break")
  func patience() {
    var scene = AutomaticScene {
      $0.rules = [PolicyRule(name: "r", wishes: [.notConverging: PolicyWish(.abort, after: .seconds(60))])]
    }
    func run(_ scene: inout AutomaticScene, _ holds: Bool, for length: Int) -> [String] {
      (0..<length).flatMap { _ in scene.decide([holds ? scene.view(1, endless) : scene.view()], after: 1) }
    }
    #expect(run(&scene, true, for: 60) == [])
    #expect(run(&scene, false, for: 1) == [])
    #expect(run(&scene, true, for: 60) == [])
    #expect(run(&scene, true, for: 1) == ["acted not_converging"])
    #expect(run(&scene, true, for: 60) == [])
  }

  @Test("while no rule governs it nothing is known to hold")
  func ungoverned() {
    var scene = AutomaticScene()
    let rules = [PolicyRule(name: "r", wishes: [.notConverging: PolicyWish(.abort, after: .seconds(60))])]
    scene.set { $0.rules = rules }
    #expect(scene.decide([scene.view(1, endless)]) == [])
    scene.set { $0.rules = [] }
    #expect(scene.decide([scene.view()], after: 100) == [])
    scene.set { $0.rules = rules }
    #expect(scene.decide([scene.view(1, endless)], after: 100) == [])
    for _ in 0..<59 { #expect(scene.decide([scene.view(1, endless)], after: 1) == []) }
    #expect(scene.decide([scene.view(1, endless)], after: 1) == ["acted not_converging"])
  }

  struct Guarded: Sendable, CustomTestStringConvertible {
    var reason: RefusalReason
    var isPassing: Bool
    var change: @Sendable (inout MigrationView) -> Void
    var testDescription: String { reason.rawValue }
  }

  static let guarded: [Guarded] = [
    .init(reason: .switchover, isPassing: false) { $0.phase = .switchover },
    .init(reason: .postcopy, isPassing: false) { $0.phase = .postcopy },
    .init(reason: .postcopy, isPassing: false) { $0.phase = .postcopyPaused },
    .init(reason: .aborting, isPassing: false) { $0.phase = .aborting },
    .init(reason: .suspended, isPassing: true) { $0.phase = .guestSuspended },
    .init(reason: .comesBack, isPassing: false) { $0.facts.origin = .evacuation },
    .init(reason: .comesBack, isPassing: false) { $0.facts.origin = .workloadUpdate },
    .init(reason: .comesBack, isPassing: false) { $0.facts.origin = .descheduler },
    .init(reason: .oldSample, isPassing: true) { view in
      view.sampledAt = view.sampledAt - .milliseconds(10_001)
      view.progress?.lastDrop = view.sampledAt - .seconds(151)
    },
    .init(reason: .nearlyDone, isPassing: true) { view in
      view.verdict = Verdict(
        .converging, .trend(remaining: 1000, dirty: 1, transfer: 101),
        expectedEnd: view.sampledAt + .seconds(10))
    },
  ]

  @Test("what is guarded is not ended, and said once; what passes is ended then", arguments: guarded)
  func guards(row: Guarded) {
    var scene = AutomaticScene()
    let word = row.isPassing ? "held" : "refused"
    let first = scene.decide([scene.stuck(1, for: 200, row.change)])
    #expect(first.contains("\(word) progress_timeout \(row.reason.rawValue)"), "\(first)")
    #expect(!first.contains { $0.hasPrefix("acted") })
    for _ in 0..<50 {
      #expect(scene.decide([scene.stuck(1, for: 200, row.change)], after: 0.2).isEmpty)
    }
    #expect(scene.decide([scene.stuck(1, for: 200)], after: 1) == ["acted progress_timeout"])
  }

  @Test("the bounds of the guards are the configured ones")
  func bounds() {
    var scene = AutomaticScene()
    let fresh = scene.stuck { view in
      view.sampledAt = view.sampledAt - .seconds(10)
      view.progress?.lastDrop = view.sampledAt - .seconds(151)
    }
    #expect(scene.decide([fresh]) == ["acted progress_timeout"])
    scene = AutomaticScene { $0.limits.sampleAge = .seconds(5) }
    #expect(scene.decide([fresh]) == ["held progress_timeout old_sample"])
    let soon = scene.stuck { view in
      view.verdict = Verdict(.slow, .tooFewSamples, expectedEnd: view.sampledAt + .milliseconds(10_001))
    }
    scene = AutomaticScene()
    #expect(scene.decide([soon]) == ["acted progress_timeout"])
    scene = AutomaticScene { $0.limits.guardTime = .seconds(30) }
    #expect(scene.decide([soon]) == ["held progress_timeout nearly_done"])
    scene = AutomaticScene { $0.limits.guardTime = .zero }
    let now = scene.stuck { $0.verdict = Verdict(.slow, .tooFewSamples, expectedEnd: $0.sampledAt) }
    #expect(scene.decide([now]) == ["acted progress_timeout"])
  }

  @Test("a sample of a cluster may be older by its interval, and none at all is too old")
  func clusterAge() {
    var told = observation(id: id(1), vm: clusterVM(), at: 0)
    told.startedAt = seconds(0)
    var view = MigrationView(first: told)
    view.sampledAt = seconds(100)
    view.sampleSpacing = .seconds(5)
    let limits = AutomaticLimits()
    #expect(AutomaticGate.refusal(of: view, limits, at: seconds(101))?.reason == .oldSample)
    view.sample.data = StreamCounters(transferred: 1)
    #expect(AutomaticGate.refusal(of: view, limits, at: seconds(115)) == nil)
    #expect(AutomaticGate.refusal(of: view, limits, at: seconds(115.001))?.reason == .oldSample)
  }

  @Test("what is over is not ended, whatever its last sample said", arguments: Outcome.allCases)
  func over(outcome: Outcome) {
    let view = AutomaticScene().stuck { $0.phase = outcome.phase }
    #expect(AutomaticGate.refusal(of: view, AutomaticLimits(), at: view.sampledAt)?.reason == .finished)
  }

  @Test("KubeVirt's own time-outs are only noted, and it is not ended for them; for others it may be")
  func kubevirt() {
    var told = observation(id: id(1), vm: clusterVM(), at: 10_000)
    told.startedAt = seconds(0)
    var scene = AutomaticScene()
    var view = MigrationView(first: told)
    view.sample.data = StreamCounters(transferred: 1)
    view.progress = ProgressClocks(
      lastSent: scene.now, lastDrop: scene.now - .seconds(200), lastBest: scene.now, best: 1)
    view.progressBudget = ProgressBudget(
      timeout: .seconds(150), setBy: .kubevirt, enforcedBy: .kubevirt, countsSent: true)
    view.progressDeadline = scene.now
    view.completion = CompletionBudget(
      timeout: .seconds(60), setBy: .vmi, enforcedBy: .kubevirt, action: .abort)
    view.completionDeadline = seconds(60)
    #expect(scene.decide([view]) == ["observed completion_timeout", "observed progress_timeout"])
    endless(&view)
    #expect(scene.decide([view]) == ["acted not_converging"])
  }

  @Test("what may never abort does not, whatever a rule says")
  func neverAborts() {
    var scene = AutomaticScene {
      $0.rules = [
        PolicyRule(
          name: "r",
          wishes: [
            .postcopy: PolicyWish(.abort), .keepalive: PolicyWish(.abort), .networkLost: PolicyWish(.abort),
          ])
      ]
    }
    let view = scene.view(1) { view in
      lost(&view)
      let report = NetworkReport(
        settings: KeepaliveSettings(), keepalive: .measured,
        control: ConnectionHealth(lastHeard: view.sampledAt - .seconds(31), isAwaited: true))
      view.network = report
      view.keepalive = KeepaliveBudget(report, lastSent: nil)
    }
    #expect(
      scene.decide([view])
        == ["shadowed keepalive shadow", "shadowed network_lost shadow"])
    let after = scene.view(2) { $0.phase = .postcopy }
    #expect(scene.decide([after]) == ["refused postcopy postcopy shadow"])
  }

  @Test("the first rule that matches governs, and none where none does")
  func firstMatch() {
    var first = PolicyRule(name: "first", wishes: [.progressTimeout: PolicyWish(.observe)])
    first.match.vms = ["vm1"]
    var scene = AutomaticScene { $0.rules = [first, AutomaticScene.armed] }
    #expect(
      scene.decide([scene.stuck(1), scene.stuck(2)]) == [
        "observed progress_timeout", "acted progress_timeout",
      ])
    scene = AutomaticScene { $0.rules = [first] }
    #expect(scene.decide([scene.stuck(2)]) == [])
    scene = AutomaticScene { $0.rules = [] }
    #expect(scene.decide([scene.stuck(1)]) == [])
  }

  @Test("a match chooses by each of its facts")
  func matches() {
    let host = PolicySubject(vm: vmRef("web"), origin: .manual, size: .gibibytes(8))
    let cluster = PolicySubject(vm: clusterVM(), origin: .drover, size: nil)
    func matches(_ change: (inout PolicyMatch) -> Void) -> [Bool] {
      var match = PolicyMatch()
      change(&match)
      return [match.matches(host), match.matches(cluster)]
    }
    #expect(matches { _ in } == [true, true])
    #expect(matches { $0.backends = [home.rawValue] } == [true, false])
    #expect(matches { $0.namespaces = ["shop"] } == [false, true])
    #expect(matches { $0.hosts = ["x", "host-a"] } == [true, false])
    #expect(matches { $0.vms = ["db"] } == [false, true])
    #expect(matches { $0.origins = [.manual] } == [true, false])
    #expect(matches { $0.atLeast = .gibibytes(8) } == [true, false])
    #expect(matches { $0.atLeast = .gibibytes(9) } == [false, false])
    #expect(matches { $0.atMost = .gibibytes(8) } == [true, false])
    #expect(matches { $0.atMost = .gibibytes(7) } == [false, false])
  }

  @Test(
    "a switch that is disabled lets nothing but notes, one in the shadow decides the same and sends nothing")
  func switches() throws {
    var scene = AutomaticScene { $0.policies = .observe }
    #expect(scene.decide([scene.stuck()]) == ["observed progress_timeout"])
    #expect(scene.decide([scene.stuck()], after: 1) == [])
    scene = AutomaticScene { $0.policies = .shadow }
    guard case .decision(let decision)? = scene.see([scene.stuck()]).first else {
      Issue.record("nothing decided")
      return
    }
    #expect(decision.kind == .shadowed)
    let text = decision.text(at: 1_795_453_331_000)
    #expect(
      text.hasPrefix(
        "would have aborted at 17:02:11 UTC because its remaining bytes have not fallen for 151 s"))
    scene.settle(decision)
    #expect(scene.decide([scene.stuck()], after: 1) == [])
    // The same bounds hold there, and what is shown takes nothing from what is armed.
    #expect(
      scene.decide((2...4).map { scene.stuck($0) }) == [
        "shadowed progress_timeout shadow", "shadowed progress_timeout shadow",
        "held progress_timeout hold shadow",
      ])
    #expect(scene.aborts.holds.isEmpty)
    // A further trigger of what was shown is shown as well, and counts for nothing more.
    #expect(scene.decide([scene.stuck(1, for: 151, endless)]) == ["shadowed not_converging shadow"])
    scene.set { $0.policies = .abort }
    #expect(
      scene.decide((1...3).map { scene.stuck($0) }) == Array(repeating: "acted progress_timeout", count: 3))
  }

  @Test("what was only noted is acted upon once it may be")
  func armedLater() {
    var scene = AutomaticScene { $0.policies = .observe }
    #expect(scene.decide([scene.stuck()]) == ["observed progress_timeout"])
    var settings = scene.aborts.settings
    settings.policies = .abort
    scene.aborts.apply(settings)
    #expect(scene.decide([scene.stuck()]) == ["acted progress_timeout"])
  }

  @Test("what was shadowed stays as it was shown: acting makes a record of its own")
  func shadowStays() throws {
    var scene = AutomaticScene { $0.policies = .shadow }
    #expect(scene.decide([scene.stuck()]) == ["shadowed progress_timeout shadow"])
    scene.set { $0.policies = .abort }
    guard case .decision(let decision)? = scene.see([scene.stuck()]).first else {
      Issue.record("nothing decided")
      return
    }
    #expect(decision.kind == .acted && decision.record == nil)
  }

  @Test("three that were shown under many triggers are three, not more")
  func shadowCounts() {
    var scene = AutomaticScene {
      $0.policies = .shadow
      $0.limits.aborts = 2
    }
    #expect(scene.decide([scene.stuck(1, for: 151, endless)]).count == 2)
    #expect(scene.decide([scene.stuck(2, for: 151, endless)]).allSatisfy { $0.hasPrefix("shadowed") })
    #expect(scene.decide([scene.stuck(3)]) == ["held progress_timeout hold shadow"])
  }

  @Test("right before it is sent everything has to hold still")
  func recheck() {
    var scene = AutomaticScene()
    guard case .decision(let decision)? = scene.see([scene.stuck()]).first else {
      Issue.record("nothing decided")
      return
    }
    func again(_ view: MigrationView?) -> RefusalReason? {
      scene.aborts.recheck(decision, view, at: scene.now)?.reason
    }
    #expect(again(scene.stuck()) == nil)
    #expect(again(scene.stuck(for: 0)) == .changed)
    #expect(again(scene.stuck { $0.phase = .postcopy }) == .postcopy)
    #expect(again(nil) == .unknown)
    // What armed it may have been taken away meanwhile.
    let armed = scene.aborts.settings
    for change: (inout AutomaticSettings) -> Void in [
      { $0.policies = .shadow }, { $0.rules = [] }, { $0.rules[0].wishes[.progressTimeout] = nil },
      { $0.rules[0].wishes[.progressTimeout] = PolicyWish(.observe) },
    ] {
      var settings = armed
      change(&settings)
      scene.aborts.apply(settings)
      #expect(again(scene.stuck()) == .disabled)
    }
    scene.aborts.apply(armed)
    #expect(again(scene.stuck()) == nil)
    scene.see((2...4).map { scene.view($0, lost) })
    #expect(again(scene.stuck()) == .hold)
  }

  @Test("what was recorded and surely not sent is tried again under a new record, each time later")
  func unsent() {
    var scene = AutomaticScene { $0.limits.aborts = 1 }
    for pause in [0.9, 1.9, 3.9] {
      guard case .decision(let decision)? = scene.see([scene.stuck()]).first else {
        Issue.record("nothing decided")
        return
      }
      #expect(decision.kind == .acted && decision.record == nil)
      scene.aborts.settle(decision, .unsent(Refusal(.unreadable, "t")), at: scene.now)
      #expect(scene.aborts.holds.isEmpty)
      #expect(scene.decide([scene.stuck()], after: pause) == [])
      scene.now = scene.now + .milliseconds(100)
    }
    #expect(scene.decide([scene.stuck()]) == ["acted progress_timeout"])
    // What another leader has claimed is not: it counts.
    scene = AutomaticScene { $0.limits.perVM = .zero }
    guard case .decision(let decision)? = scene.see([scene.stuck()]).first else {
      Issue.record("nothing decided")
      return
    }
    scene.aborts.settle(decision, .unsent(Refusal(.claimed, "t")), at: scene.now)
    // Its record says so already; whatever else asks is refused.
    #expect(scene.decide([scene.stuck()], after: 10) == [])
    #expect(scene.decide([scene.stuck(1, endless)]) == ["refused not_converging claimed"])
  }

  @Test("what the journal did not take is decided again once it takes something, and not at once")
  func unrecorded() {
    var scene = AutomaticScene { $0.policies = .observe }
    guard case .decision(let decision)? = scene.see([scene.stuck()]).first else {
      Issue.record("nothing decided")
      return
    }
    scene.aborts.settle(decision, .noted(nil), at: scene.now)
    scene.aborts.forgetUnrecorded(at: scene.now)
    #expect(scene.decide([scene.stuck()], after: 60) == [])
    scene.aborts.forgetUnrecorded(at: scene.now)
    #expect(scene.decide([scene.stuck()]) == ["observed progress_timeout"])
    scene.aborts.forgetUnrecorded(at: scene.now + .seconds(100))
    #expect(scene.decide([scene.stuck()]) == [])
  }

  @Test("what was shadowed and never recorded counts against nobody")
  func unrecordedShadow() {
    var scene = AutomaticScene { $0.policies = .shadow }
    for case .decision(let decision) in scene.see((1...3).map { scene.stuck($0) }) {
      #expect(decision.kind == .shadowed)
      scene.aborts.settle(decision, .noted(nil), at: scene.now)
    }
    scene.see((1...3).map { scene.view($0) }, after: 61)
    scene.aborts.forgetUnrecorded(at: scene.now)
    #expect(scene.decide([scene.stuck(4)]) == ["shadowed progress_timeout shadow"])
  }

  @Test("nothing is decided before it is known what was decided earlier")
  func unrestored() {
    var scene = AutomaticScene()
    scene.aborts = AutomaticAborts()
    scene.aborts.apply(AutomaticScene { _ in }.aborts.settings)
    #expect(scene.decide([scene.stuck()]) == [])
    #expect(scene.aborts.holds == [.journal])
    #expect(scene.ask(alert(), [scene.stuck()]) == "ignored")
    scene.aborts.restore([], EpochOffset(milliseconds: 0), at: scene.now)
    #expect(scene.decide([scene.stuck()]) == ["acted progress_timeout"])
  }
}
