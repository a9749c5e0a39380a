internal import CLinux
internal import DroverCore
internal import Glibc
internal import Synchronization

/// What a whole look at a QEMU showed.
struct QMPLive: Sendable {
  let status: String
  let runState: String
  /// When it was begun: what was sent before says nothing of what came after.
  let beganAt: Moment
  /// The migration that it speaks of.
  let migration: MigrationID?

  init(_ look: QMPLook, beganAt: Moment, _ watch: MigrationWatch) {
    status = look.answer.status ?? "none"
    runState = look.runState ?? ""
    self.beganAt = beganAt
    migration = watch.currentID
  }

  /// How that migration is.
  func migration(_ id: MigrationID) -> LiveMigration {
    let word = "\(status), run state \(runState.isEmpty ? "unknown" : runState)"
    switch SourceStatus(status, runState: runState.isEmpty ? nil : runState) {
    case .running(let phase):
      guard migration == id else { return LiveMigration(.replaced(migration), word: word) }
      let consequence =
        phase == .guestSuspended
        ? "QEMU ends the copy; the guest stays here, paused as it is"
        : "QEMU ends the copy; the guest runs on here, undisturbed"
      let isEnding = ["cancelling", "failing"].contains(status)
      return LiveMigration(.running(phase), word: word, isEnding: isEnding, consequence: consequence)
    case .ended(let outcome):
      return LiveMigration(migration == id ? .finished(outcome) : .gone, word: word)
    case .unknown:
      return LiveMigration(status == "none" ? .gone : .unclear, word: word)
    }
  }
}

/// A question about one migration, or the wish to end it.
struct QMPOrder: Sendable {
  enum Kind: Sendable { case look, cancel }

  let kind: Kind
  let target: MigrationTarget
  let takenAt: Moment
  /// Whether `migrate_cancel` is on its way: QEMU may read it whatever becomes of the connection.
  var isSent = false
  /// Called once.
  let reply: @Sendable (Result<LiveMigration, ControlError>) -> Void

  var call: String {
    kind == .look ? "reading migration \(target.id)" : "migrate_cancel of migration \(target.id)"
  }

  func fail(_ kind: ControlError.Kind, _ cause: String, _ remedy: String) {
    let remedy = isSent ? "look at the migration: it may have been done all the same" : remedy
    reply(.failure(ControlError(kind, call: call, cause: cause, remedy: remedy, mayBeDone: isSent)))
  }
}

/// Hands orders to the loop's thread, and ends the loop.
final class LoopMail: Sendable {
  /// Readable while there is something to do.
  let number: Int32
  private let state = Mutex(State())

  private struct State {
    var orders: [QMPOrder] = []
    var isClosed = false
  }

  init?() {
    number = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    if number < 0 { return nil }
  }

  deinit {
    for order in state.withLock({ $0.orders }) { Self.refuse(order) }
    close(number)
  }

  /// Ends the loop; every order that it has not taken fails.
  func stop() {
    let left = state.withLock { state in
      state.isClosed = true
      defer { state.orders = [] }
      return state.orders
    }
    wake()
    for order in left { Self.refuse(order) }
  }

  func send(_ order: QMPOrder) {
    let isTaken = state.withLock { state in
      if !state.isClosed { state.orders.append(order) }
      return !state.isClosed
    }
    if isTaken { wake() } else { Self.refuse(order) }
  }

  /// What was sent; nil when the loop is to end.
  func take() -> [QMPOrder]? {
    var count: UInt64 = 0
    _ = read(number, &count, MemoryLayout<UInt64>.size)
    return state.withLock { state in
      guard !state.isClosed else { return nil }
      defer { state.orders = [] }
      return state.orders
    }
  }

  private func wake() {
    var one: UInt64 = 1
    _ = write(number, &one, MemoryLayout<UInt64>.size)
  }

  static func refuse(_ order: QMPOrder) {
    order.fail(.unreachable, "the back end does not run", "try again once it does")
  }
}
