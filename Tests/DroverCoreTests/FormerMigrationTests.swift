import Testing

@testable import DroverCore

private let other = BackendName(rawValue: "other")

private func job(_ n: Int, _ milliseconds: Int64) -> MigrationID {
  MigrationID(domain: domain(n), startedUnixMilliseconds: 1_700_000_000_000 + milliseconds)
}

@Suite("Names of migrations that were under way before")
struct FormerMigrationTests {
  private func name(
    _ told: MigrationID, from backend: BackendName = home, _ former: inout FormerMigrations,
    watched: [BackendName] = [home], taken: [MigrationID] = []
  ) -> MigrationID {
    former.name(
      of: told, from: backend, isWatched: { watched.contains($0) }, isTaken: { taken.contains($0) })
  }

  @Test(
    "A start that comes out up to 2 s different is the same job's, another domain's never is",
    arguments: [(0, true), (2000, true), (-2000, true), (2001, false), (-2001, false)] as [(Int64, Bool)])
  func tolerance(shift: Int64, isSame: Bool) {
    var former = FormerMigrations()
    former.insert(job(1, 0), of: home)
    #expect(name(job(2, shift), &former) == job(2, shift))
    #expect(name(job(1, shift), &former) == (isSame ? job(1, 0) : job(1, shift)))
  }

  @Test("The uid of an object is never another's, however alike the two are")
  func uids() throws {
    let uids = try ["9d0a0000-0000-4000-8000-300000000011", "9d0a0000-0000-4000-8000-300000000012"].map {
      try #require(MigrationID($0))
    }
    var former = FormerMigrations()
    former.insert(uids[0], of: home)
    #expect(name(uids[1], &former) == uids[1])
    #expect(name(uids[0], &former) == uids[0])
  }

  @Test("One that was taken up again is there once: the next job of the domain is another")
  func once() {
    var former = FormerMigrations()
    former.insert(job(1, 0), of: home)
    #expect(name(job(1, 300), &former) == job(1, 0))
    #expect(name(job(1, 300), &former) == job(1, 0))
    #expect(name(job(1, 900), &former) == job(1, 900))
    #expect(former.name(of: job(1, 300), from: home) == job(1, 0))
    #expect(former.name(of: job(1, 300), from: other) == job(1, 300))
  }

  @Test("Its own name is nobody else's, and the nearest start is taken")
  func nearest() {
    var former = FormerMigrations()
    for shift in [-1500, 0, 700] as [Int64] { former.insert(job(1, shift), of: home) }
    #expect(name(job(1, 0), &former) == job(1, 0))
    #expect(name(job(1, -500), &former) == job(1, -1500))
    #expect(name(job(1, 1), &former, taken: [job(1, 700)]) == job(1, 1))
  }

  @Test("What another back end had is taken only where that is not watched any more, and its own comes first")
  func backends() {
    var former = FormerMigrations()
    former.insert(job(1, 0), of: other)
    #expect(name(job(1, 100), &former, watched: [home, other]) == job(1, 100))
    #expect(name(job(1, 100), &former) == job(1, 0))
    former.insert(job(2, 100), of: other)
    former.insert(job(2, 900), of: home)
    #expect(name(job(2, 101), &former) == job(2, 900))
  }
}

@Suite("A migration that is found anew")
struct FoundAnewTests {
  private func sight(_ shift: Int64, at: Double, phase: Phase = .precopy) -> BackendMessage {
    DroverCoreTests.sight(at: at, phase: phase, startedAt: 10, id: job(1, shift))
  }

  @Test("keeps its id over a restart, whatever is told of it by the name that its source has for it")
  func restart() throws {
    var tracker = MigrationTracker.withHome(startedAt: seconds(100))
    tracker.expect(job(1, 0), of: home)
    #expect(tracker.take(sight(40, at: 101), at: 101) == ["began"])
    var view = try #require(tracker.snapshot().first)
    #expect(view.identity.id == job(1, 0) && view.identity.sourceID == job(1, 40))
    #expect(view.watchedSince == seconds(101))
    #expect(tracker.snapshot().totals.sums == [0, 0, 0, 0])

    let loss = NetworkReport(
      settings: KeepaliveSettings(), keepalive: .none(.disabled), peer: "host-z")
    tracker.take(
      .network(NetworkObservation(backend: home, id: job(1, 40), takenAt: seconds(102), report: loss)),
      at: 102)
    #expect(tracker.snapshot().first?.network != nil)
    tracker.announceAbort(of: job(1, 0), cause: .alertAbort)
    tracker.take(end(.aborted, .userAbort, at: 103, id: job(1, 40), source: true, target: false), at: 103)
    view = try #require(tracker.snapshot().first)
    #expect(tracker.snapshot().trackedCount == 1 && view.ending?.cause == .alertAbort)
    tracker.take(
      .guestMoved(GuestMove(backend: home, id: job(1, 40), isOnSource: false)), at: 104)
    #expect(tracker.snapshot().first?.guest != view.guest)
    #expect(tracker.snapshot().totals.sums == [0, 0, 0, 1])
  }

  @Test("keeps it where its back end is watched anew, and is another where it began later")
  func watchedAnew() throws {
    var tracker = MigrationTracker.withHome()
    tracker.take(sight(0, at: 11), at: 11)
    #expect(tracker.snapshot().first?.watchedSince == nil)
    tracker.unregister(home)
    tracker.register(descriptor(), at: seconds(20))
    #expect(tracker.take(sight(-1900, at: 21), at: 21) == ["began"])
    #expect(tracker.snapshot().first?.identity.id == job(1, 0))
    tracker.unregister(home)
    tracker.register(descriptor(), at: seconds(30))
    tracker.take(sight(2001, at: 31), at: 31)
    #expect(tracker.snapshot().first?.identity.id == job(1, 2001))
  }

  @Test("is not looked for among those that were over")
  func over() {
    var tracker = MigrationTracker.withHome()
    tracker.take(sight(0, at: 11), at: 11)
    tracker.take(end(.failed, .other, at: 12, id: job(1, 0)), at: 12)
    tracker.unregister(home)
    tracker.register(descriptor(), at: seconds(12))
    tracker.take(sight(1000, at: 12.5), at: 12.5)
    #expect(tracker.snapshot().first?.identity.id == job(1, 1000))
  }
}
