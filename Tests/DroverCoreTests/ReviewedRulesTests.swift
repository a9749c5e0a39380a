import Testing

@testable import DroverCore

@Suite("A back end that comes back")
struct ReturningBackendTests {
  private func run(_ tracker: inout MigrationTracker, startedAt: Double, at: Double, ends: Bool = false) {
    var told = observation(
      id: MigrationID(domain: domain(), startedUnixMilliseconds: Int64(startedAt * 1000)), at: at,
      startedAt: startedAt, sample: sample(sent: 1, remaining: 1), source: true)
    if ends { told.ending = Ending(outcome: .succeeded, certainty: .reported, endedAt: seconds(at)) }
    _ = tracker.receive(.migration(told), at: seconds(at))
  }

  @Test("keeps its counters, and counts no start that it had counted before")
  func replaced() {
    var tracker = MigrationTracker(startedAt: seconds(0))
    tracker.register(descriptor(), at: seconds(0))
    run(&tracker, startedAt: 10, at: 11)
    #expect(tracker.snapshot().totals.started.first?.count == 1)

    tracker.unregister(home, keepingTotals: true)
    tracker.register(descriptor(), at: seconds(20))
    #expect(tracker.snapshot().trackedCount == 0)
    #expect(tracker.snapshot().totals.started.first?.count == 1)
    run(&tracker, startedAt: 10, at: 21)
    #expect(tracker.snapshot().totals.started.first?.count == 1)
    run(&tracker, startedAt: 10, at: 30, ends: true)
    #expect(tracker.snapshot().totals.succeeded.first?.count == 1)
    run(&tracker, startedAt: 40, at: 41)
    #expect(tracker.snapshot().totals.started.first?.count == 2)
  }

  @Test("begins at 0 where it was taken away for good")
  func removed() {
    var tracker = MigrationTracker(startedAt: seconds(0))
    tracker.register(descriptor(), at: seconds(0))
    run(&tracker, startedAt: 10, at: 11)
    tracker.unregister(home)
    tracker.register(descriptor(), at: seconds(20))
    #expect(tracker.snapshot().totals.started.first?.count == 0)
  }
}

@Suite("What the destination adds")
struct DestinationEvidenceTests {
  private func arrive(_ tracker: inout MigrationTracker, runs: Bool, isActive: Bool, at: Double) {
    _ = tracker.receive(
      .inbound(
        InboundObservation(
          vm: vmRef(host: "host-c"), host: "host-c", domain: domain(), isActive: isActive, guestRuns: runs)),
      at: seconds(at))
  }

  private func lost(at: Double) -> BackendMessage {
    .migration(
      observation(
        at: at, phase: .failed,
        ending: Ending(outcome: .failed, cause: .sourceLost, certainty: .inferred, endedAt: seconds(at)),
        source: false))
  }

  @Test("names the target where the source does not know it")
  func target() {
    var tracker = MigrationTracker.withHome()
    arrive(&tracker, runs: false, isActive: true, at: 1)
    var facts = MigrationFacts.ofHostA
    facts.target = ""
    _ = tracker.receive(
      .migration(observation(at: 2, sample: sample(sent: 1, remaining: 1), facts: facts)), at: seconds(2))
    #expect(tracker.snapshot().first?.facts.target == "host-c")
  }

  @Test("makes a success of a source that went away behind it, and of no other loss")
  func corrected() {
    for runs in [true, false] {
      var tracker = MigrationTracker.withHome()
      _ = tracker.receive(
        .migration(observation(at: 1, sample: sample(sent: 1, remaining: 1), source: true)), at: seconds(1))
      arrive(&tracker, runs: false, isActive: true, at: 2)
      arrive(&tracker, runs: runs, isActive: false, at: 3)
      _ = tracker.receive(lost(at: 4), at: seconds(4))
      let ending = tracker.snapshot().first?.ending
      #expect(ending?.outcome == (runs ? .succeeded : .failed))
      #expect(ending?.certainty == .inferred)
      #expect(tracker.snapshot().totals.succeeded.first?.count == (runs ? 1 : 0))
    }
  }
}

@Suite("What cannot be known exactly")
struct UncertaintyTests {
  @Test("a fall between two distant samples may have come right after the first")
  func dropUncertainty() throws {
    var tracker = MigrationTracker.withHome()
    for (at, remaining) in [(0.0, UInt64(900)), (0.5, 800), (61, 700)] {
      _ = tracker.receive(
        .migration(observation(at: at, sample: sample(sent: UInt64(at * 10), remaining: remaining))),
        at: seconds(at))
    }
    let view = try #require(tracker.snapshot().first)
    #expect(view.progress?.lastDrop == seconds(61))
    #expect(view.progress?.dropUncertainty == .milliseconds(60_500))
    #expect(view.progressDeadline == seconds(150.5))
    _ = tracker.receive(
      .migration(observation(at: 61.5, sample: sample(sent: 999, remaining: 600))), at: seconds(61.5))
    #expect(tracker.snapshot().first?.progress?.dropUncertainty == .zero)
    #expect(tracker.snapshot().first?.progressDeadline == seconds(211.5))
  }

  @Test("a migration whose start was not seen has no length")
  func unknownLength() {
    var tracker = MigrationTracker.withHome()
    _ = tracker.receive(
      .migration(
        observation(
          at: 5, startedAt: 5, phase: .aborted,
          ending: Ending(outcome: .aborted, certainty: .reported, endedAt: seconds(5)))), at: seconds(5))
    #expect(tracker.snapshot().first?.duration == nil)
    let aborted = tracker.snapshot().totals.outcomes.first { $0.outcome == .aborted }
    #expect(aborted?.duration.count == 0)
  }
}
