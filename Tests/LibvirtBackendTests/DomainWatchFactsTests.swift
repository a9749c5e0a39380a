import DroverCore
import Testing

@testable import LibvirtBackend

@Suite struct DomainWatchFactsTests {
  @Test("a whole migration has one identifier, made of the domain and the start of its job")
  func identity() throws {
    var drive = DomainDrive()
    drive.take([
      .copying(1000), .look(1500, .success(.copying(1490)), .success(.running)),
      .look(2600, .success(.copying(2100)), .success(.running)), .lifecycle(2700, 5, 3),
      .event(2710, .completed(.done(2650))),
    ])
    let told = drive.messages.migrations
    #expect(Set(told.map(\.id.description)) == ["\(domainID())-1700001000000"])
    #expect(told.allSatisfy { $0.startedAt == ms(0) && $0.facts.source == "host-a" })
    #expect(told.allSatisfy { $0.vm.name == "vm1" && $0.vm.scope == .host("host-a") })
    let last = try #require(told.last)
    #expect(last.ending?.duration == .milliseconds(2650))
    #expect(last.ending?.endedAt == ms(2650))
    #expect(last.sample.downtime == .milliseconds(24))
    #expect(last.sample.memory?.remaining == 0)
    #expect(last.guestOnSource == false && last.guestOnTarget == true)
  }

  @Test("a migration of which only events spoke has the start, the end and the figures that they tell")
  func eventsOnly() throws {
    var drive = DomainDrive()
    drive.take([.lifecycle(0, 3, 1), .lifecycle(40, 5, 3), .event(45, .completed(.done(40, downtime: 11)))])
    let told = try #require(drive.messages.migrations.first)
    #expect(told.startedAt == ms(5))
    #expect(told.id.description.hasSuffix("-1700001000005"))
    #expect(told.ending?.duration == .milliseconds(40))
    #expect(told.sample.downtime == .milliseconds(11))
    #expect(told.sample.transferred == 300_000_000)
    #expect(!drive.watch.isBusy)
  }

  @Test("an end is never in the future, whatever the source says it took")
  func endInFuture() {
    var drive = DomainDrive()
    drive.take([.copying(1000), .event(1500, .completed(.done(9_000_000)))])
    #expect(drive.messages.endings.first?.ending?.endedAt == ms(1500))
  }

  @Test("a job that tells no time began when it was first heard of")
  func noElapsed() {
    var job = JobStatistics.copying(0)
    job.elapsed = nil
    var drive = DomainDrive()
    drive.take([.event(100, .iteration), .look(130, .success(job), .success(.running))])
    drive.take([.look(9000, .success(job), .success(.running)), .idle(9500), .conclude(9510, nil)])
    #expect(Set(drive.messages.migrations.map(\.startedAt)) == [ms(100)])
    #expect(drive.messages.endings.count == 1)
  }

  @Test("two jobs between two looks are two migrations")
  func second() {
    var drive = DomainDrive()
    drive.take([.copying(1000), .look(9000, .success(.copying(1000, sent: 1000)), .success(.running))])
    #expect(Set(drive.messages.migrations.map(\.id)).count == 2)
    #expect(drive.messages.endings.first?.ending?.endedAt == ms(9000))
  }

  @Test("limits are asked for now and then, memory and disks until they are known")
  func wishes() {
    var drive = DomainDrive()
    #expect(!drive.watch.wantsLimits(at: ms(0)))
    #expect(!drive.watch.wantsDisks(at: ms(0)))
    drive.take(.look(1000, .success(.copyingDisks(1000, total: 512)), .success(.running)))
    #expect(drive.watch.wantsLimits(at: ms(1000)) && drive.watch.wantsMemory)
    #expect(drive.watch.wantsDisks(at: ms(1000)))
    var look = DomainLook(at: 1500, job: .success(.copyingDisks(1500, total: 512)))
    look.askedLimits = true
    look.memory = .mebibytes(64)
    look.diskCapacities = [512]
    _ = drive.watch.take(look, epoch: epoch)
    #expect(!drive.watch.wantsLimits(at: ms(6499)) && !drive.watch.wantsMemory)
    #expect(!drive.watch.wantsDisks(at: ms(6499)))
    #expect(drive.watch.wantsLimits(at: ms(6500)))
    drive.take(.lifecycle(7000, 5, 3))
    #expect(!drive.watch.wantsLimits(at: ms(9000)))
  }

