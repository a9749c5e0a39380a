import Foundation
import MicroHTTP
import Synchronization
import Testing

@testable import ProgramSupport

/// Two Prometheuses and a cluster of two Alertmanagers, with the rules and the route that are shipped, beside replicas.
final class KubeAlerting: Sendable {
  private let processes: [Process]
  private let directory: URL
  private let prometheuses: [UInt16]
  private let managers: [UInt16]
  let service: AlertService

  /// What is shipped.
  private static let alerts = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../../alerts").standardizedFileURL

  private struct Trouble: Error, CustomStringConvertible {
    let description: String
  }

  /// Lends `body` all of them, ready; they have ended on return.
  ///
  /// - Parameters:
  ///   - tokenFile: What Alertmanager is let in with.
  ///   - repeating: How often an alert that holds is sent again: a minute as it is shipped.
  static func with(
    _ replicas: [Replica], tokenFile: String, repeating: String, _ body: (KubeAlerting) async throws -> Void
  ) async throws {
    let stack = try KubeAlerting(replicas, tokenFile: tokenFile, repeating: repeating)
    defer { stack.end() }
    try await stack.untilReady()
    try await body(stack)
  }

  private init(_ replicas: [Replica], tokenFile: String, repeating: String) throws {
    directory = FileManager.default.temporaryDirectory.appending(
      path: "drover-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    service = try AlertService(replicas.map(\.port))
    let gossip = [try freePort(), try freePort()]
    managers = [try freePort(), try freePort()]
    prometheuses = [try freePort(), try freePort()]

    let shipped = try String(contentsOf: Self.alerts.appending(path: "alertmanager.yml"), encoding: .utf8)
    let route = shipped.replacing("localhost:10950", with: service.hostAndPort)
      .replacing("/etc/alertmanager/drover.token", with: tokenFile)
      .replacing("repeat_interval: 1m", with: "repeat_interval: \(repeating)")
    try #require(
      route.contains(tokenFile) && route.contains(service.hostAndPort) && route.contains(repeating))
    try route.write(to: directory.appending(path: "alertmanager.yml"), atomically: true, encoding: .utf8)
    let rules = ["drover-recording.yml", "drover-abort.yml"].map { "\"\(Self.alerts.path)/\($0)\"" }
    func targets(_ ports: [UInt16]) -> String { ports.map { "\"127.0.0.1:\($0)\"" }.joined(separator: ", ") }
    let configuration = """
      global: {scrape_interval: 5s, scrape_timeout: 4s, evaluation_interval: 5s}
      rule_files: [\(rules.joined(separator: ", "))]
      alerting: {alertmanagers: [{static_configs: [{targets: [\(targets(managers))]}]}]}
      scrape_configs:
        - job_name: drover-migrations
          honor_labels: true
          params: {"collect[]": [migrations]}
          static_configs: [{targets: [\(targets(replicas.map(\.port)))]}]
      """
    try configuration.write(
      to: directory.appending(path: "prometheus.yml"), atomically: true, encoding: .utf8)
    let folder = directory
    func path(_ name: String) -> String { folder.appending(path: name).path }
    var processes: [Process] = []
    for n in 0...1 {
      processes.append(
        try Self.start(
          "prometheus",
          [
            "--config.file", path("prometheus.yml"), "--storage.tsdb.path", path("data-\(n)"),
            "--web.listen-address", "127.0.0.1:\(prometheuses[n])", "--log.level", "warn",
          ], in: folder))
      processes.append(
        try Self.start(
          "prometheus-alertmanager",
          [
            "--config.file", path("alertmanager.yml"), "--storage.path", path("alerts-\(n)"),
            "--web.listen-address", "127.0.0.1:\(managers[n])",
            "--cluster.listen-address", "127.0.0.1:\(gossip[n])",
            "--cluster.advertise-address", "127.0.0.1:\(gossip[n])",
            "--cluster.peer", "127.0.0.1:\(gossip[1 - n])",
          ], in: folder))
    }
    self.processes = processes
  }

