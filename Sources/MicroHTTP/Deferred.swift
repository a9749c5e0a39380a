internal import Synchronization

/// The place where a task leaves the answer of a suspended connection.
final class DeferredReply: Sendable {
  private let response = Mutex<Response?>(nil)

  func set(_ response: Response) { self.response.withLock { $0 = response } }

  func take() -> Response? {
    response.withLock { response in
      defer { response = nil }
      return response
    }
  }
}

/// One request that a task has to answer.
struct DeferredJob: Sendable {
  let request: Request
  let handler: @Sendable (Request) async -> Response
  let reply: DeferredReply
  let core: ServerCore

  func run() async { core.resume(reply, with: await handler(request)) }
}