  @Test("limits that were told once stay with the migration")
  func limits() {
    var drive = DomainDrive()
    var look = DomainLook(at: 1000, job: .success(.copying(1000)))
    look.askedLimits = true
    look.limits = MigrationLimits(downtime: .milliseconds(300), bandwidth: 41_943_040)
    for note in drive.watch.take(look, epoch: epoch) {
      if case .tell(let message) = note { drive.messages.append(message) }
    }
    look = DomainLook(at: 6500, job: .success(.copying(6500)))
    look.askedLimits = true
    for note in drive.watch.take(look, epoch: epoch) {
      if case .tell(let message) = note { drive.messages.append(message) }
    }
    drive.take([.lifecycle(7000, 5, 3), .event(7010, .completed(.done(7000)))])
    #expect(
      drive.messages.migrations.map(\.sample.downtimeLimit) == [
        .milliseconds(300), .milliseconds(300), .milliseconds(300),
      ])
    #expect(drive.messages.migrations.map(\.sample.bandwidthLimit) == [41_943_040, 41_943_040, 41_943_040])
  }

  @Test("what the guest wrote before the disks' capacities are known is no part of the size once they are")
  func lateCapacities() {
    var drive = DomainDrive()
    var look = DomainLook(at: 1000, job: .success(.copyingDisks(1000, total: 3 * Bytes.mebibytes(512).count)))
    look.memory = .mebibytes(64)
    _ = drive.watch.take(look, epoch: epoch)
    #expect(drive.watch.job?.last.facts.size == .mebibytes(64 + 3 * 512))
    look = DomainLook(at: 1500, job: .success(.copyingDisks(1500, total: 3 * Bytes.mebibytes(512).count)))
    // Somebody else was just asking QEMU.
    look.diskCapacities = []
    _ = drive.watch.take(look, epoch: epoch)
    #expect(!drive.watch.wantsDisks(at: ms(6499)) && drive.watch.wantsDisks(at: ms(6500)))
    #expect(drive.watch.job?.last.facts.size == .mebibytes(64 + 3 * 512))
    look = DomainLook(at: 6500, job: .success(.copyingDisks(6500, total: 3 * Bytes.mebibytes(512).count)))
    look.diskCapacities = [.mebibytes(512), .gibibytes(4)]
    _ = drive.watch.take(look, epoch: epoch)
    #expect(!drive.watch.wantsDisks(at: ms(60_000)) && drive.watch.job?.last.facts.size == .mebibytes(576))
  }

  @Test("the size is memory and the disks that are copied; it may grow and never shrinks")
  func size() {
    var drive = DomainDrive()
    func size(_ at: Int64, _ job: JobStatistics, memory: Bytes? = nil, disks: [Bytes]? = nil) -> Bytes? {
      var look = DomainLook(at: at, job: .success(job))
      look.memory = memory
      look.diskCapacities = disks
      _ = drive.watch.take(look, epoch: epoch)
      return drive.watch.job?.last.facts.size
    }
    let disk = Bytes.mebibytes(512)
    let cdrom = Bytes.gibibytes(4)
    #expect(size(100, .preparing(100)) == nil)
    #expect(size(500, .preparing(500), memory: .mebibytes(64)) == .mebibytes(64))
    #expect(size(1000, .copyingDisks(1000, total: disk.count)) == .mebibytes(576))
    #expect(size(1500, .copyingDisks(1500, total: disk.count), disks: [disk, cdrom]) == .mebibytes(576))
    // The source's total grows as the guest writes.
    #expect(size(40_000, .copyingDisks(40_000, total: 1_825_361_101)) == .mebibytes(576))
    // And is gone when memory has begun.
    #expect(size(41_000, .copying(41_000)) == .mebibytes(576))
    #expect(size(42_000, .copying(42_000), memory: .mebibytes(32)) == .mebibytes(576))
    #expect(drive.watch.job?.last.facts.memory == .mebibytes(32))
  }
}

