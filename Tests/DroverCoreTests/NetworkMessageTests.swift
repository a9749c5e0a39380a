import Testing

@testable import DroverCore

@Suite("What is told of the network")
struct NetworkMessageTests {
  private static let migration = observation().id

  /// A look at the network; `control` and `data` are for how long the peers had been silent then.
  private func look(
    at: Double, control: Double? = 1, data: Double? = 0, basis: KeepaliveBasis = .measured,
    sharesWire: Bool = false, backend: BackendName = home, id: MigrationID = Self.migration
  ) -> BackendMessage {
    .network(
      NetworkObservation(
        backend: backend, id: id, takenAt: seconds(at),
        report: NetworkReport(
          settings: KeepaliveSettings(), keepalive: basis,
          control: control.map { ConnectionHealth(lastHeard: seconds(at - $0), isAwaited: false) },
          data: data.map { ConnectionHealth(lastHeard: seconds(at - $0), isAwaited: true) },
          sharesWire: sharesWire)))
  }

  private func tracker(at: Double = 12, phase: Phase = .precopy) -> MigrationTracker {
    var tracker = MigrationTracker.withHome()
    for step in 0...4 {
      let moment = at - 2 + Double(step) / 2
      tracker.take(
        sight(
          at: moment, phase: phase, sent: UInt64(step + 1) * 1000, remaining: 9000 - UInt64(step) * 500,
          startedAt: at - 2), at: moment)
    }
    return tracker
  }

  @Test("A report is shown, with the deadline that it comes to")
  func shown() throws {
    var tracker = tracker()
    #expect(tracker.take(look(at: 12), at: 12) == [])
    let view = try #require(tracker.snapshot().first)
    #expect(view.network?.control?.lastHeard == seconds(11))
    #expect(view.keepalive?.deadline == seconds(41) && view.keepalive?.method == .measured)
    #expect(view.networkLosses.isEmpty && view.verdict.kind == .converging)
  }

  @Test("The target is the address that is seen, until the destination tells its name")
  func target() throws {
    var facts = MigrationFacts.ofHostA
    facts.target = ""
    var tracker = MigrationTracker.withHome()
    tracker.take(sight(at: 11, sent: 5000, remaining: 7000, facts: facts), at: 11)
    let report = NetworkReport(settings: KeepaliveSettings(), keepalive: .measured, peer: "192.0.2.2")
    let seen = NetworkObservation(backend: home, id: Self.migration, takenAt: seconds(12), report: report)
    tracker.take(.network(seen), at: 12)
    #expect(tracker.snapshot().first?.facts.target == "192.0.2.2")
    tracker.take(sight(at: 12.5, sent: 6000, remaining: 6000, facts: facts), at: 12.5)
    #expect(tracker.snapshot().first?.facts.target == "192.0.2.2")
    let arrival = InboundObservation(
      vm: vmRef(), host: "host-b", domain: domain(), isActive: true, guestRuns: false)
    tracker.take(.inbound(arrival), at: 12.6)
    tracker.take(sight(at: 13, sent: 6500, remaining: 5900, facts: facts), at: 13)
    #expect(tracker.snapshot().first?.facts.target == "host-b")
  }

  @Test("An inferred deadline moves with the bytes, also between two reports")
  func inferred() throws {
    var tracker = tracker()
    tracker.take(look(at: 12, control: nil, data: nil, basis: .inferred(.remote)), at: 12)
    #expect(tracker.snapshot().first?.keepalive?.deadline == seconds(12 + 30 - 5))
    tracker.take(sight(at: 13, sent: 6000, remaining: 6000), at: 13)
    #expect(tracker.snapshot().first?.keepalive?.deadline == seconds(13 + 30 - 5))
    #expect(tracker.snapshot().first?.keepalive?.uncertainty == .seconds(5))
  }

  @Test("A silent control connection is the verdict at once, and its end is, too")
  func lost() throws {
    var tracker = tracker()
    #expect(tracker.take(look(at: 12, control: 8), at: 12) == ["converging>network_lost"])
    let loss = NetworkLoss(network: .management, silence: .seconds(8), limit: .seconds(7))
    var view = try #require(tracker.snapshot().first)
    #expect(view.networkLosses == [loss])
    #expect(view.verdict.evidence == .networkSilent([loss], keepaliveDeadline: seconds(4 + 30)))
    #expect(tracker.take(look(at: 12.5, control: 0), at: 12.5) == ["network_lost>converging"])
    view = try #require(tracker.snapshot().first)
    #expect(view.networkLosses.isEmpty)
  }

