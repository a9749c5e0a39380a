public import DroverCore
internal import GRDB

extension Journal {
  /// Longest wait for another process that writes the file at this moment.
  private static let patience = 2.0

  /// Opens a journal; makes the file, and its directory, where there is none.
  ///
  /// One that cannot be written, or that a newer Drover made, is opened for reading: then `refusal` tells why. Blocks
  /// while the disk does.
  ///
  /// - Throws: What cannot be used at all: it is no journal, it is damaged, another Drover uses it, or its directory cannot
  ///   be made.
  public static func open(path: String) throws(JournalError) -> Journal {
    let file = try JournalFile(path: path)
    if let refusal = file.refusal { return try readOnly(file, refusal) }
    do {
      let standing = try? Self.standing(of: file)
      switch standing {
      case .newer: return try readOnly(file, newer(path))
      case .foreign: throw foreign(path)
      case .empty, .known, nil: break
      }
      let writer = try writer(of: file)
      file.settle()
      return Journal(file, writer: writer)
    } catch {
      let error = (error as? JournalError) ?? JournalError(error, call: "opening \(path)", path: path)
      guard error.kind == .readOnly else { throw error }
      return try readOnly(file, error)
    }
  }

  /// What the file is, found out without a write to it.
  private static func standing(of file: JournalFile) throws -> Standing {
    guard !file.isEmpty else { return .empty }
    return try DatabaseQueue(path: file.path, configuration: configuration(isReadOnly: true))
      .read { db in try Standing(db) }
  }

  private static func writer(of file: JournalFile) throws -> DatabasePool {
    // Before the file is switched to its log written ahead: afterwards its pages are laid out for good.
    try DatabaseQueue(path: file.path, configuration: configuration()).writeWithoutTransaction { db in
      switch try Standing(db) {
      case .empty:
        try db.execute(
          sql: "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = \(Schema.applicationID)")
      case .known: break
      case .newer: throw newer(file.path)
      case .foreign: throw foreign(file.path)
      }
    }
    let pool = try DatabasePool(path: file.path, configuration: configuration())
    try pool.writeWithoutTransaction { db in
      // GRDB asks for less: what was recorded last could be lost with the machine's power.
      try db.execute(sql: "PRAGMA synchronous = FULL")
      try db.execute(sql: "PRAGMA wal_autocheckpoint = 250; PRAGMA journal_size_limit = 1048576")
    }
    try Schema.migrator.migrate(pool)
    return pool
  }

  private static func readOnly(_ file: JournalFile, _ refusal: JournalError) throws(JournalError) -> Journal {
    do {
      let reader = try reader(of: file)
      switch try reader.read({ db in try Standing(db) }) {
      case .empty: throw refusal
      case .foreign: throw foreign(file.path)
      case .newer: return Journal(file, reader: reader, refusal: newer(file.path))
      case .known: return Journal(file, reader: reader, refusal: refusal)
      }
    } catch let error as JournalError {
      throw error
    } catch {
      throw JournalError(error, call: "opening \(file.path)", path: file.path)
    }
  }

  private static func reader(of file: JournalFile) throws -> DatabaseQueue {
    do {
      let reader = try DatabaseQueue(path: file.path, configuration: configuration(isReadOnly: true))
      _ = try reader.read { db in try Standing(db) }
      return reader
    } catch {
      // On a read-only file system nothing can stand beside the file; without a log it is complete by itself.
      guard !file.hasLog else { throw error }
      return try DatabaseQueue(path: file.immutableURI, configuration: configuration(isReadOnly: true))
    }
  }

  private static func configuration(isReadOnly: Bool = false) -> GRDB.Configuration {
    var configuration = GRDB.Configuration()
    configuration.label = "journal"
    configuration.readonly = isReadOnly
    configuration.busyMode = .timeout(patience)
    configuration.maximumReaderCount = 2
    return configuration
  }

  private static func newer(_ path: String) -> JournalError {
    JournalError(
      .newer, call: "opening \(path)", cause: "a newer Drover made it",
      remedy:
        "it is shown and left alone; install that version again, or give another file with --journal.path")
  }

  private static func foreign(_ path: String) -> JournalError {
    JournalError(
      .damaged, call: "opening \(path)", cause: "it is a database, but no journal of Drover's",
      remedy: "give another file with --journal.path")
  }
}
