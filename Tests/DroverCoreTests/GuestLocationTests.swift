import Testing

@testable import DroverCore

@Suite("Where the guest runs")
struct GuestLocationTests {
  private var tracker = MigrationTracker.withHome()

  private mutating func source(
    _ runs: Bool?, target: Bool? = nil, at: Double, startedAt: Double = 10, id: Int = 1,
    ended: Outcome? = nil,
    domain key: DomainKey = domain()
  ) {
    var told = observation(
      id: MigrationID(domain: domain(id), startedUnixMilliseconds: 0), domain: key, at: at,
      startedAt: startedAt, sample: sample(sent: 1, remaining: 1), source: runs, target: target)
    told.ending = ended.map { Ending(outcome: $0, certainty: .reported, endedAt: seconds(at)) }
    _ = tracker.receive(.migration(told), at: seconds(at))
  }

  private mutating func target(
    _ runs: Bool?, active: Bool = true, at: Double, host: String = "host-b", domain key: DomainKey = domain()
  ) {
    _ = tracker.receive(
      .inbound(
        InboundObservation(
          vm: vmRef(host: host), host: host, domain: key, isActive: active, guestRuns: runs)),
      at: seconds(at))
  }

  private mutating func move(onSource: Bool, at: Double) {
    let id = MigrationID(domain: domain(1), startedUnixMilliseconds: 0)
    let move = GuestMove(backend: vmRef().backend, id: id, isOnSource: onSource)
    _ = tracker.receive(.guestMoved(move), at: seconds(at))
  }

  private mutating func look(from: Double, to: Double) {
    for at in stride(from: from, through: to, by: 1) { _ = tracker.tick(at: seconds(at)) }
  }

  private var location: GuestLocation? { tracker.snapshot().first?.guest }

  @Test(
    "Both ends are joined",
    arguments: [
      (true, true, .both), (true, false, .source), (true, nil, .source), (false, true, .target),
      (nil, true, .target), (false, false, GuestLocation.none), (false, nil, .unknown),
      (nil, false, .unknown),
      (nil, nil, .unknown),
    ] as [(Bool?, Bool?, GuestLocation)])
  func joined(source: Bool?, target: Bool?, location: GuestLocation) {
    #expect(GuestLocation(onSource: source, onTarget: target) == location)
  }

  @Test("The destination's own word counts more than what the source thinks of it")
  mutating func evidence() {
    source(true, target: false, at: 11)
    #expect(location == .source)
    source(false, target: true, at: 12)
    #expect(location == .target)
    target(false, at: 12.1)
    look(from: 13, to: 15)
    #expect(location == GuestLocation.none)
    target(true, at: 15.1)
    #expect(location == .target)
  }

  @Test("A switchover does not look as if the guest ran nowhere or twice", arguments: [true, false])
  mutating func switchover(targetFirst: Bool) {
    target(false, at: 10)
    source(true, at: 11)
    if targetFirst { target(true, at: 11.3) } else { source(false, at: 11.3) }
    look(from: 11.4, to: 13.2)
    #expect(location == .unknown)
    if targetFirst { source(false, at: 13.3) } else { target(true, at: 13.3) }
    look(from: 13.4, to: 60)
    #expect(location == .target)
  }

  @Test("A guest that stays twice is said to be, until that is over, and its migration stays as long")
  mutating func both() {
    source(true, at: 11)
    target(true, at: 12)
    look(from: 13, to: 15)
    #expect(location == .both)
    source(true, at: 15.5)
    #expect(location == .both)
    source(true, at: 20, ended: .failed)
    look(from: 21, to: 2000)
    #expect(location == .both && tracker.snapshot().trackedCount == 1)
    target(false, active: false, at: 2000)
    #expect(location == .source)
    look(from: 2001, to: 2899)
    #expect(tracker.snapshot().trackedCount == 1)
    look(from: 2900, to: 2902)
    #expect(tracker.snapshot().trackedCount == 0)
  }

  @Test("However alarming, it does not stay for longer than a day and the retention")
  mutating func longest() {
    target(false, at: 11)
    source(false, at: 12, ended: .failed)
    _ = tracker.tick(at: seconds(16))
    #expect(location == GuestLocation.none)
    _ = tracker.tick(at: seconds(12 + 86_400 + 899))
    #expect(tracker.snapshot().trackedCount == 1)
    _ = tracker.tick(at: seconds(12 + 86_400 + 900))
    #expect(tracker.snapshot().trackedCount == 0)
  }

  @Test("What was settled at the end never gets worse")
  mutating func settled() {
    source(false, target: true, at: 12, ended: .succeeded)
    #expect(location == .target)
    target(false, active: false, at: 500)
    look(from: 501, to: 510)
    #expect(location == .target)
  }

  @Test(
    "A guest that its source starts again behind the migration runs twice, and the end is not counted again")
  mutating func startedAgain() {
    source(false, target: true, at: 12, ended: .succeeded)
    look(from: 14, to: 20)
    #expect(location == .target)
    move(onSource: true, at: 21)
    look(from: 22, to: 30)
    #expect(location == .both)
    move(onSource: false, at: 31)
    #expect(location == .target)
    look(from: 32, to: 2000)
    #expect(tracker.snapshot().trackedCount == 0)
    move(onSource: true, at: 2001)
    #expect(tracker.snapshot().trackedCount == 0)
    #expect(tracker.snapshot().totals.succeeded.map(\.count).reduce(0, +) == 1)
  }

