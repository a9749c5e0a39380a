import Testing

@testable import DroverCore

/// What happened, in words that compare.
private func names(_ events: [LifecycleEvent]) -> [String] {
  events.map { event in
    switch event {
    case .began: "began"
    case .phaseChanged(let view, let from): "\(from.rawValue)>\(view.phase.rawValue)"
    case .verdictChanged(let view, let from): "\(from.rawValue)>\(view.verdict.kind.rawValue)"
    case .interrupted(_, let length): "interrupted \(length.milliseconds)"
    case .ended(let view): "ended \(view.phase.rawValue) \(view.ending?.cause?.rawValue ?? "-")"
    case .foundEnded(let view): "found \(view.phase.rawValue)"
    case .dropped(let id, _): "dropped \(id)"
    }
  }
}

extension FleetTotals {
  fileprivate var sums: [UInt64] {
    [
      started.reduce(0) { $0 + $1.count }, succeeded.reduce(0) { $0 + $1.count },
      failed.reduce(0) { $0 + $1.count }, aborted.reduce(0) { $0 + $1.count },
    ]
  }
}

private func end(
  _ outcome: Outcome, _ cause: FailureCause? = nil, at: Double, id: MigrationID? = nil,
  startedAt: Double = 10,
  sample: Sample = Sample(), facts: MigrationFacts = .ofHostA, source: Bool? = nil, target: Bool? = nil
) -> BackendMessage {
  var told = observation(
    at: at, startedAt: startedAt, phase: outcome.phase,
    ending: Ending(outcome: outcome, cause: cause, certainty: .reported, endedAt: seconds(at)),
    sample: sample,
    facts: facts, source: source, target: target)
  if let id { told.id = id }
  return .migration(told)
}

private func sight(
  at: Double, phase: Phase = .precopy, sent: UInt64 = 1, remaining: UInt64? = 100, pass: UInt64? = 2,
  dirty: UInt64? = 0, startedAt: Double = 10, id: MigrationID? = nil, facts: MigrationFacts = .ofHostA,
  source: Bool? = nil, target: Bool? = nil
) -> BackendMessage {
  var told = observation(
    at: at, startedAt: startedAt, phase: phase,
    sample: DroverCoreTests.sample(sent: sent, remaining: remaining, dirty: dirty, pass: pass), facts: facts,
    source: source, target: target)
  if let id { told.id = id }
  return .migration(told)
}

private func id(_ n: Int) -> MigrationID { MigrationID(domain: domain(n), startedUnixMilliseconds: 0) }

extension MigrationTracker {
  @discardableResult
  fileprivate mutating func take(_ message: BackendMessage, at: Double) -> [String] {
    names(receive(message, at: seconds(at)))
  }

  fileprivate mutating func look(at: Double) -> [String] { names(tick(at: seconds(at))) }
}

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
    #expect(view.progressTimeout == nil && view.progressDeadline == nil)
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
    #expect(snapshot.backends.isEmpty && snapshot.totals.sums == [0, 0, 0, 0])
    #expect(snapshot.totals.started.isEmpty && snapshot.totals.outcomes.isEmpty)
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

