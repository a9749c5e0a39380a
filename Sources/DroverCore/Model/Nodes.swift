/// How many migrations may run at a time, and how many do.
public struct SlotUse: Hashable, Sendable {
  /// Migrations that hold a slot.
  public var used: UInt64
  /// Slots that there are.
  public var limit: UInt64

  /// Describes a number of slots.
  public init(used: UInt64, limit: UInt64) {
    self.used = used
    self.limit = limit
  }
}

/// A node as a back end that watches a whole cluster sees it.
public struct NodeObservation: Hashable, Sendable {
  /// The back end that tells it.
  public var backend: BackendName
  /// The node's name.
  public var node: String
  /// As of when all this is known to hold; what is too old says nothing, and no node counts as drained by it.
  public var takenAt: Moment
  /// Whether the cluster calls it ready; nil where it does not say.
  public var isReady: Bool?
  /// When the daemon that migrates from it gave its last sign of life; nil where it gives none.
  public var heartbeat: Moment?
  /// Migrations that may leave it at a time; nil where there is no such limit.
  public var slots: SlotUse?
  /// How far it is emptied.
  public var drain: NodeDrain

  /// Describes a node.
  public init(
    backend: BackendName, node: String, takenAt: Moment, isReady: Bool? = nil, heartbeat: Moment? = nil,
    slots: SlotUse? = nil, drain: NodeDrain = NodeDrain()
  ) {
    self.backend = backend
    self.node = node
    self.takenAt = takenAt
    self.isReady = isReady
    self.heartbeat = heartbeat
    self.slots = slots
    self.drain = drain
  }
}

/// How far a node is emptied of its VMs.
public struct NodeDrain: Hashable, Sendable {
  /// Whether something moves its VMs away.
  public var isDraining = false
  /// Since when; nil where nothing does, or that is not known.
  public var startedAt: Moment?
  /// Its VMs, by what became of them since the drain began; empty where nothing drains it.
  public var vms: [DrainVMState: UInt64] = [:]
  /// What speaks against rebooting it; empty where nothing does.
  public var blockers: [RebootBlocker]

  /// Whether this must be told again and again to be believed: nothing is put on the node any more, or something moves
  /// its VMs away, so that somebody may wait for it to be empty.
  public var isPerishable: Bool { isDraining || !blockers.contains(.notCordoned) }

  /// A node that nobody drains.
  public init(blockers: [RebootBlocker] = [.notCordoned]) { self.blockers = blockers }
}

/// What became of a VM of a node that is drained; the label `state` of `drover_node_drain_vms`.
///
/// Each VM is in one.
public enum DrainVMState: String, CaseIterable, Sendable {
  /// It waits to be migrated; whatever moves it may not have asked for that yet.
  case pending
  /// Its migration has got a slot.
  case migrating
  /// It has left by a migration since the drain began.
  case done
  /// Its last evacuation failed, and the next has no slot yet.
  case failed
  /// The same, and a time-out ended it.
  case timedOut = "timed_out"
  /// No migration will take it away: it is in the way until it is shut down, by the drain or by a person.
  case blocked
}

/// What speaks against rebooting a node; the label `reason` of `drover_node_reboot_blockers`.
public enum RebootBlocker: String, CaseIterable, Sendable {
  /// A VM is on it, or is being started there.
  case vm
  /// A VM arrives at it: its target is there.
  case inbound
  /// VMs may be put on it.
  case notCordoned = "not_cordoned"
  /// It has the last healthy replica of a volume, or nobody can tell.
  case lastReplica = "last_replica"
  /// What is known of it is too old, or not all that may be on it can be seen.
  case dataStale = "data_stale"
}

/// What a drain of its node does to a VM; the label `outcome` of `drover_vm_drain_outcome`.
public enum DrainOutcome: String, CaseIterable, Sendable {
  case migrates, blocks
  case willBeShutDown = "will_be_shut_down"
}

/// Why a migration waits: a closed list; the label `reason` of `drover_migration_pending_reason`.
public enum PendingReason: String, CaseIterable, Sendable {
  case queueCluster = "queue_cluster"
  case queueNode = "queue_node"
  case unschedulable, quota, backup
  case utilityVolumes = "utility_volumes"
  case backoff
  case podPending = "pod_pending"
  case unknown
}

/// What a migration waits for before it starts.
public struct PendingWait: Hashable, Sendable {
  /// Why it waits.
  public var reason: PendingReason
  /// Its place in the queue, 1 for the next; nil where it waits for something else than a slot.
  public var position: UInt64?
  /// What the source says of it, for the API; never a label.
  public var text: String

  /// Describes a wait.
  public init(reason: PendingReason, position: UInt64? = nil, text: String = "") {
    self.reason = reason
    self.position = position
    self.text = text
  }
}