  private static func start(_ name: String, _ arguments: [String], in directory: URL) throws -> Process {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/\(name)")
    process.arguments = arguments
    let log = directory.appending(path: "log-\(UUID().uuidString.prefix(8))")
    _ = FileManager.default.createFile(atPath: log.path, contents: nil)
    process.standardError = try FileHandle(forWritingTo: log)
    process.standardOutput = process.standardError
    try process.run()
    return process
  }

  private func end() {
    service.stop()
    for process in processes where process.isRunning {
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
    }
    try? FileManager.default.removeItem(at: directory)
  }

  /// What all of them have logged.
  var log: String {
    let files =
      (try? FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)) ?? []
    return files.filter { $0.lastPathComponent.hasPrefix("log-") }
      .map { (try? String(contentsOf: $0, encoding: .utf8)) ?? "" }.joined()
  }

  private func untilReady() async throws {
    let rule = "/api/v1/query?query=drover:sample_age_seconds:limit"
    let questions = managers.map { ($0, "/-/ready", "OK") } + prometheuses.map { ($0, rule, "\"value\"") }
    let end = ContinuousClock.now + .seconds(60)
    for (port, path, word) in questions {
      while try await !get(port, path).contains(word) {
        guard ContinuousClock.now < end else { throw Trouble(description: "\(path) is not there: \(log)") }
        try await Task.sleep(for: .milliseconds(200))
      }
    }
    for port in managers {
      while try await !get(port, "/metrics").contains("alertmanager_cluster_members 2") {
        guard ContinuousClock.now < end else { throw Trouble(description: "they do not meet: \(log)") }
        try await Task.sleep(for: .milliseconds(200))
      }
    }
  }

  private func get(_ port: UInt16, _ path: String) async throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/curl")
    process.arguments = ["-s", "--max-time", "5", "http://127.0.0.1:\(port)\(path)"]
    return try await CommandAnswer(of: process).output
  }
}

/// What stands in the place of a Service: each request goes to the next replica, whether that leads or not.
final class AlertService: Sendable {
  /// What is done about an alert before it goes on.
  enum Turn: Sendable {
    /// It goes on, first to a replica if one is named.
    case on(UInt16?)
    /// It is sent back with 503.
    case back
  }

  let hostAndPort: String
  private let doing: Doing
  private let task: Task<Void, Never>

  private final class Doing: Sendable {
    struct State {
      var next = 0
      var interceptors: [String: @Sendable () async -> Turn] = [:]
      var answers: [Int: Int] = [:]
    }

    let ports: [UInt16]
    let state = Mutex(State())

    init(_ ports: [UInt16]) { self.ports = ports }

    func handle(_ request: Request) async -> Response {
      let body = String(decoding: request.body, as: UTF8.self)
      let interceptor = state.withLock { state in
        body.contains("DroverMigrationNotConverging")
          ? state.interceptors.first { body.contains($0.key) }?.value : nil
      }
      var port: UInt16?
      switch await interceptor?() {
      case .back?: return .text("not now\n", status: 503)
      case .on(let named)?: port = named
      case nil: break
      }
      let chosen =
        port
        ?? state.withLock { state in
          state.next += 1
          return ports[state.next % ports.count]
        }
      let answer = await forward(
        request.body, authorization: request.headers["Authorization"] ?? "", to: chosen)
      state.withLock { $0.answers[answer.status, default: 0] += 1 }
      return Response(
        status: answer.status, headers: ["Content-Type": "application/json"], body: .bytes(answer.body))
    }
  }

  init(_ ports: [UInt16]) throws {
    let doing = Doing(ports)
    self.doing = doing
    var router = Router()
    router.on(.post, "/api/v1/alerts", .deferred { await doing.handle($0) })
    let server = try HTTPServer(listeners: [Listener(.tcp(host: "127.0.0.1", port: 0))], router: router) {
      _ in
    }
    hostAndPort = try #require(server.boundAddresses.first).description
    task = Task { try? await server.run() }
  }

  /// Lets a test see each alert that a migration does not converge before it goes on; nil: no more.
  func intercept(_ migration: String, _ interceptor: (@Sendable () async -> Turn)?) {
    doing.state.withLock { $0.interceptors[migration] = interceptor }
  }

  /// How many requests were answered how; 502 where nobody took them.
  var answers: [Int: Int] { doing.state.withLock(\.answers) }

  func stop() { task.cancel() }
}
