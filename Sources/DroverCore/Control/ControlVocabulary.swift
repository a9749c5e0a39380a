/// What is done to migrations, VMs and nodes.
public enum ControlAction: String, CaseIterable, Sendable {
  case abort, migrate
  case stopEvacuation = "stop_evacuation"
  case drain, cordon, uncordon
  case resetHold = "reset_hold"
}

/// Who or what asks for something.
public enum Trigger: String, CaseIterable, Sendable {
  /// Somebody, over the API or the command line.
  case person
  /// An alert.
  case alert
  case completionTimeout = "completion_timeout"
  case progressTimeout = "progress_timeout"
  case notConverging = "not_converging"
  case keepalive
  case networkLost = "network_lost"
  case postcopy

  /// What a migration that it ended has as its cause.
  public var cause: FailureCause {
    switch self {
    case .person: .userAbort
    case .alert: .alertAbort
    default: .policyAbort
    }
  }
}

/// What was decided.
public enum DecisionKind: String, CaseIterable, Sendable {
  /// It was done.
  case acted
  /// It would have been done: only shown.
  case shadowed
  /// It is none that is acted upon: only noted.
  case observed
  /// It must not be done.
  case refused
  /// It may be done later.
  case held
}

/// What became of something that was done.
public enum DecisionResult: String, CaseIterable, Sendable {
  /// The migration is over, because of it.
  case aborted
  /// The migration is over, but not because of it: it succeeded, or failed by itself.
  case endedOtherwise = "ended_otherwise"
  /// It could not be done.
  case error
  /// It is under way, as wished: a migration began, a node is cordoned.
  case done
}

/// Why something is not done.
public enum RefusalReason: String, CaseIterable, Sendable {
  /// No migration, VM or node is called so.
  case unknown
  /// The migration is over.
  case finished
  /// Another migration has taken its place.
  case replaced
  /// The guest runs at the target already, and would be lost.
  case postcopy
  /// The guest is being switched over; it cannot be stopped any more.
  case switchover
  /// An abort was sent already.
  case aborting
  /// How it is at its source at this moment cannot be read.
  case unreadable
  /// KubeVirt would begin again at once: the node carries the taint of a drain.
  case drainTaint = "drain_taint"
  /// A Harvester upgrade drains the node: it stops a VM whose migration failed.
  case harvesterUpgrade = "harvester_upgrade"
  /// Whoever began it begins again; it has to be ended with its cause.
  case comesBack = "comes_back"
  /// The switch for it is disabled.
  case disabled
  /// The decision cannot be recorded.
  case journal
  /// The back end cannot do this.
  case unsupported
  /// The VM cannot be migrated.
  case notMigratable = "not_migratable"
  /// The VM migrates already, or waits for it.
  case migrating
  /// The VM does not run.
  case notRunning = "not_running"
  /// The VM is on that node already.
  case sameNode = "same_node"
  /// No node can take the VM.
  case noTarget = "no_target"
  /// The node that is wished for cannot take the VM.
  case targetUnfit = "target_unfit"
  /// The system itself refuses it.
  case system
  /// Many migrations lost their network at once; nothing is ended by itself.
  case hold
  /// Another of several Drovers leads, and only that one acts.
  case notLeader = "not_leader"

  /// Whether the same question may be answered otherwise later.
  public var isPassing: Bool {
    switch self {
    case .unreadable, .journal, .hold, .disabled, .notLeader: true
    default: false
    }
  }
}

/// One reason why something is not done.
public struct Refusal: Hashable, Sendable {
  /// The short form.
  public var reason: RefusalReason
  /// In words, with the remedy.
  public var text: String

  /// Makes a reason.
  public init(_ reason: RefusalReason, _ text: String) {
    self.reason = reason
    self.text = text
  }
}
