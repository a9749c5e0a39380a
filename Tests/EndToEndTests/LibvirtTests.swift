import Foundation
import Testing

@testable import ProgramSupport

extension EndToEnd {
  /// libvirt's test driver needs no daemon: a host with one guest, in the process that asks.
  @Suite("drover serve with libvirt hosts")
  struct LibvirtTests {
    private static let good = "test:///default"
    private static let bad = "qemu+unix:///system?socket=/nowhere"
    private static let kinds: Set<String> = ["connect", "denied", "timeout", "lost", "call", "sockets"]

    /// The label `backend` of the one that watches a URI.
    private static func backend(_ uri: String, _ metrics: Metrics) throws -> String {
      let infos = metrics["drover_backend_info"].keys.filter { $0.contains("endpoint=\"\(uri)\"") }
      let labels = try #require(infos.first)
      return String(try #require(labels.firstMatch(of: /backend="[^"]+"/)).0)
    }

    private static func kind(_ labels: String) -> String? {
      labels.firstMatch(of: /kind="([^"]*)"/).map { String($0.1) }
    }

    /// Scrapes until the back end of a URI is up.
    private static func whenUp(_ uri: String, _ serving: Serving) async throws -> Metrics {
      try await eventually("\(uri) is up") {
        let metrics = try await serving.web.metrics()
        return metrics.value("drover_backend_up", try backend(uri, metrics)) == 1 ? metrics : nil
      }
    }

    private static func end(_ serving: Serving) async throws {
      let begun = ContinuousClock.now
      serving.program.signal(SIGTERM)
      #expect(try await serving.program.end() == .exited(0))
      #expect(ContinuousClock.now - begun < .seconds(1))
    }

    @Test("watches one that answers")
    func good() async throws {
      let serving = try await Serving(["--libvirt.uri", Self.good])
      try await eventually("readiness") { try await serving.web.get("/-/ready").status == 200 }
      try await eventually("the guest") {
        try await serving.web.metrics()["drover_node_vms"].values.contains(1)
      }
      // A second look at the host.
      let first = try await serving.web.metrics().value("drover_backend_last_success_timestamp_seconds") ?? 0
      try await eventually("a later answer") {
        try await serving.web.metrics().value("drover_backend_last_success_timestamp_seconds") ?? 0 > first
      }
      let metrics = try await Self.whenUp(Self.good, serving)
      let backend = try Self.backend(Self.good, metrics)
      let info = try #require(metrics["drover_backend_info"].keys.first)
      #expect(info.contains(#"type="libvirt""#))
      #expect(info.firstMatch(of: /version="[0-9]+\.[0-9]+\.[0-9]+"/) != nil)
      let nodes = metrics["drover_node_vms"]
      #expect(nodes.count == 1)
      #expect(nodes.keys.allSatisfy { $0.contains(backend) && $0.firstMatch(of: /node="[^"]+"/) != nil })
      let errors = metrics["drover_backend_errors_total"]
      #expect(Set(errors.keys.compactMap(Self.kind)) == Self.kinds)
      #expect(errors.values.allSatisfy { $0 == 0 }, "\(errors)")
      let began = try #require(metrics.value("process_start_time_seconds"))
      #expect(try #require(metrics.value("drover_backend_last_success_timestamp_seconds")) > began)

      try await Self.end(serving)
      let lines = serving.program.lines
      #expect(lines.count { $0.contains("connected to libvirt") } == 1)
      #expect(lines.count { $0.contains("vm=test") } == 1)
      #expect(!lines.contains { $0.contains("level=warn") || $0.contains("level=error") }, "\(lines)")
    }

