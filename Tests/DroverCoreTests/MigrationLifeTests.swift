import Testing

@testable import DroverCore

@Suite("Life of a migration")
struct MigrationLifeTests {
  @Test("Every counter exists at 0 once the back end is registered")
  func zeroes() {
    let totals = MigrationTracker.withHome().snapshot().totals
    #expect(totals.started == [OriginCount(backend: home, origin: .unknown, count: 0)])
    #expect(totals.succeeded == totals.started)
    #expect(totals.failed == [CauseCount(backend: home, origin: .unknown, cause: .other, count: 0)])
    #expect(totals.aborted == [CauseCount(backend: home, origin: .unknown, cause: .userAbort, count: 0)])
    #expect(totals.outcomes.map(\.outcome) == Outcome.allCases)
  }

  @Test(
    "Success: deadlines while it runs, counters and histograms when it has ended, nothing after the retention"
  )
  func success() throws {
    var tracker = MigrationTracker.withHome()
    #expect(tracker.take(sight(at: 10, phase: .preparing), at: 10) == ["began"])
    #expect(tracker.snapshot().totals.sums == [0, 0, 0, 0])
    #expect(tracker.take(sight(at: 11, sent: 10), at: 11) == ["preparing>precopy"])
    var view = try #require(tracker.snapshot().first)
    #expect(view.completionDeadline == seconds(10 + 6400))
    #expect(view.progressDeadline == seconds(11 + 150))
    #expect(view.progressRatio.map { $0 > 0.99 && $0 < 1 } == true)
    #expect(tracker.snapshot().totals.sums == [1, 0, 0, 0])
    #expect(tracker.snapshot().nodes.map(\.outbound) == [1])
    #expect(
      tracker.take(sight(at: 12, sent: 20, remaining: 90), at: 12) == ["unknown>converging"])

    var last = sample(sent: 1 << 25, remaining: 0)
    last.downtime = .milliseconds(80)
    #expect(tracker.take(end(.succeeded, at: 70, sample: last), at: 70.4) == ["ended succeeded -"])
    let snapshot = tracker.snapshot()
    view = try #require(snapshot.first)
    #expect(view.isOver && view.phase == .succeeded && view.phaseEnteredAt == seconds(70))
    #expect(view.sample.transferred == Bytes(1 << 25) && view.sample.remaining == nil)
    #expect(view.completionDeadline == nil && view.progressDeadline == nil && view.progress == nil)
    #expect(view.transferRate == nil && view.verdict == Verdict() && view.progressRatio == nil)
    #expect(snapshot.totals.sums == [1, 1, 0, 0])
    #expect(snapshot.nodes.map(\.outbound) == [0])
    let histograms = snapshot.totals.outcomes[0]
    #expect(histograms.duration.sum == 60 && histograms.downtime.sum == 0.08)
    #expect(histograms.sentBytes.sum == Double(1 << 25))

