import Foundation
import Testing

@testable import ProgramSupport

extension EndToEnd {
  @Suite("drover serve")
  struct ServeTests {
    @Test("answers /metrics within a second of its start")
    func firstAnswer() async throws {
      let directory = try TemporaryDirectory()
      let port = try freePort()
      let web = try Web("http://127.0.0.1:\(port)")
      let program = try Program(["serve", "--web.listen-address", "127.0.0.1:\(port)"], in: directory)
      try await eventually("an answer", every: .milliseconds(1)) {
        try await web.get("/metrics").status == 200 ? true : nil
      }
      let took = ContinuousClock.now - program.startedAt
      print("first answer of drover serve after \(took)")
      #expect(took < .seconds(1))
    }

    @Test("needs no back end")
    func noBackEnds() async throws {
      let serving = try await Serving()
      #expect(try await serving.web.get("/-/ready").status == 200)
      let metrics = try await serving.web.metrics()
      #expect(metrics["drover_backend_up"].isEmpty)
      #expect(metrics.value("drover_tracked_migrations") == 0)
      #expect(metrics.value("drover_config_last_reload_successful") == 1)
      #expect(try await serving.web.migrations().isEmpty)
      for list in ["nodes", "vms"] {
        let answer = try await serving.web.get("/api/v1/\(list)")
        #expect(answer.status == 200 && answer.text == #"{"backends":[],"items":[]}"#)
      }
    }

    @Test("shows a QEMU that is not there as down, and is ready all the same")
    func missingSocket() async throws {
      let serving = try await Serving(["--qemu.socket", "/tmp/no-such-directory/guest.qmp"])
      try await eventually("readiness") { try await serving.web.get("/-/ready").status == 200 }
      let metrics = try await serving.web.metrics()
      #expect(metrics.value("drover_backend_up") == 0)
      #expect(metrics["drover_backend_last_success_timestamp_seconds"].isEmpty)
      #expect(try #require(metrics.value("drover_backend_errors_total", #"kind="connect""#)) >= 1)
      #expect(serving.program.errors.contains("there is no such socket"))
    }

    @Test("a name that nothing has may be on a back end that is down, and each command says so")
    func absentBesideDown() async throws {
      let serving = try await Serving(["--qemu.socket", "/tmp/no-such-directory/guest.qmp"])
      for command in [["why"], ["explain"], ["drain"], ["stop-evacuation"]] {
        let asked = try await Program.run(
          command + ["host-a", "--server", serving.control.url], in: serving.directory)
        #expect(asked.ending == .exited(1) && asked.errors.contains("is called host-a"), "\(asked)")
        #expect(asked.errors.contains("back end qemu is down"), "\(command): \(asked)")
      }
      serving.program.signal(SIGTERM)
      _ = try await serving.program.end()
    }

    @Test("listens on several addresses of every kind")
    func severalAddresses() async throws {
      let directory = try TemporaryDirectory()
      let socket = "\(directory.path)/metrics.sock"
      let program = try Program(
        [
          "serve", "--web.listen-address", "127.0.0.1:0", "--web.listen-address", "[::1]:0",
          "--web.listen-address", "unix:\(socket)", "--web.telemetry-path", "/m",
        ], in: directory)
      let addresses = try await eventually("the addresses in the log") {
        program.lines.first { $0.contains("drover serves") }
          .flatMap { LogLine(logfmt: $0)?.fields["addresses"] }?.split(separator: " ")
      }
      // The fourth is the control socket of the environment.
      try #require(addresses.count == 4)
      #expect(addresses[2] == "unix:\(socket)")
      for address in addresses {
        let url = address.hasPrefix("unix:") ? "unix://\(address.dropFirst(5))" : "http://\(address)"
        let answer = try await Web(url).get("/m")
        #expect(answer.status == 200)
        #expect(answer.text.contains("drover_build_info"))
      }
    }

    @Test("adds the flags' back ends to those of the file, under names of their own")
    func fileAndFlags() async throws {
      let directory = try TemporaryDirectory()
      let file = try directory.write(
        """
        backends:
          - qemu: {sockets: [/tmp/none/a]}
          - qemu: {name: rack, sockets: [/tmp/none/b]}
          - kubevirt: {kubeconfig: /tmp/none/k}
        """, to: "drover.yaml")
      let serving = try await Serving(
        [
          "--config.file", file, "--qemu.socket", "/tmp/none/c", "--qemu.socket", "/tmp/none/d",
          "--kubevirt.kubeconfig", "/tmp/none/l",
        ], in: directory)
      #expect(
        try await serving.backends() == ["qemu", "rack", "kubevirt", "qemu-2", "qemu-3", "kubevirt-2"])
    }

