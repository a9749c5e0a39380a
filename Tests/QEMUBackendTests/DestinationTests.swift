import DroverCore
import Testing

@testable import QEMUBackend

@Suite struct DestinationTests {
  @Test("a destination tells what arrives and never a migration")
  func arrival() {
    var driver = SessionDriver.connected(migrate: Trace.listening, runState: "inmigrate")
    driver.migrate(Trace.arriving, "inmigrate")
    driver.advance(2_000)
    driver.migrate(Trace.arrived, "running")
    driver.event("RESUME")
    driver.advance(10_000)
    #expect(driver.migrations.isEmpty)
    #expect(driver.inbound.map(\.isActive) == [false, true, false])
    #expect(driver.inbound.map(\.guestRuns) == [false, false, true])
    #expect(driver.inbound.first?.host == "host-a")
  }

  @Test("a VM is in the inventory where its guest is: not before it has arrived, nor after it has left")
  func inventory() {
    var destination = SessionDriver.connected(migrate: Trace.listening, runState: "inmigrate")
    destination.migrate(Trace.arriving, "inmigrate")
    destination.advance(2_000)
    #expect(destination.vms.isEmpty)
    destination.migrate(Trace.arrived, "running")
    destination.event("RESUME")
    destination.advance(2_000)
    #expect(destination.vms.count == 1)

    var source = SessionDriver.connected(migrate: Trace.firstPass, runState: "running")
    #expect(source.vms.count == 1)
    source.migrate(Trace.completed, "postmigrate")
    source.event("STOP")
    source.advance(2_000)
    #expect(source.gone.count == 1)

    let left = SessionDriver.connected(migrate: Trace.completed, runState: "postmigrate")
    #expect(left.vms.isEmpty)
  }

  @Test("a destination in post-copy runs the guest while the stream still comes")
  func postcopy() {
    var driver = SessionDriver.connected(migrate: Trace.arriving, runState: "inmigrate")
    driver.migrate(#"{"status": "postcopy-active", "socket-address": []}"#, "running")
    driver.advance(1_000)
    #expect(driver.inbound.last?.isActive == true)
    #expect(driver.inbound.last?.guestRuns == true)
    driver.migrate(#"{"status": "postcopy-paused"}"#, "running")
    driver.advance(1_000)
    #expect(driver.inbound.last?.isActive == true)
    #expect(driver.migrations.isEmpty)
  }

  @Test(
    "a destination that is first seen at any time is never counted",
    arguments: [
      (Trace.listening, "inmigrate"), (Trace.arriving, "inmigrate"), (Trace.setup, "inmigrate"),
      (Trace.arrived, "running"), (Trace.arrived, "paused"), (#"{"status": "failed"}"#, "inmigrate"),
      (#"{"status": "postcopy-recover"}"#, "running"),
    ])
  func firstSight(answer: String, runState: String) {
    var driver = SessionDriver.connected(migrate: answer, runState: runState)
    driver.advance(5_000)
    driver.migrate(Trace.arrived, "running")
    driver.advance(5_000)
    #expect(driver.migrations.isEmpty)
  }

  @Test("a destination whose process ends is told to run nothing")
  func gone() {
    var driver = SessionDriver.connected(migrate: Trace.arriving, runState: "inmigrate")
    driver.advance(1_200)
    driver.connecting = .missing
    driver.feed(.closed(.ended))
    driver.advance(50)
    #expect(driver.inbound.last?.isActive == false)
    #expect(driver.inbound.last?.guestRuns == false)
    #expect(driver.migrations.isEmpty)
  }

  @Test(
    "after the roles have changed the former destination is a source like any other",
    arguments: [false, true])
  func roleSwap(seenRunning: Bool) {
    var driver = SessionDriver.connected(migrate: Trace.arriving, runState: "inmigrate")
    driver.migrate(Trace.arrived, "running")
    driver.advance(5_000)
    if seenRunning {
      driver.migrate(Trace.setup)
      driver.advance(2_000)
      driver.migrate(Trace.firstPass)
      driver.advance(500)
    }
    driver.migrate(Trace.multifd, "postmigrate")
    driver.advance(5_000)
    #expect(driver.phases == (seenRunning ? [.preparing, .precopy, .succeeded] : [.succeeded]))
    #expect(driver.inbound.map(\.isActive) == [true, false])
  }

  @Test("a former destination whose first outgoing migration failed unseen is counted")
  func failedAfterArrival() {
    var driver = SessionDriver.connected(migrate: Trace.arrived)
    driver.migrate(Trace.noListener)
    driver.advance(5_000)
    #expect(driver.migrations.map(\.phase) == [.failed])
  }

  @Test("a guest that was migrated while it was paused is at the target")
  func paused() {
    var driver = SessionDriver.connected(migrate: Trace.arriving, runState: "inmigrate")
    driver.migrate(Trace.arrived, "paused")
    driver.advance(2_000)
    #expect(driver.inbound.map(\.guestRuns) == [false, true])
  }

  @Test("a guest that arrived is told to be gone with its QEMU, until it has left or is leaving")
  func goneLater() {
    func told(_ outgoing: [(String, String)]) -> [Bool?] {
      var driver = SessionDriver.connected(migrate: Trace.arriving, runState: "inmigrate")
      driver.migrate(Trace.arrived, "running")
      driver.event("RESUME")
      driver.advance(5_000)
      for (answer, runState) in outgoing {
        driver.migrate(answer, runState)
        driver.advance(2_000)
      }
      driver.connecting = .missing
      driver.feed(.closed(.ended))
      driver.advance(50)
      return driver.inbound.map(\.guestRuns)
    }
    #expect(told([]) == [false, true, false])
    #expect(told([(Trace.firstPass, "running"), (Trace.cancelled, "running")]) == [false, true, false])
    #expect(told([(Trace.firstPass, "running"), (Trace.multifd, "postmigrate")]) == [false, true])
    #expect(told([(Trace.firstPass, "running")]) == [false, true])
  }
}
