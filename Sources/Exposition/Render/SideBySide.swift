internal import Dispatch
internal import Synchronization

/// Two things done at the same time, where whoever scrapes a large fleet waits for both.
enum SideBySide {
  private final class Later<Value: Sendable>: Sendable {
    let value = Mutex<Value?>(nil)
  }

  /// Does one thing here and the other on another thread.
  static func both<Here, There: Sendable>(
    _ here: () -> Here, _ there: @escaping @Sendable () -> There
  ) -> (Here, There) {
    let later = Later<There>()
    let group = DispatchGroup()
    DispatchQueue.global(qos: .userInitiated).async(group: group) {
      let value = there()
      later.value.withLock { $0 = value }
    }
    let one = here()
    group.wait()
    return (one, later.value.withLock(\.self) ?? there())
  }
}
