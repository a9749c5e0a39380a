/// An HTTP client over libcurl's multi interface.
///
/// Threads of its own run the transfers: one those that may share an HTTP/2 connection, one all others. Connections
/// are kept for the next request to the same server with the same ``TLSOptions`` and proxy, and given up when the
/// other end acknowledges nothing for ten seconds. Redirects are not followed, no protocol but HTTP and HTTPS is
/// spoken, and a proxy from the environment is never used for a Unix socket or a loopback address.
public final class CurlClient: Sendable {
  /// What is common to all requests of a client.
  public struct Configuration: Sendable {
    /// How many connections each thread keeps open, idle ones closed first; requests in flight are not limited.
    public var idleConnections = 8

    /// The default values.
    public init() {}
  }

  private let http1: Lane
  private let http2: Lane

  /// Makes a client; where its threads cannot start, requests say why.
  public init(configuration: Configuration = Configuration()) {
    http1 = Lane("drover-curl", idleConnections: configuration.idleConnections)
    http2 = Lane("drover-curl-h2", idleConnections: configuration.idleConnections)
  }

  deinit { stop() }

  /// Sends a request and waits for the whole response; any status is a response.
  ///
  /// Cancelling the task ends the transfer at once, closes its connection, and throws ``CurlError/Code/cancelled``;
  /// over HTTP/2 the server may hear of it only with the next request. Idempotent requests may be repeated by libcurl when a kept connection turns out to
  /// be dead; `POST`, `PATCH` and other methods never are: each takes a new connection, with its TLS handshake.
  public func send(_ request: Request) async throws(CurlError) -> Response {
    let plan = try RequestPlan(request)
    let lane = plan.allowsHTTP2 ? http2 : http1
    let id = lane.mailbox.nextID()
    let outcome: Result<Response, CurlError> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        lane.submit(Job(id: id, plan: plan, receiver: .whole(continuation)))
      }
    } onCancel: {
      lane.mailbox.cancel(id)
    }
    return try outcome.get()
  }

  /// Sends a request and hands the body over as it comes; returns when the header is complete.
  ///
  /// ``Request/maximumBody`` does not apply. Cancelling the task before the header is complete is as with
  /// ``send(_:)``; later it is ``ResponseStream/cancel()``. A stream has a connection of its own, in HTTP/1.1: in
  /// HTTP/2 libcurl 7.88 goes on collecting what a slow reader does not take, fails at 64 MiB, and does not tell the
  /// server of a cancellation.
  public func open(_ request: Request) async throws(CurlError) -> ResponseStream {
    var request = request
    request.allowsHTTP2 = false
    let plan = try RequestPlan(request)
    let lane = http1
    let id = lane.mailbox.nextID()
    let pipe = BodyPipe()
    let head = await withTaskCancellationHandler {
      await pipe.head { lane.submit(Job(id: id, plan: plan, receiver: .stream(pipe))) }
    } onCancel: {
      lane.mailbox.cancel(id)
    }
    return ResponseStream(
      try head.get(), pipe: pipe, transfer: (lane.mailbox, id), call: plan.call, client: self)
  }

  /// Ends the client: requests in flight and later ones fail with ``CurlError/Code/shutDown``.
  ///
  /// Returns when all connections are closed and all handles freed.
  public func shutdown() async {
    stop()
    await http1.mailbox.waitUntilClosed()
    await http2.mailbox.waitUntilClosed()
  }

  private func stop() {
    http1.stop()
    http2.stop()
  }
}
