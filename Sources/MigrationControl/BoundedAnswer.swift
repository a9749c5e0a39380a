internal import Synchronization

/// Waits for an answer, but not for ever; what is late is left to itself.
func answer<Value: Sendable>(
  within limit: Duration, orElse late: Value, _ body: @escaping @Sendable () async -> Value
) async -> Value {
  await withCheckedContinuation { continuation in
    let shared = OneResumption(continuation)
    Task { shared.resume(await body()) }
    Task {
      try? await Task.sleep(for: limit)
      shared.resume(late)
    }
  }
}

/// Resumes once.
private final class OneResumption<Value: Sendable>: Sendable {
  private let continuation: Mutex<CheckedContinuation<Value, Never>?>

  init(_ continuation: CheckedContinuation<Value, Never>) { self.continuation = Mutex(continuation) }

  func resume(_ value: Value) {
    continuation.withLock { continuation in
      defer { continuation = nil }
      return continuation
    }?.resume(returning: value)
  }
}
