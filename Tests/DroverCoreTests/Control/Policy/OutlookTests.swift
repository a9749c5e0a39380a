import Testing

@testable import DroverCore

@Suite("What a rule comes to from now on")
struct OutlookTests {
  private static let rule = PolicyRule(
    name: "databases",
    wishes: [
      .progressTimeout: PolicyWish(.abort), .notConverging: PolicyWish(.abort, after: .seconds(20)),
    ])

  private func outlook(_ scene: AutomaticScene, _ trigger: Trigger, _ view: MigrationView)
    -> AutomaticOutlook?
  {
    scene.aborts.outlook(of: view, at: scene.now).first { $0.trigger == trigger }
  }

  @Test("what is counting is told with the moment at which it acts")
  func counting() throws {
    var scene = AutomaticScene { $0.rules = [Self.rule] }
    let began = scene.now
    _ = scene.decide([scene.view(1, endless)])
    _ = scene.decide([scene.view(1, endless)], after: 8)
    let told = try #require(outlook(scene, .notConverging, scene.view(1, endless)))
    #expect(told.rule == "databases" && told.action == .abort && told.holds)
    #expect(told.at == began + .seconds(20) && told.obstacle == nil)
    let calm = try #require(outlook(scene, .notConverging, scene.view()))
    #expect(!calm.holds)
  }

  @Test("the window of its VM, and how long it lasts; not where it is over before")
  func perVM() throws {
    var scene = AutomaticScene {
      $0.rules = [Self.rule]
      $0.limits.aborts = 100
    }
    let acted = scene.now
    #expect(scene.decide([scene.stuck(1, vm: "a")]) == ["acted progress_timeout"])
    scene.now = scene.now + .seconds(60)
    let next = scene.stuck(2, vm: "a")
    let told = try #require(outlook(scene, .progressTimeout, next))
    #expect(told.obstacle?.reason == .perVM && told.obstacleEnds == acted + .seconds(1800))
    var later = scene.view(2, vm: "a")
    later.progressDeadline = acted + .seconds(1801)
    #expect(outlook(scene, .progressTimeout, later)?.obstacle == nil)
    #expect(outlook(scene, .progressTimeout, scene.stuck(1, vm: "a"))?.obstacle?.reason == .claimed)
  }

  @Test("a hold, and when it ends if nobody wishes for more")
  func hold() throws {
    var scene = AutomaticScene { $0.rules = [Self.rule] }
    _ = scene.decide((1...3).map { scene.stuck($0) })
    let told = try #require(outlook(scene, .progressTimeout, scene.stuck(4)))
    #expect(told.obstacle?.reason == .hold && told.obstacleEnds == scene.now + .seconds(600))
    // Many that lose their network hold it, too.
    scene = AutomaticScene { $0.rules = [Self.rule] }
    scene.see((1...3).map { scene.view($0, lost) })
    #expect(outlook(scene, .progressTimeout, scene.stuck(4))?.obstacle == AutomaticAborts.partitionRefusal)
  }

  @Test("in the shadow it says so, and that it was shown once it was; a switch that is disabled only notes")
  func shadow() {
    var scene = AutomaticScene {
      $0.rules = [Self.rule]
      $0.policies = .shadow
    }
    #expect(outlook(scene, .progressTimeout, scene.stuck())?.action == .shadow)
    #expect(outlook(scene, .progressTimeout, scene.stuck())?.isShown == false)
    _ = scene.decide([scene.stuck()])
    #expect(outlook(scene, .progressTimeout, scene.stuck())?.isShown == true)
    scene.set { $0.policies = .observe }
    #expect(outlook(scene, .progressTimeout, scene.stuck())?.action == .observe)
  }

  @Test("what would come back is never ended; what is old only now may be new then")
  func guarded() {
    let scene = AutomaticScene { $0.rules = [Self.rule] }
    let evacuated = scene.view { $0.facts.origin = .evacuation }
    #expect(outlook(scene, .progressTimeout, evacuated)?.obstacle?.reason == .comesBack)
    let now = scene.now
    let old = scene.view {
      $0.sampledAt = now - .seconds(30)
      $0.progressDeadline = now + .seconds(100)
    }
    #expect(outlook(scene, .progressTimeout, old)?.obstacle == nil)
  }
}
