import Testing

@testable import DroverCore

@Suite("What a drain decides")
struct DrainPlanTests {
  // MARK: Order and limits

  @Test("moves as many at a time as are allowed, the next when one has left, until the node is empty")
  func whole() {
    var script = DrainScript("g1", "g2", "g3")
    #expect(script.migrated() == ["g1", "g2"])
    script.own("g1")
    script.own("g2")
    #expect(script.step().isEmpty)
    #expect(script.state("g1") == .migrating && script.state("g3") == .pending)
    script.end("g1", .succeeded)
    #expect(script.migrated() == ["g3"])
    #expect(script.state("g1") == .done)
    script.own("g3")
    script.end("g2", .succeeded)
    script.end("g3", .succeeded)
    #expect(script.step() == [.ended(.complete)])
    #expect(script.plan.record.counts[.done] == 3 && script.plan.record.endedAt != nil)
    #expect(script.step().isEmpty)
  }

  @Test("counts what others began against its limit, and starts no VM that migrates already")
  func foreign() {
    var script = DrainScript("g1", "g2", "g3")
    script.begin("g3")
    #expect(script.migrated() == ["g1"])
    #expect(script.state("g3") == .migrating)
    script.end("g3", .succeeded)
    #expect(script.migrated() == ["g2"])
    #expect(script.state("g3") == .done)
  }

  @Test("the biggest first; those that failed behind those that were not tried")
  func order() {
    var script = DrainScript(settings: DrainSettings(parallel: 1))
    script.guests = [DrainScript.guest("small"), DrainScript.guest("big", memory: 4096)]
    #expect(script.migrated() == ["big"])
    script.own("big")
    script.end("big", .failed, .connectionLost)
    #expect(script.migrated() == ["small"])
    #expect(script.state("big") == .failed)
  }

  @Test("new guests join, those that are shut down go, and one made anew under an old name is another")
  func joining() {
    var script = DrainScript("g1", settings: DrainSettings(parallel: 1))
    _ = script.step()
    script.own("g1")
    script.guests += [DrainScript.guest("g2"), DrainScript.guest("g3")]
    _ = script.step()
    #expect(script.state("g2") == .pending)
    script.guests.removeAll { $0.vm.name == "g3" }
    _ = script.step()
    #expect(script["g3"] == nil)
    script.end("g1", .aborted, .userAbort)
    _ = script.step()
    #expect(script.state("g1") == .blocked)
    script.guests.removeAll { $0.vm.name == "g1" }
    script.guests.append(DrainScript.guest("g1", domain: "anew"))
    _ = script.step()
    #expect(script["g1"]?.isSettled == false)
  }

  @Test("one that left and came back is moved again")
  func back() {
    var script = DrainScript("g1", "g2")
    _ = script.step()
    script.own("g1")
    script.own("g2")
    // A reading that is a little late shows it still.
    script.end("g1", .succeeded, leaves: false)
    #expect(script.migrated(after: .seconds(9)).isEmpty)
    #expect(script.state("g1") == .done)
    #expect(script.migrated(after: .seconds(2)) == ["g1"])
  }

  // MARK: Failures

  @Test("a VM whose migrations fail is tried with pauses, as often as is set, and does not stop the rest")
  func attempts() {
    var script = DrainScript("bad", "good", settings: DrainSettings(parallel: 1, attempts: 2))
    #expect(script.migrated() == ["bad"])
    script.own("bad")
    script.end("bad", .failed, .targetLost)
    #expect(script.migrated() == ["good"])
    script.own("good")
    script.end("good", .succeeded)
    #expect(script.migrated().isEmpty)
    #expect(script.migrated(after: .seconds(10)) == ["bad"])
    script.own("bad")
    script.end("bad", .failed, .targetLost)
    #expect(script.step() == [.ended(.incomplete)])
    #expect(script["bad"]?.isSettled == true && script["bad"]?.text.contains("tried 2 times") == true)
    #expect(script.plan.record.text == "1 left: 1 failed")
  }

