import Testing

@testable import DroverCore

@Suite("What bounds automatic aborts")
struct HoldTests {
  private let acted = "acted progress_timeout"
  private let held = "held progress_timeout hold"

  @Test("a migration is ended once at most, and a VM once in its time")
  func once() {
    var scene = AutomaticScene { $0.limits.aborts = 100 }
    #expect(scene.decide([scene.stuck(1, vm: "a")]) == [acted])
    scene.now = scene.now + .seconds(4000)
    #expect(scene.decide([scene.stuck(1, vm: "a", endless)]) == ["refused not_converging claimed"])
    #expect(scene.decide([scene.stuck(2, vm: "a")]) == [acted])
    scene.now = scene.now + .seconds(1799)
    #expect(scene.decide([scene.stuck(3, vm: "a")]) == ["held progress_timeout per_vm"])
    #expect(scene.decide([scene.stuck(3, vm: "a")], after: 1) == [acted])
    #expect(scene.decide([scene.stuck(4, vm: "b")]) == [acted])
  }

  @Test("an id that a restart took for another by a moment is the same migration")
  func sameJob() {
    let at: Int64 = 9_000_000
    var decision = Decision(
      madeAt: at, action: .abort, trigger: .progressTimeout, kind: .acted,
      migration: MigrationID(domain: domain(1), startedUnixMilliseconds: 1_700_000_000_000), vm: vmRef(),
      requester: "r", text: "")
    decision.result = .aborted
    var scene = AutomaticScene({ $0.limits.perVM = .zero }, history: [decision])
    func view(_ start: Int64) -> MigrationView {
      let told = MigrationID(domain: domain(1), startedUnixMilliseconds: start)
      return MigrationView(
        identity: MigrationIdentity(id: told, vm: vmRef(), domain: domain(1)), phase: .precopy,
        phaseEnteredAt: scene.now, startedAt: scene.now - .seconds(300), hasStarted: true,
        sampledAt: scene.now
      )
    }
    func stuck(_ start: Int64) -> MigrationView {
      var view = view(start)
      view.sample = sample(sent: 1, remaining: 1)
      view.progressBudget = ProgressBudget(timeout: .seconds(150))
      view.progressDeadline = scene.now
      view.progress = ProgressClocks(
        lastSent: scene.now, lastDrop: scene.now - .seconds(151), lastBest: scene.now, best: 1)
      return view
    }
    #expect(scene.decide([stuck(1_700_000_001_900)]) == ["refused progress_timeout claimed"])
    #expect(scene.decide([stuck(1_700_000_002_100)]) == [acted])
  }

  @Test("after as many as the fleet may have the next waits, said once, until it has been quiet")
  func breaker() {
    var scene = AutomaticScene()
    let steps = scene.see((1...5).map { scene.stuck($0) })
    let told = steps.compactMap { step -> String? in
      guard case .decision(let decision) = step else { return nil }
      scene.settle(decision)
      return decision.words
    }
    #expect(told == [acted, acted, acted, held, held])
    // It is told once the third is on the disk, and once only.
    #expect(!steps.contains { if case .holdBegan = $0 { true } else { false } })
    let later = scene.see([scene.stuck(4)]) + scene.see([scene.stuck(4)])
    let began = later.compactMap { step -> String? in
      guard case .holdBegan(let reason, let trigger, _) = step else { return nil }
      return "\(reason) \(trigger.rawValue)"
    }
    #expect(began == ["breaker progress_timeout"])
    #expect(scene.aborts.holds == [.breaker])
    #expect(scene.see([scene.stuck(4)], after: 599).isEmpty)
    // A new wish shows that it is not quiet.
    #expect(scene.decide([scene.stuck(6)]) == [held])
    #expect(scene.decide([scene.stuck(4)], after: 599) == [])
    let over = scene.see([scene.stuck(4)], after: 1)
    guard case .holdEnded(.breaker, _)? = over.first, case .decision(let decision)? = over.last else {
      Issue.record("\(over)")
      return
    }
    #expect(decision.words == acted && scene.aborts.holds.isEmpty)
  }

  @Test("fewer in that time are no reason to wait")
  func window() {
    var scene = AutomaticScene()
    for n in 1...6 {
      scene.now = scene.now + .seconds(300)
      #expect(scene.decide([scene.stuck(n)]) == [acted])
    }
    #expect(scene.aborts.holds.isEmpty)
  }

