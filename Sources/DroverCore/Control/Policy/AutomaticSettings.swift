/// What bounds everything that ends migrations by itself.
public struct AutomaticLimits: Hashable, Sendable {
  /// So many automatic aborts within `window`, for the whole fleet; then a hold.
  public var aborts = 3
  /// The time in which `aborts` are counted, and for which nothing new may be wished for until that hold ends.
  public var window = Duration.seconds(600)
  /// Between two automatic aborts of one VM; 0 = no such limit.
  public var perVM = Duration.seconds(1800)
  /// Oldest sample that anything is decided on; with KubeVirt its sampling interval comes on top.
  public var sampleAge = Duration.seconds(10)
  /// What is expected to end within this time is let go on.
  public var guardTime = Duration.seconds(10)
  /// So many migrations that lose their network within a minute are a partition.
  public var partition = 3

  /// The documented defaults.
  public init() {}
}

/// All that says what may be ended without a person.
public struct AutomaticSettings: Hashable, Sendable {
  /// The rules, in order: the first that matches governs.
  public var rules: [PolicyRule] = [.standard]
  /// How far rules may go: what the switch `policies` says.
  public var policies = PolicyAction.observe
  /// How far alerts may go; nil where the switch `alerts` is disabled.
  public var alerts: PolicyAction?
  /// The bounds.
  public var limits = AutomaticLimits()
  /// Alerts that may ask, by name.
  public var alertNames: [String] = ["DroverMigrationNotConverging", "DroverMigrationStalled"]
  /// The label of an alert that holds the namespace, or for hosts the label `host` beside it.
  public var namespaceLabel = "namespace"

  /// The documented defaults: nothing is armed.
  public init() {}

  /// Labels of VMs that rules choose by.
  public var labelNames: Set<String> { Set(rules.flatMap(\.match.labels.keys)) }

  /// Why a rule does not go as far as it says.
  public enum Cap: Hashable, Sendable {
    /// The switch `policies` does not let it.
    case policySwitch
    /// KubeVirt enforces that time-out itself.
    case kubevirt
  }

  /// The rule that governs a migration; nil where none does, or the labels that decide are not known yet.
  public func rule(for subject: PolicySubject) -> PolicyRule? {
    let first = rules.first { $0.match.matches(subject) || $0.match.mayMatch(subject) }
    return first.flatMap { $0.match.matches(subject) ? $0 : nil }
  }

  /// What a rule's wish comes to for a migration, and what holds it back.
  public func action(_ wish: PolicyWish, _ trigger: Trigger, _ subject: PolicySubject) -> (PolicyAction, Cap?)
  {
    if case .namespace = subject.vm.scope, trigger == .completionTimeout || trigger == .progressTimeout,
      wish.action > .observe
    {
      return (.observe, .kubevirt)
    }
    // What the configuration refuses is refused here, too.
    let wished = trigger.neverAborts == nil ? wish.action : min(wish.action, .shadow)
    return wished > policies ? (policies, .policySwitch) : (wished, nil)
  }

  /// Whether Drover itself ends a migration for this reason.
  public func enforces(_ trigger: Trigger, _ subject: PolicySubject) -> Bool {
    guard policies == .abort, let wish = rule(for: subject)?.wishes[trigger] else { return false }
    return action(wish, trigger, subject).0 == .abort
  }
}

/// Why automatic aborts wait; the label `reason` of `drover_abort_hold`.
public enum HoldReason: String, CaseIterable, Sendable {
  /// There have been as many as are allowed at a time.
  case breaker
  /// Many migrations lost their network at once.
  case partition
  /// Nothing can be recorded, or what was recorded before the start is not known yet.
  case journal
  /// Another Drover was at work until now, and what it did is not known.
  case takeover
}
