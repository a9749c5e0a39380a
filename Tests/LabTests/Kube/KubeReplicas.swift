import DroverCore
import Foundation
import KubeLab
import KubeVirtBackend
import QEMURig
import Synchronization
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("KubeVirt: several Drovers, one of which acts")
  struct KubeReplicas {
    @Test(
      "one leads and speaks for the fleet; when it is killed or frozen the other one does, and never both"
    )
    func leads() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        for node in ["n1", "n2"] { try await cluster.addNode(node) }
        let vm = try await cluster.addVMI("web", on: "n1")
        let migration = try await cluster.createVMIM(for: vm)
        try await migration.advance(to: .running, on: "n2")
        try await Replica.with(cluster, count: 2) { replicas in
          let first = try await Self.leader(of: replicas, "a first leader")
          let second = try #require(replicas.first { $0.number != first.number })
          #expect(try await first.metrics().contains("drover_migration_info{"))
          let standby = try await second.metrics()
          #expect(standby.contains("drover_backend_up{"), "a standby shows itself")
          for family in ["drover_migration_", "drover_vm_", "drover_node_"] {
            #expect(!standby.contains("\n\(family)"), "a standby speaks for nobody: \(family)")
          }

          var refused = try await second.run(["abort", migration.uid, "--dry-run"])
          let end = ContinuousClock.now + .seconds(10)
          // It may not have read the Lease since there is a leader.
          while !refused.errors.contains("ask the leader, \(first.host)"), ContinuousClock.now < end {
            refused = try await second.run(["abort", migration.uid, "--dry-run"])
          }
          #expect(refused.code == 1 && refused.errors.contains("ask the leader, \(first.host)"), "\(refused)")
          let allowed = try await first.run(["abort", migration.uid, "--dry-run"])
          #expect(allowed.code == 0, "\(allowed)")

          // A process that is stopped leads no more when it goes on, however long nobody asked it.
          first.send(SIGSTOP)
          _ = try await Self.leader(of: [second], "another leader while the first is frozen")
          first.send(SIGCONT)
          #expect(try await !first.leads())
          let late = try await first.run(["abort", migration.uid])
          #expect(late.code == 1 && late.errors.contains("does not lead"), "\(late)")
          #expect(
            try await cluster.api.get(.vmims, migration.name, in: migration.namespace)[
              path: "metadata", "deletionTimestamp"] == nil)

          // What was claimed outlives its process.
          #expect(try await second.run(["abort", migration.uid, "--no-wait"]).code == 0)
          let claims = try await cluster.api.get(.configMaps, first.lease, in: "default")
          #expect(claims[path: "data", "claims.json"]?.string?.contains(migration.uid) == true)
          second.send(SIGKILL)
          _ = try await Self.leader(of: [first], "the first again, once the other one is killed")
        }
      }
    }

    @Test("a leader that ends gives its place to the other one at once")
    func gives() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        try await Replica.with(cluster, count: 2) { replicas in
          let first = try await Self.leader(of: replicas, "a first leader")
          let second = try #require(replicas.first { $0.number != first.number })
          first.send(SIGTERM)
          let ended = ContinuousClock.now
          _ = try await Self.leader(of: [second], "the other one")
          #expect(ContinuousClock.now - ended < .seconds(8))
        }
      }
    }

    @Test("two Drovers that claim at once: one automatic abort of a migration, and no claim is lost")
    func claims() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        let kubeconfig = try cluster.server.kubeconfig(.admin)
        func configuration(_ name: String) -> KubeVirtConfiguration {
          var configuration = KubeVirtConfiguration(
            name: BackendName(rawValue: name), access: .kubeconfig(path: kubeconfig, context: nil))
          configuration.lease = .init(namespace: "default", identity: name)
          return configuration
        }
        let made = Mutex<[KubeVirtBackend]>([])
        try await Watcher.with(backends: { clock, log in
          let backends = ["a", "b"].map {
            KubeVirtBackend(configuration: configuration($0), clock: clock, log: log)
          }
          made.withLock { $0 = backends }
          return backends
        }) { watcher in
          try await watcher.until("both") { record in
            record.snapshot.backends.filter(\.isUp).count == 2 ? true : nil
          }
          let both = made.withLock(\.self)
          let (a, b) = (try #require(both.first), try #require(both.last))
          let vm = VMRef(backend: a.descriptor.name, scope: .namespace("default"), name: "web")
          func claim(_ id: String, by backend: KubeVirtBackend) async -> ControlError? {
            do throws(ControlError) {
              guard let id = MigrationID(id) else { return nil }
              try await backend.claim(
                AbortClaim(
                  migration: id, vm: vm, trigger: .alert,
                  claimedAt: Int64(Date().timeIntervalSince1970 * 1000)))
              return nil
            } catch { return error }
          }
          async let one = claim("same", by: a)
          async let two = claim("same", by: b)
          let answers = await [one, two]
          #expect(
            answers.filter { $0 == nil }.count == 1 && answers.contains { $0?.kind == .refused }, "\(answers)"
          )
          for n in 0..<5 {
            async let left = claim("a-\(n)", by: a)
            async let right = claim("b-\(n)", by: b)
            let both = await [left, right]
            #expect(both == [nil, nil], "\(both)")
          }
          #expect(try await a.claims().claims.count == 11)
          #expect(try await a.claims() == b.claims())
        }
      }
    }

    private static func leader(of replicas: [Replica], _ what: String) async throws -> Replica {
      let end = ContinuousClock.now + .seconds(60)
      while ContinuousClock.now < end {
        var leaders: [Replica] = []
        for replica in replicas where try await replica.leads() { leaders.append(replica) }
        #expect(leaders.count <= 1)
        if let leader = leaders.first { return leader }
        try await Task.sleep(for: .milliseconds(200))
      }
      Issue.record("no \(what) after 60 s: \(replicas.map(\.log).joined(separator: "\n"))")
      throw Missing()
    }

    private struct Missing: Error {}
  }
}