    @Test(
      "refuses what can never work, with the remedy",
      arguments: [
        (["--qemu.socket", "/var/lib/libvirt/qemu/x"], "it belongs to libvirt", "-qmp unix:"),
        (["--qemu.socket", "guest.qmp"], "the path is not absolute", "from / on"),
        (["--qemu.socket", "/a", "--qemu.socket", "/a"], "is named twice", "one flag"),
        (["--config.file", "/no/such/file"], "No such file", "give the right path"),
        (["--kubevirt.in-cluster"], "KUBERNETES_SERVICE_HOST is not set", "--kubevirt.kubeconfig FILE"),
        (["--kubevirt.kubeconfig", "/k", "--kubevirt.kubeconfig", "/k"], "is named twice", "one flag"),
        (["--web.listen-address", "10950"], "there is no port", "host:port"),
        (["--web.listen-address", "unix:/no/such/directory/x.sock"], "No such file", "create the directory"),
      ])
    func refused(arguments: [String], cause: String, remedy: String) async throws {
      let run = try await Program.run(
        ["serve", "--web.listen-address", "127.0.0.1:0"] + arguments, in: TemporaryDirectory())
      #expect(run.ending == .exited(1))
      #expect(run.errors.contains(cause))
      #expect(run.errors.contains(remedy))
    }

    @Test("says which address somebody else listens on, and takes no living drover's control socket")
    func addressInUse() async throws {
      let first = try await Serving()
      let address = first.web.hostAndPort
      let second = try await Program.run(
        ["serve", "--web.listen-address", address], in: TemporaryDirectory())
      #expect(second.ending == .exited(1))
      #expect(second.errors.contains("cannot listen on \(address): bind: Address already in use; choose"))
      let socket = "\(first.directory.path)/control.sock"
      let third = try await Program.run(
        ["serve", "--web.listen-address", "127.0.0.1:0", "--control.socket", socket], in: TemporaryDirectory()
      )
      #expect(third.ending == .exited(1))
      #expect(third.errors.contains("cannot listen on unix:\(socket)"))
      #expect(try await first.control.get("/-/healthy").status == 200)
    }

    @Test("serves without the control socket of the environment where that cannot be had")
    func noDefaultSocket() async throws {
      let directory = try TemporaryDirectory()
      let port = try freePort()
      let program = try Program(
        ["serve", "--web.listen-address", "127.0.0.1:\(port)"], in: directory,
        variables: ["RUNTIME_DIRECTORY": "/proc/none"])
      let web = try Web("http://127.0.0.1:\(port)")
      try await eventually("an answer") { try await web.get("/-/healthy").status == 200 }
      #expect(program.errors.contains("no control socket"))
    }

    @Test("ends on SIGTERM within a second, whoever is connected", arguments: [SIGTERM, SIGINT])
    func ends(signal: Int32) async throws {
      let serving = try await Serving(["--qemu.socket", "/tmp/none/a"])
      _ = try await serving.control.get("/metrics")
      let socket = "\(serving.directory.path)/control.sock"
      #expect(FileManager.default.fileExists(atPath: socket))
      // The client keeps its connections open.
      let begun = ContinuousClock.now
      serving.program.signal(signal)
      #expect(try await serving.program.end() == .exited(0))
      let took = ContinuousClock.now - begun
      print("drover serve ended \(took) after signal \(signal)")
      #expect(took < .seconds(1))
      #expect(!FileManager.default.fileExists(atPath: socket))
    }

    @Test("survives a reader of its log that goes away")
    func logReaderGone() async throws {
      let directory = try TemporaryDirectory()
      let port = try freePort()
      let shell = try Program(
        [
          "-c",
          #"{ "$0" serve --web.listen-address 127.0.0.1:"$1" --control.socket "$2"/c.sock; } 2>&1 | head -1"#,
          Program.drover, "\(port)", directory.path,
        ], executable: "/bin/bash", in: directory)
      let web = try Web("http://127.0.0.1:\(port)")
      let control = try Web("unix://\(directory.path)/c.sock")
      try await eventually("an answer") { try await web.get("/-/healthy").status == 200 }
      // Each reload is logged.
      for _ in 0..<3 { #expect(try await control.post("/-/reload").status == 200) }
      #expect(try await web.get("/-/healthy").status == 200)
      let stopped = try #require(
        Processes.with(argument: "\(directory.path)/c.sock").first { $0 != shell.pid })
      kill(stopped, SIGTERM)
      #expect(try await shell.end() == .exited(0))
    }

    @Test("logs a line for each thing that happens", arguments: ["logfmt", "json"])
    func log(format: String) async throws {
      let directory = try TemporaryDirectory()
      let file = try directory.write("backends: []\n", to: "drover.yaml")
      let serving = try await Serving(
        [
          "--log.level", "debug", "--log.format", format, "--config.file", file,
          "--qemu.socket", "/tmp/none/a \"quoted\" = b",
        ], in: directory)
      try await eventually("readiness") { try await serving.web.get("/-/ready").status == 200 }
      try directory.write("nonsense: [\n", to: "drover.yaml")
      #expect(try await serving.control.post("/-/reload").status == 422)
      serving.program.signal(SIGTERM)
      #expect(try await serving.program.end() == .exited(0))
      let lines = serving.program.lines
      #expect(lines.count >= 4)
      for line in lines {
        let parsed = try #require(
          format == "json" ? LogLine(json: line) : LogLine(logfmt: line), "not \(format): \(line)")
        for key in ["time", "level", "msg"] { #expect(parsed.fields[key] != nil, "no \(key): \(line)") }
      }
    }
  }
}
