/// An answer whose body comes piece by piece; made by ``CurlClient/open(_:)``.
///
/// A reader that is more than 1 MiB behind makes the server wait. One task reads at a time. The connection is closed
/// when the last reference goes before the end.
public final class ResponseStream: Sendable {
  /// The status code; never 1xx.
  public let status: Int
  /// The final header's fields.
  public let headers: HTTPHeaders

  private let pipe: BodyPipe
  private let mailbox: Mailbox
  private let id: UInt64
  private let call: String
  /// The client lives as long as what it transfers.
  private let client: CurlClient

  init(
    _ head: BodyPipe.Head, pipe: BodyPipe, transfer: (mailbox: Mailbox, id: UInt64), call: String,
    client: CurlClient
  ) {
    status = head.status
    headers = head.headers
    self.pipe = pipe
    mailbox = transfer.mailbox
    id = transfer.id
    self.call = call
    self.client = client
  }

  deinit { cancel() }

  /// The next bytes of the decoded body, as many as have come; nil at its end.
  ///
  /// What came before a failure is handed over first. Cancelling the task is ``cancel()``.
  public func next() async throws(CurlError) -> [UInt8]? {
    let piece = await withTaskCancellationHandler {
      await pipe.next { mailbox.resume(id) }
    } onCancel: {
      cancel()
    }
    return try piece.get()
  }

  /// Ends the transfer at once and forgets what was not read; every ``next()`` throws
  /// ``CurlError/Code/cancelled``, unless the end was read before.
  public func cancel() {
    let end = Mailbox.End.cancelled
    if pipe.abandon(CurlError(end.code, call: call, message: end.message)) { mailbox.cancel(id) }
  }
}
