import Testing

@testable import DroverCore

@Suite("Counters that were read before they are told")
struct ClusterSampleTests {
  private func first(_ tracker: MigrationTracker) throws -> MigrationView {
    try #require(tracker.snapshot().first)
  }

  /// Counters at seconds 10 to 30 of a copy in its second pass.
  private func copying(delay: Double = 0) -> MigrationTracker {
    var tracker = MigrationTracker.withCluster()
    for (n, remaining) in ([90_000, 95_000, 90_000, 85_000, 80_000] as [UInt64]).enumerated() {
      let read = 10 + 5 * Double(n)
      let message = clusterSample(
        at: read + delay, read: read, sent: UInt64(n + 1) * 5000, remaining: remaining, delay: delay
      ) { $0.sample.dirtyRate = 10 }
      tracker.take(message, at: read + delay)
    }
    return tracker
  }

  @Test("repeated with other news are no stillness")
  func repeated() throws {
    var tracker = copying()
    let before = try first(tracker)
    #expect(before.verdict.kind == .converging && before.transferRate == 1000)
    // Ten times the same counters, since something else has changed.
    for n in 1...10 {
      let at = 30 + Double(n) / 2
      tracker.take(
        clusterSample(at: at, read: 30, sent: 25_000, remaining: 80_000) { told in
          told.sample.dirtyRate = 10
          told.statusWord = "word \(n)"
        }, at: at)
    }
    let after = try first(tracker)
    #expect(after.statusWord == "word 10")
    #expect(after.sampledAt == seconds(30) && after.progress == before.progress)
    #expect(after.transferRate == 1000 && after.verdict == before.verdict)
    #expect(after.interruptions.count == 0)
  }

  @Test("that are read anew and the same are stillness")
  func still() throws {
    var tracker = copying()
    for read in [35.0, 40] {
      tracker.take(clusterSample(at: read, read: read, sent: 25_000, remaining: 80_000), at: read)
    }
    #expect(try first(tracker).verdict.kind == .stalled)
    #expect(
      try first(tracker).verdict.evidence
        == .still(sent: .seconds(10), drop: .seconds(10), remaining: 80_000))
  }

  @Test("older than the last are not taken")
  func older() throws {
    var tracker = copying()
    let before = try first(tracker)
    tracker.take(clusterSample(at: 31, read: 25, sent: 20_000, remaining: 85_000), at: 31)
    let after = try first(tracker)
    #expect(after.sampledAt == seconds(30) && after.sample.transferred == 25_000)
    #expect(after.transferRate == before.transferRate && after.progress == before.progress)
  }

  @Test("without new ones a change of the phase keeps them")
  func phaseOnly() throws {
    var tracker = copying()
    tracker.take(
      clusterSight(at: 31, phase: .postcopy) { told in
        told.sample.data = StreamCounters(transferred: 25_000, remaining: 80_000)
        told.sampledAt = seconds(30)
      }, at: 31)
    let view = try first(tracker)
    #expect(view.phase == .postcopy && view.phaseEnteredAt == seconds(31) && view.sampledAt == seconds(30))
    #expect(view.sample.transferred == 25_000 && view.progress?.lastSent == seconds(30))
  }

  @Test("of which the first was read before the last word without any date the copy")
  func firstSample() throws {
    var tracker = MigrationTracker.withCluster()
    tracker.take(clusterSight(at: 12), at: 12)
    #expect(try first(tracker).countersReadAt == nil)
    #expect(try first(tracker).verdict.evidence == .tooFewSamples)
    tracker.take(clusterSample(at: 12.5, read: 11, sent: 1000, remaining: 9000), at: 12.5)
    #expect(try first(tracker).countersReadAt == seconds(11))
    tracker.take(clusterSample(at: 16.5, read: 16, sent: 6000, remaining: 4000), at: 16.5)
    let view = try first(tracker)
    #expect(view.countersReadAt == seconds(16) && view.transferRate == 1000)
  }

  @Test("of a host are dated by its answer, with or without bytes")
  func host() throws {
    var tracker = MigrationTracker.withHome()
    tracker.take(.migration(observation(at: 3, phase: .preparing)), at: 3)
    #expect(tracker.snapshot().first?.countersReadAt == seconds(3))
  }

  @Test("may be older by the time that they need", arguments: [0.0, 30])
  func delay(delay: Double) throws {
    var tracker = copying(delay: delay)
    let limit = 10 + 5 + delay
    #expect(try first(tracker).sampleAgeLimit == .seconds(Int(limit)))
    #expect(tracker.look(at: 30 + limit) == [])
    #expect(try first(tracker).verdict.kind == .converging)
    #expect(tracker.look(at: 30 + limit + 0.1) == ["converging>unknown"])
    #expect(try first(tracker).verdict.evidence == .sampleTooOld(limit: .seconds(Int(limit))))
  }

  @Test("do not tell the two streams apart, and say so")
  func together() throws {
    var tracker = copying()
    let view = try first(tracker)
    #expect(view.sample.transferred == 25_000 && view.sample.remaining == 80_000)
    #expect(view.sample.memory == nil && view.sample.disk == nil)
    tracker.take(clusterEnd(.succeeded, at: 60), at: 60)
    #expect(try first(tracker).sample.transferred == 25_000)
    #expect(try first(tracker).sample.remaining == nil)
    #expect(tracker.snapshot().totals.outcomes.first?.sentBytes.sum == 25_000)
    // An end that has counters of its own brings the last ones.
    tracker = copying()
    tracker.take(
      clusterEnd(.succeeded, at: 60) { $0.sample.data = StreamCounters(transferred: 105_000) }, at: 60)
    #expect(try first(tracker).sample.transferred == 105_000)
  }

  @Test("make an inferred keepalive as uncertain as they are far apart")
  func keepalive() throws {
    var tracker = copying()
    let report = NetworkReport(settings: KeepaliveSettings(), keepalive: .inferred(.remote))
    tracker.take(
      .network(NetworkObservation(backend: prod, id: id(1), takenAt: seconds(30), report: report)), at: 30)
    // The last byte went between 25 and 30, and the peer was heard within 5 s before it.
    #expect(try first(tracker).keepalive?.deadline == seconds(25 - 5 + 30))
    #expect(try first(tracker).keepalive?.uncertainty == .seconds(10))
  }

  @Test("begin with what nobody saw: at most one interval, and no earlier than the start")
  func beginning() throws {
    func uncertainty(read: Double, interval: Double) throws -> Duration? {
      var tracker = MigrationTracker.withCluster()
      tracker.take(
        clusterSample(at: read, read: read, sent: 1000, remaining: 9000, interval: interval), at: read)
      return try first(tracker).progress?.dropUncertainty
    }
    #expect(try uncertainty(read: 13, interval: 5) == .seconds(3))
    #expect(try uncertainty(read: 60, interval: 5) == .seconds(5))
    #expect(try uncertainty(read: 60, interval: 0.5) == .zero)
    #expect(try uncertainty(read: 9, interval: 5) == .zero)
  }
}

