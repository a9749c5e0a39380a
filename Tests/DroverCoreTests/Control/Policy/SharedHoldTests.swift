import Testing

@testable import DroverCore

@Suite("What bounds automatic aborts, over a takeover by another Drover")
struct SharedHoldTests {
  private let acted = "acted progress_timeout"
  private let held = "held progress_timeout hold"

  /// What the claims of three aborts at once come to for whoever takes over.
  private func claims(_ seconds: Double = 10_000) -> [Decision] {
    (1...3).map { n in
      Decision(
        madeAt: Int64(seconds * 1000), action: .abort, trigger: .progressTimeout, kind: .acted,
        migration: id(n), vm: vmRef("vm\(n)"), requester: "another leader", text: "")
    }
  }

  @Test("the hold after three goes on with the last wish, which no claim tells")
  func breaker() {
    var first = AutomaticScene()
    _ = first.decide((1...3).map { first.stuck($0) })
    _ = first.see([first.view()])
    #expect(first.shared.breaker?.since == 10_000_000 && first.shared.breaker?.trigger == .progressTimeout)
    first.now = first.now + .seconds(540)
    #expect(first.decide([first.stuck(4)]) == [held])
    #expect(first.shared.breaker?.lastWish == 10_540_000)

    #expect(AutomaticScene(history: claims(), at: 10_700).aborts.holds == [])
    var second = AutomaticScene(history: claims(), holds: first.shared, at: 10_700)
    #expect(second.aborts.holds == [.breaker])
    // It was said by the first.
    #expect(second.see([second.view()]).isEmpty)
    second.now = second.now + .seconds(439)
    #expect(second.decide([second.stuck(5)]) == [held])
    second.now = second.now + .seconds(600)
    #expect(second.decide([second.view()]) == [] && second.aborts.holds == [])
    // One that comes later still, comes after it.
    #expect(AutomaticScene(history: claims(), holds: first.shared, at: 11_140).aborts.holds == [])
  }

  @Test("a person's reset is known, and what was aborted before it does not count any more")
  func reset() {
    var first = AutomaticScene()
    _ = first.decide((1...3).map { first.stuck($0) })
    _ = first.see([first.view()])
    let before = first.shared
    first.now = first.now + .seconds(5)
    _ = first.aborts.reset(at: first.now)
    #expect(AutomaticScene(history: claims(), holds: before, at: 10_010).aborts.holds == [.breaker])
    // Another may have written the older state in between.
    for order in [[before, first.shared], [first.shared, before]] {
      var told = SharedHolds()
      for part in order { told.merge(part) }
      var second = AutomaticScene(history: claims(), holds: told, at: 10_010)
      #expect(second.aborts.holds == [])
      #expect(second.decide((4...7).map { second.stuck($0) }) == [acted, acted, acted, held])
    }
  }

  @Test("a hold that may come to nothing is not told")
  func provisional() {
    var scene = AutomaticScene { $0.limits.aborts = 1 }
    guard case .decision(let decision)? = scene.see([scene.stuck()]).first else {
      Issue.record("nothing decided")
      return
    }
    #expect(scene.aborts.holds == [.breaker] && scene.shared.breaker == nil)
    scene.aborts.settle(decision, .unsent(Refusal(.unreadable, "away")), at: scene.now)
    _ = scene.see([scene.view()])
    #expect(scene.shared.breaker == nil && scene.aborts.holds == [])
  }

  @Test("a partition goes on, and what has been lost all along is no news")
  func partition() {
    var first = AutomaticScene { $0.rules[0].wishes[.networkLost] = nil }
    _ = first.see((1...3).map { first.view($0, lost) })
    #expect(first.shared.partition?.names == ["vm1", "vm2", "vm3"] && first.shared.losses.count == 3)

    var second = AutomaticScene({ $0.rules[0].wishes[.networkLost] = nil }, holds: first.shared, at: 10_100)
    #expect(second.aborts.holds == [.partition])
    #expect(second.decide((1...3).map { second.stuck($0, for: 200, lost) }) == [held, held, held])
    #expect(second.see((1...3).map { second.view($0, lost) }, after: 149).isEmpty)
    let over = second.see((1...3).map { second.view($0, lost) }, after: 1)
    guard case .holdEnded(.partition, _)? = over.first else {
      Issue.record("\(over)")
      return
    }
    // That it is over is known to the next, and so it is that these have no network.
    var third = AutomaticScene({ $0.rules = [] }, holds: second.shared, at: 10_260)
    for _ in 0..<3 { #expect(third.see((1...3).map { third.view($0, lost) }, after: 5).isEmpty) }
    #expect(third.aborts.holds == [])
    // New ones begin another.
    #expect(third.see((1...6).map { third.view($0, lost) }, after: 5).count == 1)
    // An old state that comes late brings it back to nobody.
    var told = second.shared
    told.merge(first.shared)
    #expect(told.partition == nil && told.losses == second.shared.losses)
  }

  @Test("a person's word about a partition counts against what a standby saw of it, too")
  func partitionReset() {
    var first = AutomaticScene { $0.rules = [] }
    _ = first.see((1...3).map { first.view($0, lost) })
    first.now = first.now + .seconds(20)
    #expect(first.aborts.reset(at: first.now) == [.partition])
    _ = first.see((1...3).map { first.view($0, lost) }, after: 1)
    #expect(first.aborts.holds == [])

    var second = AutomaticScene { $0.rules = [] }
    let settings = second.aborts.settings
    second.aborts = AutomaticAborts()
    second.aborts.apply(settings)
    _ = second.see((1...3).map { second.view($0, lost) })
    second.now = second.now + .seconds(30)
    second.aborts.restore([], sharing: first.shared, EpochOffset(milliseconds: 0), at: second.now)
    #expect(second.aborts.holds == [])
    #expect(second.see((1...3).map { second.view($0, lost) }).isEmpty)
  }

  @Test("what was lost just before a takeover and just after it are lost together")
  func together() {
    var first = AutomaticScene { $0.rules = [] }
    _ = first.see([first.view(1, lost), first.view(2, lost)])
    let without = AutomaticScene({ $0.rules = [] }, at: 10_030)
    let with = AutomaticScene({ $0.rules = [] }, holds: first.shared, at: 10_030)
    for (scene, holds) in [(without, []), (with, [HoldReason.partition])] {
      var scene = scene
      _ = scene.see([scene.view(3, lost)])
      #expect(scene.aborts.holds == Set(holds))
    }
    // Later it is another thing.
    var late = AutomaticScene({ $0.rules = [] }, holds: first.shared, at: 10_061)
    _ = late.see([late.view(3, lost)])
    #expect(late.aborts.holds == [])
  }

  @Test("nothing is told anew while nothing of it changes")
  func quiet() {
    var scene = AutomaticScene { $0.rules = [] }
    _ = scene.see((1...3).map { scene.view($0, lost) })
    let told = scene.aborts.holdState
    for _ in 0..<100 { _ = scene.see((1...3).map { scene.view($0, lost) }, after: 1) }
    #expect(scene.aborts.holdState == told)
    #expect(AutomaticScene().aborts.holdState == HoldState())
  }

  @Test("of a catastrophe no more is told than a ConfigMap takes")
  func bounded() throws {
    var state = HoldState()
    for n in 0..<5000 { state.losses[try #require(MigrationID("m-\(n)"))] = Moment(milliseconds: Int64(n)) }
    let shared = state.shared(EpochOffset(milliseconds: 0), at: Moment(milliseconds: 0))
    #expect(shared.losses.count == 2000 && shared.losses.last?.at == 4999)
  }
}
