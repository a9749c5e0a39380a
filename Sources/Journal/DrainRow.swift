public import DroverCore
internal import FoundationEssentials
internal import GRDB

extension Journal: DrainStore {
  /// Stores a drain, unless a later revision of it is stored; it is on the disk when this returns.
  public func save(_ drain: DrainRecord) async throws(JournalError) {
    try await write("storing drain \(drain.id.rawValue)") { db in try DrainRow.upsert(drain, db) }
  }

  /// The latest drain of each node, the earliest first; not those that are over and whose node was given free again.
  public func latestDrains() async throws(JournalError) -> [DrainRecord] {
    try await read("reading drains") { db in try DrainRow.latest(db) }
  }
}

/// Drains as rows.
enum DrainRow {
  /// Times are Unix milliseconds; `id` is that of the decision that began it.
  static let schema = """
    CREATE TABLE drain (
      id INTEGER PRIMARY KEY, revision INTEGER NOT NULL,
      backend TEXT NOT NULL, node TEXT NOT NULL, requester TEXT NOT NULL,
      state TEXT NOT NULL, started_at_ms INTEGER NOT NULL, ended_at_ms INTEGER,
      is_cordoned INTEGER NOT NULL, is_following INTEGER NOT NULL, is_reopened INTEGER NOT NULL,
      text TEXT NOT NULL, vms_json TEXT NOT NULL
    ) STRICT;
    CREATE INDEX drain_node ON drain (backend, node, id);
    CREATE INDEX drain_ended ON drain (ended_at_ms);
    """

  static func upsert(_ drain: DrainRecord, _ db: Database) throws {
    let stored = try Int64.fetchOne(
      db, sql: "SELECT revision FROM drain WHERE id = ?", arguments: [drain.id.rawValue])
    if let stored, stored > drain.revision { return }
    try db.store(columns(of: drain), verb: "INSERT OR REPLACE", table: "drain")
  }

  static func latest(_ db: Database) throws -> [DrainRecord] {
    try Row.fetchAll(
      db,
      sql: """
        SELECT * FROM drain WHERE id IN (SELECT max(id) FROM drain GROUP BY backend, node)
          AND (ended_at_ms IS NULL OR is_reopened = 0) ORDER BY id
        """
    ).compactMap { DrainRecord(Columns(row: $0)) }
  }

  static func removeOld(before cutoff: Int64, _ db: Database) throws {
    try db.execute(sql: "DELETE FROM drain WHERE ended_at_ms < ?", arguments: [cutoff])
  }

  private static func columns(of drain: DrainRecord) throws -> [Column] {
    [
      ("id", drain.id.rawValue), ("revision", drain.revision), ("backend", drain.node.backend.rawValue),
      ("node", drain.node.node), ("requester", drain.requester), ("state", drain.state.rawValue),
      ("started_at_ms", drain.startedAt), ("ended_at_ms", drain.endedAt), ("is_cordoned", drain.isCordoned),
      ("is_following", drain.isFollowing), ("is_reopened", drain.isReopened), ("text", drain.text),
      ("vms_json", try StoredVM.encode(drain.vms)),
    ]
  }
}

extension DrainRecord {
  /// Nil where the row has not what every drain has, or a word that is not known here.
  fileprivate init?(_ columns: Columns) {
    guard let id = columns.integer("id"), let startedAt = columns.integer("started_at_ms"),
      let state = columns.word("state", DrainState.self), let backend = columns.text("backend"),
      let node = columns.text("node")
    else { return nil }
    self.init(
      id: DecisionID(rawValue: id), node: NodeRef(backend: BackendName(rawValue: backend), node: node),
      requester: columns.text("requester") ?? "", startedAt: startedAt)
    revision = columns.integer("revision") ?? 0
    self.state = state
    endedAt = columns.integer("ended_at_ms")
    isCordoned = columns.isTrue("is_cordoned")
    isFollowing = columns.isTrue("is_following")
    isReopened = columns.isTrue("is_reopened")
    text = columns.text("text") ?? ""
    vms = StoredVM.decode(columns.text("vms_json") ?? "", backend: self.node.backend)
  }
}

/// A VM as the column `vms_json` has it.
private struct StoredVM: Codable {
  var scopeKind: String
  var scope: String
  var name: String
  var domain: String
  var memory: UInt64?
  var state: String
  var isSettled: Bool
  var attempts: Int
  var migration: String?
  var isOwn: Bool
  var sentAt: Int64?
  var target: String
  var timeout: String?
  var text: String

  init(_ vm: DrainVM) {
    scopeKind = vm.vm.scope.kind
    scope = vm.vm.scope.name
    name = vm.vm.name
    domain = vm.domain
    memory = vm.memory?.count
    state = vm.state.rawValue
    isSettled = vm.isSettled
    attempts = vm.attempts
    migration = vm.migration?.description
    isOwn = vm.isOwn
    sentAt = vm.sentAt
    target = vm.target
    timeout = vm.timeout?.rawValue
    text = vm.text
  }

  func vm(of backend: BackendName) -> DrainVM? {
    guard let place = Scope(kind: scopeKind, name: scope), let state = DrainVMState(rawValue: state) else {
      return nil
    }
    var vm = DrainVM(
      vm: VMRef(backend: backend, scope: place, name: name), domain: domain, memory: memory.map { Bytes($0) })
    vm.state = state
    vm.isSettled = isSettled
    vm.attempts = attempts
    vm.migration = migration.flatMap { MigrationID($0) }
    vm.isOwn = isOwn
    vm.sentAt = sentAt
    vm.target = target
    vm.timeout = timeout.flatMap(Trigger.init(rawValue:))
    vm.text = text
    return vm
  }

  static func encode(_ vms: [DrainVM]) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(vms.map(StoredVM.init)), as: UTF8.self)
  }

  static func decode(_ text: String, backend: BackendName) -> [DrainVM] {
    let vms = try? JSONDecoder().decode([StoredVM].self, from: Data(text.utf8))
    return (vms ?? []).compactMap { $0.vm(of: backend) }
  }
}
