internal import Dispatch
public import DroverCore
public import Journal
internal import Logging
internal import Synchronization

/// The journal that a service has, or the reason why it has none, which may pass.
///
/// It says in the log, once, that nothing is recorded any more, and once that it is again.
public final class ServiceJournal: AutomaticJournal, DrainStore, Sendable {
  private struct Core {
    var journal: Result<Journal, JournalError>
    var state: JournalState
    var errors: [JournalError.Kind: UInt64] = [:]
  }

  private let place: JournalPlace
  private let clock: any Timepiece
  private let log: Logger
  private let core: Mutex<Core>
  private let queue = DispatchQueue(label: "drover.journal")

  /// Opens the journal; blocks while the disk does.
  ///
  /// - Throws: A given place where none can be made. Every other trouble is logged, and the service goes on without.
  init(_ place: JournalPlace, clock: any Timepiece, log: Logger) throws(JournalError) {
    self.place = place
    self.clock = clock
    self.log = log
    let journal = Self.open(place)
    let trouble = journal.trouble
    core = Mutex(Core(journal: journal, state: JournalState(trouble: trouble, since: clock.now())))
    guard let trouble else { return }
    switch (place, trouble.kind) {
    case (.none, _): break
    case (.given, .absent): throw trouble
    case (.standard, .absent): log.warning("no journal", metadata: ["error": "\(trouble)"])
    default: tell(.lost, trouble)
    }
  }

  /// Whether there is anything to record in, now or later.
  var isWanted: Bool { place.path != nil }

  /// The file; nil where none is wanted.
  public var path: String? { place.path }

  /// Whether what happens is recorded.
  public var state: JournalState { core.withLock(\.state) }

  /// Why nothing can be recorded now; nil where it can.
  public var trouble: JournalError? { state.trouble }

  /// Calls that failed since the start, by kind; nil where no journal is wanted.
  public var errors: [JournalError.Kind: UInt64]? { isWanted ? core.withLock(\.errors) : nil }

  /// Adds which migration a decision began.
  public func name(_ id: DecisionID, _ migration: MigrationID) async throws(JournalError) {
    try await write { (journal) async throws(JournalError) in try await journal.name(id, migration) }
  }

  /// Stores a decision; it is on the disk when this returns.
  public func record(_ decision: Decision) async throws(JournalError) -> DecisionID {
    try await write { (journal) async throws(JournalError) in try await journal.record(decision) }
  }

  /// Puts a decision in the place of an earlier one about the same, which was not acted upon.
  public func revise(_ id: DecisionID, _ decision: Decision) async throws(JournalError) -> DecisionID {
    try await write { (journal) async throws(JournalError) in try await journal.revise(id, decision) }
  }

  /// What was decided without a person, so far back.
  public func automaticDecisions(since unixMilliseconds: Int64) async throws(JournalError) -> [Decision] {
    try await readable().automaticDecisions(since: unixMilliseconds)
  }

  /// Adds what became of a decision.
  public func finish(
    _ id: DecisionID, _ result: DecisionResult, text: String, at unixMilliseconds: Int64
  ) async throws(JournalError) {
    try await write { (journal) async throws(JournalError) in
      try await journal.finish(id, result, text: text, at: unixMilliseconds)
    }
  }

  /// Stores a drain, unless a later revision of it is stored; it is on the disk when this returns.
  public func save(_ drain: DrainRecord) async throws(JournalError) {
    try await write { (journal) async throws(JournalError) in try await journal.save(drain) }
  }

  /// The latest drain of each node.
  public func latestDrains() async throws(JournalError) -> [DrainRecord] {
    try await readable().latestDrains()
  }

  /// Stores migrations, all of them or none.
  func upsert(_ migrations: [PastMigration]) async throws(JournalError) {
    try await write { (journal) async throws(JournalError) in try await journal.upsert(migrations) }
  }

  /// Removes what is too old or too much.
  func prune(to limits: JournalLimits, now unixMilliseconds: Int64) async throws(JournalError) -> PruneReport
  {
    try await write { (journal) async throws(JournalError) in
      try await journal.prune(
        olderThan: unixMilliseconds - limits.maxAge.milliseconds, largest: limits.maxSize)
    }
  }

  /// What can be read, also where nothing can be recorded.
  public func readable() throws(JournalError) -> Journal { try core.withLock { $0.journal }.get() }

  /// Looks whether a trouble has passed: opens the journal again where that may help, and writes to it.
  func revive() async {
    guard let trouble = state.trouble, isWanted else { return }
    let isOpen = (try? readable())?.refusal == nil && (try? readable()) != nil
    if !isOpen || ![.full, .busy].contains(trouble.kind) { await reopen() }
    try? await write { (journal) async throws(JournalError) in try await journal.probe() }
  }

  /// Counts what will never be recorded.
  func note(lost count: UInt64) { core.withLock { $0.state.lost += count } }

  private func reopen() async {
    // The old one holds the file against others, this one too.
    core.withLock { core in
      if case .success = core.journal, let trouble = core.state.trouble { core.journal = .failure(trouble) }
    }
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      queue.async {
        let journal = Self.open(self.place)
        self.core.withLock { $0.journal = journal }
        continuation.resume()
      }
    }
  }

  private func write<Value: Sendable>(
    _ body: (Journal) async throws(JournalError) -> Value
  ) async throws(JournalError) -> Value {
    do throws(JournalError) {
      let value = try await body(readable())
      note(nil)
      return value
    } catch {
      core.withLock { $0.errors[error.kind, default: 0] += 1 }
      note(error)
      throw error
    }
  }

  private func note(_ error: JournalError?) {
    guard isWanted else { return }
    let now = clock.now()
    tell(core.withLock { $0.state.note(error, at: now) }, error)
  }

  private func tell(_ change: JournalState.Change, _ error: JournalError?) {
    switch change {
    case .none: break
    case .lost:
      log.error(
        "the journal records nothing",
        metadata: ["error": "\(error.map { "\($0)" } ?? "")", "kind": "\(error?.kind.rawValue ?? "")"])
    case .regained(let length):
      log.notice("the journal records again", metadata: ["after": "\(Words.duration(length.inSeconds))"])
    }
  }

  private static func open(_ place: JournalPlace) -> Result<Journal, JournalError> {
    guard let path = place.path else {
      return .failure(
        JournalError(
          .absent, call: "opening the journal", cause: "there is none",
          remedy: place == .none
            ? "drover serve has one" : "give a file with --journal.path, or set STATE_DIRECTORY or HOME"))
    }
    return Result { () throws(JournalError) in try Journal.open(path: path) }
  }
}

extension Result<Journal, JournalError> {
  fileprivate var trouble: JournalError? {
    switch self {
    case .success(let journal): journal.refusal
    case .failure(let error): error
    }
  }
}
