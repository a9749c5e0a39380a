internal import Synchronization

/// A thread with connections of its own, started with the first request.
///
/// A client has two: libcurl 7.88 may put a request that could share an HTTP/2 connection on an HTTP/1.1 connection to
/// the same server that is in use, so the two must not meet in one multi handle.
final class Lane: Sendable {
  let mailbox = Mailbox()
  private let threadName: StaticString
  private let idleConnections: Int
  private let isStarted = Atomic(false)

  init(_ threadName: StaticString, idleConnections: Int) {
    self.threadName = threadName
    self.idleConnections = idleConnections
  }

  /// Hands over a request of the current task.
  func submit(_ job: Job) {
    mailbox.submit(job)
    guard !isStarted.exchange(true, ordering: .acquiringAndReleasing) else { return }
    CurlThread.start(mailbox, name: threadName, idleConnections: idleConnections)
  }

  /// Accepts nothing more, and tells the thread to end.
  func stop() {
    mailbox.stop()
    guard !isStarted.exchange(true, ordering: .acquiringAndReleasing) else { return }
    CurlThread.end(mailbox, running: [])
  }
}
