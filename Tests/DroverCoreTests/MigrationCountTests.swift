import Testing

@testable import DroverCore

@Suite("What is counted")
struct MigrationCountTests {
  @Test(
    "A migration missed altogether begins and ends at once; only a success proves that it started",
    arguments: [
      (.succeeded, [1, 1, 0, 0]), (.failed, [0, 0, 1, 0]), (.aborted, [0, 0, 0, 1]),
    ] as [(Outcome, [UInt64])])
  func missed(outcome: Outcome, sums: [UInt64]) {
    var tracker = MigrationTracker.withHome()
    let events = tracker.take(end(outcome, at: 12), at: 13)
    #expect(events.count == 2 && events.first == "began")
    #expect(tracker.snapshot().totals.sums == sums)
    #expect(tracker.snapshot().nodes.map(\.outbound) == [0])
  }

  @Test("An end from before the start counts nothing, and is told with its end")
  func foundEnded() {
    var tracker = MigrationTracker.withHome(startedAt: seconds(100))
    #expect(tracker.take(end(.failed, at: 99), at: 101) == ["found failed"])
    #expect(tracker.snapshot().totals.sums == [0, 0, 0, 0])
    #expect(tracker.snapshot().trackedCount == 0)
    #expect(tracker.snapshot().totals.outcomes.allSatisfy { $0.duration.count == 0 })
  }

  @Test(
    "What ran before the start is counted when it ends, not as started; what was seen to start is",
    arguments: [
      (.precopy, 5, 0), (.aborting, 5, 0), (.preparing, 5, 1), (.pending, 5, 1), (.precopy, 100, 1),
    ]
      as [(Phase, Double, UInt64)])
  func runningBefore(first: Phase, startedAt: Double, started: UInt64) {
    var tracker = MigrationTracker.withHome(startedAt: seconds(100))
    tracker.take(sight(at: 101, phase: first, startedAt: startedAt), at: 101)
    tracker.take(sight(at: 102, startedAt: startedAt), at: 102)
    tracker.take(sight(at: 103, phase: .switchover, startedAt: startedAt), at: 103)
    tracker.take(end(.succeeded, at: 110, startedAt: startedAt), at: 110)
    #expect(tracker.snapshot().totals.sums == [started, 1, 0, 0])
  }

  @Test("An end is final, and one that comes late is not lost")
  func order() {
    var tracker = MigrationTracker.withHome()
    tracker.take(sight(at: 20, sent: 200), at: 20)
    #expect(tracker.take(sight(at: 19, phase: .preparing, sent: 100), at: 20.1) == [])
    #expect(tracker.snapshot().first?.sample.transferred == 200)
    // Told by an event that was older than the answer before it.
    #expect(tracker.take(end(.succeeded, at: 19.9), at: 20.2) == ["ended succeeded -"])
    #expect(tracker.take(end(.failed, at: 25), at: 25) == [])
    #expect(tracker.take(sight(at: 26), at: 26) == [])
    #expect(tracker.snapshot().totals.sums == [1, 1, 0, 0])
    #expect(tracker.snapshot().first?.phase == .succeeded)
  }

  @Test("The same VM may migrate again, and even twice at once")
  func twice() {
    var tracker = MigrationTracker.withHome()
    tracker.receiveVM()
    tracker.take(sight(at: 11, id: id(1)), at: 11)
    tracker.take(sight(at: 11, id: id(2)), at: 11)
    #expect(tracker.snapshot().nodes.map(\.outbound) == [2])
    tracker.take(end(.failed, .storage, at: 12, id: id(1)), at: 12)
    tracker.take(end(.failed, .storage, at: 13, id: id(2)), at: 13)
    #expect(tracker.snapshot().vms.map(\.consecutiveFailures) == [2])
    tracker.take(sight(at: 14, id: id(3)), at: 14)
    tracker.take(end(.aborted, .userAbort, at: 15, id: id(3)), at: 15)
    #expect(tracker.snapshot().vms.map(\.consecutiveFailures) == [2])
    tracker.take(end(.succeeded, at: 16, id: id(4)), at: 16)
    #expect(tracker.snapshot().vms.map(\.consecutiveFailures) == [0])
    #expect(tracker.snapshot().nodes.map(\.outbound) == [0])
    #expect(tracker.snapshot().totals.sums == [4, 1, 2, 1])
  }

