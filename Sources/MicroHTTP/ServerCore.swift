internal import CMicroHTTP
internal import Glibc
internal import Posix
internal import Synchronization

/// What the listeners of one server share: router, limits and the state of all connections.
final class ServerCore: Sendable {
  /// How long requests in flight have to end when the server stops; the tasks among them a little less, so
  /// that an answer in their place can still be sent.
  static let grace = Duration.milliseconds(500)
  static let taskGrace = Duration.milliseconds(400)

  let router: Router
  let limits: Limits
  let tls: (@Sendable () -> TLSCredentials)?
  let log: @Sendable (String) -> Void
  private let jobs: AsyncStream<DeferredJob>.Continuation
  private let waker = Waker()
  private let isStopRequested = Atomic(false)
  private let state: Mutex<State>

  private struct State {
    var table: ConnectionTable
    /// Suspended connections: all must be resumed before libmicrohttpd may be stopped.
    var suspended: [ObjectIdentifier: (reply: DeferredReply, connection: ConnectionID)] = [:]
    var isStopping = false
  }

  init(
    router: Router, limits: Limits, tls: (@Sendable () -> TLSCredentials)? = nil,
    jobs: AsyncStream<DeferredJob>.Continuation, log: @escaping @Sendable (String) -> Void
  ) {
    self.router = router
    self.limits = limits
    self.tls = tls
    self.jobs = jobs
    self.log = log
    state = Mutex(
      State(
        table: ConnectionTable(
          requestTimeout: limits.requestTimeout, responseTimeout: limits.responseTimeout)))
  }

  // MARK: Connections, on libmicrohttpd's threads

  func opened(_ id: ConnectionID, socket: Int32) {
    state.withLock { $0.table.opened(id, socket: socket, at: .now) }
  }

  /// The socket is closed only after this, so that no number is shut down that was given anew.
  func closed(_ id: ConnectionID) { state.withLock { $0.table.closed(id) } }

  func handling(_ id: ConnectionID) { state.withLock { $0.table.handling(id) } }

  func sending(_ id: ConnectionID) { state.withLock { $0.table.sending(id, at: .now) } }

  func completed(_ id: ConnectionID) { state.withLock { $0.table.completed(id, at: .now) } }

  var isStopping: Bool { state.withLock { $0.isStopping } }

  // MARK: Deferred answers

  /// Suspends a connection and has its request answered by a task.
  ///
  /// - Returns: false when the server stops; the connection is not suspended then.
  func suspend(_ connection: ConnectionID, for job: DeferredJob) -> Bool {
    state.withLock { state in
      guard !state.isStopping else { return false }
      MHD_suspend_connection(OpaquePointer(bitPattern: connection))
      state.suspended[ObjectIdentifier(job.reply)] = (job.reply, connection)
      // A job that nobody takes any more, because the server is about to stop, is answered by `stop`.
      jobs.yield(job)
      return true
    }
  }

  /// Answers a suspended connection; one that was answered before, because the server stops, is left alone.
  func resume(_ reply: DeferredReply, with response: Response) {
    state.withLock { state in
      guard let (_, connection) = state.suspended.removeValue(forKey: ObjectIdentifier(reply)) else { return }
      reply.set(response)
      MHD_resume_connection(OpaquePointer(bitPattern: connection))
    }
  }

  // MARK: Life

  /// Serves until the task is cancelled.
  func serve(_ sockets: some Sequence<ListeningSocket> & Sendable) async throws {
    defer { jobs.finish() }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
        let isStarted = startThread("drover-http") {
          continuation.resume(with: Result { try self.run(sockets) })
        }
        guard !isStarted else { return }
        continuation.resume(
          throwing: HTTPServerError(
            .startFailed, call: "pthread_create", cause: "the system gives no thread",
            remedy: "raise the limit of threads"))
      }
    } onCancel: {
      isStopRequested.store(true, ordering: .releasing)
      waker.wake()
    }
  }

  private func run(_ sockets: some Sequence<ListeningSocket>) throws(HTTPServerError) {
    var daemons: [Daemon] = []
    // Also where one does not start: those before it may hold suspended connections already.
    defer { stop(daemons) }
    for socket in sockets { daemons.append(try Daemon(on: socket, core: self)) }
    supervise()
  }

  /// Ends the connections that take too long, until the server is to stop.
  private func supervise() {
    while !isStopRequested.load(ordering: .acquiring) {
      waker.wait(atMost: state.withLock { $0.table.quiet(at: .now) })
      closeExpired()
    }
  }

  private func closeExpired() {
    let count = state.withLock { state in
      let sockets = state.table.takeExpired(at: .now)
      for socket in sockets { shutdown(socket, Int32(SHUT_RDWR)) }
      return sockets.count
    }
    if count > 0 { log("connections closed because the client was too slow: \(count)") }
  }

  private func stop(_ daemons: [Daemon]) {
    state.withLock { $0.isStopping = true }
    for daemon in daemons { daemon.unlink() }
    let began = ContinuousClock.now
    waitForRequests(until: began + Self.taskGrace)
    let suspended = state.withLock { Array($0.suspended.values) }
    for (reply, _) in suspended { resume(reply, with: .stopping) }
    waitForRequests(until: began + Self.grace)
    for daemon in daemons { daemon.stop() }
  }

  private func waitForRequests(until deadline: ContinuousClock.Instant) {
    while state.withLock({ $0.table.active }) > 0, .now < deadline { usleep(2000) }
  }
}

extension Response {
  static let stopping = Response.problem(
    status: 503, detail: "the server stops", headers: ["Connection": "close"])
}
