/// Migrations that were under way when they were last seen, and by which names they go on once they are seen again.
///
/// A job has no name of its own, only the moment at which it began, and that comes out a little different each time it is
/// found anew.
struct FormerMigrations: Sendable {
  /// More than this were not under way.
  private static let most = 20_000

  private var open: [MigrationID: BackendName] = [:]
  /// The names that sources give to migrations which go on under another.
  private var names: [MigrationID: (name: MigrationID, backend: BackendName)] = [:]

  /// Takes in a migration that was under way.
  mutating func insert(_ id: MigrationID, of backend: BackendName) {
    if open.count < Self.most { open[id] = backend }
  }

  /// The name under which a migration goes on: its own, unless it is one of the former ones.
  ///
  /// - Parameters:
  ///   - isWatched: Whether a back end speaks for itself: what was another's is taken only from one that is not watched.
  ///   - isTaken: Whether a migration is shown under a name.
  mutating func name(
    of told: MigrationID, from backend: BackendName, isWatched: (BackendName) -> Bool,
    isTaken: (MigrationID) -> Bool
  ) -> MigrationID {
    if let known = names[told], known.backend == backend { return known.name }
    guard !open.isEmpty, !isTaken(told) else { return told }
    if open.removeValue(forKey: told) != nil { return told }
    let candidates = open.compactMap { id, owner -> (id: MigrationID, isOther: Bool, distance: Duration)? in
      guard let distance = id.startDifference(from: told), distance <= MigrationID.sameStart,
        owner == backend || !isWatched(owner), !isTaken(id)
      else { return nil }
      return (id, owner != backend, distance)
    }
    let best = candidates.min { a, b in
      a.isOther != b.isOther ? b.isOther : (a.distance, a.id.description) < (b.distance, b.id.description)
    }
    guard let best else { return told }
    open[best.id] = nil
    names[told] = (best.id, backend)
    return best.id
  }

  /// The name that a migration goes on under, for what is said of it otherwise.
  func name(of told: MigrationID, from backend: BackendName) -> MigrationID {
    names[told].flatMap { $0.backend == backend ? $0.name : nil } ?? told
  }

  /// Forgets by which names the migrations of a back end go on.
  mutating func forgetNames(of backend: BackendName) { names = names.filter { $0.value.backend != backend } }
}
