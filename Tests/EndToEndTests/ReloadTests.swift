import Foundation
import Testing

@testable import ProgramSupport

extension EndToEnd {
  @Suite("Re-reading the configuration")
  struct ReloadTests {
    private static func yaml(_ backends: [(name: String, socket: String)], progress: String = "150s")
      -> String
    {
      "backends:\n"
        + backends.map { "  - qemu: {name: \($0.name), sockets: [\"\($0.socket)\"]}\n" }.joined()
        + "timeouts: {progress: \(progress)}\n"
    }

    private static func isUp(_ backend: String, _ serving: Serving) async throws -> Bool {
      try await serving.web.metrics().value("drover_backend_up", "backend=\"\(backend)\"") == 1
    }

    @Test("adds, changes and removes back ends while another goes on")
    func backends() async throws {
      let directory = try TemporaryDirectory()
      let (a, b, c) = try (
        FakeQMP("\(directory.path)/a.qmp"), FakeQMP("\(directory.path)/b.qmp"),
        FakeQMP("\(directory.path)/c.qmp")
      )
      let file = try directory.write(Self.yaml([("a", a.path), ("b", b.path)]), to: "drover.yaml")
      let serving = try await Serving(["--config.file", file], in: directory)
      for name in ["a", "b"] { try await eventually("\(name) is up") { try await Self.isUp(name, serving) } }

      // b watches another socket, c is new; only a's time-outs change.
      try directory.write(
        Self.yaml([("a", a.path), ("b", c.path), ("c", b.path)], progress: "99s"), to: "drover.yaml")
      #expect(try await serving.control.post("/-/reload").status == 200)
      #expect(try await serving.backends() == ["a", "b", "c"])
      for name in ["b", "c"] { try await eventually("\(name) is up") { try await Self.isUp(name, serving) } }
      #expect(try await Self.isUp("a", serving))

      try directory.write(Self.yaml([("a", a.path)]), to: "drover.yaml")
      serving.program.signal(SIGHUP)
      try await eventually("a is alone") { try await serving.backends() == ["a"] }
      #expect(try await Self.isUp("a", serving))
      #expect(a.connections == 1)
      #expect(b.connections == 2)
      #expect(c.connections == 1)
    }

    @Test("keeps the old one in force while the file is bad")
    func badFile() async throws {
      let directory = try TemporaryDirectory()
      let a = try FakeQMP("\(directory.path)/a.qmp")
      let good = Self.yaml([("a", a.path)])
      let file = try directory.write(good, to: "drover.yaml")
      let serving = try await Serving(["--config.file", file], in: directory)
      try await eventually("a is up") { try await Self.isUp("a", serving) }

      for bad in [
        "backends: [{qemu: {socket: /x}}]\n", "backends: [{qemu: {sockets: [/run/libvirt/x]}}]\n", "[",
      ] {
        try directory.write(bad, to: "drover.yaml")
        let answer = try await serving.control.post("/-/reload")
        #expect(answer.status == 422)
        #expect(answer["Content-Type"] == "application/problem+json")
        let metrics = try await serving.web.metrics()
        #expect(metrics.value("drover_config_last_reload_successful") == 0)
        #expect(metrics.value("drover_backend_up") == 1)
      }
      try FileManager.default.removeItem(atPath: file)
      serving.program.signal(SIGHUP)
      try await eventually("the missing file is logged") { serving.program.errors.contains("No such file") }

      try directory.write(good, to: "drover.yaml")
      #expect(try await serving.control.post("/-/reload").status == 200)
      #expect(try await serving.web.metrics().value("drover_config_last_reload_successful") == 1)
      #expect(a.connections == 1)
    }

    @Test("is for the control socket only")
    func notOverTCP() async throws {
      let serving = try await Serving()
      let answer = try await serving.web.post("/-/reload")
      #expect(answer.status == 403)
      #expect(answer.text.contains("control socket"))
      #expect(try await serving.control.post("/-/reload", origin: "http://localhost").status == 403)
      #expect(try await serving.control.get("/-/reload").status == 405)
      #expect(try await serving.control.post("/-/reload").status == 200)
    }
  }
}
