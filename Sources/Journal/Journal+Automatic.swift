public import DroverCore
internal import GRDB

extension Journal: AutomaticJournal {
  /// Puts a decision in the place of an earlier one about the same, which was not acted upon; it is on the disk when this
  /// returns.
  ///
  /// - Returns: Its number: a new one where no such decision has that number; what has it stays.
  public func revise(_ id: DecisionID, _ decision: Decision) async throws(JournalError) -> DecisionID {
    try await write("recording decision \(id.rawValue) anew") { db in
      if try DecisionRow.revise(id, decision, db) { return id }
      try DecisionRow.insert(decision, db)
      return DecisionID(rawValue: db.lastInsertedRowID)
    }
  }

  /// Decisions about aborts that no person asked for, and ends of holds, the earliest first.
  public func automaticDecisions(since unixMilliseconds: Int64) async throws(JournalError) -> [Decision] {
    try await read("reading what was decided by itself") { db in
      try DecisionRow.automatic(since: unixMilliseconds, db).sorted {
        ($0.madeAt, $0.id?.rawValue ?? 0) < ($1.madeAt, $1.id?.rawValue ?? 0)
      }
    }
  }

  /// Migrations by their ids; those that are not there are left out.
  public func migrations(_ ids: [MigrationID]) async throws(JournalError) -> [MigrationID: PastMigration] {
    let wanted = Set(ids.prefix(Self.mostRows))
    return try await read("reading migrations") { db in
      var found: [MigrationID: PastMigration] = [:]
      for id in wanted { found[id] = try MigrationRow.find(id, db) }
      return found
    }
  }
}
