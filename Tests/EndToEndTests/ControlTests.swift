import DroverService
import Foundation
import QEMURig
import Testing

@testable import ProgramSupport

extension EndToEnd {
  /// A real guest that migrates, `drover serve` beside it, and the commands that act.
  @Suite("Migrations that a person looks into and ends", .serialized)
  struct ControlTests {
    /// A guest that dirties its memory and whose copy is slow enough to be ended.
    private static let spec = GuestSpec(
      name: "web-1", uuid: UUID().uuidString, memoryMebibytes: 64,
      software: DirtierGuest(
        rate: DirtyRate(atLeastMebibytesPerSecond: 100), workingSet: WorkingSet(atLeastMebibytes: 16)))

    private func drover(_ serving: Serving, _ arguments: String..., over web: Web? = nil) async throws -> (
      ending: Ending, output: String, errors: String
    ) {
      try await Program.run(
        arguments + ["--server", (web ?? serving.control).url], in: serving.directory)
    }

    private func with(_ body: (Serving, GuestPair, String) async throws -> Void) async throws {
      try await GuestPair.with(Self.spec) { pair in
        let sockets = [await pair.source.monitorSocket, await pair.destination.monitorSocket]
        let directory = try TemporaryDirectory()
        let file = try directory.write("control: {switches: {manual: enabled}}\n", to: "drover.yaml")
        let serving = try await Serving(["--config.file", file, "--qemu.socket"] + sockets, in: directory)
        try await pair.migrate(MigrationOptions(bandwidth: 2 << 20, downtimeLimit: .milliseconds(50)))
        let id = try await eventually("the migration in its copy") {
          try await serving.web.migrations().first { $0.phase == "precopy" }?.id
        }
        try await body(serving, pair, id)
        serving.program.signal(SIGTERM)
        #expect(try await serving.program.end() == .exited(0))
      }
    }

    @Test("`why` tells what one can do; `abort` asks, acts over the socket only, and follows to the end")
    func abort() async throws {
      try await with { serving, pair, id in
        let why = try await drover(serving, "why", id)
        #expect(why.ending == .exited(0), "\(why.errors)")
        #expect(why.output.contains("precopy for"), "\(why.output)")
        #expect(why.output.contains("You can\n  drover abort \(id): QEMU ends the copy"), "\(why.output)")
        #expect(why.output.contains("nothing happens by itself"))

        let asked = try await drover(serving, "abort", id, "--dry-run")
        #expect(asked.ending == .exited(0) && asked.output.hasPrefix("would be done: "), "\(asked)")
        #expect(try await pair.queryMigrate()["status"] == "active")

        let stranger = try await drover(serving, "abort", id, over: serving.web)
        #expect(stranger.ending == .exited(1), "\(stranger)")
        #expect(try await pair.queryMigrate()["status"] == "active")

        let done = try await drover(serving, "abort", id)
        #expect(done.ending == .exited(0), "\(done)")
        #expect(done.output.contains("aborted"), "\(done.output)")
        try await pair.waitForStatus("cancelled")
        #expect(try await pair.queryStatus() == "running")

        let again = try await drover(serving, "abort", id)
        #expect(again.ending == .exited(1) && again.errors.contains("over already"), "\(again)")
        let decisions = try await drover(serving, "decisions")
        #expect(decisions.output.contains("acted") && decisions.output.contains("aborted"), "\(decisions)")
        #expect(decisions.output.contains("refused"))
        let history = try await drover(serving, "history")
        #expect(history.output.contains(id), "\(history)")
        let metrics = try await serving.web.metrics()
        #expect(
          metrics.value("drover_abort_decisions_total", #"trigger="person",decision="acted""#) == 1)
        #expect(metrics.value("drover_aborts_total", #"trigger="person",result="aborted""#) == 1)
      }
    }

    @Test("what is not there, or means several, is refused with what there is")
    func names() async throws {
      try await with { serving, _, id in
        let unknown = try await drover(serving, "abort", "nobody-1")
        #expect(unknown.ending == .exited(1) && unknown.errors.contains("nobody-1; drover list shows them"))
        let bare = try await drover(serving, "abort", "web-1", "--dry-run")
        #expect(bare.ending == .exited(0) && bare.output.contains("would be done"), "\(bare)")
        let nothing = try await drover(serving, "why", "nothing")
        #expect(nothing.ending == .exited(1) && nothing.errors.contains("drover list"))
        let vm = try await drover(serving, "migrate", "web-1", "--dry-run")
        #expect(vm.ending == .exited(1) && vm.errors.contains("without libvirt"), "\(vm)")
        let preflight = try await drover(serving, "preflight")
        #expect(preflight.ending == .exited(1) && preflight.errors.contains("cannot do it"), "\(preflight)")
        let stopped = try await drover(serving, "stop-evacuation", "web-1", "--dry-run")
        #expect(stopped.ending == .exited(1) && stopped.errors.contains("only KubeVirt moves"), "\(stopped)")
        let nobody = try await drover(serving, "stop-evacuation", "nobody")
        #expect(nobody.ending == .exited(1) && nobody.errors.contains("no VM and no node is called nobody"))
        let node = try await serving.web.get("/api/v1/nodes")
        #expect(node.status == 200)
        let json = try await drover(serving, "why", id, "--output", "json")
        let item = try APICoding.decode(WhyItem.self, from: Array(json.output.utf8))
        #expect(item.kind == "migration" && item.possible.contains { $0.command == "drover abort \(id)" })
      }
    }
  }
}
