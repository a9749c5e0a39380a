/// Whether a VM can be migrated, and where to: every reason against it, not the first.
public struct Eligibility: Hashable, Sendable {
  /// The VM.
  public var vm: VMRef
  /// Its node or host now; empty where that is not known.
  public var node: String
  /// What speaks against it wherever it is to go.
  public var obstacles: [Obstacle]
  /// Each node or host that might take it, but for its own.
  public var targets: [Target]
  /// What is worth knowing although it prevents nothing.
  public var notes: [String]

  /// Something that speaks against it.
  public struct Obstacle: Hashable, Sendable {
    /// The short form.
    public var reason: NotMigratableReason
    /// What it is: the disk, the device, the label.
    public var text: String
    /// How to get rid of it.
    public var remedy: String
    /// Whether the system itself would refuse; false for a rule that only Harvester's page holds.
    public var isEnforced: Bool

    /// Makes an obstacle.
    public init(_ reason: NotMigratableReason, _ text: String, remedy: String, isEnforced: Bool = true) {
      self.reason = reason
      self.text = text
      self.remedy = remedy
      self.isEnforced = isEnforced
    }
  }

  /// One node or host.
  public struct Target: Hashable, Sendable {
    /// Its name.
    public var node: String
    /// What speaks against it; empty where the VM can go there.
    public var obstacles: [Obstacle]

    /// Makes a target.
    public init(node: String, obstacles: [Obstacle]) {
      self.node = node
      self.obstacles = obstacles
    }

    /// Whether the VM can go there, as far as is known.
    public var isPossible: Bool { !obstacles.contains { $0.isEnforced && $0.reason != .unknown } }
  }

  /// Makes an answer.
  public init(
    vm: VMRef, node: String = "", obstacles: [Obstacle] = [], targets: [Target] = [], notes: [String] = []
  ) {
    self.vm = vm
    self.node = node
    self.obstacles = obstacles
    self.targets = targets
    self.notes = notes
  }

  /// Whether it can be migrated somewhere; nil where nothing speaks against it but something could not be read.
  public var isMigratable: Bool? {
    let enforced = obstacles.filter(\.isEnforced)
    if enforced.contains(where: { $0.reason != .unknown }) { return false }
    return enforced.isEmpty ? true : nil
  }
}

extension ControllableBackend {
  /// Finds out whether a VM can be migrated, and where to.
  public func eligibility(of vm: VMRef) async throws(ControlError) -> Eligibility {
    throw ControlError(
      .unsupported, call: "eligibility of \(vm.name)", cause: "this back end cannot tell",
      remedy: "see the requirements of its documentation")
  }
}