@Suite("A network loss that is reported")
struct ReportedLossTests {
  private func tracker() -> MigrationTracker {
    var tracker = MigrationTracker.withCluster()
    for read in [10.0, 15] {
      tracker.take(
        clusterSample(at: read, read: read, sent: UInt64(read) * 100, remaining: 50_000), at: read)
    }
    return tracker
  }

  private func look(at: Double, _ losses: [NetworkLoss]) -> BackendMessage {
    var report = NetworkReport(settings: KeepaliveSettings(), keepalive: .inferred(.remote))
    report.reported = losses
    return .network(
      NetworkObservation(backend: prod, id: id(1), takenAt: seconds(at), report: report))
  }

  @Test("is the verdict, and says which network", arguments: LostNetwork.allCases)
  func verdict(network: LostNetwork) throws {
    var tracker = tracker()
    let loss = NetworkLoss(network: network, silence: .seconds(42), limit: .seconds(40))
    #expect(tracker.take(look(at: 16, [loss]), at: 16) == ["unknown>network_lost"])
    let view = try #require(tracker.snapshot().first)
    #expect(view.networkLosses.map(\.network) == [network])
    #expect(view.networkLosses.map(\.silence) == [.seconds(42)])
    #expect(view.networkLosses.map(\.isReported) == [true])
    #expect(tracker.take(look(at: 17, []), at: 17) == ["network_lost>unknown"])
    #expect(tracker.snapshot().first?.networkLosses == [])
  }

  @Test("is told apart from one that a connection shows")
  func seen() {
    var report = NetworkReport(
      settings: KeepaliveSettings(), keepalive: .measured,
      control: ConnectionHealth(lastHeard: seconds(0), isAwaited: false), sharesWire: false)
    report.reported = [NetworkLoss(network: .unknown, silence: .seconds(1), limit: .seconds(1))]
    let losses = report.losses(at: seconds(10), settings: VerdictSettings())
    #expect(losses.map(\.network) == [.unknown, .management])
    #expect(losses.map(\.isReported) == [true, false])
  }
}