  @Test("a person ends the hold, and then as many may follow as ever")
  func reset() {
    var scene = AutomaticScene()
    _ = scene.decide((1...3).map { scene.stuck($0) })
    #expect(scene.decide([scene.stuck(4)], after: 1) == [held])
    #expect(scene.aborts.reset(at: scene.now) == [.breaker])
    #expect(scene.decide((4...6).map { scene.stuck($0) }, after: 1) == [acted, acted, acted])
    #expect(scene.decide([scene.stuck(7)]) == [held])
    // What a VM had, it had.
    #expect(scene.aborts.reset(at: scene.now) == [.breaker])
    #expect(scene.decide([scene.stuck(8, vm: "vm4")]) == ["held progress_timeout per_vm"])
  }

  @Test("what was neither recorded nor sent counts for nothing, and is tried again after a pause")
  func released() {
    var scene = AutomaticScene { $0.limits.aborts = 1 }
    guard case .decision(let decision)? = scene.see([scene.stuck()]).first else {
      Issue.record("nothing decided")
      return
    }
    // Meanwhile nothing is decided twice.
    #expect(
      scene.see([scene.stuck()], after: 0.2).allSatisfy { if case .decision = $0 { false } else { true } })
    scene.aborts.settle(decision, .refused(Refusal(.journal, "full")), at: scene.now)
    #expect(scene.aborts.holds.isEmpty)
    #expect(scene.decide([scene.stuck()], after: 0.2) == [])
    #expect(scene.decide([scene.stuck()], after: 1) == [acted])
  }

  // MARK: A partition

  @Test(
    "many that lose their network at once hold everything, said once, until nothing has changed for long enough"
  )
  func partition() {
    var scene = AutomaticScene { $0.rules[0].wishes[.networkLost] = nil }
    #expect(scene.see([scene.view(1, lost), scene.view(2, lost), scene.view(3)]).isEmpty)
    let began = scene.see((1...3).map { scene.view($0, lost) }, after: 59)
    guard began.count == 1, case .holdBegan(.partition, _, let words)? = began.first else {
      Issue.record("\(began)")
      return
    }
    #expect(words.hasPrefix("3 migrations lost their network within a minute (vm1, vm2, vm3)"))
    #expect(scene.see((1...5).map { scene.view($0, lost) }, after: 10).isEmpty)
    #expect(scene.decide((1...5).map { scene.stuck($0, for: 149, lost) } + [scene.stuck(6)]) == [held])
    // One has its network again: that is a change.
    #expect(scene.see([scene.view(1)] + (2...5).map { scene.view($0, lost) }, after: 100).isEmpty)
    #expect(scene.aborts.holds == [.partition])
    #expect(scene.see([scene.view(1)] + (2...5).map { scene.view($0, lost) }, after: 149.9).isEmpty)
    let over = scene.decide((2...5).map { scene.stuck($0, for: 400, lost) } + [scene.view(1)], after: 0.1)
    // Then the fleet's bound applies.
    #expect(over == [acted, acted, acted, held])
    #expect(scene.aborts.holds == [.breaker])
  }

  @Test("losses that are further apart, and the same one again, are no partition")
  func noPartition() {
    var scene = AutomaticScene { $0.rules = [] }
    for n in 1...6 {
      let views = (1...n).map { scene.view($0, lost) }
      #expect(scene.see(views, after: 30.1).isEmpty)
    }
    scene = AutomaticScene { $0.rules = [] }
    for _ in 0..<10 {
      #expect(scene.see([scene.view(1, lost)], after: 1).isEmpty)
      #expect(scene.see([scene.view(1)], after: 1).isEmpty)
    }
  }

  @Test(
    "those that ended for want of a network count, and those whose bytes stopped where nobody sees the network"
  )
  func otherLosses() {
    var scene = AutomaticScene { $0.rules = [] }
    let now = scene.now
    let views = [
      scene.view(1) { $0.verdict = Verdict(.stalled, .tooFewSamples) },
      scene.view(2) {
        $0.ending = Ending(outcome: .failed, cause: .keepalive, certainty: .reported, endedAt: now)
      },
      scene.view(3) {
        $0.ending = Ending(outcome: .failed, cause: .connectionLost, certainty: .reported, endedAt: now)
      },
    ]
    #expect(scene.see(views).count == 1)
    #expect(scene.aborts.holds == [.partition])
    scene = AutomaticScene { $0.rules = [] }
    let seen = scene.view(1) { view in
      view.verdict = Verdict(.stalled, .tooFewSamples)
      view.network = NetworkReport(settings: KeepaliveSettings(), keepalive: .measured)
    }
    #expect(scene.see([seen, views[1]] + [scene.view(3)]).isEmpty)
  }

  @Test(
    "a control wire that is cut for twenty seconds under many migrations ends none of them, and is said once")
  func cutWire() {
    var scene = AutomaticScene { $0.limits.aborts = 100 }
    var steps: [AutomaticStep] = []
    for second in 0..<300 {
      let isCut = (50..<70).contains(second)
      // What is heard is missed after 7 s, and heard again 3 s after the wire is mended.
      let isLost = (57..<73).contains(second)
      let views = (1...5).map { n in
        scene.stuck(n, for: isCut ? Double(second - 50) : 0) { if isLost { lost(&$0) } }
      }
      steps += scene.see(views, after: 1)
      for case .decision(let decision) in steps { scene.settle(decision) }
    }
    let decisions = steps.compactMap { if case .decision(let decision) = $0 { decision } else { nil } }
    #expect(!decisions.contains { $0.kind == .acted })
    let holds = steps.filter { if case .holdBegan = $0 { true } else { false } }
    #expect(holds.count == 1)
  }

  // MARK: Restart

  private func made(
    _ n: Int, _ at: Double, _ kind: DecisionKind = .acted, _ change: (inout Decision) -> Void = { _ in }
  ) -> Decision {
    var decision = Decision(
      madeAt: Int64(at * 1000), action: .abort, trigger: .progressTimeout, kind: kind, migration: id(n),
      vm: vmRef("vm\(n)"), requester: "rule all", text: "")
    decision.id = DecisionID(rawValue: Int64(n))
    change(&decision)
    return decision
  }

  @Test("a restart forgets neither claims nor times, and says nothing twice")
  func restored() {
    let history = [
      made(1, 9_900), made(2, 9_000),
      made(5, 9_990, .held) { $0.refusal = .oldSample }, made(6, 9_990, .observed),
      made(7, 9_995, .shadowed) { $0.evidence = [.init("mode", "shadow")] },
    ]
    var scene = AutomaticScene(history: history)
    #expect(scene.decide([scene.stuck(1)]) == [])
    #expect(scene.decide([scene.stuck(8, vm: "vm2")]) == ["held progress_timeout per_vm"])
    let old = scene.stuck(5) { view in
      view.sampledAt = view.sampledAt - .seconds(11)
      view.progress?.lastDrop = view.sampledAt - .seconds(200)
    }
    #expect(scene.decide([old]) == [])
    guard case .decision(let decision)? = scene.see([scene.stuck(5)], after: 1).first else {
      Issue.record("nothing decided")
      return
    }
    #expect(decision.words == acted && decision.record == DecisionID(rawValue: 5))
    scene = AutomaticScene({ $0.policies = .shadow }, history: history)
    #expect(scene.decide([scene.stuck(7)]) == [])
    scene = AutomaticScene({ $0.policies = .observe }, history: history)
    #expect(scene.decide([scene.stuck(6)]) == [])
  }

  @Test("a restart keeps the hold after three, with the wishes since, and what a person said of it")
  func restoredBreaker() {
    let three = [made(1, 9_000), made(2, 9_100), made(3, 9_200)]
    let wish = made(4, 9_700, .held) {
      $0.refusal = .hold
      $0.evidence = [.init("hold", "breaker")]
    }
    #expect(AutomaticScene(history: three + [wish]).aborts.holds == [.breaker])
    #expect(AutomaticScene(history: three).aborts.holds == [])
    // The order of the rows does not matter, their times do.
    #expect(AutomaticScene(history: [wish] + three.reversed()).aborts.holds == [.breaker])
    let reset = Decision(
      madeAt: 9_800_000, action: .resetHold, trigger: .person, kind: .acted, requester: "uid 0", text: "")
    var scene = AutomaticScene(history: three + [wish, reset])
    #expect(scene.aborts.holds == [])
    #expect(scene.decide([scene.stuck(4)]) == [acted])
    // What a person did is none of these.
    let persons = three.map { decision in
      var decision = decision
      decision.trigger = .person
      return decision
    }
    #expect(AutomaticScene(history: persons + [wish]).aborts.holds == [])
  }

  @Test("a restart in a partition waits it out anew, unless it was over")
  func restoredPartition() {
    var hold = Decision(
      madeAt: 9_990_000, action: .abort, trigger: .networkLost, kind: .held, requester: "drover", text: "")
    hold.evidence = [AutomaticAborts.fact(ofHold: .partition)]
    var scene = AutomaticScene(history: [hold])
    #expect(scene.aborts.holds == [.partition])
    #expect(scene.see([scene.view()], after: 149).isEmpty)
    #expect(scene.see([scene.view()], after: 1).count == 1)
    #expect(scene.aborts.holds == [])
    hold.result = .done
    #expect(AutomaticScene(history: [hold]).aborts.holds == [])
  }

  @Test("what a row tells of a partition that is over does not lift the one that is seen now")
  func livePartition() {
    var over = Decision(
      madeAt: 9_000_000, action: .abort, trigger: .networkLost, kind: .held, requester: "drover", text: "")
    over.evidence = [AutomaticAborts.fact(ofHold: .partition)]
    over.result = .done
    let reset = Decision(
      madeAt: 9_100_000, action: .resetHold, trigger: .person, kind: .acted, requester: "uid 0", text: "")
    for history in [[over], [reset], [over, reset]] {
      var scene = AutomaticScene { $0.rules = [] }
      let settings = scene.aborts.settings
      scene.aborts = AutomaticAborts()
      scene.aborts.apply(settings)
      scene.see((1...3).map { scene.view($0, lost) })
      scene.aborts.restore(history, EpochOffset(milliseconds: 0), at: scene.now)
      #expect(scene.aborts.holds == [.partition])
      // It has no record yet, so it is told.
      let told = scene.see((1...3).map { scene.view($0, lost) })
      guard told.count == 1, case .holdBegan(.partition, _, _)? = told.first else {
        Issue.record("\(told)")
        return
      }
    }
  }

  @Test("a person ends what was shown, and no other hold; a restart knows which")
  func resetOne() {
    var scene = AutomaticScene { $0.rules[0].wishes[.networkLost] = nil }
    _ = scene.decide((1...3).map { scene.stuck($0) })
    scene.see((4...6).map { scene.view($0, lost) })
    #expect(scene.aborts.holds == [.breaker, .partition])
    #expect(scene.aborts.reset([.partition], at: scene.now) == [.partition])
    #expect(scene.aborts.holds == [.breaker])
    var reset = Decision(
      madeAt: 9_990_000, action: .resetHold, trigger: .person, kind: .acted, requester: "uid 0", text: "")
    reset.evidence = AutomaticAborts.facts(ofEnded: [.partition])
    let three = [made(1, 9_900), made(2, 9_900), made(3, 9_900)]
    #expect(AutomaticScene(history: three + [reset]).aborts.holds == [.breaker])
    reset.evidence = AutomaticAborts.facts(ofEnded: [.breaker])
    #expect(AutomaticScene(history: three + [reset]).aborts.holds == [])
  }

  @Test("what was lost before a person ended the hold does not begin another")
  func lostBeforeReset() {
    var scene = AutomaticScene { $0.rules = [] }
    scene.see((1...3).map { scene.view($0, lost) })
    #expect(scene.aborts.reset([.partition], at: scene.now) == [.partition])
    scene.see((1...5).map { scene.view($0, lost) }, after: 10)
    #expect(scene.aborts.holds == [])
    scene.see((1...6).map { scene.view($0, lost) }, after: 10)
    #expect(scene.aborts.holds == [.partition])
  }

  @Test("a wall clock that was set back before a restart makes no bound longer")
  func restoredFuture() {
    var scene = AutomaticScene(history: [made(1, 20_000)])
    scene.see([], after: 1799)
    #expect(scene.decide([scene.stuck(2, vm: "vm1")]) == ["held progress_timeout per_vm"])
    scene.see([], after: 2)
    #expect(scene.decide([scene.stuck(2, vm: "vm1")]) == [acted])
  }

  @Test("a restart counts neither what was surely not sent nor what a drain ended")
  func restoredUncounted() {
    let unsent = (1...3).map { n in
      made(n, 9_990) {
        $0.result = .error
        $0.resultText = "not sent, since it could not be claimed: x"
      }
    }
    var scene = AutomaticScene(history: unsent)
    #expect(scene.aborts.holds == [])
    guard case .decision(let decision)? = scene.see([scene.stuck()]).first else {
      Issue.record("nothing decided")
      return
    }
    #expect(decision.words == acted && decision.record == nil)
    let open = (1...3).map { n in
      made(n, 9_990) {
        $0.result = .error
        $0.resultText = "it is not seen any more: how it ended is not known"
      }
    }
    #expect(AutomaticScene(history: open).aborts.holds == [.breaker])
    let drained = (1...3).map { n in made(n, 9_990) { $0.requester = "the drain of a, for uid 0" } }
    #expect(AutomaticScene(history: drained).aborts.holds == [])
  }

  @Test("what was read is not forgotten while a back end has not shown yet what it has")
  func keptAtStart() {
    var scene = AutomaticScene({ $0.policies = .observe }, history: [made(1, 9_990, .observed)])
    scene.see([])
    for _ in 1...3 {
      scene.now = scene.now + .seconds(61)
      _ = scene.aborts.step(scene.snapshot([], isUp: false), at: scene.now)
    }
    #expect(scene.decide([scene.stuck()]) == [])
    // Once it is up, what is not shown is gone.
    scene.see([], after: 61)
    #expect(scene.decide([scene.stuck()]) == ["observed progress_timeout"])
  }
}
