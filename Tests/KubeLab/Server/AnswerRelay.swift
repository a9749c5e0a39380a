import QEMURig

/// A wire to the API server whose answers can be lost, while what is sent to it still arrives.
public final class AnswerRelay: Sendable {
  /// Where it listens, `https://127.0.0.1:<port>`.
  public let address: String
  private let helper: Helper

  private init(helper: Helper, port: Int64) {
    self.helper = helper
    address = "https://127.0.0.1:\(port)"
  }

  /// Lends `body` one to a server.
  public static func with<R: Sendable>(
    _ server: APIServer, _ body: (AnswerRelay) async throws -> R
  ) async throws -> R {
    let helper = try Helper("relay.py", ["\(server.port)"])
    let result: Result<R, any Error>
    do {
      let port = try await helper.perform("start")["port"]?.int ?? 0
      result = .success(try await body(AnswerRelay(helper: helper, port: port)))
    } catch { result = .failure(error) }
    await helper.end()
    return try result.get()
  }

  /// Keeps back whatever the server says on new connections, once their handshake is over.
  public func hold() async throws { try await helper.perform("hold") }

  /// Closes these connections, and passes on everything from then on.
  public func drop() async throws { try await helper.perform("drop") }
}
