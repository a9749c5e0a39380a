import Testing

@testable import DroverCore

@Suite("What a drain waits for, and what it takes for certain")
struct DrainCareTests {
  @Test("is not complete while a migration out of the node is open, whoever began it")
  func open() {
    var script = DrainScript("g1")
    script.begin("g1")
    _ = script.step()
    script.guests = []
    #expect(script.step().isEmpty && script.plan.record.state == .active)
    script.end("g1", .succeeded)
    #expect(script.step() == [.ended(.complete)])
  }

  @Test("two guests of one name are one: it was made anew between two looks")
  func twins() {
    var script = DrainScript("g1", settings: DrainSettings(parallel: 1))
    script.guests.append(DrainScript.guest("g1", domain: "anew"))
    #expect(script.migrated() == ["g1"])
    #expect(script.plan.record.vms.count == 1)
    // Also where an earlier run has stored both.
    var record = script.plan.record
    record.vms += record.vms
    script.plan = DrainPlan(record)
    _ = script.step()
    #expect(Set(script.plan.record.vms.map(\.vm)) == [DrainScript.vm("g1")])
  }

  @Test("a guest that nobody watches is left alone")
  func unwatched() {
    var script = DrainScript("g1", "g2")
    script.guests[0].isWatched = false
    #expect(script.migrated() == ["g2"])
    #expect(script.state("g1") == .blocked && script["g1"]?.text.hasPrefix("not watched") == true)
    script.own("g2")
    script.end("g2", .succeeded)
    #expect(script.step() == [.ended(.incomplete)])
  }

  @Test("one whose end may have come while nobody looked is not tried again: it may have been aborted")
  func unseenEnd() {
    var script = DrainScript("g1", "g2", settings: DrainSettings(parallel: 1))
    _ = script.step()
    script.plan.started(DrainScript.vm("g1"), .underWay(MigrationID("known")), at: script.now)
    script.plan = DrainPlan(script.plan.record, settings: script.plan.settings)
    #expect(script.migrated(after: .seconds(29)).isEmpty)
    #expect(script.migrated(after: .seconds(2)) == ["g2"])
    #expect(script.state("g1") == .blocked && script["g1"]?.isSettled == true)
  }

  @Test(
    "what has no end of its own is waited for a quarter of an hour at most",
    arguments: [RefusalReason.migrating, .notRunning])
  func endless(reason: RefusalReason) {
    var script = DrainScript("g1")
    for _ in 0...1 {
      _ = script.step(after: .seconds(5))
      script.refuse("g1", reason)
    }
    #expect(script.migrated(after: .seconds(894)) == ["g1"])
    script.refuse("g1", reason)
    #expect(script.state("g1") == .pending)
    #expect(script.migrated(after: .seconds(5)) == ["g1"])
    script.refuse("g1", reason)
    #expect(script.step() == [.ended(.incomplete)])
    #expect(script.state("g1") == .blocked && script["g1"]?.text.hasPrefix("because; waited") == true)
  }

  @Test("what cannot be read is no attempt, three times")
  func unreadable() {
    var script = DrainScript("g1", settings: DrainSettings(attempts: 1))
    for _ in 1...3 {
      #expect(script.migrated(after: .seconds(5)) == ["g1"])
      script.refuse("g1", .unreadable)
      #expect(script.state("g1") == .pending && script["g1"]?.attempts == 0)
    }
    #expect(script.migrated(after: .seconds(5)) == ["g1"])
    script.refuse("g1", .unreadable)
    #expect(script.step() == [.ended(.incomplete)])
  }

  @Test("an empty node is complete only once it is closed, and was read after that")
  func emptyButOpen() {
    var script = DrainScript()
    script.isCordoned = false
    #expect(script.step() == [.cordon])
    script.plan.cordoned("denied", at: script.now)
    #expect(script.step().isEmpty)
    #expect(script.step(after: .seconds(10)) == [.cordon])
    script.isRead = false
    script.plan.cordoned("", at: script.now)
    #expect(script.step().isEmpty)
    script.isRead = true
    #expect(script.step() == [.ended(.complete)])
  }

  @Test("a cordon that comes too late says nothing of a drain that was ended")
  func lateCordon() {
    var script = DrainScript("g1")
    script.isCordoned = false
    #expect(script.step() == [.cordon])
    script.plan.cancel(by: "uid 0")
    script.plan.cordoned("the drain was ended", at: script.now)
    #expect(script.step() == [.ended(.cancelled)] && script.plan.record.text == "uid 0 ended it")
  }

  @Test("one that is being ended waits for its own migrations also where they are not seen yet")
  func cancelledUnseen() {
    var script = DrainScript("g1")
    _ = script.step()
    script.plan.started(DrainScript.vm("g1"), .underWay(MigrationID("known")), at: script.now)
    script.plan.cancel(by: "uid 0")
    #expect(script.step().isEmpty)
    #expect(script.step(after: .seconds(31)) == [.ended(.cancelled)])
  }
}
