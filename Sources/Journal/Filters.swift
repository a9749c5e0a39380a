public import DroverCore
internal import GRDB

/// Which migrations are wanted; nil wants all.
public struct HistoryFilter: Hashable, Sendable {
  /// How a migration has ended, or not.
  public enum Ending: Hashable, Sendable {
    /// Its end is not recorded.
    case open
    /// It is over, but nobody saw how it ended.
    case unseen
    /// It ended like this.
    case outcome(Outcome)
  }

  /// Of this id.
  public var migration: MigrationID?
  /// Of a back end.
  public var backend: BackendName?
  /// Of VMs in this namespace or on this host.
  public var scope: Scope?
  /// Of VMs in a namespace or on a host of this name, whichever it is.
  public var scopeName: String?
  /// Of VMs with this name.
  public var vm: String?
  /// That have ended so.
  public var ending: Ending?

  /// Wants everything.
  public init() {}

  var conditions: Conditions {
    var conditions = Conditions()
    conditions.add("id = ?", migration?.description)
    conditions.add("backend = ?", backend?.rawValue)
    if let scope {
      conditions.add("scope_kind = ?", scope.kind)
      conditions.add("scope = ?", scope.name)
    }
    conditions.add("scope = ?", scopeName)
    conditions.add("vm = ?", vm)
    switch ending {
    case .open: conditions.add("ended_at_ms IS NULL")
    case .unseen: conditions.add("ended_at_ms IS NOT NULL AND outcome IS NULL")
    case .outcome(let outcome): conditions.add("outcome = ?", outcome.rawValue)
    case nil: break
    }
    return conditions
  }
}

/// Which decisions are wanted; nil wants all.
public struct DecisionFilter: Hashable, Sendable {
  /// About a migration.
  public var migration: MigrationID?
  /// About VMs of a back end.
  public var backend: BackendName?
  /// About VMs in this namespace or on this host.
  public var scope: Scope?
  /// Of VMs in a namespace or on a host of this name, whichever it is.
  public var scopeName: String?
  /// About VMs with this name.
  public var vm: String?
  /// That were decided so.
  public var kind: DecisionKind?
  /// About this.
  public var action: ControlAction?

  /// Wants everything.
  public init() {}

  var conditions: Conditions {
    var conditions = Conditions()
    conditions.add("migration = ?", migration?.description)
    conditions.add("backend = ?", backend?.rawValue)
    if let scope {
      conditions.add("scope_kind = ?", scope.kind)
      conditions.add("scope = ?", scope.name)
    }
    conditions.add("scope = ?", scopeName)
    conditions.add("vm = ?", vm)
    conditions.add("kind = ?", kind?.rawValue)
    conditions.add("action = ?", action?.rawValue)
    return conditions
  }
}

/// The conditions of a question, and their values.
struct Conditions {
  private var texts: [String] = []
  private(set) var arguments = StatementArguments()

  mutating func add(_ text: String) { texts.append(text) }

  /// Adds a condition; none where there is no value.
  mutating func add(_ text: String, _ value: (any DatabaseValueConvertible)?) {
    guard let value else { return }
    texts.append(text)
    arguments += [value]
  }

  /// Adds a condition with several values.
  mutating func add(_ text: String, values: StatementArguments) {
    texts.append(text)
    arguments += values
  }

  /// `WHERE ...`; empty where there is no condition.
  var sql: String { texts.isEmpty ? "" : "WHERE " + texts.joined(separator: " AND ") }
}

extension Scope {
  /// The word that a namespace and a host are told apart by.
  var kind: String {
    switch self {
    case .namespace: "namespace"
    case .host: "host"
    }
  }

  init?(kind: String?, name: String?) {
    guard let name else { return nil }
    switch kind {
    case "namespace": self = .namespace(name)
    case "host": self = .host(name)
    default: return nil
    }
  }
}
