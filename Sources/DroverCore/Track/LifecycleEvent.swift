/// Something that happened to a migration: what the log and the journal keep.
public enum LifecycleEvent: Sendable {
  /// A migration was seen for the first time.
  case began(MigrationView)
  /// It entered another phase; final phases are told by `ended`.
  case phaseChanged(MigrationView, from: Phase)
  /// The verdict changed.
  case verdictChanged(MigrationView, from: VerdictKind)
  /// Bytes that had stopped move again.
  case interrupted(MigrationView, length: Duration)
  /// How it was when it was last seen under way, told just before `ended`: its budgets, its smallest remaining, its passes.
  case lastSeen(MigrationView)
  /// It ended.
  case ended(MigrationView)
  /// It had ended before Drover started: counted nowhere.
  case foundEnded(MigrationView)
  /// It is not tracked, because there are too many.
  case dropped(MigrationID, VMRef)
}
