internal import Posix
internal import Synchronization

/// The connections that may change something: opened when something is to be done, and let go some minutes later.
///
/// Each serves one call at a time, as those that watch do, and for the same reason; the two have nothing in common.
final class ControlConnections: Sendable {
  /// More calls than this at once are calls that hang.
  static let most = 16
  /// So many of them only those may have that are part of an abort, or look at one migration before: other questions that
  /// hang must not keep them from it.
  static let reserved = 4

  private struct State {
    var free: [(connection: HostConnection, since: ContinuousClock.Instant)] = []
    var count = 0
    var isWatched = false
  }

  private let uri: String
  private let patience: Duration
  private let state = Mutex(State())

  /// - Parameter patience: For so long a connection is kept that nobody uses.
  init(uri: String, patience: Duration = .seconds(180)) {
    self.uri = uri
    self.patience = patience
  }

  deinit { Self.close(state.withLock { $0.free.map(\.connection) }) }

  /// How many are open, or being opened.
  var count: Int { state.withLock(\.count) }

  /// Lends a connection for the time of a call; blocks as long as the call does, and where one has to be opened.
  ///
  /// - Parameters:
  ///   - isRepeatable: Whether a call that finds an old connection broken is made again over a new one: not where it may
  ///     have been done all the same.
  ///   - endsMigrations: Whether it is part of an abort, or may come before one.
  func with<R>(
    isRepeatable: Bool = true, endsMigrations: Bool = false,
    _ call: (HostConnection) throws(LibvirtError) -> R
  ) throws(LibvirtError) -> R {
    let (connection, isNew) = try take(upTo: endsMigrations ? Self.most : Self.most - Self.reserved)
    do throws(LibvirtError) {
      let result = try call(connection)
      give(connection)
      return result
    } catch {
      guard error.isConnectionLost || !connection.isAlive else {
        give(connection)
        throw error
      }
      drop([connection])
      guard isRepeatable, !isNew else { throw error }
      return try with(isRepeatable: false, endsMigrations: endsMigrations, call)
    }
  }

  private func take(upTo most: Int) throws(LibvirtError) -> (HostConnection, isNew: Bool) {
    var dead: [HostConnection] = []
    defer { Self.close(dead) }
    let found: HostConnection? = state.withLock { state in
      guard state.count - state.free.count < most else { return nil }
      while let (connection, _) = state.free.popLast() {
        // That is local: the daemon is not asked.
        if connection.isAlive { return connection }
        dead.append(connection)
        state.count -= 1
      }
      return nil
    }
    if let found { return (found, false) }
    let mayOpen = state.withLock { state in
      guard state.count - state.free.count < most, state.count < Self.most else { return false }
      state.count += 1
      return true
    }
    guard mayOpen else {
      throw LibvirtError(
        code: .operationTimeout, call: "virConnectOpen", message: "too many calls are waiting for an answer")
    }
    do throws(LibvirtError) {
      return (try HostConnection(to: uri, canWrite: true), true)
    } catch {
      state.withLock { $0.count -= 1 }
      throw error
    }
  }

  private func give(_ connection: HostConnection) {
    let isFirst = state.withLock { state in
      state.free.append((connection, .now))
      defer { state.isWatched = true }
      return !state.isWatched
    }
    if isFirst { watch() }
  }

  /// Lets go of what nobody uses, until nothing is left.
  private func watch() {
    Task { [weak self, patience] in
      while true {
        try? await Task.sleep(for: patience)
        guard let self, self.sweep() else { return }
      }
    }
  }

  /// False where nothing is left to be let go.
  private func sweep() -> Bool {
    let now = ContinuousClock.now
    var old: [HostConnection] = []
    let isOver = state.withLock { state in
      old = state.free.filter { now - $0.since >= patience }.map(\.connection)
      state.free.removeAll { now - $0.since >= patience }
      state.count -= old.count
      state.isWatched = !state.free.isEmpty
      return state.free.isEmpty
    }
    Self.close(old)
    return !isOver
  }

  private func drop(_ connections: [HostConnection]) {
    state.withLock { $0.count -= connections.count }
    Self.close(connections)
  }

  /// May take as long as a call to a daemon that hangs.
  private static func close(_ connections: [HostConnection]) {
    for connection in connections where !startThread("drover-close", { connection.close() }) {
      connection.close()
    }
  }
}
