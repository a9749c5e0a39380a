internal import Dispatch
internal import Posix
internal import Synchronization

/// Runs blocking work on a thread of its own.
func runOnThread(_ name: StaticString, _ body: @escaping @Sendable () -> Void) throws(RigError) {
  guard startThread(name, body) else {
    throw RigError(
      .system, "pthread_create", "the system gives no thread",
      remedy: "raise the limit of threads (ulimit -u)")
  }
}

/// The one thread that starts all children.
///
/// The kernel sends a parent-death signal when the *thread* that started the child ends, so a child
/// started from the cooperative pool would die with some pool thread. This one never ends.
final class Spawner: Sendable {
  static let shared = Spawner()

  private struct Queue {
    var started = false
    var jobs: [@Sendable () -> Void] = []
  }

  private let queue = Mutex(Queue())
  private let ready = DispatchSemaphore(value: 0)

  private init() {}

  func perform<T: Sendable>(
    _ job: @escaping @Sendable () throws(RigError) -> T
  ) async throws(RigError) -> T {
    let result: Result<T, RigError> = await withCheckedContinuation { continuation in
      do throws(RigError) {
        try enqueue {
          continuation.resume(returning: Result { () throws(RigError) in try job() })
        }
      } catch {
        continuation.resume(returning: .failure(error))
      }
    }
    return try result.get()
  }

  private func enqueue(_ job: @escaping @Sendable () -> Void) throws(RigError) {
    try queue.withLock { queue throws(RigError) in
      if !queue.started {
        try runOnThread("rig-spawner") { self.loop() }
        queue.started = true
      }
      queue.jobs.append(job)
    }
    ready.signal()
  }

  private func loop() {
    while true {
      ready.wait()
      let job = queue.withLock { $0.jobs.isEmpty ? nil : $0.jobs.removeFirst() }
      job?()
    }
  }
}

/// Runs `body` and throws a timeout error if it has not ended in time; `body` is cancelled then.
func withDeadline<T: Sendable>(
  _ limit: Duration, _ call: String, _ body: @escaping @concurrent @Sendable () async throws -> T
) async throws -> T {
  try await withThrowingTaskGroup(of: T.self) { group in
    defer { group.cancelAll() }
    group.addTask(operation: body)
    group.addTask {
      try await Task.sleep(for: limit)
      throw RigError(.timeout, call, "no answer within \(limit)")
    }
    guard let first = try await group.next() else { throw CancellationError() }
    return first
  }
}
