/// Holds views in groups, and beside each view what the tracker remembers of it.
///
/// A snapshot shares the groups; changing one view copies its group at most, never the fleet.
struct MigrationStore: Sendable {
  private(set) var groups: [MigrationGroup] = []
  private var watches: [[MigrationWatch]] = []
  private var places: [MigrationID: (group: Int, offset: Int)] = [:]
  private var lastRevision: UInt64 = 0

  var count: Int { places.count }

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

  /// Changes every migration that `isConcerned` says is.
  mutating func update(
    where isConcerned: (borrowing MigrationView, borrowing MigrationWatch) -> Bool,
    _ change: (inout MigrationView, inout MigrationWatch) -> Void
  ) {
    for group in groups.indices {
      for offset in offsets(in: group, where: isConcerned) { update(at: group, offset, change) }
    }
  }

  /// Changes what is remembered of one migration, of which there is nothing new to be seen.
  ///
  /// - Parameter change: Returns false where there is something new after all.
  mutating func remember(
    _ id: MigrationID, _ change: (borrowing MigrationView, inout MigrationWatch) -> Bool
  ) -> Bool {
    guard let place = places[id] else { return false }
    let views = groups[place.group].views
    return change(views.span[place.offset], &watches[place.group][place.offset])
  }

  /// The back end whose migration this is; nil where it is not tracked.
  func owner(of id: MigrationID) -> BackendName? {
    places[id].map { groups[$0.group].views[$0.offset].identity.vm.backend }
  }

  /// Removes every migration that `isDue` says is.
  mutating func removeAll(where isDue: (borrowing MigrationView, borrowing MigrationWatch) -> Bool) {
    for group in groups.indices {
      // From behind: what moves into a gap has been looked at.
      for offset in offsets(in: group, where: isDue).reversed() { remove(at: group, offset) }
    }
  }

  /// Removes the migration whose end was seen first, an alarming one last; false where none has ended.
  mutating func removeOldestEnded() -> Bool {
    var oldest: (group: Int, offset: Int, isAlarming: Bool, at: Moment)?
    for (group, watches) in watches.enumerated() {
      for (offset, watch) in watches.enumerated() {
        guard let seen = watch.endSeenAt else { continue }
        let isAlarming = groups[group].views[offset].guest.isAlarming
        if let oldest, (oldest.isAlarming ? 1 : 0, oldest.at) <= (isAlarming ? 1 : 0, seen) { continue }
        oldest = (group, offset, isAlarming, seen)
      }
    }
    guard let oldest else { return false }
    remove(at: oldest.group, oldest.offset)
    return true
  }

  /// Looks at one group without copying anything in it.
  private func offsets(
    in group: Int, where isMeant: (borrowing MigrationView, borrowing MigrationWatch) -> Bool
  ) -> [Int] {
    // Through an array's subscript each view would be copied, with all that it refers to.
    let (views, watches) = (groups[group].views, watches[group])
    let (viewSpan, watchSpan) = (views.span, watches.span)
    var offsets: [Int] = []
    for offset in views.indices where isMeant(viewSpan[offset], watchSpan[offset]) { offsets.append(offset) }
    return offsets
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

  private struct State {
    var backend: BackendName
    var hasStarted = false
    var isOver = false
  }

  /// What is news about a migration that is not tracked.
  struct News {
    var isFirst = false
    var hasStarted = false
    var hasEnded = false
  }

  private(set) var count: UInt64 = 0
  private var states: [MigrationID: State] = [:]

  /// Takes one sight of a migration that is not tracked; each of the three is news once.
  mutating func note(_ id: MigrationID, of backend: BackendName, hasStarted: Bool, isOver: Bool) -> News {
    var news = News()
    if states[id] == nil {
      if states.count >= Self.longestMemory { states = states.filter { !$0.value.isOver } }
      // What cannot be remembered cannot be counted once either: rather not at all.
      guard states.count < Self.longestMemory else { return news }
      news.isFirst = true
      count += 1
    }
    var state = states[id] ?? State(backend: backend)
    news.hasStarted = hasStarted && !state.hasStarted && !state.isOver
    news.hasEnded = isOver && !state.isOver
    state.hasStarted = state.hasStarted || hasStarted
    state.isOver = state.isOver || isOver
    states[id] = state
    return news
  }

  /// It is tracked after all; returns whether its start was counted already, nil where it was not dropped before.
  mutating func adopt(_ id: MigrationID) -> Bool? { states.removeValue(forKey: id)?.hasStarted }

  /// Whether its end has been seen.
  func isOver(_ id: MigrationID) -> Bool { states[id]?.isOver ?? false }

  mutating func remove(_ backend: BackendName) { states = states.filter { $0.value.backend != backend } }
}