  @Test(
    "whose migration somebody else had aborted is left alone, whoever began it",
    arguments: [FailureCause.userAbort, .policyAbort, .alertAbort], [true, false])
  func parked(cause: FailureCause, isOwn: Bool) {
    var script = DrainScript("g1", settings: DrainSettings(parallel: 1))
    if isOwn {
      _ = script.step()
      script.own("g1")
    } else {
      script.begin("g1")
    }
    _ = script.step()
    script.end("g1", .aborted, cause)
    #expect(script.step() == [.ended(.incomplete)])
    #expect(script.state("g1") == .blocked && script["g1"]?.text.contains(cause.rawValue) == true)
  }

  @Test("an abort from before the drain says nothing")
  func earlier() {
    var script = DrainScript("g1", startedAt: Moment(milliseconds: 1_005_000))
    script.begin("g1")
    script.end("g1", .aborted, .userAbort)
    #expect(script.migrated(after: .seconds(6)) == ["g1"])
  }

  @Test("a failure counts once, however long it is shown")
  func once() {
    var script = DrainScript("g1", settings: DrainSettings(parallel: 1, attempts: 5))
    for attempt in 1...3 {
      #expect(script.migrated(after: .seconds(120)) == ["g1"])
      script.own("g1")
      _ = script.step()
      script.end("g1", .failed, .other)
      for _ in 1...5 { #expect(script.step().isEmpty) }
      #expect(script["g1"]?.attempts == attempt && script.state("g1") == .failed)
    }
  }

  @Test(
    "what cannot move is blocked at once with its reasons, and the rest goes on",
    arguments: [RefusalReason.notMigratable, .unsupported, .sameNode])
  func blocked(reason: RefusalReason) {
    var script = DrainScript("disk", "ok", settings: DrainSettings(parallel: 1))
    #expect(script.migrated() == ["disk"])
    script.refuse("disk", reason)
    #expect(script.migrated() == ["ok"])
    #expect(script.state("disk") == .blocked && script["disk"]?.text == "because")
    #expect(script["disk"]?.attempts == 0)
    script.own("ok")
    script.end("ok", .succeeded)
    #expect(script.step() == [.ended(.incomplete)])
  }

  @Test("what no time changes is blocked at once, whatever the reason")
  func hopeless() {
    var script = DrainScript("g1")
    _ = script.step()
    script.plan.started(
      DrainScript.vm("g1"), .blocked([Refusal(.noTarget, "no host is named")]), at: script.now)
    #expect(script.step() == [.ended(.incomplete)])
    #expect(script.state("g1") == .blocked && script["g1"]?.text == "no host is named")
  }

  @Test(
    "what passes is waited for, and is no attempt",
    arguments: [RefusalReason.migrating, .notRunning, .journal, .hold, .disabled, .notLeader])
  func passing(reason: RefusalReason) {
    var script = DrainScript("g1", settings: DrainSettings(attempts: 1))
    for _ in 1...3 {
      #expect(script.migrated(after: .seconds(5)) == ["g1"])
      script.refuse("g1", reason)
      #expect(script.step().isEmpty)
      #expect(script.state("g1") == .pending && script["g1"]?.attempts == 0)
    }
  }

  @Test("no room is tried again, blocked in the end, and no attempt while others are under way")
  func room() {
    var script = DrainScript("g1", "g2", settings: DrainSettings(parallel: 2, attempts: 1))
    #expect(script.migrated() == ["g1", "g2"])
    script.own("g1")
    script.refuse("g2", .targetUnfit)
    _ = script.step()
    #expect(script.state("g2") == .pending)
    script.end("g1", .succeeded)
    #expect(script.migrated(after: .seconds(5)) == ["g2"])
    script.refuse("g2", .targetUnfit)
    #expect(script.step() == [.ended(.incomplete)])
    #expect(script.state("g2") == .blocked)
  }

  @Test("what could not be begun or read is tried again, and failed in the end")
  func errors() {
    var script = DrainScript("g1", settings: DrainSettings(attempts: 2))
    _ = script.step()
    script.plan.started(DrainScript.vm("g1"), .failed("libvirt says no"), at: script.now)
    #expect(script.migrated(after: .seconds(11)) == ["g1"])
    script.plan.started(DrainScript.vm("g1"), .failed("libvirt says no"), at: script.now)
    #expect(script.step() == [.ended(.incomplete)])
    #expect(script.state("g1") == .failed && script["g1"]?.text.contains("libvirt says no") == true)
  }

  // MARK: Asked for, and not seen

  @Test("one that was asked for is not asked for again before it is certain that it is not there")
  func unseen() {
    var script = DrainScript("g1", settings: DrainSettings(attempts: 2))
    #expect(script.migrated() == ["g1"])
    script.plan.started(DrainScript.vm("g1"), .underWay(nil), at: script.now)
    #expect(script.migrated(after: .seconds(29)).isEmpty)
    // While the back end is down its silence says nothing.
    script.isUp = false
    #expect(script.migrated(after: .seconds(300)).isEmpty)
    #expect(script.state("g1") == .migrating)
    script.isUp = true
    script.isRead = false
    #expect(script.migrated().isEmpty)
    script.isRead = true
    _ = script.step()
    #expect(script.state("g1") == .failed)
    #expect(script.migrated(after: .seconds(11)) == ["g1"])
  }

  @Test("one without an identity is known by its VM and its time, and one that is gone has left")
  func withoutIdentity() {
    var script = DrainScript("g1", "g2")
    _ = script.step()
    for name in ["g1", "g2"] { script.plan.started(DrainScript.vm(name), .underWay(nil), at: script.now) }
    let id = script.begin("g1")
    _ = script.step()
    #expect(script["g1"]?.migration == id && script["g1"]?.isOwn == true)
    script.guests.removeAll { $0.vm.name == "g2" }
    _ = script.step(after: .seconds(31))
    #expect(script.state("g2") == .done)
  }

  @Test("one that began a minute later is another's, and none of its time-outs is enforced")
  func later() {
    var script = DrainScript("g1")
    _ = script.step()
    script.plan = DrainPlan(script.plan.record, settings: script.plan.settings)
    script.now = script.now + .seconds(61)
    let now = script.now
    script.begin("g1") { view in
      view.progressDeadline = now
      view.sampledAt = now
    }
    #expect(script.step().isEmpty)
    #expect(script["g1"]?.isOwn == false && script.state("g1") == .migrating)
  }

  @Test("one that had begun before it was asked for stays another's, also while that is being asked")
  func overtaken() {
    var script = DrainScript("g1")
    _ = script.step()
    let now = script.now
    script.begin("g1") { view in
      view.startedAt = now - .seconds(20)
      view.progressDeadline = now
    }
    for _ in 1...3 { #expect(script.step().isEmpty) }
    script.refuse("g1", .migrating)
    for _ in 1...3 { #expect(script.step().isEmpty) }
    #expect(script["g1"]?.isOwn == false && script.state("g1") == .migrating)
  }

  @Test("after a restart a migration of its own is found again, by id or VM, and never begun twice")
  func resumed() {
    for knowsID in [true, false] {
      var script = DrainScript("g1", "g2", settings: DrainSettings(parallel: 1))
      #expect(script.migrated() == ["g1"])
      let id = script.begin("g1")
      if knowsID { script.plan.started(DrainScript.vm("g1"), .underWay(id), at: script.now) }
      script.plan = DrainPlan(script.plan.record, settings: script.plan.settings)
      #expect(script.migrated(after: .seconds(60)).isEmpty)
      #expect(script["g1"]?.migration == id && script["g1"]?.isOwn == true && script["g1"]?.attempts == 1)
      script.end("g1", .succeeded)
      #expect(script.migrated() == ["g2"])
    }
  }

  // MARK: Cordon

  @Test("the node is closed before anything is moved, and again only where that failed")
  func cordon() {
    var script = DrainScript("g1")
    script.isCordoned = false
    #expect(script.step() == [.cordon])
    #expect(script.step().isEmpty)
    script.plan.cordoned("denied", at: script.now)
    #expect(script.step().isEmpty)
    #expect(script.plan.record.text.contains("denied"))
    #expect(script.step(after: .seconds(10)) == [.cordon])
    script.plan.cordoned("", at: script.now)
    // Until it is read again it still seems open.
    #expect(script.migrated() == ["g1"])
  }

  @Test("what somebody opened again meanwhile is left open")
  func reopened() {
    var script = DrainScript("g1")
    script.isCordoned = true
    #expect(script.migrated() == ["g1"])
    script.isCordoned = false
    #expect(script.step().isEmpty)
  }

  // MARK: Others empty the node

  @Test(
    "an evacuation of the system is followed: nothing is closed, begun or settled",
    arguments: [
      NodeReading.DrainedBy.taint("kubevirt.io/drain"), .harvesterMaintenance, .harvesterUpgrade,
    ])
  func followed(by other: NodeReading.DrainedBy) {
    var script = DrainScript("g1", "g2")
    script.isCordoned = false
    script.drainedBy = other
    #expect(script.step().isEmpty)
    #expect(script.plan.record.isFollowing && script.plan.record.text.hasPrefix(other.words))
    script.begin("g1")
    #expect(script.step().isEmpty)
    #expect(script.state("g1") == .migrating && script["g1"]?.isOwn == false)
    script.end("g1", .failed, .connectionLost)
    for _ in 1...3 { #expect(script.step(after: .seconds(60)).isEmpty) }
    script.begin("g1")
    script.begin("g2")
    _ = script.step()
    script.end("g1", .succeeded)
    script.end("g2", .succeeded)
    #expect(script.step() == [.ended(.complete)])
  }

  @Test("one that ends with VMs left ends the drain that followed it, after a minute")
  func unfollowed() {
    var script = DrainScript("g1")
    script.drainedBy = .harvesterMaintenance
    _ = script.step()
    script.drainedBy = nil
    #expect(script.step().isEmpty)
    #expect(script.step(after: .seconds(59)).isEmpty)
    #expect(script.step(after: .seconds(1)) == [.ended(.incomplete)])
  }

  // MARK: Knowing

  @Test("nothing is begun upon an old reading, with the back end down, or with the switch disabled")
  func blind() {
    var script = DrainScript("g1", "g2", settings: DrainSettings(parallel: 1))
    #expect(script.migrated() == ["g1"])
    script.own("g1")
    script.end("g1", .succeeded)
    script.isRead = false
    #expect(script.migrated(after: .seconds(31)).isEmpty)
    script.isRead = true
    script.isUp = false
    #expect(script.migrated().isEmpty)
    script.isUp = true
    script.plan.settings.isArmed = false
    #expect(script.migrated().isEmpty)
    script.plan.settings.isArmed = true
    #expect(script.migrated() == ["g2"])
  }

  @Test("complete is only what is read as empty now, with nothing leaving")
  func complete() {
    var script = DrainScript("g1")
    _ = script.step()
    script.own("g1")
    script.guests = []
    #expect(script.step().isEmpty)
    script.end("g1", .succeeded)
    script.isRead = false
    #expect(script.step(after: .seconds(31)).isEmpty)
    script.isRead = true
    script.isUp = false
    #expect(script.step().isEmpty)
    script.isUp = true
    #expect(script.step() == [.ended(.complete)])
  }

  // MARK: Its own end

  @Test("an end that somebody wants begins nothing more, and waits for what is under way")
  func cancelled() throws {
    var script = DrainScript("g1", "g2", "g3")
    _ = script.step()
    script.own("g1")
    #expect(script.plan.wants(DrainScript.vm("g2")))
    script.plan.cancel(by: "uid 0")
    // What was ordered and not begun is not begun.
    #expect(!script.plan.wants(DrainScript.vm("g2")))
    script.refuse("g2", .disabled)
    #expect(script.step().isEmpty)
    #expect(script.plan.record.state == .cancelling)
    let now = script.now
    script.change("g1") { $0.progressDeadline = now }
    let id = try #require(script["g1"]?.migration)
    #expect(script.step() == [.abort(DrainScript.vm("g1"), id, .progressTimeout)])
    script.end("g1", .aborted, .policyAbort)
    #expect(script.step() == [.ended(.cancelled)])
    #expect(script.state("g1") == .timedOut && script.state("g3") == .pending)
  }
}
