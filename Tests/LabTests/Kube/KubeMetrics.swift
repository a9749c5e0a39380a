import DroverCore
import Foundation
import KubeLab
import KubeVirtBackend
import QEMURig
import Testing

@testable import ProgramSupport

extension LabTests {
  @Suite("KubeVirt: what Prometheus and people are shown")
  struct KubeMetrics {
    @Test(
      "the program on a cluster: metrics, both of Prometheus' ways with labels, and the page's figure in `show`"
    )
    func program() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        for node in ["n1", "n2", "n3"] { try await cluster.addNode(node) }
        try await cluster.handlers.setInterval(.milliseconds(500))
        var migrations: [Migration] = []
        for name in ["running", "ended"] {
          let vm = try await cluster.addVMI(
            name, in: "team", on: "n1", memory: "8Gi", migrationMethod: "LiveMigration")
          migrations.append(try await cluster.createVMIM(for: vm))
        }
        let (running, ended) = (migrations[0], migrations[1])
        for migration in migrations { try await migration.advance(to: .running, on: "n2") }
        try await cluster.handlers.begin(running.copy, total: 1 << 40, rate: 50 << 20, dirtyRate: 0)
        let waiting = try await cluster.createVMIM(
          for: try await cluster.addVMI("waiting", in: "team", on: "n1"), origin: .evacuation("n1"))
        try await waiting.pending()
        try await cluster.taint("n1")

        let port = try freePort()
        let socket = "\(cluster.server.directory)/control.sock"
        let drover = try Tool(
          Tool.drover,
          [
            "serve", "--kubevirt.kubeconfig", try cluster.server.kubeconfig(User.admin),
            "--web.listen-address", "127.0.0.1:\(port)", "--control.socket", socket,
            "--journal.path", "\(cluster.server.directory)/journal.db",
          ], in: cluster.server.directory)
        defer { drover.end() }
        let metrics = "http://127.0.0.1:\(port)/metrics"
        func scrape() async throws -> Scrape { Scrape(try await fetch(metrics)) }
        try await eventually("bytes of the running one") {
          try await scrape().value(of: "drover_migration_transferred_bytes_total", ["vm": "running"]) ?? 0 > 0
        }
        try await ended.succeed()
        try await eventually("the end of the other") {
          try await scrape().value(
            of: "drover_migration_phase", ["vm": "ended", "phase": "succeeded"]) == 1
        }

        let labels = ["backend": "kubevirt", "namespace": "team", "vm": "running"]
        // What is inferred of the network is told once a second, and forgotten where nobody renews it.
        try await eventually("its keepalive") {
          try await scrape().value(of: "drover_migration_keepalive_timeout_seconds", labels) == 30
        }
        let all = try await scrape()
        #expect(all.value(of: "drover_migration_phase", labels.with("phase", "precopy")) == 1)
        #expect(all.value(of: "drover_migration_info", labels.with("object", running.name)) == 1)
        #expect(
          all.value(of: "drover_migration_completion_timeout_seconds", labels.with("set_by", "vmi")) == 1350)
        #expect(
          all.value(of: "drover_migration_phase", ["vm": "waiting", "phase": "pending"]) == 1)
        #expect(
          all.value(of: "drover_migration_info", ["vm": "waiting", "origin": "evacuation"]) == 1)
        let node = ["backend": "kubevirt", "node": "n1"]
        #expect(all.value(of: "drover_node_draining", node) == 1)
        #expect(all.value(of: "drover_node_drained", node) == 0)
        #expect(all.value(of: "drover_node_drain_vms", node.with("state", "pending")) == 1)
        #expect(all.value(of: "drover_node_drain_vms", node.with("state", "migrating")) == 1)
        #expect(all.value(of: "drover_node_drain_vms", node.with("state", "done")) == 1)
        #expect(all.value(of: "drover_node_reboot_blockers", node.with("reason", "vm")) == 1)
        #expect(all.value(of: "drover_node_reboot_blockers", node.with("reason", "inbound")) == 0)
        #expect(all.value(of: "drover_node_drain_started_timestamp_seconds", node) ?? 0 > 1e9)
        #expect(all.value(of: "drover_backend_up", ["backend": "kubevirt"]) == 1)
        #expect(all.value(of: "drover_migrations_succeeded_total", ["origin": "manual"]) == 1)

        let file = "\(cluster.server.directory)/metrics.txt"
        try all.text.write(toFile: file, atomically: true, encoding: .utf8)
        let checked = try await Tool.run("/bin/sh", ["-c", "promtool check metrics < '\(file)'"])
        #expect(checked.status == 0, "\(checked.output)")

        let shown = try await Tool.run(
          Tool.drover, ["show", "team/running", "--server", "unix://\(socket)"])
        #expect(shown.status == 0)
        #expect(shown.output.contains("1350") && shown.output.contains("6400"), "\(shown.output)")

        try await Self.scrapesBothWays(port: port, in: cluster.server.directory, namespace: "team")
        #expect(drover.isRunning)
      }
    }

    /// A real Prometheus scrapes with and without `honor_labels`, in a job that has a namespace of its own, as any that
    /// Kubernetes has found has.
    private static func scrapesBothWays(port: UInt16, in directory: String, namespace: String) async throws {
      let own = try freePort()
      let target = #"{targets: ["127.0.0.1:\#(port)"], labels: {namespace: monitoring}}"#
      let file = "\(directory)/prometheus.yml"
      try """
      global: {scrape_interval: 1s, scrape_timeout: 1s}
      scrape_configs:
        - {job_name: honoured, honor_labels: true, static_configs: [\(target)]}
        - {job_name: overridden, honor_labels: false, static_configs: [\(target)]}

      """.write(toFile: file, atomically: true, encoding: .utf8)
      let prometheus = try Tool(
        "/usr/bin/prometheus",
        [
          "--config.file", file, "--storage.tsdb.path", "\(directory)/prometheus", "--log.level", "warn",
          "--web.listen-address", "127.0.0.1:\(own)",
        ], in: directory)
      defer { prometheus.end() }
      func series(_ job: String) async throws -> [[String: JSONValue]] {
        let query = "query=drover_migration_info%7Bjob%3D%22\(job)%22%7D"
        guard
          let answer = try? await fetch("http://127.0.0.1:\(own)/api/v1/query?\(query)"),
          let json = JSONValue(json: answer)
        else { return [] }
        return json[path: "data", "result"]?.array.compactMap { $0["metric"]?.members } ?? []
      }
      for (job, label, other) in [
        ("honoured", "namespace", "exported_namespace"), ("overridden", "exported_namespace", "namespace"),
      ] {
        try await eventually("three series of \(job)") { try await series(job).count == 3 }
        let found = try await series(job)
        #expect(found.allSatisfy { $0[label]?.string == namespace })
        #expect(Set(found.compactMap { $0["migration"]?.string }).count == 3)
        #expect(Set(found.compactMap { $0["vm"]?.string }) == ["running", "ended", "waiting"])
        let expected: String? = job == "honoured" ? nil : "monitoring"
        #expect(found.allSatisfy { $0[other]?.string == expected })
      }
    }
  }
}