@Suite("Retention, limit and settings")
struct MigrationRetentionTests {
  @Test("At the limit the oldest ended gives way; what finds no place is counted, in the totals too")
  func limit() {
    var tracker = MigrationTracker.withHome(
      settings: MigrationTracker.Settings(maxMigrations: 2))
    tracker.take(sight(at: 11, id: id(1)), at: 11)
    tracker.take(sight(at: 11, id: id(2)), at: 11)
    #expect(tracker.take(sight(at: 12, id: id(3)), at: 12) == ["dropped \(id(3))"])
    #expect(tracker.take(sight(at: 13, id: id(3)), at: 13) == [])
    #expect(tracker.snapshot().droppedCount == 1)
    #expect(tracker.snapshot().totals.sums == [3, 0, 0, 0])
    tracker.take(end(.succeeded, at: 14, id: id(3)), at: 14)
    tracker.take(end(.succeeded, at: 14, id: id(3)), at: 14)
    #expect(tracker.snapshot().totals.sums == [3, 1, 0, 0])
    #expect(tracker.snapshot().droppedCount == 1)
    // Room again: the ended one gives way, and what was dropped before is not counted as started twice.
    #expect(tracker.take(sight(at: 15, id: id(4)), at: 15) == ["dropped \(id(4))"])
    tracker.take(end(.failed, at: 16, id: id(1)), at: 16)
    #expect(tracker.take(sight(at: 17, id: id(4)), at: 17) == ["began"])
    #expect(
      tracker.snapshot().migrations.map(\.identity.id).sorted { $0.description < $1.description } == [
        id(2), id(4),
      ])
    #expect(tracker.snapshot().totals.sums == [4, 1, 1, 0])
    #expect(tracker.snapshot().trackedCount == 2)
  }

  @Test("A lower limit takes effect at the next migration")
  func lowerLimit() {
    var tracker = MigrationTracker.withHome()
    for n in 1...9 { tracker.take(end(.succeeded, at: 11, id: id(n)), at: 11) }
    tracker.apply(MigrationTracker.Settings(maxMigrations: 3), budgets: [:], at: seconds(12))
    tracker.take(sight(at: 12, id: id(10)), at: 12)
    #expect(tracker.snapshot().trackedCount == 3)
  }

  @Test("Settings apply to what runs, and the verdict that changes is told")
  func settings() throws {
    var tracker = MigrationTracker.withHome()
    for n in 0...6 {
      let at = 11 + Double(n)
      tracker.take(sight(at: at, sent: n == 0 ? 1 : 2, remaining: 100), at: at)
    }
    #expect(tracker.snapshot().first?.verdict.kind == .unknown)
    let events = tracker.apply(
      MigrationTracker.Settings(verdict: VerdictSettings(stalledAfter: .seconds(3))),
      budgets: [home: BudgetSettings(completionPerGiB: .seconds(10), progress: .zero)], at: seconds(17))
    #expect(names(events) == ["unknown>stalled"])
    let view = try #require(tracker.snapshot().first)
    #expect(view.completionDeadline == seconds(10 + 80))
    #expect(view.progressTimeout == nil && view.progressDeadline == nil)
    #expect(tracker.look(at: 18) == [])
  }

  @Test("Looks without news change nothing, but for one verdict that becomes unknown")
  func unchanged() {
    var tracker = MigrationTracker.withHome()
    for n in 0..<4 {
      tracker.take(
        sight(at: 11 + Double(n), sent: UInt64(n + 1), remaining: UInt64(100 - n)), at: 11 + Double(n))
    }
    let before = tracker.snapshot().groups.map(\.revision)
    for at in stride(from: 14.0, through: 24.5, by: 0.5) { #expect(tracker.look(at: at) == []) }
    #expect(tracker.snapshot().groups.map(\.revision) == before)
    #expect(tracker.look(at: 24.6) == ["converging>unknown"])
    let after = tracker.snapshot().groups.map(\.revision)
    #expect(after != before)
    for at in stride(from: 25.0, through: 90, by: 1) { #expect(tracker.look(at: at) == []) }
    #expect(tracker.snapshot().groups.map(\.revision) == after)
  }

  @Test("A silent source is unknown and never stalled; when it answers, its bytes decide")
  func silence() {
    var tracker = MigrationTracker.withHome()
    for n in 0..<4 {
      tracker.take(
        sight(at: 11 + Double(n), sent: UInt64(n + 1), remaining: UInt64(100 - n)), at: 11 + Double(n))
    }
    #expect(tracker.look(at: 300) == ["converging>unknown"])
    #expect(tracker.take(sight(at: 300, sent: 4000, remaining: 50), at: 300) == ["unknown>converging"])
    #expect(tracker.take(sight(at: 311, sent: 4000, remaining: 50), at: 311) == ["converging>stalled"])
  }
}

extension MigrationTracker {
  fileprivate mutating func receiveVM() {
    _ = receive(
      .vm(VMObservation(key: VMKey(backend: home, text: "a"), vm: vmRef(), node: "host-a", blockers: [])),
      at: ms(0))
  }
}
