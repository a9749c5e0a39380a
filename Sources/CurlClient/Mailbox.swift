internal import Synchronization

/// What other threads hand to the client's thread.
final class Mailbox: Sendable {
  enum Command: Sendable {
    case start(Job)
    case cancel(UInt64)
    /// A paused transfer goes on.
    case resume(UInt64)
  }

  /// Why a request gets no further.
  struct End: Sendable {
    let code: CurlError.Code
    let message: String

    static let shutDown = End(code: .shutDown, message: "the client was shut down")
    static let cancelled = End(code: .cancelled, message: "the task was cancelled")

    init(code: CurlError.Code, message: String) {
      self.code = code
      self.message = message
    }

    init(_ error: CurlError) { self.init(code: error.code, message: error.description) }
  }

  private struct State {
    var lastID: UInt64 = 0
    var commands: [Command] = []
    var waker: CurlMulti.Waker?
    var end: End?
    var closed = false
    var awaitingClose: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())

  func nextID() -> UInt64 {
    state.withLock {
      $0.lastID += 1
      return $0.lastID
    }
  }

  /// Hands over a request of the current task.
  func submit(_ job: Job) {
    let end = state.withLock { state -> End? in
      guard state.end == nil else { return state.end }
      // Under the lock: a cancellation shows here, or its command comes after this one.
      guard !Task.isCancelled else { return .cancelled }
      state.commands.append(.start(job))
      state.waker?.wake()
      return nil
    }
    if let end { job.fail(end) }
  }

  func cancel(_ id: UInt64) { send(.cancel(id)) }

  func resume(_ id: UInt64) { send(.resume(id)) }

  private func send(_ command: Command) {
    state.withLock { state in
      guard state.end == nil else { return }
      state.commands.append(command)
      state.waker?.wake()
    }
  }

  /// Accepts nothing more, and tells the thread to end.
  func stop(_ end: End = .shutDown) {
    state.withLock { state in
      if state.end == nil { state.end = end }
      state.waker?.wake()
    }
  }

  func waitUntilClosed() async {
    await withCheckedContinuation { continuation in
      let closed = state.withLock { state in
        if !state.closed { state.awaitingClose.append(continuation) }
        return state.closed
      }
      if closed { continuation.resume() }
    }
  }
}

/// The side of the client's thread.
extension Mailbox {
  func attach(_ waker: CurlMulti.Waker) { state.withLock { $0.waker = waker } }

  /// Forgets the waker, after which the multi handle may be freed.
  func detach() { state.withLock { $0.waker = nil } }

  /// All commands in their order, or nil when the thread is to end.
  func take() -> [Command]? {
    state.withLock { state in
      guard state.end == nil else { return nil }
      defer { state.commands = [] }
      return state.commands
    }
  }

  /// The reason of the end, and the requests that never started.
  func drain() -> (end: End, unstarted: [Job]) {
    state.withLock { state in
      defer { state.commands = [] }
      return (
        state.end ?? .shutDown,
        state.commands.compactMap { if case .start(let job) = $0 { job } else { nil } }
      )
    }
  }

  /// Reports that nothing of the client is left.
  func close() {
    let awaiting = state.withLock { state in
      state.closed = true
      defer { state.awaitingClose = [] }
      return state.awaitingClose
    }
    for continuation in awaiting { continuation.resume() }
  }
}
