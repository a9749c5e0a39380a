public import DroverCore

/// The answer to `GET /api/v1/vms/{backend}/{scope}/{name}/eligibility`: whether a VM can be migrated, and
/// where to.
public struct EligibilityItem: Codable, Hashable, Sendable {
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
  /// Whether it can be migrated somewhere; absent where nothing speaks against it but something could not be
  /// read.
  public var isMigratable: Bool?
  /// What speaks against it wherever it is to go.
  public var obstacles: [Obstacle]
  /// Each other node or host.
  public var targets: [Target]
  /// What is worth knowing although it prevents nothing.
  public var notes: [String]

  /// Something that speaks against it.
  public struct Obstacle: Codable, Hashable, Sendable {
    /// The short form: a word of the closed list that `drover_vm_not_migratable` has, too.
    public var reason: String
    /// What it is.
    public var text: String
    /// How to get rid of it.
    public var remedy: String
    /// Whether the system itself would refuse; false for a rule that only Harvester's page holds.
    public var isEnforced: Bool
  }

  /// One node or host.
  public struct Target: Codable, Hashable, Sendable {
    /// Its name.
    public var node: String
    /// Whether the VM can go there, as far as is known.
    public var isPossible: Bool
    /// What speaks against it.
    public var obstacles: [Obstacle]
  }
}

extension EligibilityItem {
  /// Shows an answer.
  public init(_ answer: Eligibility) {
    self.init(
      backend: answer.vm.backend.rawValue, namespace: answer.vm.scope.namespace, host: answer.vm.scope.host,
      vm: answer.vm.name, node: answer.node.isEmpty ? nil : answer.node, isMigratable: answer.isMigratable,
      obstacles: answer.obstacles.map(Obstacle.init),
      targets: answer.targets.map { target in
        Target(
          node: target.node, isPossible: target.isPossible, obstacles: target.obstacles.map(Obstacle.init))
      }, notes: answer.notes)
  }

  /// The namespace or host, whichever there is.
  public var scope: String { namespace ?? host ?? "" }
}

extension EligibilityItem.Obstacle {
  init(_ obstacle: Eligibility.Obstacle) {
    self.init(
      reason: obstacle.reason.rawValue, text: obstacle.text, remedy: obstacle.remedy,
      isEnforced: obstacle.isEnforced)
  }

  /// Whether this is for want of knowledge.
  public var isUnknown: Bool { reason == NotMigratableReason.unknown.rawValue }
}

extension EligibilityItem {
  /// Whether it can be migrated, and somewhere for certain: to a node of which all could be read.
  public var isSurelyMigratable: Bool {
    guard isMigratable == true else { return false }
    return targets.isEmpty
      || targets.contains { $0.isPossible && !$0.obstacles.contains { $0.isUnknown && $0.isEnforced } }
  }
}
