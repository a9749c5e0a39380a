public import DroverCore

extension Journal: AutomaticJournal {
  /// Puts a decision in the place of an earlier one about the same, which was not acted upon; it is on the disk when this
  /// returns.
  ///
  /// - Throws: Also where there is none with this number, or it was acted upon: that one stays.
  public func revise(_ id: DecisionID, _ decision: Decision) async throws(JournalError) {
    let call = "recording decision \(id.rawValue) anew"
    let isDone = try await write(call) { db in try DecisionRow.revise(id, decision, db) }
    guard isDone else {
      throw JournalError(
        .other, call: "\(call) in \(path)", cause: "there is none that was not acted upon with this number",
        remedy: "it may have been made with another journal")
    }
  }

  /// Decisions about aborts that no person asked for, and ends of holds, the earliest first.
  public func automaticDecisions(since unixMilliseconds: Int64) async throws(JournalError) -> [Decision] {
    try await read("reading what was decided by itself") { db in
      try DecisionRow.automatic(since: unixMilliseconds, db)
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