  @Test("It comes before everything else: a stall, and a source that has been silent for too long")
  func first() throws {
    var tracker = tracker()
    for step in 1...24 {
      let at = 12 + Double(step) / 2
      tracker.take(sight(at: at, sent: 5000, remaining: 7000), at: at)
    }
    #expect(tracker.snapshot().first?.verdict.kind == .stalled)
    #expect(tracker.take(look(at: 24, control: 12), at: 24) == ["stalled>network_lost"])
    // The source's QEMU hangs, the kernel still answers.
    for second in 25...44 {
      let at = Double(second)
      #expect(tracker.take(look(at: at, control: at - 12), at: at) == [])
      #expect(tracker.look(at: at) == [])
    }
    #expect(tracker.snapshot().first?.verdict.kind == .networkLost)
    #expect(tracker.take(look(at: 45, control: 1), at: 45) == ["network_lost>unknown"])
    #expect(tracker.snapshot().first?.verdict.evidence == .sampleTooOld(limit: .milliseconds(10_500)))
  }

  @Test("It is a verdict before the first byte is counted, too")
  func noCounters() {
    var tracker = MigrationTracker.withHome()
    tracker.take(.migration(observation(at: 10, startedAt: 10)), at: 10)
    #expect(tracker.take(look(at: 20, control: 10), at: 20) == ["unknown>network_lost"])
  }

  @Test(
    "In any other phase it is shown, and is no verdict",
    arguments: [Phase.preparing, .postcopy, .switchover, .guestSuspended, .aborting])
  func otherPhases(phase: Phase) throws {
    var tracker = tracker(phase: phase)
    #expect(tracker.take(look(at: 12, control: 8), at: 12) == [])
    let view = try #require(tracker.snapshot().first)
    #expect(view.verdict.kind == .unknown && view.networkLosses.map(\.network) == [.management])
  }

  @Test("Only a keepalive that may end the migration gives a loss its deadline")
  func deadlineOfALoss() throws {
    func deadline(_ message: BackendMessage) -> Moment? {
      var tracker = tracker()
      tracker.take(message, at: 12)
      guard case .networkSilent(_, let deadline)? = tracker.snapshot().first?.verdict.evidence else {
        return nil
      }
      return deadline
    }
    // Answered over the other wire.
    #expect(deadline(look(at: 12, control: 1, data: 9)) == nil)
    // On one wire the next answer will be missing.
    #expect(deadline(look(at: 12, control: 1, data: 9, sharesWire: true)) == seconds(11 + 30))
    // Nobody sees whether it is answered.
    #expect(deadline(look(at: 12, control: nil, data: 9, basis: .inferred(.ssh))) == seconds(12 + 25))
    #expect(deadline(look(at: 12, control: nil, data: 9, basis: .none(.notPeerToPeer))) == nil)
    #expect(deadline(look(at: 12, control: 9, data: 9)) == seconds(3 + 30))
  }

  @Test("Another back end's word is none, nor is one on a migration that nobody knows")
  func notMine() {
    let other = BackendName(rawValue: "rack2")
    var tracker = tracker()
    tracker.register(descriptor(other))
    #expect(tracker.take(look(at: 12, control: 8, backend: other), at: 12) == [])
    #expect(tracker.take(look(at: 12, control: 8, id: id(77)), at: 12) == [])
    #expect(tracker.snapshot().first?.network == nil)
    #expect(tracker.snapshot().trackedCount == 1)
  }

  @Test("An older look than the last says nothing")
  func older() {
    var tracker = tracker()
    tracker.take(look(at: 12, control: 1), at: 12)
    #expect(tracker.take(look(at: 11.5, control: 8), at: 12.5) == [])
    #expect(tracker.snapshot().first?.network?.control?.lastHeard == seconds(11))
    #expect(tracker.snapshot().first?.networkLosses.isEmpty == true)
  }

  @Test("Nothing of the network is left after the end, and nothing is added to it")
  func over() throws {
    var tracker = tracker()
    tracker.take(look(at: 12, control: 8), at: 12)
    tracker.take(end(.failed, .keepalive, at: 13), at: 13)
    var view = try #require(tracker.snapshot().first)
    #expect(view.network == nil && view.networkLosses.isEmpty && view.keepalive == nil)
    #expect(tracker.take(look(at: 14, control: 8), at: 14) == [])
    view = try #require(tracker.snapshot().first)
    #expect(view.network == nil && view.networkLosses.isEmpty && view.keepalive == nil)
  }

