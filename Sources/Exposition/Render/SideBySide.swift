internal import Dispatch
internal import Posix
internal import Synchronization

/// Two things done at the same time, where whoever scrapes a large fleet waits for both.
enum SideBySide {
  private final class Later<Value: Sendable>: Sendable {
    let value = Mutex<Value?>(nil)
    let isThere = DispatchSemaphore(value: 0)
  }

  /// Does one thing here and the other on another thread; one after the other where the system gives none.
  static func both<Here, There: Sendable>(
    _ here: () -> Here, _ there: @escaping @Sendable () -> There
  ) -> (Here, There) {
    let later = Later<There>()
    let hasThread = startThread("drover-render") {
      let value = there()
      later.value.withLock { $0 = value }
      later.isThere.signal()
    }
    let one = here()
    if hasThread { later.isThere.wait() }
    return (one, later.value.withLock(\.self) ?? there())
  }
}
