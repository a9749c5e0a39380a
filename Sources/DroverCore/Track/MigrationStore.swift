/// Holds views in groups, and beside each view what the tracker remembers of it.
///
/// A snapshot shares the groups; changing one view copies its group at most, never the fleet.
struct MigrationStore: Sendable {
  private(set) var groups: [MigrationGroup] = []
  private var watches: [[MigrationWatch]] = []
  private var places: [MigrationID: (group: Int, offset: Int)] = [:]
  private var lastRevision: UInt64 = 0

  var count: Int { places.count }

  func contains(_ id: MigrationID) -> Bool { places[id] != nil }

  mutating func insert(_ view: MigrationView, _ watch: MigrationWatch) {
    guard places[view.identity.id] == nil else { return }
    let free = groups.lastIndex { $0.views.count < MigrationGroup.capacity }
    let group = free ?? groups.endIndex
    if free == nil {
      groups.append(MigrationGroup(revision: 0, views: []))
      watches.append([])
    }
    places[view.identity.id] = (group, groups[group].views.count)
    groups[group].views.append(view)
    watches[group].append(watch)
    touch(group)
  }

  /// Changes one migration; its group counts as changed only if the view then differs.
  mutating func update(_ id: MigrationID, _ change: (inout MigrationView, inout MigrationWatch) -> Void) {
    guard let place = places[id] else { return }
    update(at: place.group, place.offset, change)
  }

  /// Changes every migration.
  mutating func update(_ change: (inout MigrationView, inout MigrationWatch) -> Void) {
    for group in groups.indices {
      for offset in groups[group].views.indices { update(at: group, offset, change) }
    }
  }

  /// Removes every migration that `isDue` says is; what it changes in a watch stays changed.
  mutating func removeAll(where isDue: (MigrationView, inout MigrationWatch) -> Bool) {
    for group in groups.indices {
      for offset in groups[group].views.indices.reversed()
      where isDue(groups[group].views[offset], &watches[group][offset]) {
        remove(at: group, offset)
      }
    }
  }

  /// Removes the migration whose end was seen first; false where none has ended.
  mutating func removeOldestEnded() -> Bool {
    var oldest: (group: Int, offset: Int, at: Moment)?
    for (group, watches) in watches.enumerated() {
      for (offset, watch) in watches.enumerated() {
        guard let seen = watch.endSeenAt, oldest.map({ seen < $0.at }) ?? true else { continue }
        oldest = (group, offset, seen)
      }
    }
    guard let oldest else { return false }
    remove(at: oldest.group, oldest.offset)
    return true
  }

  private mutating func update(
    at group: Int, _ offset: Int, _ change: (inout MigrationView, inout MigrationWatch) -> Void
  ) {
    var view = groups[group].views[offset]
    change(&view, &watches[group][offset])
    guard view != groups[group].views[offset] else { return }
    groups[group].views[offset] = view
    touch(group)
  }

  private mutating func remove(at group: Int, _ offset: Int) {
    places[groups[group].views[offset].identity.id] = nil
    groups[group].views.swapAt(offset, groups[group].views.count - 1)
    watches[group].swapAt(offset, watches[group].count - 1)
    groups[group].views.removeLast()
    watches[group].removeLast()
    if offset < groups[group].views.count {
      places[groups[group].views[offset].identity.id] = (group, offset)
    }
    touch(group)
  }

  private mutating func touch(_ group: Int) {
    lastRevision += 1
    groups[group].revision = lastRevision
  }
}

/// Migrations that were not tracked because there were too many.
struct DroppedMigrations: Sendable {
  private static let longestMemory = 20_000
  private(set) var count: UInt64 = 0
  private var open: Set<MigrationID> = []

  /// Whether this migration had not been dropped before.
  mutating func note(_ id: MigrationID, isOver: Bool) -> Bool {
    if isOver, open.remove(id) != nil { return false }
    guard !open.contains(id) else { return false }
    if !isOver, open.count < Self.longestMemory { open.insert(id) }
    count += 1
    return true
  }
}
