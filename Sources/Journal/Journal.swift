public import DroverCore
internal import GRDB

/// Migrations and decisions in an SQLite file that outlives the process.
///
/// What a call has stored is on the disk when it returns, whatever happens to the process then. No call waits on a thread
/// of Swift's pool: the file has threads of its own. A call that has begun is not ended by the end of its task, so that
/// nobody can be in doubt whether something was stored.
public final class Journal: DecisionJournal, Sendable {
  /// Largest number of rows that one question is answered with.
  public static let mostRows = 1000

  /// Where the file is.
  public let path: String
  /// Why nothing can be stored; nil where it can.
  public let refusal: JournalError?

  private let reader: any DatabaseReader
  let writer: DatabasePool?
  private let file: JournalFile

  init(_ file: JournalFile, writer: DatabasePool) {
    path = file.path
    self.file = file
    self.writer = writer
    reader = writer
    refusal = nil
  }

  init(_ file: JournalFile, reader: DatabaseQueue, refusal: JournalError) {
    path = file.path
    self.file = file
    self.reader = reader
    self.refusal = refusal
    writer = nil
  }

  // MARK: Decisions

  /// Stores a decision; it is on the disk when this returns.
  public func record(_ decision: Decision) async throws(JournalError) -> DecisionID {
    try await write("recording a decision") { db in
      try DecisionRow.insert(decision, db)
      return DecisionID(rawValue: db.lastInsertedRowID)
    }
  }

  /// Adds what became of a decision; the last word stays.
  ///
  /// - Throws: Also where there is no decision with this number.
  public func finish(
    _ id: DecisionID, _ result: DecisionResult, text: String, at unixMilliseconds: Int64
  ) async throws(JournalError) {
    let call = "recording what became of decision \(id.rawValue)"
    let isKnown = try await write(call) { db in
      try DecisionRow.finish(id, result, text: text, at: unixMilliseconds, db)
    }
    guard isKnown else {
      throw JournalError(
        .other, call: "\(call) in \(path)", cause: "there is no decision with this number",
        remedy: "it may have been made with another journal")
    }
  }

  /// Adds which migration a decision began; what is there already stays.
  public func name(_ id: DecisionID, _ migration: MigrationID) async throws(JournalError) {
    try await write("recording which migration decision \(id.rawValue) began") { db in
      try DecisionRow.name(id, migration, db)
    }
  }

  /// Decisions, the latest first.
  ///
  /// - Parameters:
  ///   - limit: Most that are wanted; never more than `mostRows`.
  ///   - before: Only those with a smaller number.
  public func decisions(
    matching filter: DecisionFilter = DecisionFilter(), limit: Int = 100, before: DecisionID? = nil
  ) async throws(JournalError) -> [Decision] {
    try await read("reading decisions") { db in
      try DecisionRow.fetch(filter, limit: Self.bounded(limit), before: before, db)
    }
  }

  /// Decisions that were acted upon and of which nobody knows what became, the earliest first.
  ///
  /// After a crash these are the ones that may or may not have been carried out.
  public func unfinishedDecisions() async throws(JournalError) -> [Decision] {
    try await read("reading unfinished decisions") { db in try DecisionRow.unfinished(db) }
  }

  // MARK: Migrations

  /// Stores migrations, all of them or none; what is known of one already and not told now is kept.
  ///
  /// The first outcome that is stored for a migration stays.
  public func upsert(_ migrations: [PastMigration]) async throws(JournalError) {
    guard !migrations.isEmpty else { return }
    try await write("recording migrations") { db in
      for migration in migrations { try MigrationRow.upsert(migration, db) }
    }
  }

  /// The same for one migration.
  public func upsert(_ migration: PastMigration) async throws(JournalError) { try await upsert([migration]) }

  /// Migrations, open and over, those that started latest first.
  ///
  /// - Parameters:
  ///   - limit: Most that are wanted; never more than `mostRows`.
  ///   - before: Only those that come behind this one; nothing where it is not there.
  public func history(
    matching filter: HistoryFilter = HistoryFilter(), limit: Int = 100, before: MigrationID? = nil
  ) async throws(JournalError) -> [PastMigration] {
    try await read("reading migrations") { db in
      try MigrationRow.fetch(filter, limit: Self.bounded(limit), before: before, db)
    }
  }

