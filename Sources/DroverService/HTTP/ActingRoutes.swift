public import MicroHTTP

/// A route that acts, and what it takes: the one list that routes, tests and documents go by.
public struct ActingRoute: Hashable, Sendable {
  /// The method.
  public let method: Method
  /// The path, as the router takes it.
  public let pattern: String
  /// The rights that a caller must have, all of them.
  public let rights: Set<Right>
  /// The switch that must be enabled; nil where none arms it.
  public let controlSwitch: ControlSwitch?
  /// Whether it takes `dryRun`, with which nothing is done and no switch is needed.
  public var takesQuestions: Bool { [.abort, .migrate, .stopVM, .stopNode, .drain].contains(self) }

  private init(_ method: Method, _ path: String, _ rights: Set<Right>, _ controlSwitch: ControlSwitch?) {
    self.method = method
    pattern = "/api/v1/\(path)"
    self.rights = rights
    self.controlSwitch = controlSwitch
  }

  /// Ends a migration.
  public static let abort = ActingRoute(.post, "migrations/{id}/abort", [.abort], .manual)
  /// Begins a migration.
  public static let migrate = ActingRoute(.post, "migrations", [.migrate], .manual)
  /// Ends the evacuation of a VM, so that its migration does not come back.
  public static let stopVM = ActingRoute(
    .post, "vms/{backend}/{scope}/{name}/stop-evacuation", [.abort, .drain], .manual)
  /// Ends the evacuation of a node.
  public static let stopNode = ActingRoute(
    .post, "nodes/{backend}/{name}/stop-evacuation", [.abort, .drain], .drain)
  /// Begins to empty a node.
  public static let drain = ActingRoute(.post, "nodes/{backend}/{name}/drain", [.drain], .drain)
  /// Ends a drain; to do less needs no switch.
  public static let endDrain = ActingRoute(.delete, "nodes/{backend}/{name}/drain", [.drain], nil)
  /// Ends a hold of automatic aborts.
  public static let resetHold = ActingRoute(.post, "decisions/reset-hold", [.abort], nil)
  /// Takes alerts that ask for aborts.
  public static let alerts = ActingRoute(.post, "alerts", [.alerts], .alerts)

  /// All of them.
  public static let all = [abort, migrate, stopVM, stopNode, drain, endDrain, resetHold, alerts]
}