  @Test("One migration seen by two back ends belongs to the one that saw it first")
  func collision() {
    let other = BackendName(rawValue: "other")
    var tracker = MigrationTracker.withHome()
    tracker.register(descriptor(other))
    tracker.take(sight(at: 11, sent: 100), at: 11)
    let foreign = vmRef(backend: other)
    let told = observation(vm: foreign, at: 12, startedAt: 10, sample: sample(sent: 7, remaining: 7))
    #expect(tracker.take(.migration(told), at: 12) == [])
    #expect(tracker.snapshot().first?.sample.transferred == 100)
    #expect(tracker.snapshot().first?.identity.vm.backend == home)
    tracker.unregister(home)
    #expect(tracker.take(.migration(told), at: 13) == ["began"])
  }

  @Test("A source that gets its name later is counted at the right node")
  func sourceRenamed() {
    var tracker = MigrationTracker.withHome()
    var facts = MigrationFacts()
    tracker.take(sight(at: 11, id: id(1)), at: 11)
    tracker.take(sight(at: 11, id: id(2), facts: facts), at: 11)
    facts.source = "host-b"
    tracker.take(sight(at: 12, id: id(2), facts: facts), at: 12)
    #expect(tracker.snapshot().nodes.map(\.node) == ["host-a", "host-b"])
    #expect(tracker.snapshot().nodes.map(\.outbound) == [1, 1])
    facts.source = "host-a"
    tracker.take(end(.succeeded, at: 13, id: id(2), facts: facts), at: 13)
    #expect(tracker.snapshot().nodes.map(\.outbound) == [1, 0])
  }

  @Test("A back end that is unregistered leaves nothing, and what it still says is not heard")
  func unregister() {
    var tracker = MigrationTracker.withHome()
    let other = BackendName(rawValue: "other")
    tracker.register(descriptor(other, node: nil))
    tracker.receiveVM()
    tracker.take(sight(at: 11, source: true), at: 11)
    tracker.take(
      .inbound(
        InboundObservation(vm: vmRef(), host: "host-a", domain: domain(), isActive: true, guestRuns: false)),
      at: 11)
    tracker.unregister(home)
    tracker.take(sight(at: 12), at: 12)
    tracker.take(end(.failed, at: 13), at: 13)
    tracker.receiveVM()
    tracker.take(.health(BackendHealth(backend: home, isUp: true, lastSuccess: nil)), at: 13)
    let snapshot = tracker.snapshot()
    #expect(snapshot.trackedCount == 0 && snapshot.nodes.isEmpty && snapshot.vms.isEmpty)
    #expect(snapshot.backends.map(\.descriptor.name) == [other] && snapshot.totals.sums == [0, 0, 0, 0])
    #expect(snapshot.totals.started.allSatisfy { $0.backend == other })
    #expect(snapshot.totals.outcomes.allSatisfy { $0.backend == other })
    tracker.register(descriptor())
    tracker.take(sight(at: 14), at: 14)
    #expect(tracker.snapshot().nodes.map(\.outbound) == [1])
    #expect(tracker.snapshot().nodes.map(\.inbound) == [0])
  }

  @Test("Absurd numbers neither trap nor become verdicts")
  func absurd() {
    var tracker = MigrationTracker.withHome(
      budget: BudgetSettings(completionPerGiB: .seconds(Int64.max), progress: .seconds(Int64.max)))
    for n: Int64 in [0, 1, 2, .max] {
      var told = observation(startedAt: -9e15)
      told.takenAt = ms(n)
      told.sample = sample(sent: .max, remaining: .max, dirty: .max, pass: .max)
      told.sample.disk = StreamCounters(transferred: Bytes(.max), remaining: Bytes(.max))
      told.facts.size = Bytes(n == 2 ? 1 : .max)
      told.samplingInterval = .seconds(n)
      _ = tracker.receive(.migration(told), at: ms(.max))
      _ = tracker.receive(.migration(told), at: ms(.min))
    }
    #expect(tracker.snapshot().first?.progressRatio == 0)
    let ending = Ending(
      outcome: .succeeded, certainty: .reported, endedAt: ms(.max), duration: .seconds(-5))
    var told = observation(phase: .succeeded, ending: ending)
    told.takenAt = ms(.min)
    told.sample.downtime = .seconds(-1)
    _ = tracker.receive(.migration(told), at: ms(0))
    #expect(tracker.snapshot().totals.sums[1] == 1)
    #expect(tracker.snapshot().totals.outcomes[0].duration.count == 0)
  }
}