  /// Whether a migration is in the journal.
  public func contains(_ id: MigrationID) async throws(JournalError) -> Bool {
    try await read("looking for a migration") { db in try MigrationRow.find(id, db) != nil }
  }

  /// All migrations whose end is not recorded, those that started earliest first.
  public func openMigrations() async throws(JournalError) -> [PastMigration] {
    try await read("reading open migrations") { db in try MigrationRow.open(db) }
  }

  // MARK: Size

  /// Finds out whether it can be written, by writing something.
  public func probe() async throws(JournalError) {
    try await write("writing") { db in try db.execute(sql: "PRAGMA user_version = \(Schema.version)") }
  }

  /// What the file and what belongs to it take on the disk.
  public func size() async -> Bytes {
    await withCheckedContinuation { continuation in
      reader.asyncRead { [file] _ in continuation.resume(returning: file.size()) }
    }
  }

  /// Deletes what is too old, then the oldest until the rest fits.
  ///
  /// Open migrations, and decisions that were acted upon and have no result, always stay.
  ///
  /// - Parameters:
  ///   - unixMilliseconds: What ended, or was decided, earlier goes.
  ///   - largest: Most that may be on the disk; below `JournalLimits.leastSize` that is taken.
  public func prune(olderThan unixMilliseconds: Int64, largest: Bytes) async throws(JournalError)
    -> PruneReport
  {
    let call = "removing old entries"
    var report = PruneReport()
    while true {
      let removed = try await write(call) { db in try Pruning.removeOld(before: unixMilliseconds, db) }
      report.add(removed)
      if removed.isNothing { break }
    }
    let wanted = max(largest, JournalLimits.leastSize) - Pruning.reserve
    while true {
      let removed = try await write(call) { db in try Pruning.removeOldest(ifOver: wanted, db) }
      report.add(removed)
      if removed.isNothing { break }
    }
    while try await write(call, { db in try Pruning.giveBack(db) }) {}
    try await writeOutsideOfTransaction(call) { db in try Pruning.emptyLog(db) }
    return report
  }

  // MARK: Access

  private static func bounded(_ limit: Int) -> Int { min(max(limit, 0), mostRows) }

  func write<Value: Sendable>(
    _ call: String, _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(JournalError) -> Value {
    let (writer, call) = try prepared(call)
    let result = await withCheckedContinuation { continuation in
      writer.asyncWrite { [file] db in
        try file.checkPlace(call)
        return try body(db)
      } completion: { _, result in
        continuation.resume(returning: result)
      }
    }
    return try result.mapError { JournalError($0, call: call, path: path) }.get()
  }

  private func writeOutsideOfTransaction(
    _ call: String, _ body: @escaping @Sendable (Database) throws -> Void
  ) async throws(JournalError) {
    let (writer, call) = try prepared(call)
    let result = await withCheckedContinuation { continuation in
      writer.asyncWriteWithoutTransaction { [file] db in
        continuation.resume(
          returning: Result {
            try file.checkPlace(call)
            try body(db)
          })
      }
    }
    try result.mapError { JournalError($0, call: call, path: path) }.get()
  }

  private func prepared(_ call: String) throws(JournalError) -> (DatabasePool, String) {
    let call = "\(call) in \(path)"
    guard let writer else {
      guard var refusal else {
        throw JournalError(.other, call: call, cause: "it cannot be written", remedy: "start drover again")
      }
      refusal.call = call
      throw refusal
    }
    return (writer, call)
  }

  func read<Value: Sendable>(
    _ call: String, _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(JournalError) -> Value {
    let result: Result<Value, any Error> = await withCheckedContinuation { continuation in
      reader.asyncRead { database in
        continuation.resume(returning: Result { try body(database.get()) })
      }
    }
    return try result.mapError { JournalError($0, call: "\(call) in \(path)", path: path) }.get()
  }
}
