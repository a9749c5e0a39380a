internal import Synchronization

/// What has arrived on a connection, and who waits for something to arrive.
final class Inbox<Message: Sendable>: Sendable {
  private struct Waiter {
    let fits: @Sendable (Message) -> Bool
    let continuation: CheckedContinuation<Message, any Error>
  }

  private struct State {
    var kept: [Message] = []
    var received = 0
    var waiters: [Int: Waiter] = [:]
    var lastWaiter = 0
    var end: RigError?
  }

  private let limit: Int
  private let state = Mutex(State())

  /// An inbox that keeps the last `limit` messages.
  init(keeping limit: Int) { self.limit = limit }

  /// The kept messages, the oldest first.
  var messages: [Message] { state.withLock { $0.kept } }

  /// How many messages have ever arrived.
  var received: Int { state.withLock { $0.received } }

  func deliver(_ message: Message) {
    let done = state.withLock { state in
      state.received += 1
      state.kept.append(message)
      if state.kept.count > limit { state.kept.removeFirst() }
      let done = state.waiters.filter { $0.value.fits(message) }
      for key in done.keys { state.waiters[key] = nil }
      return done.values.map(\.continuation)
    }
    for continuation in done { continuation.resume(returning: message) }
  }

  /// Nothing comes any more: whoever waits, now or later, gets the error.
  func finish(_ error: RigError) {
    let left = state.withLock { state in
      state.end = error
      defer { state.waiters = [:] }
      return state.waiters.values.map(\.continuation)
    }
    for continuation in left { continuation.resume(throwing: error) }
  }

  /// The first message that fits, kept or to come, leaving out the first `skipped` of all that ever came.
  func first(
    after skipped: Int = 0, where fits: @escaping @Sendable (Message) -> Bool
  ) async throws -> Message {
    let number = state.withLock { state in
      state.lastWaiter += 1
      return state.lastWaiter
    }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let known: Result<Message, any Error>? = state.withLock { state in
          let old = state.received - state.kept.count
          if let message = state.kept.dropFirst(max(0, skipped - old)).first(where: fits) {
            return .success(message)
          }
          if let end = state.end { return .failure(end) }
          // Under the lock: a cancellation that came earlier found no waiter to remove.
          if Task.isCancelled { return .failure(CancellationError()) }
          state.waiters[number] = Waiter(fits: fits, continuation: continuation)
          return nil
        }
        if let known { continuation.resume(with: known) }
      }
    } onCancel: {
      let waiter = state.withLock { $0.waiters.removeValue(forKey: number) }
      waiter?.continuation.resume(throwing: CancellationError())
    }
  }
}
