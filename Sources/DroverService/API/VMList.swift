public import DroverCore

/// The answer to `GET /api/v1/vms`.
public struct VMList: Codable, Hashable, Sendable {
  /// VMs, by back end, namespace or host, and name.
  public var items: [VMItem]
  /// Back ends, by name: what one that is down sees is old, or missing.
  public var backends: [BackendItem]
}

/// A VM as `/api/v1/vms` shows it; what is not known is absent, except for `namespace` and `host`, one of which is null.
public struct VMItem: Codable, Hashable, Sendable {
  /// The back end's configured name.
  public var backend: String
  /// The VM's namespace, with KubeVirt.
  @OrNull public var namespace: String?
  /// The VM's host, with libvirt and QEMU.
  @OrNull public var host: String?
  /// The VM's name.
  public var vm: String
  /// The node or host that it is on.
  public var node: String?
  /// Whether nothing speaks against migrating it; absent where that is not known.
  public var isMigratable: Bool?
  /// What does; absent where that is not told.
  public var notMigratable: [String]?
  /// Nodes that can take it now, its own not counted; absent where that is not told.
  public var migrationTargets: UInt64?
  /// What a drain of its node does to it: `migrates`, `blocks` or `will_be_shut_down`.
  public var drainOutcome: String?
  /// Migrations that failed one after the other since the last that succeeded.
  public var consecutiveFailures: UInt64
  /// Rate at which it dirties its memory, where that is measured.
  public var dirtyBytesPerSecond: UInt64?
}

extension VMList {
  /// Shows every VM of a snapshot.
  public init(_ snapshot: FleetSnapshot, epochOffset: EpochOffset, now: Moment) {
    self.init(
      items: snapshot.vms.map { VMItem($0, dirtyRate: snapshot.dirtyRates[$0.vm]) },
      backends: BackendItem.all(of: snapshot, epochOffset: epochOffset, now: now))
  }
}

extension VMItem {
  /// Shows what is known of a VM.
  public init(_ view: VMView, dirtyRate: BytesPerSecond?) {
    self.init(
      backend: view.vm.backend.rawValue, namespace: view.vm.scope.namespace, host: view.vm.scope.host,
      vm: view.vm.name, node: view.node.isEmpty ? nil : view.node,
      isMigratable: view.isMigratable, notMigratable: view.blockers?.map(\.rawValue),
      migrationTargets: view.targets,
      drainOutcome: view.drainOutcome?.rawValue, consecutiveFailures: view.consecutiveFailures,
      dirtyBytesPerSecond: dirtyRate?.value)
  }
}
