internal import CMicroHTTP
internal import Glibc
internal import Synchronization

/// The address of a libmicrohttpd connection, unique while the connection is open.
typealias ConnectionID = UInt

/// One libmicrohttpd daemon: a listening socket and the threads that serve it.
final class Daemon: Sendable {
  private let handle: Mutex<OpaquePointer?>
  private let socket: ListeningSocket
  /// What the callbacks are given; it lives as long as the daemon.
  private let context: ListenerContext

  init(on socket: ListeningSocket, core: ServerCore) throws(HTTPServerError) {
    self.socket = socket
    context = ListenerContext(core: core, address: socket.bound)
    guard let descriptor = socket.take() else {
      throw HTTPServerError(.alreadyRun, cause: "the socket is in use", remedy: "make a new server")
    }
    PanicLog.install(core.log)
    let limits = core.limits
    var settings = drover_mhd_settings()
    settings.listener = descriptor
    settings.tls = context.tls == nil ? 0 : 1
    settings.connections = UInt32(clamping: max(2, limits.connections))
    settings.threads = UInt32(clamping: min(max(2, limits.threads), max(2, limits.connections)))
    settings.connections_per_address =
      context.isUnix ? 0 : UInt32(clamping: max(0, limits.connectionsPerAddress))
    settings.idle_seconds = UInt32(clamping: max(1, limits.idleTimeout.components.seconds))
    let vectors = SegmentList.maxVectors * MemoryLayout<MHD_IoVec>.stride
    settings.connection_memory = max(1024, limits.headerBytes) + vectors
    settings.context = Unmanaged.passUnretained(context).toOpaque()
    settings.log = { context, format, arguments in
      guard let context = ListenerContext.from(context), let format, let arguments else { return }
      context.core.log(PanicLog.line(format, arguments))
    }
    settings.accept = { context, _, _ in
      ListenerContext.from(context)?.core.isStopping == false ? .YES : .NO
    }
    settings.notify = { context, connection, kept, event in
      guard let context = ListenerContext.from(context), let connection else { return }
      let id = ConnectionID(bitPattern: connection)
      if event == .CONNECTION_NOTIFY_STARTED {
        context.core.opened(id, socket: drover_mhd_socket(connection))
        kept?.pointee = context.beginTLS(on: connection)
      } else {
        context.core.closed(id)
        // The session is gone by now.
        if let tls = kept?.pointee { TLSConnection.release(tls) }
        kept?.pointee = nil
      }
    }
    settings.target = { context, target, _ in
      guard let context = ListenerContext.from(context), let target else { return nil }
      return Unmanaged.passRetained(Exchange(target: target, context)).toOpaque()
    }
    settings.unescape = { _, _, text in text.map { strlen($0) } ?? 0 }
    settings.handle = { _, connection, _, method, version, data, size, exchange in
      guard let connection, let method, let size, let exchange = exchange?.pointee else { return .NO }
      return Unmanaged<Exchange>.fromOpaque(exchange).takeUnretainedValue()
        .proceed(connection, method: method, version: version, data: data, size: size)
    }
    settings.completed = { _, connection, exchange, _ in
      guard let connection, let pointer = exchange?.pointee else { return }
      exchange?.pointee = nil
      Unmanaged<Exchange>.fromOpaque(pointer).takeRetainedValue().completed(connection)
    }
    handle = Mutex(drover_mhd_start(&settings))
    guard handle.withLock({ $0 != nil }) else {
      throw HTTPServerError(
        .startFailed, address: socket.bound.description, call: "MHD_start_daemon",
        cause: "libmicrohttpd did not start for \(socket.bound)",
        remedy: "see the log line before; threads or descriptors may have run out")
    }
  }

  deinit { stop() }

  func unlink() { socket.unlink() }

  /// Closes the socket and all connections, of which none may be suspended; no callback runs after it.
  func stop() {
    handle.withLock { handle in
      if let daemon = handle { MHD_stop_daemon(daemon) }
      handle = nil
    }
  }
}

/// What libmicrohttpd's callbacks know about the listener they are called for.
final class ListenerContext: Sendable {
  let core: ServerCore
  let isUnix: Bool
  /// What the next connection speaks TLS with; nil where connections are plain.
  let tls: (@Sendable () -> TLSCredentials)?
  /// Counted for each listener, so that the clients of one cannot shut out those of another.
  private let requests = Mutex(0)

  init(core: ServerCore, address: ListenAddress) {
    self.core = core
    if case .unix = address { isUnix = true } else { isUnix = false }
    tls = isUnix ? nil : core.tls
  }

  /// A connection that comes to no credentials fails in its handshake.
  func beginTLS(on connection: OpaquePointer) -> UnsafeMutableRawPointer? {
    guard let tls, let session = drover_mhd_tls_session(connection) else { return nil }
    return TLSConnection.begin(OpaquePointer(session), tls(), log: core.log)
  }

  /// Takes one of `maxRequests`; false when none is left.
  func takeSlot() -> Bool {
    requests.withLock { requests in
      guard core.limits.maxRequests <= 0 || requests < core.limits.maxRequests else { return false }
      requests += 1
      return true
    }
  }

  func releaseSlot() { requests.withLock { $0 -= 1 } }

  static func from(_ pointer: UnsafeMutableRawPointer?) -> ListenerContext? {
    pointer.map { Unmanaged<ListenerContext>.fromOpaque($0).takeUnretainedValue() }
  }
}

/// Where libmicrohttpd's last words go: its panic handler belongs to the process, not to a daemon.
enum PanicLog {
  private static let log = Mutex<(@Sendable (String) -> Void)?>(nil)

  static func install(_ log: @escaping @Sendable (String) -> Void) {
    self.log.withLock { $0 = log }
    MHD_set_panic_func(
      { _, file, line, reason in
        let place = file.map { String(cString: $0) } ?? "?"
        let reason = reason.map { String(cString: $0) } ?? "unknown reason"
        PanicLog.log.withLock(\.self)?("libmicrohttpd cannot go on: \(reason) (\(place):\(line))")
        // libmicrohttpd is undefined after a return.
        abort()
      }, nil)
  }

  /// One formatted message, without its line end.
  static func line(_ format: UnsafePointer<CChar>, _ arguments: CVaListPointer) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
      let length = min(Int(vsnprintf(buffer.baseAddress, buffer.count, format, arguments)), buffer.count - 1)
      let text = String(decoding: buffer.prefix(max(0, length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
      return String(text.prefix { !$0.isNewline })
    }
  }
}
