internal import DroverCore
internal import GRDB

/// The columns of a row, read so that nothing in a file can end the process.
///
/// A journal newer than this program may lack a column, or hold words that are unknown here: both are nil.
struct Columns {
  let row: Row

  func text(_ name: String) -> String? { (row[name] as DatabaseValue?).flatMap(String.fromDatabaseValue) }

  func integer(_ name: String) -> Int64? { (row[name] as DatabaseValue?).flatMap(Int64.fromDatabaseValue) }

  func isTrue(_ name: String) -> Bool { integer(name) == 1 }

  func word<Word: RawRepresentable>(_ name: String, _: Word.Type = Word.self) -> Word?
  where Word.RawValue == String {
    text(name).flatMap(Word.init(rawValue:))
  }

  func bytes(_ name: String) -> Bytes? { integer(name).flatMap { UInt64(exactly: $0) }.map { Bytes($0) } }

  func count(_ name: String) -> UInt64? { integer(name).flatMap { UInt64(exactly: $0) } }

  func duration(_ name: String) -> Duration? { integer(name).map { .milliseconds($0) } }

  func migration(_ name: String) -> MigrationID? { text(name).flatMap { MigrationID($0) } }

  /// The VM of the columns `backend`, `scope_kind`, `scope` and `vm`.
  var vm: VMRef? {
    guard let backend = text("backend"), let name = text("vm"),
      let scope = Scope(kind: text("scope_kind"), name: text("scope"))
    else { return nil }
    return VMRef(backend: BackendName(rawValue: backend), scope: scope, name: name)
  }
}

/// A column of a row that is written; nil is NULL.
typealias Column = (name: String, value: (any DatabaseValueConvertible)?)

extension Database {
  func store(_ columns: [Column], verb: String, table: String) throws {
    let names = columns.map(\.name).joined(separator: ", ")
    let marks = columns.map { _ in "?" }.joined(separator: ", ")
    let statement = try cachedStatement(sql: "\(verb) INTO \(table) (\(names)) VALUES (\(marks))")
    try statement.execute(arguments: StatementArguments(columns.map(\.value)))
  }
}

extension Bytes {
  /// As SQLite keeps it; 8 EiB and more are taken for the largest number.
  var stored: Int64 { Int64(clamping: count) }
}