/// What a scrape has told.
private struct Scrape {
  let text: String

  init(_ text: String) { self.text = text }

  /// The only sample of a family with these labels, among others; nil where there is none, or more than one.
  func value(of family: String, _ labels: [String: String]) -> Double? {
    let found = text.split(separator: "\n").filter { line in
      line.hasPrefix("\(family){") && labels.allSatisfy { line.contains("\($0.key)=\"\($0.value)\"") }
    }
    guard found.count == 1 else { return nil }
    return found[0].split(separator: " ").last.flatMap { Double($0) }
  }
}

extension [String: String] {
  fileprivate func with(_ key: String, _ value: String) -> [String: String] {
    merging([key: value]) { $1 }
  }
}

/// A program that runs; killed with its last reference.
private final class Tool {
  /// The executable that was built beside these tests.
  static let drover: String = {
    let runner = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(filePath: runner).deletingLastPathComponent().appending(path: "drover").path
  }()

  private let process = Process()

  init(_ executable: String, _ arguments: [String], in directory: String) throws {
    process.executableURL = URL(filePath: executable)
    process.arguments = arguments
    let log = "\(directory)/\(UUID().uuidString).log"
    _ = FileManager.default.createFile(atPath: log, contents: nil)
    let output = FileHandle(forWritingAtPath: log)
    process.standardOutput = output
    process.standardError = output
    process.standardInput = FileHandle.nullDevice
    try process.run()
  }

  deinit { end() }

  var isRunning: Bool { process.isRunning }

  func end() {
    guard process.isRunning else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// Runs a program to its end.
  static func run(_ executable: String, _ arguments: [String]) async throws -> (status: Int32, output: String)
  {
    let process = Process()
    process.executableURL = URL(filePath: executable)
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }
}

/// Reads a page.
private func fetch(_ url: String) async throws -> String {
  let program =
    "import sys, urllib.request as r; sys.stdout.buffer.write(r.urlopen(sys.argv[1], timeout=10).read())"
  let answer = try await Tool.run("/usr/bin/python3", ["-c", program, url])
  return answer.status == 0 ? answer.output : ""
}

/// Waits until something holds.
private func eventually(_ what: String, _ holds: () async throws -> Bool) async throws {
  let deadline = ContinuousClock.now + .seconds(60)
  while try await !holds() {
    try #require(ContinuousClock.now < deadline, "\(what)")
    try await Task.sleep(for: .milliseconds(50))
  }
}
