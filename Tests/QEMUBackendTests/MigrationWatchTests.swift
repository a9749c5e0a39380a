import DroverCore
import Testing

@testable import QEMUBackend

@Suite struct MigrationWatchTests {
  @Test(
    "each status and run state of the source has its phase",
    arguments: [
      ("setup", "running", Phase.preparing), ("wait-unplug", "running", .preparing),
      ("active", "running", .precopy), ("active", "finish-migrate", .switchover),
      ("active", "postmigrate", .switchover), ("active", "paused", .guestSuspended),
      ("active", "suspended", .guestSuspended), ("active", "io-error", .guestSuspended),
      ("active", "something-new", .precopy), ("colo", "colo", .precopy),
      ("pre-switchover", "finish-migrate", .switchover), ("device", "finish-migrate", .switchover),
      ("pre-switchover", "paused", .switchover), ("postcopy-active", "finish-migrate", .postcopy),
      ("postcopy-device", "finish-migrate", .postcopy), ("postcopy-recover", "finish-migrate", .postcopy),
      ("postcopy-recover-setup", "finish-migrate", .postcopyPaused),
      ("postcopy-paused", "finish-migrate", .postcopyPaused), ("cancelling", "running", .aborting),
      ("cancelling", "paused", .guestSuspended), ("cancelling", "finish-migrate", .switchover),
      ("failing", "running", .aborting),
      ("completed", "postmigrate", .succeeded), ("failed", "running", .failed),
      ("cancelled", "running", .aborted),
    ])
  func phases(status: String, runState: String, phase: Phase) {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    driver.migrate(Trace.active(total: 600, transferred: 3_000_000, remaining: 9, status: status), runState)
    driver.advance(500)
    #expect(driver.migrations.last?.phase == (status == "setup" ? .preparing : phase))
  }

  @Test("an unknown status keeps the last phase and is logged once")
  func unknownStatus() {
    var driver = SessionDriver.connected(migrate: Trace.postcopy, runState: "finish-migrate")
    for step in 1...5 {
      driver.migrate(
        Trace.active(total: 3200 + step * 500, transferred: 65_400_000, remaining: 9, status: "teleporting"),
        "finish-migrate")
      driver.advance(500)
    }
    #expect(driver.phases == [.postcopy])
    #expect(driver.logs.filter { $0.text.contains("teleporting") }.count == 1)
    driver.migrate(#"{"status": "dreaming"}"#, "finish-migrate")
    driver.advance(1_000)
    #expect(driver.phases == [.postcopy])
  }

  @Test("the counters of a running copy are told in their own units")
  func sample() throws {
    let driver = SessionDriver.connected(
      migrate: Trace.active(
        total: 6001, transferred: 126_070_644, remaining: 9_302_016, more: #""cpu-throttle-percentage": 20, "#
      ))
    let one = try #require(driver.migrations.first)
    #expect(
      one.sample.memory == StreamCounters(transferred: 126_070_644, remaining: 9_302_016, total: 268_967_936))
    #expect(one.sample.disk == nil)
    #expect(one.sample.dirtyRate == 20_828_160)
    #expect(one.sample.iterations == 2)
    #expect(one.sample.expectedDowntime == .milliseconds(3193))
    #expect(one.sample.downtime == nil)
    #expect(one.sample.cpuThrottle == 0.2)
    #expect(one.sample.downtimeLimit == .milliseconds(300))
    #expect(one.sample.bandwidthLimit == 20_971_520)
    #expect(one.facts.size == 268_435_456)
    #expect(one.facts.source == "host-a")
    #expect(one.startedAt == one.takenAt - .milliseconds(6001))
    let start = driver.epoch.unixMilliseconds(one.startedAt)
    #expect(one.id.description == "11111111-2222-4333-8444-555555555555-\(start)")
    #expect(one.guestOnSource == true)
    #expect(one.guestOnTarget == nil)
  }

  @Test("the dirty rate is absent in the first pass and for an early 0, where QEMU has not measured it")
  func dirtyRate() {
    func rate(_ passes: Int, _ dirty: Int, _ total: Int) -> BytesPerSecond? {
      SessionDriver.connected(
        migrate: Trace.active(total: total, transferred: 1, remaining: 1, passes: passes, dirty: dirty)
      ).migrations.first?.sample.dirtyRate
    }
    #expect(rate(1, 0, 5000) == nil)
    #expect(rate(2, 0, 62) == nil)
    #expect(rate(2, 0, 5000) == 0)
    #expect(rate(2, 1, 5000) == 4096)
  }

