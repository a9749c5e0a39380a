public import DroverCore

/// The answer to `GET /api/v1/nodes`.
public struct NodeList: Codable, Hashable, Sendable {
  /// Nodes and hosts, by back end and name.
  public var items: [NodeItem]
  /// Back ends, by name: what one that is down sees is old, or missing.
  public var backends: [BackendItem]
}

/// A node or host as `/api/v1/nodes` shows it; what is not known is absent.
public struct NodeItem: Codable, Hashable, Sendable {
  /// The back end's configured name.
  public var backend: String
  /// The node's name.
  public var node: String
  /// VMs on it; absent until its back end has answered.
  public var vms: UInt64?
  /// Whether the cluster calls it ready.
  public var isReady: Bool?
  /// When the daemon that migrates from it gave its last sign of life.
  public var heartbeatAt: Timestamp?
  /// Migrations under way from it.
  public var outbound: UInt64
  /// Migrations under way to it.
  public var inbound: UInt64
  /// Migrations from it that wait to begin; told of nodes of a cluster only.
  public var pending: UInt64?
  /// Migrations from it that failed since the start.
  public var failedOutbound: UInt64
  /// Migrations to it that failed since the start; told of nodes of a cluster only.
  public var failedInbound: UInt64?
  /// Migrations that may leave it at a time, and that do.
  public var slots: Slots?
  /// How far it is emptied; told of nodes of a cluster, and of hosts that Drover has drained.
  public var drain: Drain?

  /// How far a node is emptied of its VMs.
  public struct Drain: Codable, Hashable, Sendable {
    /// Whether something moves its VMs away.
    public var isDraining: Bool
    /// Since when.
    public var startedAt: Timestamp?
    /// Its VMs, by what became of them since then: `pending`, `migrating`, `done`, `failed`, `timed_out`, `blocked`.
    public var vms: [String: UInt64]?
    /// Whether nothing speaks against rebooting it.
    public var isDrained: Bool
    /// What does: `vm`, `inbound`, `not_cordoned`, `last_replica`, `data_stale`.
    public var rebootBlockers: [String]
    /// As of when all this is known to hold.
    public var knownAt: Timestamp
  }
}

extension NodeList {
  /// Shows every node of a snapshot.
  public init(_ snapshot: FleetSnapshot, epochOffset: EpochOffset, now: Moment) {
    self.init(
      items: snapshot.nodes.map { NodeItem($0, epochOffset: epochOffset) },
      backends: BackendItem.all(of: snapshot, epochOffset: epochOffset, now: now))
  }
}

extension NodeItem {
  /// Shows what is known of a node.
  public init(_ view: NodeView, epochOffset: EpochOffset) {
    let state = view.state
    self.init(
      backend: view.backend.rawValue, node: view.node, vms: view.knownVMs, isReady: state?.isReady,
      heartbeatAt: state?.heartbeat.map { Timestamp($0, epochOffset) }, outbound: view.outbound,
      inbound: view.inbound, pending: state.map { _ in view.pending },
      failedOutbound: view.failedOutbound, failedInbound: state.map { _ in view.failedInbound },
      slots: state?.slots.map(Slots.init), drain: Drain(of: view, epochOffset: epochOffset))
  }
}

extension NodeItem.Drain {
  fileprivate init?(of view: NodeView, epochOffset: EpochOffset) {
    guard let isDraining = view.isDraining, let blockers = view.rebootBlockers,
      let knownAt = view.state?.takenAt ?? view.ownDrain.map({ $0.knownAt ?? $0.startedAt })
    else { return nil }
    let vms = view.drainVMs.map { counts in
      Dictionary(uniqueKeysWithValues: DrainVMState.allCases.map { ($0.rawValue, counts[$0] ?? 0) })
    }
    self.init(
      isDraining: isDraining, startedAt: view.drainStartedAt.map { Timestamp($0, epochOffset) }, vms: vms,
      isDrained: blockers.isEmpty, rebootBlockers: blockers.map(\.rawValue),
      knownAt: Timestamp(knownAt, epochOffset))
  }
}
