internal import CLinux
internal import Dispatch
internal import Glibc
internal import Posix
internal import Synchronization

/// Work in another network namespace.
enum NetworkNamespace {
  /// Runs `body` on a thread that is in the namespace, and ends the thread.
  ///
  /// A thread of its own: the namespace belongs to the thread, and what it opens stays in there.
  static func run<Value: Sendable>(
    in path: String, _ body: @escaping @Sendable () throws(InetDiagError) -> Value
  ) throws(InetDiagError) -> Value {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw .namespace("opening the network namespace \(path)", errno) }
    let namespace = Descriptor(number)
    let outcome = Outcome<Value>()
    let isStarted = startThread("drover-netns") {
      let result = Result { () throws(InetDiagError) in
        guard drover_enter_network_namespace(namespace.number) == 0 else {
          throw .namespace("entering the network namespace \(path) (setns)", errno)
        }
        return try body()
      }
      outcome.result.withLock { $0 = result }
      outcome.isThere.signal()
    }
    guard isStarted else {
      throw InetDiagError(
        .unavailable, call: "entering the network namespace \(path)", message: "the system gives no thread",
        remedy: "raise the limit of threads (ulimit -u)")
    }
    outcome.isThere.wait()
    guard let result = outcome.result.withLock({ $0 }) else { throw .garbled("no result of a thread") }
    return try result.get()
  }
}

/// What a thread leaves for the one that waits for it.
private final class Outcome<Value: Sendable>: Sendable {
  let result = Mutex<Result<Value, InetDiagError>?>(nil)
  let isThere = DispatchSemaphore(value: 0)
}
