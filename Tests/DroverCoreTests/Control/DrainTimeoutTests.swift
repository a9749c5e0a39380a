import Testing

@testable import DroverCore

@Suite("Time-outs that a drain enforces")
struct DrainTimeoutTests {
  /// One migration of its own, under way.
  private func running(_ change: @escaping (inout MigrationView) -> Void = { _ in }) -> DrainScript {
    var script = DrainScript("g1", "g2", settings: DrainSettings(parallel: 1))
    _ = script.step()
    script.own("g1")
    _ = script.step()
    let now = script.now
    script.change("g1") { view in
      view.sampledAt = now
      view.completion = CompletionBudget(perGiB: .seconds(1), size: .gibibytes(1))
      view.progressBudget = ProgressBudget(timeout: .seconds(150))
      change(&view)
    }
    return script
  }

  private func aborted(_ script: inout DrainScript) -> Trigger? {
    let now = script.now
    script.change("g1") { $0.sampledAt = max($0.sampledAt, now - .seconds(10)) }
    for case .abort(_, _, let trigger) in script.step() { return trigger }
    return nil
  }

  @Test("ends its migration at either deadline, once, and the VM is timed out")
  func deadlines() throws {
    for trigger in [Trigger.completionTimeout, .progressTimeout] {
      var script = running()
      #expect(script.step().isEmpty)
      let now = script.now
      script.change("g1") { view in
        if trigger == .completionTimeout {
          view.completionDeadline = now
        } else {
          view.progressDeadline = now
        }
      }
      let id = try #require(script["g1"]?.migration)
      #expect(script.step() == [.abort(DrainScript.vm("g1"), id, trigger)])
      #expect(script.step().isEmpty)
      script.plan.aborted(DrainScript.vm("g1"), id, isSent: true, "", at: script.now)
      #expect(script.step().isEmpty)
      script.end("g1", .aborted, .policyAbort)
      // It is not tried again, and the next one goes.
      #expect(script.migrated() == ["g2"])
      #expect(script.state("g1") == .timedOut && script["g1"]?.isSettled == true)
    }
  }

  @Test("one that succeeded before the abort reached it has left; one that failed then has timed out")
  func race() throws {
    for (outcome, state) in [(Outcome.succeeded, DrainVMState.done), (.failed, .timedOut)] {
      var script = running { $0.progressDeadline = Moment(milliseconds: 0) }
      #expect(aborted(&script) == .progressTimeout)
      script.end("g1", outcome, outcome == .failed ? .other : nil)
      _ = script.step()
      #expect(script.state("g1") == state)
    }
  }

  @Test("an abort that is refused is tried again later, and one that changed nothing is sent again")
  func again() throws {
    var script = running { $0.progressDeadline = Moment(milliseconds: 0) }
    let id = try #require(script["g1"]?.migration)
    #expect(aborted(&script) != nil)
    script.plan.aborted(DrainScript.vm("g1"), id, isSent: false, "held", at: script.now)
    #expect(script["g1"]?.timeout == nil && script["g1"]?.text.contains("held") == true)
    #expect(aborted(&script) == nil)
    script.now = script.now + .seconds(10)
    let later = script.now
    script.change("g1") { $0.sampledAt = later }
    #expect(aborted(&script) != nil)
    script.plan.aborted(DrainScript.vm("g1"), id, isSent: true, "", at: script.now)
    #expect(aborted(&script) == nil)
    script.now = script.now + .seconds(60)
    let much = script.now
    script.change("g1") { $0.sampledAt = much }
    #expect(aborted(&script) != nil)
  }

  @Test("nothing is ended that KubeVirt ends, and what it ended for a time-out has timed out")
  func kubeVirt() {
    var script = running { view in
      view.completionDeadline = Moment(milliseconds: 0)
      view.progressDeadline = Moment(milliseconds: 0)
      view.completion = CompletionBudget(
        timeout: .seconds(1), setBy: .kubevirt, enforcedBy: .kubevirt, action: .abort)
      view.progressBudget = ProgressBudget(
        timeout: .seconds(1), setBy: .kubevirt, enforcedBy: .kubevirt, countsSent: true)
    }
    #expect(aborted(&script) == nil)
    script.end("g1", .failed, .completionTimeout)
    _ = script.step()
    #expect(script.state("g1") == .timedOut && script["g1"]?.isSettled == true)
  }

  @Test(
    "nothing is ended where that could cost the guest, or where nothing is known",
    arguments: [
      Phase.postcopy, .postcopyPaused, .switchover, .guestSuspended, .aborting, .pending, .scheduling,
    ])
  func phases(phase: Phase) {
    var script = running { view in
      view.progressDeadline = Moment(milliseconds: 0)
      view.phase = phase
    }
    #expect(aborted(&script) == nil)
    script.change("g1") { $0.phase = .precopy }
    #expect(aborted(&script) == .progressTimeout)
  }

