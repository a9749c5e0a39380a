internal import DroverCore
internal import GRDB

/// Migrations as rows.
enum MigrationRow {
  static func upsert(_ migration: PastMigration, _ db: Database) throws {
    let merged = try find(migration.id, db).map(migration.completed(by:)) ?? migration
    try db.store(columns(of: merged), verb: "INSERT OR REPLACE", table: "migration")
  }

  static func find(_ id: MigrationID, _ db: Database) throws -> PastMigration? {
    try Row.fetchOne(db, sql: "SELECT * FROM migration WHERE id = ?", arguments: [id.description])
      .flatMap { PastMigration(Columns(row: $0)) }
  }

  static func fetch(_ filter: HistoryFilter, limit: Int, before: MigrationID?, _ db: Database) throws
    -> [PastMigration]
  {
    var conditions = filter.conditions
    if let before {
      guard let first = try find(before, db) else { return [] }
      conditions.add("(started_at_ms, id) < (?, ?)", values: [first.startedAt, first.id.description])
    }
    return try all(
      "\(conditions.sql) ORDER BY started_at_ms DESC, id DESC LIMIT \(limit)", conditions.arguments, db)
  }

  static func open(_ db: Database) throws -> [PastMigration] {
    try all("WHERE ended_at_ms IS NULL ORDER BY started_at_ms, id", [], db)
  }

  private static func all(_ rest: String, _ arguments: StatementArguments, _ db: Database) throws
    -> [PastMigration]
  {
    try Row.fetchAll(db, sql: "SELECT * FROM migration \(rest)", arguments: arguments)
      .compactMap { PastMigration(Columns(row: $0)) }
  }

  private static func columns(of migration: PastMigration) -> [Column] {
    let facts = migration.facts
    return [
      ("id", migration.id.description), ("backend", migration.vm.backend.rawValue),
      ("scope_kind", migration.vm.scope.kind), ("scope", migration.vm.scope.name), ("vm", migration.vm.name),
      ("domain", migration.domain), ("source", facts.source), ("target", facts.target),
      ("object", facts.object), ("requested_target", facts.requestedTarget), ("network", facts.network),
      ("policy", facts.policy), ("origin", facts.origin.rawValue), ("size_bytes", facts.size?.stored),
      ("memory_bytes", facts.memory?.stored), ("created_at_ms", migration.createdAt),
      ("started_at_ms", migration.startedAt), ("ended_at_ms", migration.endedAt),
      ("outcome", migration.outcome?.rawValue), ("cause", migration.cause?.rawValue),
      ("certainty", migration.certainty?.rawValue), ("text", migration.text),
      ("duration_ms", migration.duration?.milliseconds), ("downtime_ms", migration.downtime?.milliseconds),
      ("transferred_bytes", migration.transferred?.stored),
      ("best_remaining_bytes", migration.bestRemaining?.stored),
      ("iterations", migration.iterations.map { Int64(clamping: $0) }),
      ("used_postcopy", migration.usedPostcopy), ("guest", migration.guest.rawValue),
      ("completion_timeout_ms", migration.completion?.timeout.milliseconds),
      ("completion_uncertainty_ms", migration.completion?.uncertainty.milliseconds),
      ("completion_set_by", migration.completion?.setBy.rawValue),
      ("completion_enforced_by", migration.completion?.enforcedBy.rawValue),
      ("completion_action", migration.completion?.action.rawValue),
      ("progress_timeout_ms", migration.progress?.timeout.milliseconds),
      ("progress_set_by", migration.progress?.setBy.rawValue),
      ("progress_enforced_by", migration.progress?.enforcedBy.rawValue),
      ("progress_counts_sent", migration.progress?.countsSent),
    ]
  }
}

extension PastMigration {
  /// Nil where the row has not what every migration has.
  fileprivate init?(_ columns: Columns) {
    guard let id = columns.migration("id"), let vm = columns.vm, let domain = columns.text("domain"),
      let startedAt = columns.integer("started_at_ms")
    else { return nil }
    var facts = MigrationFacts()
    facts.source = columns.text("source") ?? ""
    facts.target = columns.text("target") ?? ""
    facts.object = columns.text("object") ?? ""
    facts.requestedTarget = columns.text("requested_target") ?? ""
    facts.network = columns.text("network") ?? ""
    facts.policy = columns.text("policy") ?? ""
    facts.origin = columns.word("origin") ?? .unknown
    facts.size = columns.bytes("size_bytes")
    facts.memory = columns.bytes("memory_bytes")
    self.init(id: id, vm: vm, domain: domain, facts: facts, startedAt: startedAt)
    createdAt = columns.integer("created_at_ms")
    endedAt = columns.integer("ended_at_ms")
    outcome = columns.word("outcome")
    cause = columns.word("cause")
    certainty = columns.word("certainty")
    text = columns.text("text") ?? ""
    duration = columns.duration("duration_ms")
    downtime = columns.duration("downtime_ms")
    transferred = columns.bytes("transferred_bytes")
    bestRemaining = columns.bytes("best_remaining_bytes")
    iterations = columns.count("iterations")
    usedPostcopy = columns.isTrue("used_postcopy")
    guest = columns.word("guest") ?? .unknown
    completion = CompletionBudget(columns)
    progress = ProgressBudget(columns)
  }
}

extension CompletionBudget {
  fileprivate init?(_ columns: Columns) {
    guard let timeout = columns.duration("completion_timeout_ms"),
      let setBy = columns.word("completion_set_by", TimeoutOrigin.self),
      let enforcedBy = columns.word("completion_enforced_by", Enforcer.self),
      let action = columns.word("completion_action", DeadlineAction.self)
    else { return nil }
    self.init(
      timeout: timeout, setBy: setBy, enforcedBy: enforcedBy, action: action,
      uncertainty: columns.duration("completion_uncertainty_ms") ?? .zero)
  }
}

extension ProgressBudget {
  fileprivate init?(_ columns: Columns) {
    guard let timeout = columns.duration("progress_timeout_ms"),
      let setBy = columns.word("progress_set_by", TimeoutOrigin.self),
      let enforcedBy = columns.word("progress_enforced_by", Enforcer.self)
    else { return nil }
    self.init(
      timeout: timeout, setBy: setBy, enforcedBy: enforcedBy,
      countsSent: columns.isTrue("progress_counts_sent"))
  }
}
