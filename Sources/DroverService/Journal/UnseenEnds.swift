internal import DroverCore

/// Migrations that the journal holds open and that are not there any more: they ended while nobody looked.
struct UnseenEnds {
  private let migrations: [PastMigration]

  /// Compares; a back end that is down may yet tell of its migrations, one that is not watched any more will not.
  init(_ open: [PastMigration], in snapshot: FleetSnapshot) {
    let known = Set(snapshot.migrations.map(\.identity.id))
    let silent = Set(snapshot.backends.filter { !$0.isUp }.map(\.descriptor.name))
    migrations = open.filter { !known.contains($0.id) && !silent.contains($0.vm.backend) }
  }

  /// Their records from now on: over, and nobody knows how.
  func records(at unixMilliseconds: Int64) -> [PastMigration] {
    migrations.map { migration in
      var record = migration
      record.endedAt = max(unixMilliseconds, migration.startedAt)
      record.text = "its end was not seen: it was gone when drover looked for it again"
      return record
    }
  }
}