@Suite struct ArrivalTests {
  @Test(
    "a guest that arrives",
    arguments: [
      Story(
        "is started, then resumed", [.lifecycle(0, 2, 1), .lifecycle(1000, 4, 1)],
        ["arrives", "arrived", "vm"]),
      Story(
        "runs before its memory is here",
        [.lifecycle(0, 2, 1), .lifecycle(500, 4, 3), .lifecycle(900, 4, 1)],
        ["arrives", "arrives running", "vm", "arrived"]),
      Story(
        "loses its post-copy", [.lifecycle(0, 2, 1), .lifecycle(500, 4, 3), .lifecycle(600, 4, 4)],
        ["arrives", "arrives running", "vm"]),
      Story("is given up", [.lifecycle(0, 2, 1), .lifecycle(500, 5, 5)], ["arrives", "arrival failed"]),
      Story(
        "is given up by the keepalive", [.lifecycle(0, 2, 1), .lifecycle(400, 6, 2), .lifecycle(410, 5, 1)],
        ["arrives", "arrival failed"]),
      Story(
        "is stopped for its last pass", [.lifecycle(0, 2, 1), .lifecycle(10, 3, 1), .lifecycle(1000, 4, 1)],
        ["arrives", "arrived", "vm"]),
      Story(
        "was paused before", [.lifecycle(0, 2, 1), .listed(2000, .paused)], ["arrives", "arrived", "vm"]),
      Story("is resumed, and nothing else is heard", [.lifecycle(0, 4, 1)], ["vm"]),
      Story(
        "is found by a list",
        [.lifecycle(0, 2, 1), .listed(2000, .pausedMigration), .listed(4000, .running)],
        ["arrives", "arrived", "vm"]),
      Story(
        "is found by a look", from: .pausedMigration,
        [.look(0, .failure(.onlyAtSource), .success(.pausedMigration)), .listed(2000, .running)],
        ["arrives", "vm gone", "arrived", "vm"]),
      Story(
        "is found by a look in post-copy", from: .pausedMigration,
        [.look(0, .failure(.onlyAtSource), .success(.runningPostcopy)), .lifecycle(900, 4, 1)],
        ["arrives running", "arrived"]),
      Story(
        "is resumed between a look's two questions",
        [
          .lifecycle(0, 2, 1), .look(999, .failure(.onlyAtSource), .success(.running)),
          .lifecycle(1000, 4, 1),
        ],
        ["arrives", "arrived", "vm"]),
      Story(
        "has arrived when a look that was begun before comes back",
        [.lifecycle(0, 2, 1), .lifecycle(1000, 4, 1)]
          + [.slowLook(1001, begun: 990, .failure(.onlyAtSource), .success(.pausedMigration))],
        ["arrives", "arrived", "vm"]),
      Story(
        "leaves again before its arrival was heard of",
        [.lifecycle(0, 2, 1), .copying(5000, since: 4500)]
          + [.idle(6000)], ["arrives", "arrived", "precopy", "vm"]),
      Story(
        "failed unheard, and is started here", [.lifecycle(0, 2, 1), .lifecycle(90_000, 2, 0)],
        ["arrives", "arrived", "vm"]),
      Story(
        "is none where the domain does not run", from: .shutOff(.other),
        [.look(0, .failure(.onlyAtSource), .success(.shutOff(.other)))], []),
      Story(
        "has arrived, and leaves again",
        [.lifecycle(0, 2, 1), .lifecycle(1000, 4, 1), .copying(5000, since: 4500), .lifecycle(6000, 5, 3)]
          + [.event(6010, .completed(.done(1500)))],
        ["arrives", "arrived", "vm", "precopy", "vm gone", "succeeded reported"]),
    ])
  func arrives(story: Story) {
    // Nothing of it was here before, unless a list has shown it.
    var drive = DomainDrive(story.state == .running ? .shutOff(.other) : story.state)
    drive.take(story.steps)
    #expect(runs(drive.messages.map(words)) == story.told)
    #expect(drive.messages.migrations.isEmpty || story.told.contains("precopy"))
    #expect(drive.looksWanted == 0)
  }

  @Test(
    "a guest that is started behind the migration that took it away runs twice",
    arguments: [
      (2, 0, ["runs again", "vm"]), (2, 2, ["runs again", "vm"]), (2, 1, ["arrives"]), (0, 1, []),
    ]
      as [(Int32, Int32, [String])])
  func startedAgain(event: Int32, detail: Int32, told: [String]) throws {
    var drive = DomainDrive()
    drive.take([.copying(1000), .lifecycle(1500, 5, 3), .event(1510, .completed(.done(1500)))])
    let id = try #require(drive.messages.endings.first?.id)
    drive.messages = []
    drive.take([.lifecycle(9000, event, detail), .lifecycle(9500, event, detail)])
    #expect(runs(drive.messages.map(words)) == told)
    for case .guestMoved(let move) in drive.messages { #expect(move.id == id && move.isOnSource) }
    #expect(drive.messages.filter { words($0) == "runs again" }.count <= 1)
  }

  @Test("a guest that is started behind a migration that failed does not run twice")
  func startedAfterFailure() {
    var drive = DomainDrive()
    drive.take([.copying(1000), .lifecycle(1500, 5, 1), .lifecycle(2000, 2, 0)])
    #expect(drive.messages.map(words) == ["precopy", "failed vm_lost reported", "vm gone", "vm"])
  }

  @Test("the end of a migration that took a guest away is remembered for an hour")
  func remembered() {
    var drive = DomainDrive()
    #expect(!drive.watch.remembersEnd(at: ms(0)))
    drive.take([.copying(1000), .lifecycle(1500, 5, 3), .event(1510, .completed(.done(1500)))])
    #expect(drive.watch.remembersEnd(at: ms(3_601_499)))
    #expect(!drive.watch.remembersEnd(at: ms(3_601_500)))
  }

  @Test("a domain that is gone takes its arrival and its place with it, once")
  func leaves() {
    var drive = DomainDrive(.shutOff(.other))
    drive.take([.lifecycle(0, 2, 1), .lifecycle(500, 4, 3)])
    var notes: [DomainWatch.Note] = []
    drive.watch.leave(into: &notes)
    drive.watch.leave(into: &notes)
    let told = notes.compactMap { if case .tell(let message) = $0 { words(message) } else { nil } }
    #expect(told == ["arrival failed", "vm gone"])
  }
}
