internal import DroverCore
internal import Kubernetes

/// Why migrations wait, and the slots they wait for.
extension ClusterWatch {
  /// After the first failure virt-controller waits so long, then twice as long each time; five failures are remembered.
  private static let firstBackoff = Duration.seconds(20)

  func waiting(of record: MigrationRecord, phase: Phase, at instant: Instant) -> PendingWait? {
    switch phase {
    case .pending: reasonToWait(record, at: instant)
    case .scheduling:
      PendingWait(reason: record.isUnschedulable ? .unschedulable : .podPending, text: podText(record))
    default: nil
    }
  }

  private func podText(_ record: MigrationRecord) -> String {
    record.targetPod?.conditions["PodScheduled"]?.message ?? ""
  }

  private func reasonToWait(_ record: MigrationRecord, at instant: Instant) -> PendingWait {
    if let wait = otherWait(record, at: instant) { return wait }
    let uid = record.vmim.metadata.uid
    if let slots = clusterSlots, slots.used >= slots.limit {
      return PendingWait(reason: .queueCluster, position: queue.position(of: uid))
    }
    if let slots = nodeSlots(record.sourceNode), slots.used >= slots.limit {
      return PendingWait(reason: .queueNode, position: queue.positionAtNode(of: uid))
    }
    return PendingWait(reason: .unknown)
  }

  /// What a pending migration waits for that is no slot; nil where it waits for one, or for nothing that is known.
  private func otherWait(_ record: MigrationRecord, at instant: Instant) -> PendingWait? {
    let conditions = record.vmim.conditions
    for (condition, reason) in Self.blocking where conditions.isTrue(condition) {
      return PendingWait(reason: reason, text: conditions[condition]?.message ?? "")
    }
    if record.vmim.waitsForPeer { return PendingWait(reason: .unknown, text: "the other end is not ready") }
    // Its slot is taken, but a disk that was plugged in is not attached there yet.
    if record.hasTargetPod { return PendingWait(reason: .podPending, text: podText(record)) }
    return backoff(of: record, at: instant)
  }

  private static let blocking: [(String, PendingReason)] = [
    ("migrationRejectedByResourceQuota", .quota), ("migrationBlockedByBackup", .backup),
    ("migrationBlockedByUtilityVolumes", .utilityVolumes), ("decentralizedMigrationBlocked", .unknown),
  ]

  /// Counts slots, and those that wait for one.
  mutating func lookAtQueue(at instant: Instant) {
    var book = QueueBook()
    book.isOutdated = false
    // Looked at in place, as most hold a slot: a copy of each costs more than all the rest.
    for index in migrations.indices {
      guard !migrations.values[index].isFinal, !migrations.values[index].isGone else { continue }
      if migrations.values[index].holdsSlot {
        let here = vms.index(forKey: migrations.values[index].name)
        book.use(from: migrations.values[index].sourceNode, at: here.map { vms.values[$0].node } ?? "")
      } else if migrations.values[index].phase == .pending {
        let record = migrations.values[index]
        // A back-off ends by itself.
        book.isOutdated = true
        if otherWait(record, at: instant) == nil { book.wait(record) }
      }
    }
    book.order()
    queue = book
  }

  private func backoff(of record: MigrationRecord, at instant: Instant) -> PendingWait? {
    guard record.vmim.isRepeated, let backoff = backoffs[record.name] else { return nil }
    let wait = Self.firstBackoff * (1 << min(max(backoff.failures, 1) - 1, 4))
    guard instant.now - backoff.lastFailure < wait else { return nil }
    return PendingWait(reason: .backoff, text: "\(backoff.failures) failed in a row")
  }

  mutating func tellSlots(_ messages: inout [BackendMessage]) {
    guard told.hasBegun, let slots = clusterSlots, told.slots != slots else { return }
    told.slots = slots
    messages.append(.slots(backend, slots))
  }

  private var clusterSlots: SlotUse? { settings.clusterSlots.map { SlotUse(used: queue.used, limit: $0) } }

  func nodeSlots(_ node: String) -> SlotUse? {
    settings.nodeSlots.map { SlotUse(used: queue.usedByNode[node] ?? 0, limit: $0) }
  }
}

/// Slots and queue as of the last look: made for all migrations at once, since thousands may wait.
struct QueueBook: Sendable {
  /// Whether something may have changed since: something came, or somebody waits for what time changes.
  var isOutdated = true
  private(set) var used: UInt64 = 0
  private(set) var usedByNode: [String: UInt64] = [:]
  private var waiting: [(rank: (Int, String, String), uid: String, node: String)] = []
  private var positions: [String: UInt64] = [:]
  private var positionsByNode: [String: UInt64] = [:]

  /// Takes a migration that holds a slot, at the node that its VM came from and the one that it is on.
  mutating func use(from source: String, at node: String) {
    used += 1
    if !source.isEmpty { usedByNode[source, default: 0] += 1 }
    if !node.isEmpty, node != source { usedByNode[node, default: 0] += 1 }
  }

  /// Takes one that waits for a slot.
  mutating func wait(_ record: MigrationRecord) {
    let vmim = record.vmim
    let rank = (-vmim.queuePriority, vmim.metadata.creationTimestamp, vmim.metadata.uid)
    waiting.append((rank, vmim.metadata.uid, record.sourceNode))
  }

  /// Gives those that wait their places: by priority, then by age.
  mutating func order() {
    waiting.sort { $0.rank < $1.rank }
    var perNode: [String: UInt64] = [:]
    for (index, entry) in waiting.enumerated() {
      positions[entry.uid] = UInt64(index) + 1
      perNode[entry.node, default: 0] += 1
      positionsByNode[entry.uid] = perNode[entry.node]
    }
    waiting = []
  }

  /// The place among all that wait; nil where it did not wait yet.
  func position(of uid: String) -> UInt64? { positions[uid] }

  /// The place among those that wait to leave the same node.
  func positionAtNode(of uid: String) -> UInt64? { positionsByNode[uid] }
}