  @Test("What nobody has looked at for 5 s is not known any more: neither a loss nor a deadline stays")
  func silence() throws {
    var tracker = tracker()
    #expect(tracker.take(look(at: 12, control: 8), at: 12) == ["converging>network_lost"])
    #expect(tracker.look(at: 17) == [])
    #expect(tracker.snapshot().first?.networkLosses.count == 1)
    #expect(tracker.look(at: 17.1) == ["network_lost>converging"])
    let view = try #require(tracker.snapshot().first)
    #expect(view.network == nil && view.networkLosses.isEmpty && view.keepalive == nil)
    // And it is shown again when somebody looks again.
    #expect(tracker.take(look(at: 18, control: 14), at: 18) == ["converging>network_lost"])
  }

  @Test("A report that says the same again keeps it known, and changes nothing that is shown")
  func saidAgain() throws {
    var tracker = tracker()
    func look(_ tracker: inout MigrationTracker, at: Double, losing: Bool = false) -> [String] {
      var report = NetworkReport(
        settings: KeepaliveSettings(), keepalive: .inferred(.invisible), peer: "node-b")
      report.lostIfBytesStop = .migration
      if losing { report.reported = [NetworkLoss(network: .management, silence: .seconds(at), limit: .zero)] }
      return tracker.take(
        .network(NetworkObservation(backend: home, id: Self.migration, takenAt: seconds(at), report: report)),
        at: at)
    }
    #expect(look(&tracker, at: 12) == [])
    let revision = tracker.snapshot().groups.first?.revision
    #expect(look(&tracker, at: 16) == [])
    #expect(tracker.snapshot().groups.first?.revision == revision)
    #expect(tracker.look(at: 21) == [] && tracker.snapshot().first?.network != nil)
    // Not an older one again, and what is forgotten is shown anew.
    #expect(look(&tracker, at: 15) == [])
    _ = tracker.look(at: 21.1)
    #expect(tracker.snapshot().first?.network == nil)
    #expect(look(&tracker, at: 22) == [] && tracker.snapshot().first?.network != nil)
    // A silence is told anew each time, though it be as long as before.
    #expect(look(&tracker, at: 23, losing: true) == ["converging>network_lost"])
    #expect(look(&tracker, at: 24, losing: true) == [])
    #expect(tracker.snapshot().first?.networkLosses.map(\.silence) == [.seconds(24)])
    #expect(look(&tracker, at: 25) == ["network_lost>unknown"])
  }

  @Test("A loss that stopped bytes told is over with the copy, though the report says the same")
  func lossEndsWithCopy() {
    var tracker = MigrationTracker.withHome()
    func look(at: Double) {
      var report = NetworkReport(settings: KeepaliveSettings(), keepalive: .inferred(.invisible))
      report.lostIfBytesStop = .migration
      tracker.take(
        .network(NetworkObservation(backend: home, id: Self.migration, takenAt: seconds(at), report: report)),
        at: at)
    }
    for at in stride(from: 10.0, through: 20, by: 1) {
      tracker.take(sight(at: at, sent: at < 12 ? UInt64(at) * 1000 : 12_000, startedAt: 10), at: at)
      look(at: at)
    }
    #expect(tracker.snapshot().first?.networkLosses.map(\.network) == [.migration])
    var switched = observation(at: 21, startedAt: 10, phase: .switchover)
    switched.sampledAt = seconds(20)
    tracker.take(.migration(switched), at: 21)
    look(at: 22)
    #expect(tracker.snapshot().first?.networkLosses.isEmpty == true)
  }

  @Test("The counters of the source alone show it, too, and in any phase")
  func silenceBetweenSamples() throws {
    var tracker = tracker(phase: .postcopy)
    tracker.take(look(at: 12, control: 8), at: 12)
    tracker.take(sight(at: 17.1, phase: .postcopy, sent: 9000), at: 17.1)
    #expect(tracker.snapshot().first?.networkLosses.isEmpty == true)
    #expect(tracker.snapshot().first?.keepalive == nil)
  }

  @Test("A migration that is sampled seldom is given three samples")
  func seldomSampled() {
    var tracker = MigrationTracker.withHome()
    var told = observation(at: 10, startedAt: 10)
    told.samplingInterval = .seconds(4)
    tracker.take(.migration(told), at: 10)
    tracker.take(look(at: 12, control: 8), at: 12)
    _ = tracker.look(at: 24)
    #expect(tracker.snapshot().first?.networkLosses.count == 1)
    _ = tracker.look(at: 24.1)
    #expect(tracker.snapshot().first?.networkLosses.isEmpty == true)
  }
}
