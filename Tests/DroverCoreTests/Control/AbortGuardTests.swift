import DroverCore
import Testing

@Suite("What nobody may do to a migration")
struct AbortGuardTests {
  private static let id = MigrationID("6f2d8f0e-1")
  private static let other = MigrationID("6f2d8f0e-2")

  private func refusal(
    _ state: LiveMigration.State, comesBack: ComesBack? = nil, trigger: Trigger = .person,
    endsCause: Bool = false
  ) throws -> RefusalReason? {
    let order = AbortOrder(
      try #require(Self.id), trigger: trigger, requester: "uid 0 on the control socket", endsCause: endsCause)
    return AbortGuard.refusal(of: order, LiveMigration(state, word: "word", comesBack: comesBack))?.reason
  }

  @Test(
    "A copy that the guest does not depend on may be ended",
    arguments: [Phase.pending, .scheduling, .preparing, .precopy, .guestSuspended])
  func mayBeEnded(phase: Phase) throws {
    #expect(try refusal(.running(phase)) == nil)
  }

  @Test(
    "Whoever asks: not in post-copy, not in the switchover, not twice, and not what is over",
    arguments: [
      (.running(.postcopy), .postcopy), (.running(.postcopyPaused), .postcopy),
      (.running(.switchover), .switchover), (.running(.aborting), .aborting),
      (.running(.succeeded), .finished), (.running(.failed), .finished), (.finished(.aborted), .finished),
      (.gone, .finished), (.replaced(other), .replaced), (.replaced(nil), .replaced), (.unclear, .unreadable),
    ] as [(LiveMigration.State, RefusalReason)], Trigger.allCases)
  func mustNotBeEnded(refused: (LiveMigration.State, RefusalReason), trigger: Trigger) throws {
    #expect(try refusal(refused.0, trigger: trigger) == refused.1)
    // Ending its cause makes it no safer.
    #expect(try refusal(refused.0, trigger: trigger, endsCause: true) == refused.1)
  }

  @Test(
    "What somebody has asked to end already is not ended again; what must not be ended says so all the same",
    arguments: [
      (Phase.pending, RefusalReason.aborting), (.preparing, .aborting), (.precopy, .aborting),
      (.guestSuspended, .aborting), (.postcopy, .postcopy), (.postcopyPaused, .postcopy),
      (.switchover, .switchover),
    ])
  func ending(phase: Phase, reason: RefusalReason) throws {
    let order = AbortOrder(try #require(Self.id), trigger: .person, requester: "uid 0")
    let live = LiveMigration(.running(phase), word: "word", isEnding: true)
    #expect(AbortGuard.refusal(of: order, live)?.reason == reason)
  }

  @Test(
    "Under the taint of a drain, in a Harvester upgrade or its maintenance mode nobody ends it, with its cause or without"
  )
  func drains() throws {
    for trigger in Trigger.allCases {
      for endsCause in [false, true] {
        #expect(
          try refusal(
            .running(.precopy), comesBack: .drainTaint(node: "a"), trigger: trigger, endsCause: endsCause)
            == .drainTaint)
        #expect(
          try refusal(
            .running(.precopy), comesBack: .harvesterUpgrade(node: "a"), trigger: trigger,
            endsCause: endsCause)
            == .harvesterUpgrade)
        #expect(
          try refusal(
            .running(.precopy), comesBack: .harvesterMaintenance(node: "a"), trigger: trigger,
            endsCause: endsCause) == .harvesterMaintenance)
      }
    }
  }

  @Test(
    "An evacuation is ended with its cause, by a person only",
    arguments: [ComesBack.evacuation(node: "a"), .descheduler])
  func evacuation(cause: ComesBack) throws {
    #expect(try refusal(.running(.precopy), comesBack: cause) == .comesBack)
    #expect(try refusal(.running(.precopy), comesBack: cause, endsCause: true) == nil)
    for trigger in Trigger.allCases where trigger != .person {
      #expect(
        try refusal(.running(.precopy), comesBack: cause, trigger: trigger, endsCause: true) == .comesBack)
    }
  }

  @Test("What KubeVirt brings up to date comes back until its strategy is changed")
  func update() throws {
    #expect(try refusal(.running(.precopy), comesBack: .workloadUpdate, endsCause: true) == .comesBack)
  }

  @Test("A refusal says what to do")
  func remedies() throws {
    let order = AbortOrder(try #require(Self.id), trigger: .person, requester: "x")
    let refusal = AbortGuard.refusal(
      of: order, LiveMigration(.running(.precopy), word: "", comesBack: .evacuation(node: "node-a")))
    #expect(refusal?.text.contains("drover abort --and-its-cause 6f2d8f0e-1") == true)
  }
}