/// A `drover serve` that stands for election.
private final class Replica: Sendable {
  let number: Int
  let host: String
  let lease: String
  private let directory: URL
  private let process: Process

  private init(_ number: Int, kubeconfig: String, lease: String, in parent: URL) throws {
    self.number = number
    self.lease = lease
    host = ProcessInfo.processInfo.hostName
    directory = parent.appending(path: "\(number)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    let configuration = """
      backends:
        - kubevirt: {name: kube, kubeconfig: "\(kubeconfig)", lease: {namespace: default, name: \(lease)}}
      control: {switches: {manual: enabled}}
      """
    let file = directory.appending(path: "drover.yaml")
    try configuration.write(to: file, atomically: true, encoding: .utf8)
    process = Process()
    process.executableURL = CommandAnswer.drover
    process.arguments = [
      "serve", "--config.file", file.path, "--control.socket", directory.appending(path: "socket").path,
      "--web.listen-address", "127.0.0.1:0", "--journal.path", directory.appending(path: "journal.db").path,
    ]
    let log = directory.appending(path: "log")
    _ = FileManager.default.createFile(atPath: log.path, contents: nil)
    process.standardError = try FileHandle(forWritingTo: log)
    process.standardOutput = FileHandle.nullDevice
    try process.run()
  }

  /// Lends `body` replicas that answer; they have ended on return.
  static func with(_ cluster: Cluster, count: Int, _ body: ([Replica]) async throws -> Void) async throws {
    let directory = FileManager.default.temporaryDirectory.appending(
      path: "drover-\(UUID().uuidString.prefix(8))")
    defer { try? FileManager.default.removeItem(at: directory) }
    let kubeconfig = try cluster.server.kubeconfig(.admin)
    // Leases outlive their cluster here.
    let lease = "drover-\(UInt32.random(in: .min ... .max))"
    let replicas = try (1...count).map {
      try Replica($0, kubeconfig: kubeconfig, lease: lease, in: directory)
    }
    defer {
      for replica in replicas {
        replica.send(SIGCONT)
        replica.send(SIGKILL)
        replica.process.waitUntilExit()
      }
    }
    try await body(replicas)
  }

  var log: String {
    (try? String(contentsOf: directory.appending(path: "log"), encoding: .utf8)) ?? ""
  }

  func send(_ signal: Int32) {
    if process.isRunning { kill(process.processIdentifier, signal) }
  }

  /// What it exports; empty while it does not answer.
  func metrics() async throws -> String {
    try await run(
      "/usr/bin/curl",
      [
        "-s", "--max-time", "5", "--unix-socket", directory.appending(path: "socket").path,
        "http://drover/metrics",
      ]
    ).output
  }

  func leads() async throws -> Bool { try await metrics().contains("\ndrover_leader 1\n") }

  /// Runs a command of the program to its end.
  func run(_ arguments: [String]) async throws -> CommandAnswer {
    try await run(
      CommandAnswer.drover.path,
      arguments + ["--server", "unix://\(directory.appending(path: "socket").path)"])
  }

  private func run(_ program: String, _ arguments: [String]) async throws -> CommandAnswer {
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    return try await CommandAnswer(of: process)
  }
}
