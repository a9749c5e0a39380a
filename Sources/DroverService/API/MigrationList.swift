/// The answer to `GET /api/v1/migrations`.
public struct MigrationList: Codable, Hashable, Sendable {
  /// Migrations, those that started, or were asked for, earlier first; by id where that was together.
  public var items: [MigrationItem]
  /// Back ends, by name: what one that is down sees is old, or missing.
  public var backends: [BackendItem]

  /// Sorts migrations into a list.
  public init(_ items: [MigrationItem], backends: [BackendItem] = []) {
    self.items = items.sorted { ($0.beganAt, $0.id) < ($1.beganAt, $1.id) }
    self.backends = backends
  }
}

/// How a back end does.
public struct BackendItem: Codable, Hashable, Sendable {
  /// The configured name.
  public var name: String
  /// `qemu`, `libvirt` or `kubevirt`.
  public var type: String
  /// Whether everything that it watches answered at the last attempt; false before the first.
  public var isUp: Bool
  /// The oldest last good answer of everything that it watches; absent before the first.
  public var lastSuccessAt: Timestamp?
  /// Since when it has been down; absent where it is up, or has not been tried.
  public var downSince: Timestamp?
  /// Why it is down, in the words of the log; absent where it is up, or that is not known.
  public var problem: String?
  /// Migrations that may run at a time in the whole cluster, and that do; absent where there is no such limit.
  public var slots: Slots?
  /// The server's time.
  public var asOf: Timestamp

  /// A sentence about a back end that is down; nil where all is well.
  public var warning: String? {
    guard !isUp else { return nil }
    let age = lastSuccessAt.map { "the oldest answer is from \(Words.relative(-asOf.seconds(since: $0)))" }
    let since = downSince.map { "; down for \(Words.duration(asOf.seconds(since: $0)))" } ?? ""
    return "back end \(name) is down: \(age ?? "it has not answered yet")\(since)"
      + (problem.map { ": \($0)" } ?? "")
  }
}

/// Migrations that may run at a time, and that do.
public struct Slots: Codable, Hashable, Sendable {
  /// Slots that are taken.
  public var used: UInt64
  /// Slots that there are.
  public var limit: UInt64
}