  @Test("What was open at the end is resolved by the destination")
  mutating func resolvedLater() {
    source(false, at: 12, ended: .succeeded)
    #expect(location == .unknown)
    target(true, active: false, at: 13)
    #expect(location == .target)
  }

  @Test("Where the guest arrived before says nothing about its next migration")
  mutating func secondMigration() {
    source(true, at: 11)
    target(true, active: false, at: 20)
    source(false, at: 21, ended: .succeeded)
    #expect(location == .target)
    look(from: 22, to: 2000)
    #expect(tracker.snapshot().trackedCount == 0)
    // From host-b to a host that nobody watches; host-b goes on saying that the guest arrived there.
    source(true, at: 3001, startedAt: 3000, id: 2)
    target(true, active: false, at: 3002)
    look(from: 3003, to: 3010)
    #expect(location == .source)
    // And to one that is watched.
    target(false, active: true, at: 3011, host: "host-c")
    target(true, active: false, at: 3012)
    look(from: 3012, to: 3020)
    #expect(location == .source)
    #expect(tracker.snapshot().nodes.filter { $0.inbound > 0 }.map(\.node) == ["host-c"])
    target(true, active: true, at: 3021, host: "host-c")
    source(false, at: 3021, startedAt: 3000, id: 2)
    #expect(location == .target)
    #expect(tracker.snapshot().nodes.filter { $0.inbound > 0 }.map(\.node) == ["host-c"])
  }

  @Test("A domain without a name of its own is never joined")
  mutating func nameless() {
    let key = DomainKey(backend: home, socketPath: "/run/a.qmp")
    target(true, at: 11, domain: key)
    source(true, at: 12, domain: key)
    target(false, at: 13, domain: key)
    target(true, at: 14, domain: key)
    look(from: 15, to: 20)
    #expect(location == .source)
    #expect(tracker.snapshot().nodes.map(\.inbound) == [0, 1])
  }

  @Test("Arrivals under way are counted at their host, once")
  mutating func inbound() {
    for at in [11.0, 12, 13] { target(false, at: at) }
    #expect(tracker.snapshot().nodes.filter { $0.node == "host-b" }.map(\.inbound) == [1])
    for at in [14.0, 15] { target(true, active: false, at: at) }
    #expect(tracker.snapshot().nodes.filter { $0.node == "host-b" }.map(\.inbound) == [0])
  }

  @Test("Arrivals are forgotten a day after they were last spoken of")
  func forgotten() {
    var arrivals = Arrivals()
    let told = InboundObservation(
      vm: vmRef(), host: "host-b", domain: domain(), isActive: false, guestRuns: true)
    _ = arrivals.take(told, at: seconds(1))
    arrivals.forget(before: seconds(1))
    #expect(arrivals.runs(domain(), since: seconds(0)) == true)
    arrivals.forget(before: seconds(2))
    #expect(arrivals.runs(domain(), since: seconds(0)) == nil)
  }
}

@Suite("Back ends")
struct BackendViewTests {
  @Test("Errors are counted by kind, and a version outlives an outage")
  func health() throws {
    var tracker = MigrationTracker.withHome()
    #expect(tracker.snapshot().backends.first?.hasAttempted == false)
    #expect(tracker.snapshot().backends.first?.errors.map(\.count) == [0])
    let good = BackendHealth(
      backend: home, isUp: true, lastSuccess: ms(5), version: "7.2.22", collectDuration: .microseconds(140))
    _ = tracker.receive(.health(good), at: ms(5))
    for kind in ["timeout", "refused", "timeout"] {
      let bad = BackendHealth(backend: home, isUp: false, lastSuccess: ms(5), errorKind: kind)
      _ = tracker.receive(.health(bad), at: ms(6))
    }
    let view = try #require(tracker.snapshot().backends.first)
    #expect(view.hasAttempted && !view.isUp && view.version == "7.2.22" && view.lastSuccess == ms(5))
    #expect(view.collectDuration == .microseconds(140))
    #expect(view.errors.map(\.kind) == ["timeout", "refused"])
    #expect(view.errors.map(\.count) == [2, 1])
  }

  @Test("Since when it is down is kept through the outage, and why is as told last: a mended cause is none")
  func problem() throws {
    var tracker = MigrationTracker.withHome()
    func told(_ health: BackendHealth, at now: Moment) throws -> BackendView {
      _ = tracker.receive(.health(health), at: now)
      return try #require(tracker.snapshot().backends.first)
    }
    let bad = BackendHealth(backend: home, isUp: false, lastSuccess: nil, problem: "connect: refused")
    #expect(try told(bad, at: ms(5)).problem == "connect: refused")
    let later = try told(BackendHealth(backend: home, isUp: false, lastSuccess: nil), at: ms(9))
    #expect(later.downSince == ms(5) && later.problem == nil)
    let good = try told(BackendHealth(backend: home, isUp: true, lastSuccess: ms(10)), at: ms(10))
    #expect(good.downSince == nil && good.problem == nil)
  }
}

extension Arrivals {
  fileprivate func runs(_ domain: DomainKey, since: Moment) -> Bool? {
    arrival(of: domain, since: since)?.guestRuns
  }
}
