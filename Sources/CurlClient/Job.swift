/// One accepted request on its way to the client's thread, and who awaits it.
struct Job: Sendable {
  /// Where the answer goes.
  enum Receiver: Sendable {
    case whole(CheckedContinuation<Result<Response, CurlError>, Never>)
    case stream(BodyPipe)
  }

  let id: UInt64
  let plan: RequestPlan
  let receiver: Receiver

  /// Where the body goes piece by piece, unless it is collected.
  var pipe: BodyPipe? { if case .stream(let pipe) = receiver { pipe } else { nil } }

  func finish(_ outcome: Result<Response, CurlError>) {
    switch receiver {
    case .whole(let continuation): continuation.resume(returning: outcome)
    case .stream(let pipe):
      if case .success(let response) = outcome {
        pipe.begin(BodyPipe.Head(status: response.status, headers: response.headers))
      }
      pipe.finish(outcome.map { _ in })
    }
  }

  func fail(_ end: Mailbox.End) {
    finish(.failure(CurlError(end.code, call: plan.call, message: end.message)))
  }
}
