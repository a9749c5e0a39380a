import Foundation
import Testing

@testable import QEMURig

/// Slow enough to be met under way, for a guest that has dirtied its 16 MiB.
private let slow = MigrationOptions(bandwidth: 2 << 20, downtimeLimit: .milliseconds(50))

/// Whether QEMU may use userfaultfd, which post-copy needs.
private let hasPostcopy =
  geteuid() == 0
  || (try? String(contentsOfFile: "/proc/sys/vm/unprivileged_userfaultfd", encoding: .utf8)) == "1\n"

extension RigTests {
  @Suite("GuestPair")
  struct PairTests {
    @Test("a guest migrates, beats on the other side, and back after a swap")
    func succeeds() async throws {
      try await GuestPair.with(guest(rate: 1)) { pair in
        for (from, to) in [("g-a.qmp", "g-b.qmp"), ("g-b.qmp", "g-a.qmp")] {
          #expect(await pair.source.monitorSocket.hasSuffix(from))
          #expect(await pair.destination.monitorSocket.hasSuffix(to))
          try await pair.migrate(MigrationOptions(capabilities: ["events"]))
          let answer = try await pair.waitForStatus("completed")
          #expect(answer["downtime"] != nil)
          #expect(try await pair.queryStatus() == "postmigrate")
          try await pair.destination.console.heartbeat()
          let event = try await pair.source.conductor.event {
            $0.name == "MIGRATION" && $0.data["status"] == "completed"
          }
          #expect(event.data["status"] == "completed")
          try await pair.swapAfterSuccess()
        }
      }
    }

    @Test("capabilities are switched off again, except those that somebody else switched on")
    func capabilities() async throws {
      try await GuestPair.with(guest(rate: 0)) { pair in
        let foreign: JSONValue = [["capability": "auto-converge", "state": true]]
        try await pair.migrate(MigrationOptions(capabilities: ["events", "xbzrle"]))
        try await pair.waitForStatus("completed")
        try await pair.swapAfterSuccess()
        try await pair.source.conductor.execute("migrate-set-capabilities", ["capabilities": foreign])
        try await pair.migrate(MigrationOptions(capabilities: ["events"]))
        let answer = try await pair.source.conductor.execute("query-migrate-capabilities")
        guard case .array(let list) = answer else { throw RigError.notInTime("a list of capabilities") }
        let on = list.filter { $0["state"] == true }.compactMap { $0["capability"]?.string }
        #expect(on.contains("events") && on.contains("auto-converge") && !on.contains("xbzrle"))
        try await pair.waitForStatus("completed")
      }
    }

    @Test("a cancelled guest runs on, its destination ends, and a new one takes it")
    func cancels() async throws {
      try await GuestPair.with(guest(rate: 100)) { pair in
        try await pair.source.console.heartbeat()
        try await pair.migrate(slow)
        try await pair.waitForMigration("the first bytes") { ($0["ram"]?["transferred"]?.int ?? 0) > 0 }
        try await pair.cancel()
        try await pair.waitForStatus("cancelled")
        #expect(try await pair.queryStatus() == "running")
        _ = await pair.destination.waitForExit()
        await #expect(throws: RigError.self) { try await pair.swapAfterSuccess() }
        try await pair.renewDestination()
        try await pair.source.console.set(.idle)
        try await pair.migrate(MigrationOptions(bandwidth: 1 << 30))
        try await pair.waitForStatus("completed")
      }
    }

    @Test("a migration whose destination is killed fails, and says why")
    func destinationDies() async throws {
      try await GuestPair.with(guest(rate: 100)) { pair in
        try await pair.source.console.heartbeat()
        try await pair.migrate(slow)
        try await pair.waitForMigration("the first bytes") { ($0["ram"]?["transferred"]?.int ?? 0) > 0 }
        await pair.killDestination()
        let answer = try await pair.waitForStatus("failed")
        #expect(answer["error-desc"] != nil)
        #expect(try await pair.queryStatus() == "running")
      }
    }

    @Test("a cut wire stops all progress, a healed one lets the migration finish")
    func cutWire() async throws {
      try await GuestPair.with(guest(rate: 100), isRelayed: true) { pair in
        try await pair.source.console.heartbeat()
        try await pair.source.console.set(.idle)
        try await pair.migrate(slow)
        let relay = try #require(await pair.relay)
        try await eventually("bytes pass") { relay.bytesForwarded > 100_000 }
        relay.cut()
        let passed = relay.bytesForwarded
        // QEMU goes on until the socket is full.
        var sent = try await transferred(pair)
        try await eventually("the stream stands still for a second") {
          let before = sent
          try await Task.sleep(for: .seconds(1))
          sent = try await transferred(pair)
          return sent == before
        }
        #expect(relay.bytesForwarded == passed)
        #expect(try await pair.queryMigrate()["status"] == "active")
        relay.heal()
        try await pair.tune(["max-bandwidth": .int(1 << 30)])
        try await pair.waitForStatus("completed")
        #expect(relay.bytesForwarded > passed)
      }
    }

    @Test("a severed wire fails the migration")
    func severedWire() async throws {
      try await GuestPair.with(guest(rate: 100), isRelayed: true) { pair in
        try await pair.source.console.heartbeat()
        try await pair.migrate(slow)
        let relay = try #require(await pair.relay)
        try await eventually("bytes pass") { relay.bytesForwarded > 0 }
        relay.sever()
        try await pair.waitForStatus("failed")
      }
    }

    @Test("a post-copy migration pauses and recovers", .enabled(if: hasPostcopy))
    func postcopy() async throws {
      try await GuestPair.with(guest(rate: 100)) { pair in
        try await pair.source.console.heartbeat()
        var options = slow
        options.capabilities = ["postcopy-ram"]
        options.parameters = ["max-postcopy-bandwidth": .int(1 << 20)]
        try await pair.migrate(options)
        try await pair.waitForMigration("the first bytes") { ($0["ram"]?["transferred"]?.int ?? 0) > 0 }
        try await pair.startPostcopy()
        try await pair.waitForStatus("postcopy-active")
        try await pair.pausePostcopy()
        try await pair.waitForStatus("postcopy-paused")
        try await pair.tune(["max-postcopy-bandwidth": 0])
        try await pair.recoverPostcopy()
        try await pair.waitForStatus("completed")
        try await pair.destination.console.heartbeat()
      }
    }

    @Test("closing a pair leaves no process and no file, also after its source was killed")
    func closes() async throws {
      let pair = try await GuestPair.start(guest(rate: 0))
      let socket = await pair.source.monitorSocket
      let pids = [await pair.source.pid, await pair.destination.pid]
      await pair.killSource()
      await pair.close()
      #expect(pids.filter(isRunning) == [])
      #expect(!FileManager.default.fileExists(atPath: socket))
      #expect(!FileManager.default.fileExists(atPath: URL(filePath: socket).deletingLastPathComponent().path))
    }
  }
}
