internal import DroverCore
internal import FoundationEssentials
internal import GRDB

/// Decisions as rows.
enum DecisionRow {
  static func insert(_ decision: Decision, _ db: Database) throws {
    try db.store(columns(of: decision), verb: "INSERT", table: "decision")
  }

  /// Whether there is such a decision.
  static func finish(
    _ id: DecisionID, _ result: DecisionResult, text: String, at unixMilliseconds: Int64, _ db: Database
  ) throws -> Bool {
    try db.execute(
      sql: "UPDATE decision SET result = ?, result_text = ?, result_at_ms = ? WHERE id = ?",
      arguments: [result.rawValue, text, unixMilliseconds, id.rawValue])
    return db.changesCount > 0
  }

  /// Whether there is such a decision about the same, which was not acted upon.
  static func revise(_ id: DecisionID, _ decision: Decision, _ db: Database) throws -> Bool {
    let columns = try columns(of: decision)
    let settings = columns.map { "\($0.name) = ?" }.joined(separator: ", ")
    try db.execute(
      sql: """
        UPDATE decision SET \(settings)
        WHERE id = ? AND kind <> 'acted' AND migration IS ? AND trigger = ?
        """,
      arguments: StatementArguments(
        columns.map(\.value) + [id.rawValue, decision.migration?.description, decision.trigger.rawValue]))
    return db.changesCount > 0
  }

  /// Rows that one start reads at most: what was acted upon before what was not, the latest before the others.
  static let mostAutomatic = 20_000

  /// In no order.
  static func automatic(since unixMilliseconds: Int64, most: Int = mostAutomatic, _ db: Database) throws
    -> [Decision]
  {
    try all(
      """
      WHERE (action = 'abort' AND trigger <> 'person'
        AND (made_at_ms >= ? AND (kind IN ('acted', 'shadowed', 'held') OR trigger = 'alert')
          OR migration IN (SELECT id FROM migration WHERE ended_at_ms IS NULL)))
        OR (action = 'reset_hold' AND kind = 'acted' AND made_at_ms >= ?)
      ORDER BY kind = 'acted' DESC, made_at_ms DESC, id DESC LIMIT \(most)
      """, [unixMilliseconds, unixMilliseconds], db)
  }

  static func name(_ id: DecisionID, _ migration: MigrationID, _ db: Database) throws {
    try db.execute(
      sql: "UPDATE decision SET migration = ? WHERE id = ? AND migration IS NULL",
      arguments: [migration.description, id.rawValue])
  }

  static func fetch(_ filter: DecisionFilter, limit: Int, before: DecisionID?, _ db: Database) throws
    -> [Decision]
  {
    var conditions = filter.conditions
    conditions.add("id < ?", before?.rawValue)
    return try all("\(conditions.sql) ORDER BY id DESC LIMIT \(limit)", conditions.arguments, db)
  }

  static func unfinished(_ db: Database) throws -> [Decision] {
    try all("WHERE kind = 'acted' AND result IS NULL ORDER BY id", [], db)
  }

  private static func all(_ rest: String, _ arguments: StatementArguments, _ db: Database) throws
    -> [Decision]
  {
    try Row.fetchAll(db, sql: "SELECT * FROM decision \(rest)", arguments: arguments)
      .compactMap { Decision(Columns(row: $0)) }
  }

  private static func columns(of decision: Decision) throws -> [Column] {
    [
      ("made_at_ms", decision.madeAt), ("action", decision.action.rawValue),
      ("trigger", decision.trigger.rawValue), ("kind", decision.kind.rawValue),
      ("migration", decision.migration?.description), ("backend", decision.vm?.backend.rawValue),
      ("scope_kind", decision.vm?.scope.kind), ("scope", decision.vm?.scope.name), ("vm", decision.vm?.name),
      ("node", decision.node), ("requester", decision.requester), ("refusal", decision.refusal?.rawValue),
      ("text", decision.text), ("evidence_json", try StoredFact.encode(decision.evidence)),
      ("result", decision.result?.rawValue), ("result_at_ms", decision.resultAt),
      ("result_text", decision.resultText),
    ]
  }
}

extension Decision {
  /// Nil where the row has not what every decision has, or a word that is not known here.
  fileprivate init?(_ columns: Columns) {
    guard let id = columns.integer("id"), let madeAt = columns.integer("made_at_ms"),
      let action = columns.word("action", ControlAction.self),
      let trigger = columns.word("trigger", Trigger.self), let kind = columns.word("kind", DecisionKind.self)
    else { return nil }
    self.init(
      madeAt: madeAt, action: action, trigger: trigger, kind: kind, migration: columns.migration("migration"),
      vm: columns.vm, requester: columns.text("requester") ?? "", refusal: columns.word("refusal"),
      text: columns.text("text") ?? "")
    self.id = DecisionID(rawValue: id)
    node = columns.text("node") ?? ""
    evidence = StoredFact.decode(columns.text("evidence_json") ?? "")
    result = columns.word("result")
    resultAt = columns.integer("result_at_ms")
    resultText = columns.text("result_text") ?? ""
  }
}

/// A fact as the column `evidence_json` has it: `[{"name":"phase","value":"precopy"}]`.
private struct StoredFact: Codable {
  var name: String
  var value: String

  static func encode(_ facts: [Decision.Fact]) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let data = try encoder.encode(facts.map { StoredFact(name: $0.name, value: $0.value) })
    return String(decoding: data, as: UTF8.self)
  }

  static func decode(_ text: String) -> [Decision.Fact] {
    let facts = try? JSONDecoder().decode([StoredFact].self, from: Data(text.utf8))
    return (facts ?? []).map { Decision.Fact($0.name, $0.value) }
  }
}
