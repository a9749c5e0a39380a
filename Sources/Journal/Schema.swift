internal import GRDB

/// The tables, and how those of an older Drover become these.
///
/// A step that was released is never changed; a new one is added, and `version` counts it.
enum Schema {
  /// The number of the newest step, in the file as `user_version`.
  static let version: Int64 = 2
  /// What makes a file a journal of Drover's: `DrvJ` as `application_id`.
  static let applicationID: Int64 = 0x4472_764A

  static let migrator: DatabaseMigrator = {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1: migrations and decisions") { db in
      try db.execute(sql: first)
      try db.execute(sql: "PRAGMA user_version = 1")
    }
    migrator.registerMigration("2: drains") { db in
      try db.execute(sql: DrainRow.schema)
      try db.execute(sql: "PRAGMA user_version = 2")
    }
    return migrator
  }()

  /// Times are Unix milliseconds; `scope_kind` is `namespace` or `host`.
  private static let first = """
    CREATE TABLE migration (
      id TEXT NOT NULL PRIMARY KEY,
      backend TEXT NOT NULL, scope_kind TEXT NOT NULL, scope TEXT NOT NULL, vm TEXT NOT NULL,
      domain TEXT NOT NULL,
      source TEXT NOT NULL, target TEXT NOT NULL, object TEXT NOT NULL, requested_target TEXT NOT NULL,
      network TEXT NOT NULL, policy TEXT NOT NULL, origin TEXT NOT NULL,
      size_bytes INTEGER, memory_bytes INTEGER,
      created_at_ms INTEGER, started_at_ms INTEGER NOT NULL, ended_at_ms INTEGER,
      outcome TEXT, cause TEXT, certainty TEXT, text TEXT NOT NULL,
      duration_ms INTEGER, downtime_ms INTEGER,
      transferred_bytes INTEGER, best_remaining_bytes INTEGER, iterations INTEGER,
      used_postcopy INTEGER NOT NULL, guest TEXT NOT NULL,
      completion_timeout_ms INTEGER, completion_uncertainty_ms INTEGER, completion_set_by TEXT,
      completion_enforced_by TEXT, completion_action TEXT,
      progress_timeout_ms INTEGER, progress_set_by TEXT, progress_enforced_by TEXT,
      progress_counts_sent INTEGER
    ) STRICT;
    CREATE INDEX migration_started ON migration (started_at_ms, id);
    CREATE INDEX migration_ended ON migration (ended_at_ms);
    CREATE INDEX migration_vm ON migration (vm, started_at_ms, id);

    CREATE TABLE decision (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      made_at_ms INTEGER NOT NULL,
      action TEXT NOT NULL, trigger TEXT NOT NULL, kind TEXT NOT NULL,
      migration TEXT,
      backend TEXT, scope_kind TEXT, scope TEXT, vm TEXT, node TEXT NOT NULL,
      requester TEXT NOT NULL, refusal TEXT, text TEXT NOT NULL, evidence_json TEXT NOT NULL,
      result TEXT, result_at_ms INTEGER, result_text TEXT NOT NULL
    ) STRICT;
    CREATE INDEX decision_made ON decision (made_at_ms);
    CREATE INDEX decision_migration ON decision (migration, id);
    CREATE INDEX decision_vm ON decision (vm, id);
    CREATE INDEX decision_unfinished ON decision (id) WHERE kind = 'acted' AND result IS NULL;
    """
}

/// What a file is to this program.
enum Standing: Hashable, Sendable {
  /// Nothing is in it yet.
  case empty
  /// A journal of this version or an older one.
  case known
  /// A journal of a newer version.
  case newer
  /// Some other database.
  case foreign

  init(_ db: Database) throws {
    let tables = try Int64.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") ?? 0
    let application = try Int64.fetchOne(db, sql: "PRAGMA application_id") ?? 0
    let version = try Int64.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    if tables == 0, application == 0, version == 0 {
      self = .empty
    } else if application != Schema.applicationID {
      self = .foreign
    } else if try version > Schema.version || Schema.migrator.hasBeenSuperseded(db) {
      self = .newer
    } else {
      self = .known
    }
  }
}
