import Foundation
import Testing

@testable import ProgramSupport

/// `drover serve`, and its other commands asked of it.
final class LabDaemon: Sendable {
  /// A directory that goes with it.
  let directory: URL
  /// Where it serves over TCP, `http://127.0.0.1:<port>`.
  let address: String

  private init(_ directory: URL, port: UInt16) {
    self.directory = directory
    address = "http://127.0.0.1:\(port)"
  }

  /// Lends `body` a daemon once `isReady` says so.
  ///
  /// - Parameters:
  ///   - configuration: Its configuration file.
  ///   - arguments: Of `serve`, besides addresses and the journal.
  static func with(
    configuration: String = "", _ arguments: [String] = [],
    isReady: (LabDaemon) async throws -> Bool, _ body: (LabDaemon) async throws -> Void
  ) async throws {
    let directory = FileManager.default.temporaryDirectory.appending(
      path: "drover-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let daemon = LabDaemon(directory, port: try freePort())
    let file = directory.appending(path: "drover.yaml")
    try configuration.write(to: file, atomically: true, encoding: .utf8)
    let process = daemon.process(
      [
        "serve", "--config.file", file.path, "--control.socket", daemon.socket, "--web.listen-address",
        String(daemon.address.dropFirst("http://".count)), "--journal.path",
        directory.appending(path: "journal.db").path,
      ] + arguments)
    let log = directory.appending(path: "log")
    _ = FileManager.default.createFile(atPath: log.path, contents: nil)
    process.standardError = try FileHandle(forWritingTo: log)
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    defer {
      process.terminate()
      process.waitUntilExit()
    }
    let end = ContinuousClock.now + .seconds(60)
    while !(try await isReady(daemon)) {
      guard ContinuousClock.now < end else {
        Issue.record("not ready after 60 s: \(daemon.log)")
        return
      }
      try await Task.sleep(for: .milliseconds(200))
    }
    try await body(daemon)
  }

  private var socket: String { directory.appending(path: "socket").path }

  /// What it has logged.
  var log: String {
    (try? String(contentsOf: directory.appending(path: "log"), encoding: .utf8)) ?? ""
  }

  private func process(_ arguments: [String]) -> Process {
    let process = Process()
    process.executableURL = CommandAnswer.drover
    process.arguments = arguments
    process.environment = ["HOME": directory.path, "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"]
    process.currentDirectoryURL = directory
    return process
  }

  /// Runs a command to its end; over the control socket, unless a server is named.
  func run(_ arguments: [String], server: String? = nil) async throws -> CommandAnswer {
    try await CommandAnswer(of: process(arguments + ["--server", server ?? "unix://\(socket)"]))
  }

  /// What it exports; empty while it does not answer.
  func metrics() async throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/curl")
    process.arguments = ["-s", "--max-time", "5", "--unix-socket", socket, "http://drover/metrics"]
    return try await CommandAnswer(of: process).output
  }
}