    @Test("shows one that is not there as down, and is ready all the same")
    func bad() async throws {
      let serving = try await Serving(["--libvirt.uri", Self.bad])
      try await eventually("readiness") { try await serving.web.get("/-/ready").status == 200 }
      let metrics = try await eventually("a second attempt") {
        let metrics = try await serving.web.metrics()
        return metrics.value("drover_backend_errors_total", #"kind="connect""#) ?? 0 >= 2 ? metrics : nil
      }
      #expect(metrics.value("drover_backend_up") == 0)
      #expect(metrics["drover_backend_last_success_timestamp_seconds"].isEmpty)
      #expect(metrics["drover_node_vms"].isEmpty)
      let errors = metrics["drover_backend_errors_total"]
      #expect(Set(errors.keys.compactMap(Self.kind)) == Self.kinds)
      #expect(errors.count { $0.value > 0 } == 1, "\(errors)")
      #expect(serving.program.look() == nil)

      try await Self.end(serving)
      let lines = serving.program.lines.filter { $0.contains("level=warn") || $0.contains("level=error") }
      #expect(lines.count == 1, "\(lines)")
      #expect(lines.first?.contains("Failed to connect socket to '/nowhere'") == true)
      #expect(lines.first?.contains("libvirtd or virtqemud") == true)
    }

    @Test("lets one that is not there, and one that never answers, disturb no other")
    func beside() async throws {
      let directory = try TemporaryDirectory()
      let silent = try FakeQMP("\(directory.path)/silent.sock", .hangs)
      let hanging = "qemu+unix:///system?socket=\(silent.path)"
      let serving = try await Serving(
        ["--libvirt.uri", Self.bad, "--libvirt.uri", hanging, "--libvirt.uri", Self.good], in: directory)
      _ = try await Self.whenUp(Self.good, serving)
      try await eventually("an attempt at each") {
        let metrics = try await serving.web.metrics()
        let backend = try Self.backend(Self.bad, metrics)
        let isTried = metrics["drover_backend_errors_total"].contains {
          $0.key.contains(backend) && $0.key.contains(#"kind="connect""#) && $0.value >= 1
        }
        return isTried && silent.connections >= 1
      }
      let good = try Self.backend(Self.good, try await serving.web.metrics())
      let first =
        try await serving.web.metrics().value("drover_backend_last_success_timestamp_seconds", good) ?? 0
      try await eventually("a later answer of the good one") {
        try await serving.web.metrics().value("drover_backend_last_success_timestamp_seconds", good) ?? 0
          > first
      }
      let metrics = try await serving.web.metrics()
      let names = try [Self.good, Self.bad, hanging].map { try Self.backend($0, metrics) }
      #expect(Set(names).count == 3)
      #expect(names.map { metrics.value("drover_backend_up", $0) } == [1, 0, 0])
      #expect(metrics["drover_node_vms"].values.map(\.self) == [1])
      let errors = metrics["drover_backend_errors_total"].filter { $0.key.contains(names[0]) }
      #expect(errors.count == Self.kinds.count)
      #expect(errors.values.allSatisfy { $0 == 0 }, "\(errors)")
      // While libvirt still waits for the greeting of the silent one.
      try await Self.end(serving)
      let lines = serving.program.lines
      #expect(lines.count { $0.contains("connected to libvirt") } == 1)
      #expect(lines.count { $0.contains("level=warn") } == 1, "\(lines)")
    }

    @Test("opens a connection anew for another keepalive, and not for another time-out")
    func reload() async throws {
      let directory = try TemporaryDirectory()
      func yaml(_ timeouts: String) -> String {
        "backends:\n  - libvirt: {name: host-a, host: a, uri: \"\(Self.good)\", timeouts: {\(timeouts)}}\n"
      }
      let file = try directory.write(yaml("progress: 1m"), to: "drover.yaml")
      let serving = try await Serving(["--config.file", file], in: directory)
      func connections() -> Int { serving.program.lines.count { $0.contains("connected to libvirt") } }
      try await eventually("it is up") {
        try await serving.web.metrics().value("drover_backend_up", #"backend="host-a""#) == 1
      }
      #expect(try await serving.web.metrics().value("drover_node_vms", #"node="a""#) == 1)

      try directory.write(yaml("progress: 2m"), to: "drover.yaml")
      #expect(try await serving.control.post("/-/reload").status == 200)
      #expect(try await serving.web.metrics().value("drover_backend_up") == 1)
      #expect(connections() == 1)

      try directory.write(yaml("keepalive: {interval: 2s}"), to: "drover.yaml")
      #expect(try await serving.control.post("/-/reload").status == 200)
      try await eventually("a second connection") { connections() == 2 }
      try await eventually("it is up again") {
        try await serving.web.metrics().value("drover_backend_up", #"backend="host-a""#) == 1
      }
      try await Self.end(serving)
    }

    @Test(
      "refuses what can never work, with the remedy",
      arguments: [
        (["--libvirt.uri", "host-a"], 1, "--libvirt.uri: \"host-a\" is no URI", "qemu+ssh://host-a/system"),
        (
          ["--libvirt.uri", "/run/libvirt/libvirt-sock-ro"], 1, "is no URI",
          "qemu:///system?socket=/run/libvirt/libvirt-sock-ro"
        ),
        (
          ["--libvirt.uri", "test:///default", "--libvirt.uri", "test:///default"], 1, "is named twice",
          "one flag"
        ),
        (["--path.rootfs", "/no/such"], 64, "--path.rootfs /no/such: there is no such directory", "mounted"),
        (["--path.rootfs", "/etc/passwd"], 64, "there is no such directory", "mounted"),
      ])
    func refused(arguments: [String], code: Int32, cause: String, remedy: String) async throws {
      let run = try await Program.run(
        ["serve", "--web.listen-address", "127.0.0.1:0"] + arguments, in: TemporaryDirectory())
      #expect(run.ending == .exited(code))
      #expect(run.errors.contains(cause), "\(run.errors)")
      #expect(run.errors.contains(remedy), "\(run.errors)")
    }

    @Test("takes the host's files from where they are mounted")
    func root() async throws {
      let directory = try TemporaryDirectory()
      // Neither processes nor a network namespace are there: said once, and deadlines are inferred.
      let serving = try await Serving(
        ["--libvirt.uri", Self.good, "--path.rootfs", directory.path], in: directory)
      _ = try await Self.whenUp(Self.good, serving)
      try await eventually("the missing namespace") {
        serving.program.lines.contains { $0.contains("\(directory.path)/proc/1/ns/net") }
      }
      let metrics = try await serving.web.metrics()
      #expect(try #require(metrics.value("drover_backend_errors_total", #"kind="sockets""#)) >= 1)
      try await Self.end(serving)
    }

    @Test("check-config shows the hosts, and names every fault by its line")
    func checkConfig() async throws {
      let directory = try TemporaryDirectory()
      let file = try directory.write(
        "backends:\n  - libvirt: {uri: \"qemu+ssh://a/system\"}\n  - libvirt: {uri: \"qemu:///system\", name: b}\n",
        to: "drover.yaml")
      let run = try await Program.run(["check-config", file], in: directory)
      #expect(run.ending == .exited(0))
      for text in [
        "name: \"a\"\n", "uri: \"qemu:///system\"\n", "# keepalive: what the host's qemu.conf says\n",
      ] {
        #expect(run.output.contains(text), "\(run.output)")
      }
      let json = try await Program.run(["check-config", file, "--output", "json"], in: directory)
      let tree = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
      let hosts = (tree?["backends"] as? [[String: [String: Any]]])?.compactMap {
        $0["libvirt"]?["name"] as? String
      }
      #expect(hosts == ["a", "b"])

      let faults = try directory.write(
        "backends:\n  - libvirt: {uri: a}\n  - libvirt: {}\n  - libvirt: {uri: \"qemu:///system\",\n      password: x}\n",
        to: "faults.yaml")
      let refused = try await Program.run(["check-config", faults], in: directory)
      #expect(refused.ending == .exited(1))
      for line in [2, 3, 5] { #expect(refused.errors.contains("\n\(faults):\(line):"), "\(refused.errors)") }
    }
  }
}
