internal import DroverCore
internal import Journal

/// Migrations that wait to be recorded, each once, in the order in which they came.
struct JournalMailbox {
  private let capacity: Int
  private var waiting: [MigrationID: PastMigration] = [:]
  private var order: [MigrationID] = []

  init(capacity: Int) { self.capacity = capacity }

  var isEmpty: Bool { waiting.isEmpty }

  /// Takes a migration in; false where there is no room.
  mutating func put(_ migration: PastMigration) -> Bool {
    if let earlier = waiting[migration.id] {
      waiting[migration.id] = migration.completed(by: earlier)
      return true
    }
    guard waiting.count < capacity else { return false }
    waiting[migration.id] = migration
    order.append(migration.id)
    return true
  }

  /// Takes the first ones out.
  mutating func take(_ count: Int) -> [PastMigration] {
    let ids = order.prefix(count)
    order.removeFirst(ids.count)
    return ids.compactMap { waiting.removeValue(forKey: $0) }
  }

  /// Puts back what was taken out, before what has come since.
  mutating func putBack(_ migrations: [PastMigration]) {
    var returned: [MigrationID] = []
    for migration in migrations {
      if let later = waiting[migration.id] {
        waiting[migration.id] = later.completed(by: migration)
      } else {
        waiting[migration.id] = migration
        returned.append(migration.id)
      }
    }
    order.insert(contentsOf: returned, at: 0)
  }

  /// Throws everything away; how much it was.
  mutating func discard() -> Int {
    defer {
      waiting = [:]
      order = []
    }
    return waiting.count
  }
}
