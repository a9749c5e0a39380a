import CurlClient
import DroverService
import Foundation
import Testing

@testable import ProgramSupport

extension EndToEnd {
  /// libvirt's test driver is a host with one guest and no peer: its drain ends with that guest left.
  @Suite("Hosts that a person empties", .serialized)
  struct DrainTests {
    private static let yaml = """
      backends:
        - libvirt: {name: host-a, host: a, uri: "test:///default"}
        - libvirt: {name: host-b, host: twin, uri: "test:///default?n=2"}
        - libvirt: {name: host-c, host: twin, uri: "test:///default?n=3"}
      control: {switches: {drain: SWITCH}, drain: {parallel: 1, attempts: 2}}
      """

    private func serve(_ state: String) async throws -> Serving {
      let directory = try TemporaryDirectory()
      let file = try directory.write(Self.yaml.replacing("SWITCH", with: state), to: "drover.yaml")
      let serving = try await Serving(
        ["--config.file", file, "--journal.path", "\(directory.path)/journal.db"], in: directory)
      try await eventually("the guests") {
        try await serving.web.metrics()["drover_node_vms"].values.count { $0 == 1 } == 3 ? true : nil
      }
      return serving
    }

    private func drover(_ serving: Serving, _ arguments: String..., over web: Web? = nil) async throws -> (
      ending: Ending, output: String, errors: String
    ) {
      try await Program.run(arguments + ["--server", (web ?? serving.control).url], in: serving.directory)
    }

    private func end(_ serving: Serving) async throws {
      serving.program.signal(SIGTERM)
      #expect(try await serving.program.end() == .exited(0))
    }

    @Test("are asked about, emptied as far as that goes, shown, and told by metrics and `why`")
    func whole() async throws {
      let serving = try await serve("enabled")
      let nothing = try await drover(serving, "drain", "a", "--status")
      #expect(nothing.ending == .exited(1) && nothing.errors.contains("no drain of node a"), "\(nothing)")
      let asked = try await drover(serving, "drain", "a", "--dry-run")
      #expect(asked.ending == .exited(4), "\(asked)")
      #expect(asked.output.contains("0 of 1 VMs would be moved") && asked.output.contains("libvirt.peers"))
      #expect(try await serving.web.metrics()["drover_node_draining"].isEmpty)

      let stranger = try await drover(serving, "drain", "a", over: serving.web)
      #expect(stranger.ending == .exited(1), "\(stranger)")
      let done = try await drover(serving, "drain", "a")
      #expect(done.ending == .exited(4), "\(done)")
      #expect(done.output.contains("not drained") && done.output.contains("1 left: 1 blocked"), "\(done)")
      let json = try await drover(serving, "drain", "host-a/a", "--status", "--output", "json")
      #expect(json.ending == .exited(4), "\(json)")
      let item = try APICoding.decode(DrainItem.self, from: Array(json.output.utf8))
      #expect(item.state == "incomplete" && item.vms.map(\.state) == ["blocked"] && item.running == 1)

      let metrics = try await serving.web.metrics()
      #expect(metrics.value("drover_node_draining", #"node="a""#) == 0)
      #expect(metrics.value("drover_node_drained", #"node="a""#) == 0)
      #expect(metrics.value("drover_node_drain_vms", #"node="a",state="blocked""#) == 1)
      #expect(metrics.value("drover_node_reboot_blockers", #"node="a",reason="vm""#) == 1)
      let why = try await drover(serving, "why", "a")
      #expect(why.output.contains("Drover's drain of it") && why.output.contains("1 blocked"), "\(why)")
      let decisions = try await drover(serving, "decisions", "--action", "drain")
      #expect(decisions.output.contains("acted"), "\(decisions)")

      let nodes = try await drover(serving, "nodes")
      #expect(nodes.output.firstMatch(of: /(?m)^a +host-a\b.* - +1\b/) != nil, "\(nodes)")
      let vms = try await drover(serving, "vms")
      #expect(vms.output.firstMatch(of: /(?m)^a\/\w+ +host-a +a\b/) != nil, "\(vms)")
      let past = try await drover(serving, "history", "--backend", "nope")
      #expect(past.ending == .exited(0) && past.errors.contains("no back end is called nope now"), "\(past)")

      let free = try await drover(serving, "drain", "a", "--uncordon")
      #expect(
        free.ending == .exited(0)
          && free.output == "host-a/a: VMs may come to it again; no drain of it is kept\n", "\(free)")
      #expect(try await serving.web.get("/api/v1/nodes/host-a/a/drain").status == 404)
      let again = try await drover(serving, "drain", "a", "--cancel")
      #expect(again.ending == .exited(1) && again.errors.contains("no drain of a is in force"), "\(again)")
      try await end(serving)
    }

    @Test("what is not there, means several, is disabled, or badly asked for is refused")
    func refused() async throws {
      let serving = try await serve("disabled")
      let unknown = try await drover(serving, "drain", "z")
      #expect(unknown.ending == .exited(1) && unknown.errors.contains("there are host-a/a"), "\(unknown)")
      let several = try await drover(serving, "drain", "twin")
      #expect(
        several.ending == .exited(1) && several.errors.contains("host-b/twin, host-c/twin"), "\(several)")
      let disabled = try await drover(serving, "drain", "host-b/twin")
      #expect(disabled.ending == .exited(1) && disabled.errors.contains("disabled"), "\(disabled)")
      let asked = try await drover(serving, "drain", "a", "--dry-run")
      #expect(asked.ending == .exited(4) && asked.output.contains("libvirt.peers"), "\(asked)")
      #expect(asked.output.contains("control.switches.drain is disabled"), "\(asked)")
      // What takes no question is not let through by one.
      let alert = try await serving.control.send(.post, "/api/v1/alerts", #"{"dryRun": true}"#)
      #expect(
        alert.status == 403 && alert.text.contains("control.switches.alerts is disabled"), "\(alert.text)")
      try await end(serving)
      let armed = try await serve("enabled")
      let typo = try await armed.control.send(.post, "/api/v1/nodes/host-a/a/drain", #"{"dryrun": true}"#)
      #expect(typo.status == 400 && typo.text.contains("dryRun"), "\(typo.text)")
      let other = try await armed.control.send(.post, "/api/v1/nodes/host-a/b/drain", "")
      #expect(other.status == 404 && other.text.contains("is host a"), "\(other.text)")
      let nowhere = try await armed.control.send(
        .delete, "/api/v1/nodes/nobody/b/drain", #"{"uncordon": true}"#)
      #expect(nowhere.status == 404, "\(nowhere.text)")
      try await end(armed)
    }
  }
}
