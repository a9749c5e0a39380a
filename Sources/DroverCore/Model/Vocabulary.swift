/// Drover's own, reduced phases of a migration; the label `phase`.
public enum Phase: String, CaseIterable, Sendable {
  case pending, scheduling, preparing, precopy, postcopy
  case postcopyPaused = "postcopy_paused"
  case switchover
  case guestSuspended = "guest_suspended"
  case aborting, succeeded, failed, aborted

  /// Whether the migration is over.
  public var isFinal: Bool { outcome != nil }

  /// How the migration ended; nil while it has not.
  public var outcome: Outcome? {
    switch self {
    case .succeeded: .succeeded
    case .failed: .failed
    case .aborted: .aborted
    default: nil
    }
  }

  /// Whether the copy may move bytes in this phase.
  public var copies: Bool {
    switch self {
    case .precopy, .postcopy, .guestSuspended: true
    default: false
    }
  }

  /// Whether the guest has gone over and its memory follows, or should.
  public var isPostcopy: Bool { self == .postcopy || self == .postcopyPaused }

  /// Whether this phase proves that the copy could begin; an abort or a failure proves nothing.
  public var provesStart: Bool {
    switch self {
    case .precopy, .postcopy, .postcopyPaused, .switchover, .guestSuspended, .succeeded: true
    default: false
    }
  }

  /// Whether nothing can have been copied yet in this phase.
  var precedesStart: Bool {
    switch self {
    case .pending, .scheduling, .preparing: true
    default: false
    }
  }

  /// Whether the deadlines of pre-copy apply: nothing may end a migration by time once the guest runs at the target.
  public var hasDeadlines: Bool {
    switch self {
    case .preparing, .precopy, .guestSuspended, .switchover, .aborting: true
    default: false
    }
  }
}

/// How a migration ended; the label `outcome`.
public enum Outcome: String, CaseIterable, Sendable {
  case succeeded, failed, aborted

  /// The final phase that this outcome is shown as.
  public var phase: Phase {
    switch self {
    case .succeeded: .succeeded
    case .failed: .failed
    case .aborted: .aborted
    }
  }
}

/// Why a migration did not succeed: a closed list; the label `cause`.
public enum FailureCause: String, CaseIterable, Sendable {
  case userAbort = "user_abort"
  case policyAbort = "policy_abort"
  case alertAbort = "alert_abort"
  case completionTimeout = "completion_timeout"
  case progressTimeout = "progress_timeout"
  case keepalive
  case connectionLost = "connection_lost"
  case sourceLost = "source_lost"
  case targetLost = "target_lost"
  case targetRefused = "target_refused"
  case unschedulable
  case podPendingTimeout = "pod_pending_timeout"
  case quota
  case notMigratable = "not_migratable"
  case storage
  case guestShutdown = "guest_shutdown"
  case guestCrashed = "guest_crashed"
  case postcopyBroken = "postcopy_broken"
  case vmLost = "vm_lost"
  case superseded, other, unknown

  /// Whether somebody asked for this end.
  public var isAbort: Bool {
    switch self {
    case .userAbort, .policyAbort, .alertAbort: true
    default: false
    }
  }
}

/// Whether the source itself told the cause; the label `certainty`.
public enum Certainty: String, CaseIterable, Sendable {
  case reported, inferred
}

/// Who asked for the migration; the label `origin`.
public enum Origin: String, CaseIterable, Sendable {
  case manual, evacuation
  case workloadUpdate = "workload_update"
  case descheduler, decentralized, drover, unknown
}

/// Where the guest runs, or is held paused; the label `on`.
public enum GuestLocation: String, CaseIterable, Sendable {
  case source, target, both, none, unknown

  /// Joins what each end says of itself; nil where an end cannot be asked.
  ///
  /// A target that nobody can ask does not run the guest while the source does.
  public init(onSource: Bool?, onTarget: Bool?) {
    self =
      switch (onSource, onTarget) {
      case (true, true): .both
      case (true, _): .source
      case (_, true): .target
      case (false, false): .none
      default: .unknown
      }
  }

  /// Whether somebody has to look: the guest runs nowhere, or twice.
  public var isAlarming: Bool { self == .none || self == .both }
}

/// Why a VM cannot be migrated: a closed list; the label `reason` of `drover_vm_not_migratable`.
public enum NotMigratableReason: String, CaseIterable, Sendable {
  case cdrom
  case containerDisk = "container_disk"
  case accessMode = "access_mode"
  case singleReplica = "single_replica"
  case hostDevice = "host_device"
  case gpu
  case nodeSelector = "node_selector"
  case singleNodeRule = "single_node_rule"
  case clusterNetwork = "cluster_network"
  case cpuManager = "cpu_manager"
  case cpuModel = "cpu_model"
  case networkInterface = "network_interface"
  case confidential
  case noTargetNode = "no_target_node"
  case noResources = "no_resources"
  case other, unknown
}

/// Whether a migration will end by itself; the label `verdict`.
public enum VerdictKind: String, CaseIterable, Sendable {
  case networkLost = "network_lost"
  case stalled
  case notConverging = "not_converging"
  case slow, converging, unknown

  /// Whether the migration will not end by itself.
  public var isTrouble: Bool {
    switch self {
    case .networkLost, .stalled, .notConverging: true
    case .slow, .converging, .unknown: false
    }
  }
}

/// Who set a time-out; the label `set_by`.
public enum TimeoutOrigin: String, CaseIterable, Sendable {
  case vmi, policy, kubevirt
  case versionDefault = "version_default"
  case config
}

/// Who ends a migration at its deadline; the label `enforced_by`.
public enum Enforcer: String, CaseIterable, Sendable {
  case kubevirt, drover, none
}

/// What happens at the completion deadline; the label `action`.
public enum DeadlineAction: String, CaseIterable, Sendable {
  case abort, postcopy, pause, none
}

/// An end of a migration, as a node's counter of failures splits it; the label `direction`.
public enum Direction: String, CaseIterable, Sendable {
  case outbound, inbound
}
