internal import Synchronization

/// The connections to one host: the one that hears events, and as many more as there are calls at once.
///
/// Each serves one call at a time. libvirt's client (seen in 9.0) may leave a call unsent for seconds where another call
/// on the same connection is waiting for its answer, and the daemon reads no more than five requests of a connection at a
/// time: so a call that hangs must have its connection for itself.
final class ConnectionPool: Sendable {
  /// More calls than this at once are calls that hang.
  private static let most = 48
  /// For so long a connection is kept that nobody uses.
  private static let patience = Duration.seconds(60)

  private struct State {
    var free: [(connection: HostConnection, since: ContinuousClock.Instant)]
    var count = 1
    var isClosed = false
  }

  private let state: Mutex<State>
  private let openAnother: @Sendable () throws(LibvirtError) -> HostConnection

  /// Begins with the connection that hears events.
  init(
    _ first: HostConnection, openAnother: @escaping @Sendable () throws(LibvirtError) -> HostConnection
  ) {
    state = Mutex(State(free: [(first, .now)]))
    self.openAnother = openAnother
  }

  /// Lends a connection for the time of a call; blocks as long as the call does, and where another has to be opened.
  func with<R>(_ call: (HostConnection) throws(LibvirtError) -> R) throws(LibvirtError) -> R {
    let connection = try take()
    defer { give(connection) }
    return try call(connection)
  }

  /// Closes what is free now, and the rest when its calls return.
  func close() {
    let free = state.withLock { state in
      state.isClosed = true
      defer { state.free = [] }
      return state.free
    }
    for (connection, _) in free { connection.close() }
  }

  private func take() throws(LibvirtError) -> HostConnection {
    enum Choice {
      case known(HostConnection)
      case another
      case tooMany
      case closed
    }
    let choice: Choice = state.withLock { state in
      if let (connection, _) = state.free.popLast() { return .known(connection) }
      guard !state.isClosed else { return .closed }
      guard state.count < Self.most else { return .tooMany }
      state.count += 1
      return .another
    }
    switch choice {
    case .known(let connection): return connection
    case .closed: throw .closed
    case .tooMany:
      throw LibvirtError(
        code: .operationTimeout, call: "virConnectOpen", message: "too many calls are waiting for an answer")
    case .another:
      do throws(LibvirtError) {
        return try openAnother()
      } catch {
        state.withLock { $0.count -= 1 }
        throw error
      }
    }
  }

  private func give(_ connection: HostConnection) {
    let now = ContinuousClock.now
    let spare = state.withLock { state in
      var spare: [HostConnection] = []
      if state.isClosed {
        spare.append(connection)
      } else if connection.hearsEvents {
        // Last, so that it is taken first, and the others are there when it hangs.
        state.free.append((connection, now))
      } else {
        let hasListener = state.free.last?.connection.hearsEvents == true
        state.free.insert((connection, now), at: state.free.count - (hasListener ? 1 : 0))
      }
      // Those that were taken lately lie last.
      while let first = state.free.first, !first.connection.hearsEvents, now - first.since > Self.patience {
        spare.append(state.free.removeFirst().connection)
      }
      state.count -= spare.count
      return spare
    }
    for connection in spare { connection.close() }
  }
}
