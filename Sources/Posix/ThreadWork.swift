internal import Dispatch
internal import Synchronization

/// Work on a thread of its own, for one that waits for what it gives.
public final class ThreadWork<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)
  private let isThere = DispatchSemaphore(value: 0)

  /// Starts the work; nil where the system gives no thread, and `body` is not called then.
  ///
  /// - Parameter name: what the system shows the thread as, at most 15 bytes.
  public init?(_ name: StaticString, _ body: @escaping @Sendable () -> Value) {
    let isStarted = startThread(name) {
      let value = body()
      self.value.withLock { $0 = value }
      self.isThere.signal()
    }
    guard isStarted else { return nil }
  }

  /// Waits for the end of the work.
  public func result() -> Value {
    while true {
      isThere.wait()
      // Whoever asks again finds it, too.
      defer { isThere.signal() }
      if let value = value.withLock(\.self) { return value }
    }
  }
}
