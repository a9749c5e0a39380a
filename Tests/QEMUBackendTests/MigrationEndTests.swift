import DroverCore
import Testing

@testable import QEMUBackend

/// Which answers end a migration, and which belong to another one.
@Suite struct MigrationEndTests {
  private static let running = Trace.active(total: 3_000, transferred: 9_000_000, remaining: 9)

  private static func completed(_ total: Int?) -> String {
    let time = total.map { #""total-time": \#($0), "downtime": 5, "# } ?? ""
    return
      #"{"status": "completed", \#(time)"ram": {"total": 268967936, "transferred": 9500000, "remaining": 0}}"#
  }

  @Test(
    "a completed migration whose times are not there yet is in its switchover, and ends once",
    arguments: [
      (0, "finish-migrate"), (nil, "finish-migrate"), (100, "postmigrate"), (3_600, "finish-migrate"),
    ])
  func halfTold(total: Int?, runState: String) throws {
    var driver = SessionDriver.connected(migrate: Self.running)
    driver.migrate(Self.completed(total), runState)
    driver.advance(600)
    #expect(driver.phases == [.precopy, .switchover])
    driver.commands = []
    driver.advance(500)
    #expect(driver.commands.filter { $0 == "query-migrate" }.count >= 9)
    driver.migrate(Self.completed(3_600), "postmigrate")
    driver.advance(10_000)
    #expect(driver.phases == [.precopy, .switchover, .succeeded])
    #expect(Set(driver.migrations.map(\.id)).count == 1)
    #expect(driver.migrations.filter { $0.ending != nil }.count == 1)
    #expect(driver.migrations.last?.ending?.duration == .milliseconds(3_600))
    #expect(driver.migrations.last?.sample.downtime == .milliseconds(5))
    #expect(driver.migrations.last?.guestOnSource == false)
  }

  @Test("an end whose times never come is taken as it is after two seconds")
  func neverTold() {
    var driver = SessionDriver.connected(migrate: Self.running)
    driver.migrate(Self.completed(0), "finish-migrate")
    driver.advance(2_400)
    #expect(driver.phases == [.precopy, .switchover])
    driver.advance(200)
    #expect(driver.phases == [.precopy, .switchover, .succeeded])
    #expect(driver.migrations.last?.ending?.duration == nil)
    driver.commands = []
    driver.advance(20_000)
    #expect(driver.commands.filter { $0 == "query-migrate" }.count <= 12)
    driver.migrate(Self.completed(8_000), "postmigrate")
    driver.advance(10_000)
    #expect(driver.migrations.filter { $0.ending != nil }.count == 1)
  }

  @Test(
    "a half told end that nobody saw begin counts once, and never when it is the first answer",
    arguments: [true, false])
  func halfToldUnseen(isFirst: Bool) {
    var driver = SessionDriver.connected(
      migrate: isFirst ? Self.completed(0) : "{}", runState: isFirst ? "finish-migrate" : "running")
    driver.migrate(Self.completed(0), "finish-migrate")
    driver.advance(isFirst ? 1_500 : 2_500)
    #expect(driver.migrations.isEmpty)
    driver.migrate(Self.completed(700), "postmigrate")
    driver.advance(10_000)
    #expect(driver.migrations.map(\.phase) == (isFirst ? [] : [.succeeded]))
  }

  @Test("what changes in an answer long after the end is no migration")
  func hotPlug() {
    var driver = SessionDriver.connected(migrate: Trace.noListener)
    driver.advance(5_000)
    let reasons = #""blocked-reasons": ["0000:01:00.0: VFIO device doesn't support migration"], "#
    driver.migrate(Trace.noListener.replacing("{", with: "{" + reasons, maxReplacements: 1))
    driver.advance(5_000)
    #expect(driver.vms.last?.blockers == [.hostDevice])
    let address = #""socket-address": [{"path": "/run/mig.sock", "type": "unix"}], "#
    driver.migrate(Trace.noListener.replacing("{", with: "{" + address, maxReplacements: 1))
    driver.advance(5_000)
    #expect(driver.migrations.isEmpty)
  }

  @Test("an error's text that comes late belongs to the failure that was told, but not for ever")
  func lateText() {
    var driver = SessionDriver.connected(migrate: Self.running)
    driver.migrate(#"{"status": "failed"}"#)
    driver.advance(500)
    driver.migrate(Trace.brokenPipe)
    driver.advance(10_000)
    #expect(driver.phases == [.precopy, .failed])
    #expect(driver.migrations.count == 2)
    #expect(driver.logs.contains { $0.text.contains("Broken pipe") })

    driver.migrate(#"{"status": "failed"}"#)
    driver.advance(10_000)
    driver.migrate(Trace.brokenPipe)
    driver.advance(10_000)
    #expect(driver.migrations.filter { $0.phase == .failed }.count == 3)
  }

  @Test(
    "a clock that jumps replaces no job: the host slept, or the answer lay unread",
    arguments: [Int64(3_600_000), 10_000, 2_500])
  func clockJump(milliseconds: Int64) {
    var driver = SessionDriver.connected(migrate: Self.running)
    driver.advance(0)
    driver.now = driver.now + .milliseconds(milliseconds)
    driver.migrate(Trace.active(total: 3_500, transferred: 9_500_000, remaining: 9))
    driver.advance(20_000)
    #expect(driver.phases == [.precopy])
    #expect(Set(driver.migrations.map(\.id)).count == 1)
  }

  @Test("an answer that was on its way for long replaces no job")
  func heldAnswer() {
    var driver = SessionDriver.connected(migrate: Self.running)
    driver.returns["query-migrate"] = nil
    driver.advance(500)
    driver.now = driver.now + .seconds(60)
    let id = driver.lines.last.map { String($0.split(separator: "\"")[7]) } ?? ""
    let late = Trace.active(total: 3_500, transferred: 9_500_000, remaining: 9)
    driver.feed(.line(Array(#"{"return": \#(late), "id": "\#(id)"}"#.utf8)))
    #expect(driver.migrations.count == 2)
    driver.migrate(Trace.active(total: 64_100, transferred: 9_600_000, remaining: 9))
    driver.advance(1_000)
    #expect(driver.phases == [.precopy])
    #expect(Set(driver.migrations.map(\.id)).count == 1)
  }

  @Test(
    "what goes back belongs to another job: time, bytes, passes or status",
    arguments: [
      ("active", 2_999, UInt64(9_500_000), 2), ("active", 3_300, 8_999_999, 2),
      ("active", 3_300, 9_500_000, 1), ("setup", 3_300, 9_500_000, 2),
    ])
  func goesBack(status: String, total: Int, transferred: UInt64, passes: Int) {
    var driver = SessionDriver.connected(migrate: Self.running)
    driver.migrate(
      Trace.active(total: total, transferred: transferred, remaining: 9, passes: passes, status: status))
    driver.advance(500)
    #expect(driver.phases == [.precopy, .failed, status == "setup" ? .preparing : .precopy])
    #expect(Set(driver.migrations.map(\.id)).count == 2)
  }

  @Test("a copy that follows a post-copy is another one; a recovered post-copy is not")
  func afterPostcopy() {
    var driver = SessionDriver.connected(migrate: Trace.postcopyPaused, runState: "finish-migrate")
    driver.migrate(
      Trace.active(total: 4_500, transferred: 9, remaining: 9, passes: 1, status: "postcopy-active"),
      "finish-migrate")
    driver.advance(500)
    #expect(driver.phases == [.postcopyPaused, .postcopy])
    driver.migrate(Trace.active(total: 5_000, transferred: 99, remaining: 9))
    driver.advance(500)
    #expect(driver.phases == [.postcopyPaused, .postcopy, .failed, .precopy])
  }

  @Test("in post-copy the guest is not at the source, nor after it while the run state lags")
  func postcopyGuest() {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    #expect(driver.vms.count == 1)
    driver.migrate(Trace.postcopy, "finish-migrate")
    driver.advance(500)
    #expect(driver.gone.count == 1)
    driver.migrate(Trace.brokenPipe, "finish-migrate")
    driver.advance(500)
    #expect(driver.vms.count == 1)
    driver.migrate(Trace.brokenPipe, "running")
    driver.advance(500)
    #expect(driver.vms.count == 2)
    #expect(driver.moves.map(\.isOnSource) == [true])
  }

  @Test("a switchover that is cancelled leaves the guest where it was")
  func cancelledSwitchover() {
    var driver = SessionDriver.connected(migrate: Self.running)
    driver.migrate(Trace.cancelled, "finish-migrate")
    driver.advance(500)
    driver.commands = []
    driver.advance(500)
    #expect(driver.commands.filter { $0 == "query-status" }.count >= 9)
    driver.advance(20_000)
    driver.commands = []
    driver.advance(20_000)
    #expect(driver.commands.filter { $0 == "query-migrate" }.count == 10)
    #expect(driver.migrations.last?.guestOnSource == true)
    #expect(driver.gone.isEmpty)
  }
}
