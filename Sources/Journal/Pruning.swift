internal import DroverCore
internal import GRDB

/// The steps of removing what is old; each short, so that whoever waits to record something waits for one only.
enum Pruning {
  /// Rows that one step removes.
  private static let batch = 500
  /// Pages that one step gives back to the file system.
  private static let pages = 250
  /// The part of the size that the log written ahead may take.
  static let reserve = Bytes.mebibytes(4)

  /// What may be removed: it is over, and nobody waits for its result.
  private static let decided = "(kind <> 'acted' OR result IS NOT NULL)"

  static func removeOld(before cutoff: Int64, _ db: Database) throws -> PruneReport {
    try DrainRow.removeOld(before: cutoff, db)
    return try remove("ended_at_ms < ?", "made_at_ms < ?", cutoff, db)
  }

  /// Removes the oldest where what is stored is larger than that; nothing once it is not.
  static func removeOldest(ifOver largest: Bytes, _ db: Database) throws -> PruneReport {
    let excess = try used(db) - largest
    guard excess > 0 else { return PruneReport() }
    // Each table has an index in this order, so that no more than these rows are looked at.
    let cutoff = try Int64.fetchOne(
      db,
      sql: """
        WITH oldest (moment, size) AS (
          SELECT * FROM (
            SELECT ended_at_ms, 300 + length(text) FROM migration WHERE ended_at_ms IS NOT NULL
            ORDER BY ended_at_ms LIMIT \(batch))
          UNION ALL
          SELECT * FROM (
            SELECT made_at_ms, 200 + length(text) + length(evidence_json) FROM decision
            WHERE \(decided) ORDER BY made_at_ms LIMIT \(batch))),
        added (moment, before) AS (
          SELECT moment, sum(size) OVER (ORDER BY moment ROWS UNBOUNDED PRECEDING) - size FROM oldest
          ORDER BY moment LIMIT \(batch))
        SELECT max(moment) FROM added WHERE before < ?
        """, arguments: [excess.stored])
    guard let cutoff else { return PruneReport() }
    return try remove("ended_at_ms <= ?", "made_at_ms <= ?", cutoff, db)
  }

  private static func remove(
    _ isOldMigration: String, _ isOldDecision: String, _ cutoff: Int64, _ db: Database
  ) throws -> PruneReport {
    var report = PruneReport()
    try db.execute(
      sql: """
        DELETE FROM migration WHERE rowid IN (
          SELECT rowid FROM migration WHERE \(isOldMigration) ORDER BY ended_at_ms LIMIT \(batch))
        """, arguments: [cutoff])
    report.migrations = db.changesCount
    try db.execute(
      sql: """
        DELETE FROM decision WHERE id IN (
          SELECT id FROM decision WHERE \(isOldDecision) AND \(decided) ORDER BY made_at_ms LIMIT \(batch))
        """, arguments: [cutoff])
    report.decisions = db.changesCount
    return report
  }

  /// Gives some free pages back; whether there may be more.
  static func giveBack(_ db: Database) throws -> Bool {
    let free = try number("freelist_count", db)
    guard free > 0 else { return false }
    try db.execute(sql: "PRAGMA incremental_vacuum(\(pages))")
    return try number("freelist_count", db) < free
  }

  /// Brings everything into the file itself; leaves the rest to the next time where somebody reads.
  static func emptyLog(_ db: Database) throws {
    _ = try Row.fetchAll(db, sql: "PRAGMA wal_checkpoint(TRUNCATE)")
  }

  private static func used(_ db: Database) throws -> Bytes {
    let pages = try number("page_count", db) - number("freelist_count", db)
    return Bytes(UInt64(clamping: pages * (try number("page_size", db))))
  }

  private static func number(_ name: String, _ db: Database) throws -> Int64 {
    try Int64.fetchOne(db, sql: "PRAGMA \(name)") ?? 0
  }
}
