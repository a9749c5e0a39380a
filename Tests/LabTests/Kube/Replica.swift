import DroverService
import Foundation
import KubeLab
import Synchronization
import Testing

@testable import ProgramSupport

/// A `drover serve` that stands for election; it may be ended and started again.
final class Replica: Sendable {
  let number: Int
  let host: String
  let lease: String
  /// Where it serves everybody, on 127.0.0.1.
  let port: UInt16
  private let directory: URL
  private let process = Mutex<Process?>(nil)

  private init(_ number: Int, kubeconfig: String, lease: String, _ configuration: String, in parent: URL)
    throws
  {
    self.number = number
    self.lease = lease
    port = try freePort()
    host = ProcessInfo.processInfo.hostName
    directory = parent.appending(path: "\(number)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    let text = """
      backends:
        - kubevirt: {name: kube, kubeconfig: "\(kubeconfig)", lease: {namespace: default, name: \(lease)}}
      \(configuration)
      """
    try text.write(to: directory.appending(path: "drover.yaml"), atomically: true, encoding: .utf8)
    let log = directory.appending(path: "log")
    _ = FileManager.default.createFile(atPath: log.path, contents: nil)
    try start()
  }

  /// Starts it, also after its end: with the same journal.
  func start() throws {
    let process = Process()
    process.executableURL = CommandAnswer.drover
    func path(_ name: String) -> String { directory.appending(path: name).path }
    process.arguments = [
      "serve", "--config.file", path("drover.yaml"), "--control.socket", path("socket"),
      "--web.listen-address", "127.0.0.1:\(port)", "--journal.path", path("journal.db"),
    ]
    let log = try FileHandle(forWritingTo: directory.appending(path: "log"))
    try log.seekToEnd()
    process.standardError = log
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    self.process.withLock { $0 = process }
  }

  /// Lends `body` replicas; they have ended on return.
  ///
  /// - Parameters:
  ///   - user: As whom they ask the API server.
  ///   - configuration: Everything but the back ends.
  static func with(
    _ cluster: Cluster, count: Int, as user: User = .admin,
    configuration: String = "control: {switches: {manual: enabled}}",
    _ body: ([Replica]) async throws -> Void
  ) async throws {
    let directory = FileManager.default.temporaryDirectory.appending(
      path: "drover-\(UUID().uuidString.prefix(8))")
    defer { try? FileManager.default.removeItem(at: directory) }
    let kubeconfig = try cluster.server.kubeconfig(user)
    // Leases outlive their cluster here.
    let lease = "drover-\(UInt32.random(in: .min ... .max))"
    let replicas = try (1...count).map {
      try Replica($0, kubeconfig: kubeconfig, lease: lease, configuration, in: directory)
    }
    defer {
      for replica in replicas {
        replica.send(SIGCONT)
        replica.send(SIGKILL)
        replica.process.withLock { $0?.waitUntilExit() }
      }
    }
    try await body(replicas)
  }

  var log: String {
    (try? String(contentsOf: directory.appending(path: "log"), encoding: .utf8)) ?? ""
  }

  func send(_ signal: Int32) {
    process.withLock { process in
      if let process, process.isRunning { kill(process.processIdentifier, signal) }
    }
  }

  // MARK: What it tells

  /// What it answers on its control socket; empty while it does not answer.
  func get(_ path: String) async throws -> String {
    try await run(
      "/usr/bin/curl",
      [
        "-s", "--max-time", "5", "--unix-socket", directory.appending(path: "socket").path,
        "http://drover\(path)",
      ]
    ).output
  }

  /// What it exports; empty while it does not answer.
  func metrics() async throws -> String { try await get("/metrics") }

  func leads() async throws -> Bool { try await metrics().contains("\ndrover_leader 1\n") }

  func migration(_ id: String) async throws -> MigrationItem? {
    let text = try await get("/api/v1/migrations")
    guard !text.isEmpty else { return nil }
    return try APICoding.decode(MigrationList.self, from: Array(text.utf8)).items.first { $0.id == id }
  }

  /// What is in its journal, the latest first.
  func decisions() async throws -> [DecisionItem] {
    let text = try await get("/api/v1/decisions?limit=1000")
    return text.isEmpty ? [] : try APICoding.decode(DecisionList.self, from: Array(text.utf8)).items
  }

  /// Waits for one of them to lead; never may two.
  static func leader(of replicas: [Replica], _ what: String) async throws -> Replica {
    let end = ContinuousClock.now + .seconds(60)
    while ContinuousClock.now < end {
      var leaders: [Replica] = []
      for replica in replicas where try await replica.leads() { leaders.append(replica) }
      #expect(leaders.count <= 1)
      if let leader = leaders.first { return leader }
      try await Task.sleep(for: .milliseconds(200))
    }
    Issue.record("no \(what) after 60 s: \(replicas.map(\.log).joined(separator: "\n"))")
    throw NoLeader()
  }

  private struct NoLeader: Error {}

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
