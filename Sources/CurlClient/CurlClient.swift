/// An HTTP client over libcurl's multi interface.
///
/// One thread of its own runs all transfers; connections are kept for the next request. Redirects are not followed,
/// no protocol but HTTP and HTTPS is spoken, and a proxy from the environment is never used for a Unix socket or a
/// loopback address.
public final class CurlClient: Sendable {
  /// What is common to all requests of a client.
  public struct Configuration: Sendable {
    /// How many connections are kept open, idle ones closed first; requests in flight are not limited.
    public var idleConnections = 8

    /// The default values.
    public init() {}
  }

  let mailbox = Mailbox()

  /// Starts the client's thread; when that fails, every request says why.
  public init(configuration: Configuration = Configuration()) {
    CurlThread.start(mailbox, idleConnections: configuration.idleConnections)
  }

  deinit { mailbox.stop() }

  /// Sends a request and waits for the whole response; any status is a response.
  ///
  /// Cancelling the task ends the transfer at once, closes its connection, and throws ``CurlError/Code/cancelled``.
  /// Idempotent requests may be repeated once by libcurl when a kept connection turns out to be dead; `POST`, `PATCH`
  /// and other methods never are.
  public func send(_ request: Request) async throws(CurlError) -> Response {
    let plan = try RequestPlan(request)
    let id = mailbox.nextID()
    let mailbox = mailbox
    let outcome: Result<Response, CurlError> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        mailbox.submit(Job(id: id, plan: plan, receiver: .whole(continuation)))
      }
    } onCancel: {
      mailbox.cancel(id)
    }
    return try outcome.get()
  }

  /// Sends a request and hands the body over as it comes; returns when the header is complete.
  ///
  /// ``Request/maximumBody`` does not apply. Cancelling the task before the header is complete is as with
  /// ``send(_:)``; later it is ``ResponseStream/cancel()``.
  public func open(_ request: Request) async throws(CurlError) -> ResponseStream {
    let plan = try RequestPlan(request)
    let id = mailbox.nextID()
    let mailbox = mailbox
    let pipe = BodyPipe()
    let head = await withTaskCancellationHandler {
      await pipe.head { mailbox.submit(Job(id: id, plan: plan, receiver: .stream(pipe))) }
    } onCancel: {
      mailbox.cancel(id)
    }
    return ResponseStream(try head.get(), pipe: pipe, id: id, call: plan.call, client: self)
  }

  /// Ends the client: requests in flight and later ones fail with ``CurlError/Code/shutDown``.
  ///
  /// Returns when all connections are closed and all handles freed.
  public func shutdown() async {
    mailbox.stop()
    await mailbox.waitUntilClosed()
  }
}
