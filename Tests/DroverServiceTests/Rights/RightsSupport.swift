import Foundation
import Logging
import MicroHTTP
import PeerTools
import Synchronization
import Testing

@testable import DroverService

/// bcrypt hashes of cost 4.
let secretHash = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
let otherHash = "$2b$04$abcdefghijklmnopqrstuu0HtfOlPbTiymk5tcV.3TsFPDd3SYZqu"

/// Keeps what is logged.
final class Lines: Sendable {
  private let kept = Mutex<[String]>([])
  var all: [String] { kept.withLock(\.self) }
  var text: String { all.joined(separator: "\n") }
  func add(_ line: String) { kept.withLock { $0.append(line) } }

  func logger() -> Logger {
    Logger(label: "test") { _ in LineHandler(lines: self) }
  }

  private struct LineHandler: LogHandler {
    let lines: Lines
    var metadata = Logger.Metadata()
    var logLevel = Logger.Level.trace
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
    func log(event: LogEvent) {
      lines.add("\(event.level) \(event.message) \(event.metadata ?? [:])")
    }
  }
}

/// Serves while `body` runs.
func withRights(
  _ router: Router, at addresses: [ListenAddress], tls: (@Sendable () -> TLSCredentials)? = nil,
  _ body: @Sendable ([ListenAddress]) async throws -> Void
) async throws {
  let server = try HTTPServer(listeners: addresses.map { Listener($0) }, router: router, tls: tls) { _ in }
  try await withThrowingTaskGroup { group in
    group.addTask { try await server.run() }
    let result: Result<Void, any Error>
    do {
      try await body(server.boundAddresses)
      result = .success(())
    } catch {
      result = .failure(error)
    }
    group.cancelAll()
    try await group.waitForAll()
    try result.get()
  }
}

func basic(_ user: String, _ password: String) -> String {
  "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
}

/// The words of a problem, and its status.
func refusal(_ authorization: Authorization) -> (status: Int, detail: String, headers: Headers)? {
  guard case .refused(let response) = authorization, case .bytes(let bytes) = response.body else {
    return nil
  }
  return (response.status, String(decoding: bytes, as: UTF8.self), response.headers)
}
