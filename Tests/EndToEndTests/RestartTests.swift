import DroverService
import Foundation
import QEMURig
import Testing

@testable import ProgramSupport

extension EndToEnd {
  /// A real guest that migrates on while `drover serve` is killed and started again.
  @Suite("A restart in the middle of a migration", .serialized)
  struct RestartTests {
    private static let spec = GuestSpec(
      name: "web-1", uuid: UUID().uuidString, memoryMebibytes: 64,
      software: DirtierGuest(
        rate: DirtyRate(atLeastMebibytesPerSecond: 100), workingSet: WorkingSet(atLeastMebibytes: 16)))

    @Test("keeps its id in the list, the history, the metrics and the decisions, and it can be ended by it")
    func keepsID() async throws {
      try await GuestPair.with(Self.spec) { pair in
        let sockets = [await pair.source.monitorSocket, await pair.destination.monitorSocket]
        let directory = try TemporaryDirectory()
        let file = try directory.write("control: {switches: {manual: enabled}}\n", to: "drover.yaml")
        let arguments =
          ["--config.file", file, "--journal.path", "\(directory.path)/j.db", "--qemu.socket"] + sockets
        let first = try await Serving(arguments, in: directory)
        try await pair.migrate(MigrationOptions(bandwidth: 2 << 20, downtimeLimit: .milliseconds(50)))
        let before = try await eventually("the migration in its copy, recorded") {
          let open = try await first.web.get("/api/v1/history?outcome=open").text
          return try await first.web.migrations().first { $0.phase == "precopy" && open.contains($0.id) }
        }
        #expect(before.watchedSince == nil)
        first.program.signal(SIGKILL)
        _ = try await first.program.end()

        let second = try await Serving(arguments, in: directory)
        let after = try await eventually("the migration again") {
          try await second.web.migrations().first { $0.phase == "precopy" }
        }
        #expect(after.id == before.id)
        #expect(after.watchedSince != nil)
        let metrics = try await second.web.metrics()
        #expect(
          metrics.value("drover_migration_phase", #"migration="\#(before.id)",phase="precopy""#) == 1)
        #expect(metrics.value("drover_migrations_started_total", #"backend="qemu""#) == 0)
        let server = ["--server", second.control.url]
        let shown = try await Program.run(["show", before.id] + server, in: directory)
        #expect(shown.output.contains("what was before is not known"), "\(shown)")

        let aborted = try await Program.run(["abort", before.id] + server, in: directory)
        #expect(aborted.ending == .exited(0), "\(aborted)")
        try await pair.waitForStatus("cancelled")
        let history = try await eventually("its end in the history") {
          let rows = try await second.web.get("/api/v1/history").text
          return rows.contains(#""outcome":"aborted""#) ? rows : nil
        }
        #expect(history.components(separatedBy: #""id":"#).count == 2, "\(history)")
        let decisions = try await second.web.get("/api/v1/decisions?migration=\(before.id)").text
        #expect(decisions.contains(#""result":"aborted""#), "\(decisions)")
      }
    }
  }
}
