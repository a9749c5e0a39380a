import DroverCore
import Logging
import Testing

@testable import QEMUBackend

@Suite struct SourceGoneTests {
  @Test(
    "a source whose process is gone in mid-migration has lost it",
    arguments: [
      (Trace.firstPass, "running", FailureCause.sourceLost),
      (Trace.postcopy, "finish-migrate", .postcopyBroken),
      (Trace.postcopyPaused, "finish-migrate", .postcopyBroken),
    ], [QMPClosing.refused, .missing])
  func gone(state: (String, String, FailureCause), closing: QMPClosing) throws {
    var driver = SessionDriver.connected(migrate: state.0, runState: state.1)
    driver.advance(1_200)
    driver.connecting = closing
    driver.feed(.closed(.ended))
    #expect(driver.migrations.last?.ending == nil)
    driver.advance(50)
    let last = try #require(driver.migrations.last)
    #expect(last.phase == .failed)
    #expect(last.ending?.cause == state.2)
    #expect(last.ending?.certainty == .inferred)
    #expect(last.guestOnSource == false)
    #expect(last.guestOnTarget == nil)
    #expect(last.sample.expectedDowntime == nil)
    // In post-copy the guest was no longer here.
    #expect(driver.gone.map(\.text) == (state.2 == .sourceLost ? ["/run/guests/one.qmp"] : []))
    // The file of a glob that nobody listens on is no error.
    #expect(driver.failures.isEmpty)
    #expect(driver.session.health.isStale)
    let told = driver.messages.count
    driver.advance(60_000)
    #expect(driver.messages.count == told)
  }

  @Test(
    "why QEMU went down is taken from its last event",
    arguments: [
      ("guest-shutdown", FailureCause.guestShutdown, Certainty.reported),
      ("guest-panic", .guestCrashed, .reported), ("host-qmp-quit", .sourceLost, .inferred),
      ("host-signal", .sourceLost, .inferred),
    ])
  func shutdown(reason: String, cause: FailureCause, certainty: Certainty) {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    driver.advance(1_200)
    driver.event("SHUTDOWN", #"{"guest": true, "reason": "\#(reason)"}"#)
    driver.connecting = .missing
    driver.feed(.closed(.ended))
    driver.advance(50)
    #expect(driver.migrations.last?.ending?.cause == cause)
    #expect(driver.migrations.last?.ending?.certainty == certainty)
    if certainty == .inferred { #expect(driver.migrations.last?.ending?.text.contains(reason) == true) }
  }

  @Test(
    "a source that goes during the switchover may have succeeded, and that is said", arguments: [false, true])
  func duringSwitchover(stopOnly: Bool) {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    driver.advance(1_200)
    if stopOnly {
      driver.returns["query-migrate"] = nil
    } else {
      driver.migrate(Trace.active(total: 1300, transferred: 9_000_000, remaining: 9), "finish-migrate")
    }
    driver.event("STOP")
    driver.advance(10)
    driver.connecting = .refused
    driver.feed(.closed(.ended))
    driver.advance(50)
    let ending = driver.migrations.last?.ending
    #expect(ending?.cause == .sourceLost)
    #expect(ending?.text == "the source went away during the switchover; the guest may run on the target")
    #expect(driver.migrations.last?.guestOnTarget == nil)
  }

  @Test("a source that announced the end before it went has succeeded")
  func announcedEnd() {
    var driver = SessionDriver.connected(migrate: Trace.firstPass, events: true)
    driver.advance(1_200)
    driver.returns["query-migrate"] = nil
    driver.event("STOP")
    driver.event("MIGRATION", #"{"status": "completed"}"#)
    driver.connecting = .missing
    driver.feed(.closed(.ended))
    driver.advance(50)
    #expect(driver.migrations.last?.phase == .succeeded)
    #expect(driver.migrations.last?.guestOnTarget == true)
  }

  @Test("a source that answered completed and went before its run state was told has succeeded")
  func answeredEnd() {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    driver.advance(1_200)
    driver.returns["query-migrate"] = Trace.completed
    driver.returns["query-status"] = nil
    driver.advance(600)
    driver.connecting = .missing
    driver.feed(.closed(.ended))
    driver.advance(50)
    #expect(driver.migrations.last?.phase == .succeeded)
  }

  @Test("a monitor that is restarted in mid-migration does not end it")
  func monitorRestart() {
    var driver = SessionDriver.connected(
      migrate: Trace.active(total: 1_000, transferred: 9_000_000, remaining: 9))
    driver.advance(1_200)
    driver.feed(.closed(.ended))
    driver.migrate(Trace.active(total: 2_250, transferred: 9_500_000, remaining: 9))
    driver.advance(50)
    #expect(driver.phases == [.precopy])
    #expect(Set(driver.migrations.map(\.id)).count == 1)
    #expect(driver.failures == [.closed])
    #expect(driver.gone.isEmpty)
    #expect(driver.vms.count == 1)
  }

  @Test("a QEMU that was started anew under the same path did not have the job")
  func processReplaced() {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    driver.advance(1_200)
    driver.feed(.closed(.ended))
    driver.migrate("{}")
    driver.advance(50)
    #expect(driver.phases == [.precopy, .failed])
    #expect(driver.migrations.last?.ending?.cause == .sourceLost)
  }

  @Test("a hung source ends nothing")
  func hung() {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    driver.returns["query-migrate"] = nil
    driver.greets = false
    driver.advance(30_000)
    #expect(driver.phases == [.precopy])
    #expect(driver.gone.isEmpty)
    driver.greets = true
    for step in 0..<40 {
      driver.migrate(
        Trace.active(total: 30_016 + step * 500, transferred: 9_500_000 + UInt64(step), remaining: 9))
      driver.advance(500)
    }
    #expect(driver.phases == [.precopy])
    #expect(driver.migrations.count > 5)
    #expect(Set(driver.migrations.map(\.id)).count == 1)
  }

  @Test("a connection that is closed at once while QEMU dies is tried again before it is called an error")
  func dying() {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    driver.advance(1_200)
    driver.greets = false
    driver.feed(.closed(.ended))
    driver.advance(20)
    driver.feed(.closed(.ended))
    #expect(driver.failures.isEmpty)
    driver.connecting = .refused
    driver.advance(100)
    #expect(driver.migrations.last?.ending?.cause == .sourceLost)
    #expect(driver.failures.isEmpty)
  }

  @Test("a server that always closes at once is an error each time, with growing pauses")
  func closesAtOnce() {
    var driver = SessionDriver()
    driver.connecting = .ended
    driver.advance(60_000)
    #expect(Set(driver.failures) == [.closed])
    #expect((5...12).contains(driver.failures.count))
    #expect(driver.logs.filter { $0.level == .warning }.count == 1)
  }

  @Test(
    "a path given as such that is missing or refuses is down",
    arguments: [QMPClosing.refused, .missing, .permission])
  func literal(closing: QMPClosing) {
    var driver = SessionDriver(isLiteral: true)
    driver.connecting = closing
    driver.advance(0)
    #expect(driver.session.health.isBad)
    #expect(
      driver.failures == [closing == .missing ? .connect : closing == .refused ? .refused : .permission])
    driver.connecting = nil
    driver.session.hurry(driver.now)
    driver.advance(0)
    #expect(!driver.session.health.isBad)
    #expect(driver.vms.count == 1)
  }
}
