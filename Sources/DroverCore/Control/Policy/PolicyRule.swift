/// How far a policy or an alert may go; each goes further than the one before.
public enum PolicyAction: String, CaseIterable, Comparable, Sendable {
  /// It is noted, and nothing else.
  case observe
  /// Everything is decided as if it were armed, and nothing is sent.
  case shadow
  /// The migration is ended.
  case abort

  /// Whether `a` goes less far than `b`.
  public static func < (a: PolicyAction, b: PolicyAction) -> Bool { a.reach < b.reach }

  private var reach: Int {
    switch self {
    case .observe: 0
    case .shadow: 1
    case .abort: 2
    }
  }
}

extension Trigger {
  /// What a rule may look out for, in the order of the documentation.
  public static let ofPolicies: [Trigger] = [
    .completionTimeout, .progressTimeout, .notConverging, .keepalive, .networkLost, .postcopy,
  ]

  /// Why nothing may ever be ended because of this by itself; nil where it may.
  public var neverAborts: String? {
    switch self {
    case .postcopy:
      "in post-copy the guest runs at the target with part of its memory still at the source, and would be lost"
    case .keepalive: "libvirt itself ends a migration whose control connection is gone"
    case .networkLost:
      "a network that is lost often comes back, and libvirt itself ends a migration whose control connection "
        + "stays away; where bytes stay away, progress_timeout applies"
    case .person, .alert, .completionTimeout, .progressTimeout, .notConverging: nil
    }
  }
}

/// What is done about a trigger, and after how long.
public struct PolicyWish: Hashable, Sendable {
  /// What is done.
  public var action: PolicyAction
  /// For how long the trigger must hold before.
  public var patience: Duration

  /// Makes a wish.
  public init(_ action: PolicyAction, after patience: Duration = .zero) {
    self.action = action
    self.patience = patience
  }
}

/// The facts of a migration that rules choose by.
public struct PolicySubject: Hashable, Sendable {
  /// The VM that moves.
  public var vm: VMRef
  /// Who asked for it.
  public var origin: Origin
  /// Guest memory and copied disks; nil where that is not known.
  public var size: Bytes?
  /// The VM's labels, with KubeVirt.
  public var labels: [String: String]

  /// Names the facts.
  public init(vm: VMRef, origin: Origin, size: Bytes?, labels: [String: String] = [:]) {
    self.vm = vm
    self.origin = origin
    self.size = size
    self.labels = labels
  }

  /// The facts of a migration as it is known now.
  public init(_ view: MigrationView) {
    self.init(
      vm: view.identity.vm, origin: view.facts.origin, size: view.facts.size, labels: view.facts.labels)
  }
}

/// Which migrations a rule is about; what is empty or nil does not choose.
public struct PolicyMatch: Hashable, Sendable {
  /// Back ends by their configured names.
  public var backends: [String] = []
  /// Namespaces, with KubeVirt.
  public var namespaces: [String] = []
  /// Hosts, with libvirt and QEMU.
  public var hosts: [String] = []
  /// VMs by their names.
  public var vms: [String] = []
  /// What labels of the VM are, by their names, with KubeVirt; each must be one of its values.
  public var labels: [String: [String]] = [:]
  /// Who asked for them.
  public var origins: [Origin] = []
  /// Of this size or more; one whose size is not known is not chosen.
  public var atLeast: Bytes?
  /// Of this size or less; one whose size is not known is not chosen.
  public var atMost: Bytes?

  /// Chooses all.
  public init() {}

  /// Whether a migration is meant.
  public func matches(_ subject: PolicySubject) -> Bool {
    func holds(_ names: [String], _ name: String?) -> Bool {
      names.isEmpty || name.map(names.contains) ?? false
    }
    var namespace: String?
    var host: String?
    switch subject.vm.scope {
    case .namespace(let name): namespace = name
    case .host(let name): host = name
    }
    let fits =
      (atLeast == nil && atMost == nil)
      || subject.size.map { size in size >= atLeast ?? 0 && size <= atMost ?? Bytes(.max) } ?? false
    return holds(backends, subject.vm.backend.rawValue) && holds(namespaces, namespace) && holds(hosts, host)
      && holds(vms, subject.vm.name) && (origins.isEmpty || origins.contains(subject.origin)) && fits
      && labels.allSatisfy { name, values in subject.labels[name].map(values.contains) ?? false }
  }
}

extension PolicyMatch {
  /// Whether only labels that are not known yet tell; KubeVirt gives each VM that runs some.
  func mayMatch(_ subject: PolicySubject) -> Bool {
    guard case .namespace = subject.vm.scope, subject.labels.isEmpty, !labels.isEmpty else { return false }
    var rest = self
    rest.labels = [:]
    return rest.matches(subject)
  }
}

/// One rule of `control.rules`.
public struct PolicyRule: Hashable, Sendable {
  /// Its name.
  public var name: String
  /// Why it is there, for those who read a decision; empty where nobody said.
  public var reason: String
  /// Which migrations it is about.
  public var match: PolicyMatch
  /// What it looks out for.
  public var wishes: [Trigger: PolicyWish]

  /// Makes a rule.
  public init(
    name: String, reason: String = "", match: PolicyMatch = PolicyMatch(), wishes: [Trigger: PolicyWish]
  ) {
    self.name = name
    self.reason = reason
    self.match = match
    self.wishes = wishes
  }

  /// What applies where no rules are given: both documented time-outs are noted.
  public static let standard = PolicyRule(
    name: "default",
    wishes: [.completionTimeout: PolicyWish(.observe), .progressTimeout: PolicyWish(.observe)])
}
