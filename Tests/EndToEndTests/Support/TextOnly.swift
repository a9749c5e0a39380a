import MicroHTTP
import Synchronization

@testable import ProgramSupport

/// A go-between that asks for the text format, whatever it was asked for itself.
final class TextOnly: Sendable {
  let hostAndPort: String
  private let task: Task<Void, Never>
  private let seen: SeenTypes

  private final class SeenTypes: Sendable {
    let types = Mutex<Set<String>>([])
  }

  init(of target: Web) throws {
    let seen = SeenTypes()
    self.seen = seen
    var router = Router()
    router.on(
      .get, "/metrics",
      .deferred { _ in
        guard let answer = try? await target.get("/metrics", accept: "text/plain;version=0.0.4") else {
          return .text("no answer\n", status: 502)
        }
        let type = answer["Content-Type"]
        _ = seen.types.withLock { $0.insert(type) }
        return Response(status: answer.status, headers: ["Content-Type": type], body: .bytes(answer.body))
      })
    let server = try HTTPServer(listeners: [Listener(.tcp(host: "127.0.0.1", port: 0))], router: router) {
      _ in
    }
    hostAndPort = server.boundAddresses[0].description
    task = Task { try? await server.run() }
  }

  /// The types of the answers so far.
  var types: Set<String> { seen.types.withLock(\.self) }

  func stop() { task.cancel() }
}
