internal import CLinux
internal import Glibc
internal import Posix

/// Work in another network namespace.
enum NetworkNamespace {
  /// Runs `body` in the namespace that a path names; what it opens stays in there.
  static func run<Value: Sendable>(
    in path: String, _ body: @escaping @Sendable () throws(InetDiagError) -> Value
  ) throws(InetDiagError) -> Value {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw .namespace("opening the network namespace \(path)", errno) }
    let namespace = Descriptor(number)
    // Entering takes a privilege even for who is inside.
    if isOwn(namespace) { return try body() }
    return try onThread { () throws(InetDiagError) in
      guard drover_enter_network_namespace(namespace.number) == 0 else {
        throw .namespace("entering the network namespace \(path) (setns)", errno)
      }
      return try body()
    }
  }

  private static func isOwn(_ namespace: Descriptor) -> Bool {
    var that = stat()
    var own = stat()
    guard fstat(namespace.number, &that) == 0, stat("/proc/thread-self/ns/net", &own) == 0 else {
      return false
    }
    return that.st_dev == own.st_dev && that.st_ino == own.st_ino
  }

  /// Runs `body` on a thread that ends with it, and with it the thread's namespace, and waits for that.
  static func onThread<Value: Sendable>(
    _ body: @escaping @Sendable () throws(InetDiagError) -> Value
  ) throws(InetDiagError) -> Value {
    let work = ThreadWork("drover-netns") { Result { () throws(InetDiagError) in try body() } }
    guard let work else { throw .noThread }
    return try work.result().get()
  }
}

extension InetDiagError {
  fileprivate static let noThread = InetDiagError(
    .unavailable, call: "starting a thread for a network namespace", message: "the system gives no thread",
    remedy: "raise the limit of threads (ulimit -u)")
}