    _ = tracker.look(at: 71)
    _ = tracker.look(at: 71 + 899)
    #expect(tracker.snapshot().trackedCount == 1)
    _ = tracker.look(at: 71 + 900)
    #expect(tracker.snapshot().trackedCount == 0)
    #expect(tracker.snapshot().totals.sums == [1, 1, 0, 0])
  }

  @Test(
    "An announced abort keeps its cause, an unannounced one is the user's, and a failure is never an abort")
  func announcedAbort() {
    var tracker = MigrationTracker.withHome()
    for n in 1...4 { tracker.take(sight(at: 11, id: id(n)), at: 11) }
    for n in [1, 2, 4] { tracker.announceAbort(of: id(n), cause: .policyAbort) }
    #expect(
      tracker.take(end(.aborted, .userAbort, at: 12, id: id(1)), at: 12) == ["ended aborted policy_abort"])
    #expect(
      tracker.take(end(.failed, .targetLost, at: 12, id: id(2)), at: 12) == ["ended failed target_lost"])
    #expect(tracker.take(end(.aborted, at: 12, id: id(3)), at: 12) == ["ended aborted user_abort"])
    #expect(tracker.take(end(.succeeded, at: 12, id: id(4)), at: 12) == ["ended succeeded -"])
    #expect(tracker.snapshot().totals.sums == [4, 1, 1, 2])
  }

  @Test("A job that vanishes after its abort was sent was aborted; where it was not sent, nobody knows why")
  func vanished() {
    var tracker = MigrationTracker.withHome()
    for n in 1...4 { tracker.take(sight(at: 11, id: id(n)), at: 11) }
    for n in 1...4 { tracker.announceAbort(of: id(n), cause: .policyAbort) }
    tracker.announceAbort(of: id(2), cause: nil)
    let ends: [(Int, FailureCause, String)] = [
      (1, .unknown, "ended aborted policy_abort"), (2, .unknown, "ended failed unknown"),
      (3, .targetLost, "ended aborted policy_abort"), (4, .storage, "ended failed storage"),
    ]
    for (n, cause, words) in ends {
      var gone = observation(id: id(n), at: 13, startedAt: 10, phase: .failed)
      gone.ending = Ending(outcome: .failed, cause: cause, certainty: .inferred, endedAt: seconds(13))
      #expect(tracker.take(.migration(gone), at: 13) == [words])
    }
  }

  @Test("Outcome, cause and phase always agree")
  func consistentEnds() {
    #expect(Ending(outcome: .succeeded, cause: .other, certainty: .reported, endedAt: ms(0)).cause == nil)
    #expect(Ending(outcome: .failed, certainty: .reported, endedAt: ms(0)).cause == .unknown)
    #expect(
      Ending(outcome: .aborted, cause: .storage, certainty: .reported, endedAt: ms(0)).outcome == .failed)
    #expect(
      Ending(outcome: .failed, cause: .alertAbort, certainty: .reported, endedAt: ms(0)).outcome == .aborted)
    var tracker = MigrationTracker.withHome()
    tracker.take(sight(at: 11), at: 11)
    // A final phase without its ending.
    #expect(tracker.take(sight(at: 12, phase: .failed), at: 12) == ["ended failed unknown"])
    #expect(tracker.snapshot().first?.ending?.certainty == .inferred)
    // An ending with the phase of before.
    var told = observation(id: id(2), at: 12, startedAt: 10, phase: .precopy)
    told.ending = Ending(outcome: .succeeded, certainty: .reported, endedAt: seconds(12))
    #expect(tracker.take(.migration(told), at: 12) == ["began", "ended succeeded -"])
  }

  @Test("A failed source has no counters: the last ones stand, and so do its facts")
  func lastCounters() throws {
    var tracker = MigrationTracker.withHome()
    tracker.take(sight(at: 11, sent: 500), at: 11)
    tracker.take(end(.failed, .targetLost, at: 12, facts: MigrationFacts()), at: 12)
    let snapshot = tracker.snapshot()
    #expect(snapshot.first?.sample.transferred == 500)
    #expect(snapshot.first?.facts == .ofHostA)
    #expect(snapshot.nodes.map(\.outbound) == [0])
    #expect(snapshot.nodes.map(\.failedOutbound) == [1])
  }

  @Test("In post-copy there is no deadline; a pause and its recovery are an interruption")
  func postcopy() throws {
    var tracker = MigrationTracker.withHome()
    tracker.take(sight(at: 11, sent: 10), at: 11)
    tracker.take(sight(at: 12, phase: .postcopy, sent: 20), at: 12)
    var view = try #require(tracker.snapshot().first)
    #expect(view.completion == nil && view.completionDeadline == nil)
    #expect(view.progressBudget == nil && view.progressDeadline == nil)
    #expect(view.verdict.kind == .unknown)
    tracker.take(sight(at: 13, phase: .postcopyPaused, sent: 20), at: 13)
    tracker.take(sight(at: 72, phase: .postcopyPaused, sent: 20), at: 72)
    let events = tracker.take(sight(at: 72.5, phase: .postcopy, sent: 30), at: 72.5)
    #expect(events == ["interrupted 60500", "postcopy_paused>postcopy"])
    view = try #require(tracker.snapshot().first)
    #expect(view.interruptions.count == 1 && view.interruptions.total == .milliseconds(60_500))
    #expect(tracker.take(end(.succeeded, at: 80), at: 80) == ["ended succeeded -"])
    #expect(tracker.snapshot().first?.interruptions.count == 1)
  }

  @Test(
    "Bytes that stop in the switchover are no interruption; bytes that move again just before the end are one"
  )
  func interruptionAtTheEnd() {
    var tracker = MigrationTracker.withHome()
    tracker.take(sight(at: 11, sent: 10), at: 11)
    for at in [12.0, 20, 30] { tracker.take(sight(at: at, phase: .switchover, sent: 10), at: at) }
    #expect(
      tracker.take(end(.succeeded, at: 31, sample: sample(sent: 20, remaining: 0)), at: 31)
        == ["ended succeeded -"])
    for at in [41.0, 42, 51] { tracker.take(sight(at: at, sent: 10, id: id(2)), at: at) }
    #expect(
      tracker.take(end(.succeeded, at: 51.5, id: id(2), sample: sample(sent: 20, remaining: 0)), at: 51.5)
        == ["interrupted 10500", "ended succeeded -"])
  }

  @Test("A dirty rate is not believed once the bytes stop, and the verdict goes from unknown to stalled")
  func outage() throws {
    var tracker = MigrationTracker.withHome()
    for n in 0...4 {
      let at = 11 + Double(n) / 2
      tracker.take(sight(at: at, sent: UInt64(n + 1) * 1000, remaining: 9000 - UInt64(n) * 500), at: at)
    }
    #expect(tracker.snapshot().first?.verdict.kind == .converging)
    var events: [String] = []
    for n in 1...24 {
      let at = 13 + Double(n) / 2
      events += tracker.take(sight(at: at, sent: 5000, remaining: 7000, dirty: 7), at: at)
      let view = try #require(tracker.snapshot().first)
      #expect((view.sample.dirtyRate == nil) == (Double(n) / 2 > 2))
    }
    #expect(events.last == "unknown>stalled" && !events.contains { $0.contains("not_converging") })
    #expect(tracker.snapshot().first?.transferRate == 0)
    let healed = tracker.take(sight(at: 25.5, sent: 6000, remaining: 6500, dirty: 7), at: 25.5)
    #expect(healed == ["interrupted 12500", "stalled>converging"])
  }
}
