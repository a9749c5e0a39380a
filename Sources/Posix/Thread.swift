internal import CLinux
internal import Glibc

/// Runs blocking work on a detached thread of its own, away from Swift's pool and from the program's signals.
///
/// Blocked are all but the signals of a fault, which would otherwise end the process without a word.
///
/// - Parameter name: what the system shows the thread as, at most 15 bytes.
/// - Returns: false where the system gives no thread; `body` is not called then.
public func startThread(_ name: StaticString, _ body: @escaping @Sendable () -> Void) -> Bool {
  final class Work: Sendable {
    let name: StaticString
    let body: @Sendable () -> Void
    init(_ name: StaticString, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }
  var blocked = sigset_t()
  var before = sigset_t()
  sigfillset(&blocked)
  for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT] { sigdelset(&blocked, fault) }
  // A thread inherits the mask of the one that makes it, and so never runs without.
  pthread_sigmask(SIG_SETMASK, &blocked, &before)
  defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
  let work = Unmanaged.passRetained(Work(name, body))
  var thread = pthread_t()
  let failure = pthread_create(
    &thread, nil,
    { argument in
      guard let argument else { return nil }
      let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
      work.name.withUTF8Buffer { name in
        name.withMemoryRebound(to: CChar.self) { _ = drover_name_thread(pthread_self(), $0.baseAddress) }
      }
      work.body()
      return nil
    }, work.toOpaque())
  guard failure == 0 else {
    work.release()
    return false
  }
  pthread_detach(thread)
  return true
}