  @Test("no limit is told as no limit; in post-copy the limit is that of post-copy")
  func bandwidth() {
    var driver = SessionDriver()
    driver.returns["query-migrate-parameters"] =
      #"{"downtime-limit": 300, "max-bandwidth": 0, "max-postcopy-bandwidth": 4194304}"#
    driver.migrate(Trace.firstPass)
    driver.feed(.tick)
    #expect(driver.migrations.last?.sample.bandwidthLimit == nil)
    driver.migrate(Trace.postcopy, "finish-migrate")
    driver.advance(500)
    #expect(driver.migrations.last?.sample.bandwidthLimit == 4_194_304)
  }

  @Test("multifd's bytes are counted once")
  func multifd() {
    var driver = SessionDriver.connected(migrate: Trace.setup)
    driver.migrate(Trace.multifd, "postmigrate")
    driver.advance(500)
    #expect(driver.migrations.last?.sample.memory?.transferred == 1_991_348)
  }

  @Test("disks that are copied count in the size with their capacity, writable ones only")
  func disks() throws {
    let driver = SessionDriver.connected(migrate: Trace.disks)
    let one = try #require(driver.migrations.first)
    #expect(driver.commands.contains("query-block"))
    #expect(one.facts.size == Bytes(268_435_456 + 33_554_432))
    #expect(
      one.sample.disk == StreamCounters(transferred: 15_728_640, remaining: 17_825_792, total: 33_554_432))
    #expect(one.sample.transferred == Bytes(15_728_640 + 1520))
  }

  @Test("a whole migration is told with one id, its downtime only at the end")
  func success() throws {
    var driver = SessionDriver.connected()
    driver.migrate(Trace.setup)
    driver.advance(2_000)
    driver.migrate(Trace.firstPass)
    driver.advance(500)
    driver.migrate(Trace.active(total: 5900, transferred: 126_070_644, remaining: 9_302_016))
    driver.advance(500)
    driver.migrate(
      Trace.active(total: 6090, transferred: 126_100_000, remaining: 4096), "finish-migrate")
    driver.event("STOP")
    driver.advance(60)
    driver.migrate(Trace.completed, "postmigrate")
    driver.advance(500)
    #expect(driver.phases == [.preparing, .precopy, .switchover, .succeeded])
    #expect(Set(driver.migrations.map(\.id)).count == 1)
    let last = try #require(driver.migrations.last)
    #expect(driver.migrations.dropLast().allSatisfy { $0.sample.downtime == nil })
    #expect(last.sample.downtime == .milliseconds(5))
    #expect(last.sample.expectedDowntime == nil)
    #expect(last.ending?.outcome == .succeeded)
    #expect(last.ending?.cause == nil)
    #expect(last.ending?.certainty == .reported)
    #expect(last.ending?.duration == .milliseconds(6100))
    #expect(last.guestOnSource == false)
    #expect(last.guestOnTarget == true)
    let told = driver.migrations.count
    driver.advance(60_000)
    #expect(driver.migrations.count == told)
  }

  @Test(
    "how a migration failed is told from QEMU's words and the guest's state",
    arguments: [
      (Trace.noListener, "running", FailureCause.targetRefused, Certainty.reported),
      (
        #"{"status": "failed", "error-desc": "Unable to write to socket: Connection timed out"}"#, "running",
        .connectionLost, .reported
      ),
      (
        #"{"status": "failed", "error-desc": "Unable to write to socket: No route to host"}"#, "running",
        .connectionLost, .reported
      ),
      (
        #"{"status": "failed", "error-desc": "x: Network is unreachable"}"#, "running", .connectionLost,
        .reported
      ),
      (Trace.brokenPipe, "running", .targetLost, .inferred),
      (
        #"{"status": "failed", "error-desc": "Unable to read from socket: Connection reset by peer"}"#,
        "running", .targetLost, .inferred
      ),
      (#"{"status": "failed", "error-desc": "Something else"}"#, "paused", .other, .reported),
      (#"{"status": "failed"}"#, "running", .unknown, .inferred),
      (#"{"status": "failed", "error-desc": "Something else"}"#, "shutdown", .guestShutdown, .reported),
      (#"{"status": "failed"}"#, "guest-panicked", .guestCrashed, .reported),
      (#"{"status": "failed"}"#, "internal-error", .guestCrashed, .reported),
    ])
  func failures(answer: String, runState: String, cause: FailureCause, certainty: Certainty) throws {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    driver.migrate(answer, runState)
    driver.advance(500)
    let last = try #require(driver.migrations.last)
    #expect(last.phase == .failed)
    #expect(last.ending?.cause == cause)
    #expect(last.ending?.certainty == certainty)
    #expect(last.guestOnSource == ["running", "paused"].contains(runState))
    #expect(last.guestOnTarget == nil)
    // The answer has no counters any more; what was sent stays known.
    #expect(last.sample.memory?.transferred == 2_097_357)
    if answer.contains("error-desc") { #expect(last.ending?.text.isEmpty == false) }
  }

  @Test("a cancelled migration was aborted by somebody, and the guest runs on")
  func cancelled() {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    driver.migrate(Trace.active(total: 516, transferred: 3_000_000, remaining: 9, status: "cancelling"))
    driver.advance(500)
    driver.migrate(Trace.cancelled)
    driver.advance(500)
    #expect(driver.phases == [.precopy, .aborting, .aborted])
    #expect(driver.migrations.last?.ending?.cause == .userAbort)
    #expect(driver.migrations.last?.guestOnSource == true)
  }

  @Test("post-copy can pause and recover; where the guest runs follows")
  func postcopy() {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    driver.migrate(Trace.postcopy, "finish-migrate")
    driver.advance(500)
    #expect(driver.migrations.last?.guestOnSource == false)
    #expect(driver.migrations.last?.guestOnTarget == true)
    #expect(driver.migrations.last?.sample.dirtyRate == nil)
    #expect(driver.migrations.last?.sample.expectedDowntime == nil)
    #expect(driver.migrations.last?.sample.postcopyRequests == 42)
    driver.migrate(Trace.postcopyPaused, "finish-migrate")
    driver.advance(500)
    #expect(driver.migrations.last?.guestOnTarget == nil)
    driver.migrate(#"{"status": "postcopy-recover"}"#, "finish-migrate")
    driver.advance(500)
    #expect(driver.migrations.last?.sample.memory?.transferred == 69_345_828)
    driver.migrate(Trace.postcopyCompleted, "postmigrate")
    driver.advance(500)
    #expect(driver.phases == [.precopy, .postcopy, .postcopyPaused, .postcopy, .succeeded])
    #expect(Set(driver.migrations.map(\.id)).count == 1)
  }

  @Test("a downtime longer than the whole migration is not believed")
  func absurdDowntime() {
    var driver = SessionDriver.connected(migrate: Trace.postcopy, runState: "finish-migrate")
    driver.migrate(Trace.postcopyCompleted, "postmigrate")
    driver.advance(500)
    #expect(driver.migrations.last?.phase == .succeeded)
    #expect(driver.migrations.last?.sample.downtime == nil)
  }

  @Test("a failure in post-copy with the guest stopped on the source is a broken post-copy")
  func postcopyFails() {
    var driver = SessionDriver.connected(migrate: Trace.postcopy, runState: "finish-migrate")
    driver.migrate(Trace.brokenPipe, "finish-migrate")
    driver.advance(500)
    #expect(driver.migrations.last?.ending?.cause == .postcopyBroken)
    #expect(driver.migrations.last?.guestOnSource == false)
  }

  @Test(
    "the first answer counts nothing when it is final, a changed one counts once", arguments: [false, true])
  func missed(first: Bool) throws {
    var driver = SessionDriver.connected(migrate: first ? Trace.cancelled : "{}")
    #expect(driver.migrations.isEmpty)
    driver.migrate(Trace.noListener)
    driver.advance(10_000)
    #expect(driver.migrations.map(\.phase) == [.failed])
    driver.migrate(Trace.multifd, "postmigrate")
    driver.advance(10_000)
    #expect(driver.migrations.map(\.phase) == [.failed, .succeeded])
    let last = try #require(driver.migrations.last)
    #expect(last.startedAt == last.takenAt - .milliseconds(16))
    #expect(last.ending?.endedAt == last.takenAt)
    #expect(Set(driver.migrations.map(\.id)).count == 2)
  }

  @Test("two equal failures in a row are told apart by events, and only so", arguments: [false, true])
  func equalFailures(events: Bool) {
    var driver = SessionDriver.connected(migrate: Trace.noListener, events: events)
    driver.advance(5_000)
    for _ in 1...2 {
      if events {
        driver.event("MIGRATION", #"{"status": "setup"}"#)
        driver.event("MIGRATION", #"{"status": "failed"}"#)
      }
      driver.advance(5_000)
    }
    #expect(driver.migrations.map(\.phase) == (events ? [.failed, .failed] : []))
    #expect(Set(driver.migrations.map(\.id)).count == driver.migrations.count)
  }

  @Test("a job announced while the answer before it is on its way does not take that answer for its own")
  func announcedLate() {
    var driver = SessionDriver.connected(migrate: Trace.noListener, events: true)
    driver.returns["query-status"] = nil
    driver.event("STOP")
    driver.advance(60)
    driver.event("MIGRATION", #"{"status": "setup"}"#)
    let id = driver.lines.last.map { String($0.split(separator: "\"")[7]) } ?? ""
    driver.feed(.line(Array(#"{"return": {"status": "running"}, "id": "\#(id)"}"#.utf8)))
    #expect(driver.migrations.isEmpty)
    driver.migrate(Trace.setup)
    driver.advance(100)
    #expect(driver.phases == [.preparing])
  }

  @Test("a second migration after a final one has its own id")
  func again() {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    driver.migrate(Trace.cancelled)
    driver.advance(5_000)
    driver.migrate(Trace.firstPass)
    driver.advance(2_000)
    driver.migrate(Trace.cancelled)
    driver.advance(500)
    #expect(driver.phases == [.precopy, .aborted, .precopy, .aborted])
    #expect(Set(driver.migrations.map(\.id)).count == 2)
  }

  @Test(
    "a job that another replaced between two answers has ended unseen",
    arguments: [
      Trace.active(total: 10, transferred: 1, remaining: 9), Trace.setup,
      Trace.active(total: 3_100, transferred: 1, remaining: 9),
    ])
  func replaced(next: String) throws {
    var driver = SessionDriver.connected(
      migrate: Trace.active(total: 3_000, transferred: 9_000_000, remaining: 9))
    let first = try #require(driver.migrations.first)
    if next.contains("3100") {
      // The clock has gone on by more than the job's own time.
      driver.returns["query-migrate"] = nil
      driver.advance(4_000)
    }
    driver.migrate(next)
    driver.advance(5_00)
    if next.contains("3100") { driver.advance(2_000) }
    let second = try #require(driver.migrations.dropFirst().first)
    #expect(second.id == first.id)
    #expect(second.phase == .failed)
    #expect(second.ending?.cause == .unknown)
    #expect(second.ending?.certainty == .inferred)
    #expect(second.guestOnSource == true)
    #expect(driver.migrations.last?.id != first.id)
    #expect(driver.migrations.last?.ending == nil)
  }

  @Test("with events the end of a replaced job is known")
  func replacedWithEvents() {
    var driver = SessionDriver.connected(migrate: Trace.firstPass, events: true)
    driver.event("MIGRATION", #"{"status": "cancelled"}"#)
    driver.event("MIGRATION", #"{"status": "setup"}"#)
    driver.migrate(Trace.active(total: 40, transferred: 1, remaining: 9))
    driver.advance(100)
    #expect(driver.phases == [.precopy, .aborted, .precopy])
    #expect(driver.migrations.first { $0.phase == .aborted }?.ending?.certainty == .reported)
  }

  @Test("a guest that is started again behind a migration that succeeded is told")
  func startedAgain() {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    driver.migrate(Trace.completed, "postmigrate")
    driver.advance(10_000)
    #expect(driver.migrations.last?.guestOnSource == false)
    driver.migrate(Trace.completed, "running")
    driver.event("RESUME")
    driver.advance(100)
    let told = driver.migrations.count
    #expect(driver.moves.map(\.isOnSource) == [true])
    #expect(driver.moves.first?.id == driver.migrations.last?.id)
    // Paused, it is still there: that is no move.
    driver.migrate(Trace.completed, "paused")
    for _ in 1...3 {
      driver.event("STOP")
      driver.advance(100)
    }
    #expect(driver.moves.count == 1)
    driver.migrate(Trace.completed, "postmigrate")
    driver.event("STOP")
    driver.advance(100)
    #expect(driver.moves.map(\.isOnSource) == [true, false])
    #expect(driver.migrations.count == told)
  }
}