  @Test("nothing is ended upon an old sample, or that ends by itself in a moment")
  func guarded() {
    var old = running { $0.progressDeadline = Moment(milliseconds: 0) }
    #expect(old.step(after: .milliseconds(10_001)).isEmpty)
    var near = running { view in
      view.progressDeadline = Moment(milliseconds: 0)
      view.verdict = Verdict(.converging, .firstPass, expectedEnd: view.sampledAt + .seconds(10))
    }
    #expect(aborted(&near) == nil)
    let now = near.now
    near.change("g1") { $0.verdict = Verdict(.slow, .firstPass, expectedEnd: now + .seconds(20)) }
    #expect(aborted(&near) == .progressTimeout)
  }

  @Test("while many have lost their network nothing is ended, which is said; once that is over it is")
  func partition() throws {
    var script = running { $0.progressDeadline = Moment(milliseconds: 0) }
    script.isPartitioned = true
    #expect(aborted(&script) == nil)
    #expect(script["g1"]?.timeout == nil && script["g1"]?.text.contains("lost their network at once") == true)
    script.isPartitioned = false
    #expect(aborted(&script) == .progressTimeout)
    #expect(script["g1"]?.text == "")
  }

  @Test("one that never begins to copy is ended after a quarter of an hour; one in a queue waits for others")
  func neverBegun() throws {
    for (phase, reason, isEnded) in [
      (Phase.pending, PendingReason.quota, true), (.pending, .backup, true), (.scheduling, .podPending, true),
      (.pending, .queueCluster, false), (.pending, .queueNode, false),
    ] {
      var script = running { view in
        view.phase = phase
        view.waiting = PendingWait(reason: reason)
      }
      let id = try #require(script["g1"]?.migration)
      func aborts(_ commands: [DrainCommand]) -> Bool {
        commands.contains(.abort(DrainScript.vm("g1"), id, .completionTimeout))
      }
      #expect(!aborts(script.step(after: .seconds(890))))
      #expect(aborts(script.step(after: .seconds(10))) == isEnded, "\(phase) \(reason)")
      script.end("g1", .aborted, .policyAbort)
      _ = script.step()
      #expect(script.state("g1") == (isEnded ? .timedOut : .blocked))
    }
  }

  @Test("a wall clock that is set ends none")
  func steppedClock() {
    var script = running { view in
      view.phase = .scheduling
      view.waiting = PendingWait(reason: .podPending)
    }
    script.epoch = EpochOffset(milliseconds: script.epoch.milliseconds + 1_200_000)
    #expect(script.step(after: .seconds(890)).isEmpty)
    #expect(!script.step(after: .seconds(10)).isEmpty)
  }

  @Test("what waits for a quota or a backup takes no other's place; what waits for anything else does")
  func places() {
    for (reason, next) in [
      (PendingReason.quota, ["g2"]), (.backup, ["g2"]), (.queueNode, []), (.unknown, []),
    ] {
      var script = running { view in
        view.phase = .pending
        view.waiting = PendingWait(reason: reason)
      }
      #expect(script.migrated() == next, "\(reason)")
    }
  }

  @Test("what somebody else began is never ended")
  func foreign() {
    var script = DrainScript("g1", settings: DrainSettings(parallel: 1))
    script.begin("g1") { $0.progressDeadline = Moment(milliseconds: 0) }
    #expect(script.step().isEmpty)
    #expect(script.step().isEmpty)
  }

  @Test("the tracker shows that Drover ends it, once it was told so")
  func shown() throws {
    var tracker = MigrationTracker(startedAt: Moment(milliseconds: 0))
    tracker.register(
      BackendDescriptor(
        name: DrainScript.backend, type: "libvirt", endpoint: "x", node: "a", origins: [.unknown], causes: [],
        errorKinds: []))
    let domain = DomainKey(backend: DrainScript.backend, socketPath: "g1")
    let id = MigrationID(domain: domain, startedUnixMilliseconds: 1)
    func tell(at milliseconds: Int64) {
      var observation = MigrationObservation(
        id: id, vm: DrainScript.vm("g1"), domain: domain, takenAt: Moment(milliseconds: milliseconds),
        startedAt: Moment(milliseconds: 1), phase: .precopy, sample: Sample())
      observation.facts.size = .gibibytes(1)
      _ = tracker.receive(.migration(observation), at: Moment(milliseconds: milliseconds))
    }
    tell(at: 1000)
    #expect(tracker.snapshot().migrations.first { _ in true }?.completion?.enforcedBy == Enforcer.none)
    tracker.announceEnforcement(of: id)
    for milliseconds in [Int64(1000), 2000] {
      tell(at: milliseconds)
      let view = try #require(tracker.snapshot().migrations.first { _ in true })
      #expect(view.completion?.enforcedBy == .drover && view.completion?.action == .abort)
      #expect(view.progressBudget?.enforcedBy == .drover)
    }
  }
}
