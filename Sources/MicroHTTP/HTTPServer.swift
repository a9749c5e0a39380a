internal import CMicroHTTP
internal import Synchronization

/// One place to listen at.
public struct Listener: Hashable, Sendable {
  /// Where.
  public var address: ListenAddress
  /// Whether the directory of a Unix socket is made (mode 0755) when it is missing.
  public var createsDirectory: Bool
  /// Whether it is a Unix socket.
  public var isOnSocket: Bool { if case .unix = address { true } else { false } }

  /// Makes a listener.
  public init(_ address: ListenAddress, createsDirectory: Bool = false) {
    self.address = address
    self.createsDirectory = createsDirectory
  }
}

/// An HTTP/1.1 server on any number of TCP ports and Unix sockets.
public final class HTTPServer: Sendable {
  /// Where the server listens, in the order of the listeners, with the port that the kernel chose for port 0.
  public let boundAddresses: [ListenAddress]
  private let core: ServerCore
  private let sockets: Mutex<[ListeningSocket]?>
  private let jobs: Mutex<AsyncStream<DeferredJob>?>

  /// Binds all listeners at once; clients can connect from now on and are served from `run()` on.
  ///
  /// It resolves host names, which may block; IP addresses never do.
  ///
  /// - Parameters:
  ///   - tls: gives what the next connection speaks TLS with, on the server's own threads: it must not wait. Nil:
  ///     connections are plain, as those of Unix sockets always are.
  ///   - log: takes what libmicrohttpd and the server have to say, mostly about clients that misbehave; called
  ///     on any thread.
  public init(
    listeners: [Listener], router: Router, limits: Limits = Limits(),
    tls: (@Sendable () -> TLSCredentials)? = nil,
    log: @escaping @Sendable (String) -> Void
  ) throws(HTTPServerError) {
    var sockets: [ListeningSocket] = []
    for listener in listeners { sockets.append(try ListeningSocket(listener)) }
    boundAddresses = sockets.map(\.bound)
    let (jobs, continuation) = AsyncStream.makeStream(of: DeferredJob.self)
    self.sockets = Mutex(sockets)
    self.jobs = Mutex(jobs)
    core = ServerCore(router: router, limits: limits, tls: tls, jobs: continuation, log: log)
  }

  /// Serves until the task is cancelled.
  ///
  /// Then no connection is taken any more, requests in flight have half a second to end (tasks of deferred
  /// handlers are cancelled, and answered 503 when they do not answer), and all connections are closed. It
  /// returns when the last deferred handler has returned. A server runs once.
  ///
  /// - Throws: `HTTPServerError` when it cannot start.
  public func run() async throws {
    let taken = sockets.withLock { sockets in
      defer { sockets = nil }
      return sockets
    }
    let jobs = jobs.withLock { jobs in
      defer { jobs = nil }
      return jobs
    }
    guard let taken, let jobs else {
      throw HTTPServerError(
        .alreadyRun, cause: "this server has run before", remedy: "make a new one")
    }
    let core = core
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask { try await core.serve(taken) }
      for await job in jobs { group.addTask { await job.run() } }
    }
  }
}
