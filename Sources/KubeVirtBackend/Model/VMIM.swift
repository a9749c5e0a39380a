internal import Kubernetes

/// A VirtualMachineInstanceMigration: one migration that somebody asked for.
struct VMIM: KubernetesObject {
  let metadata: ObjectMeta
  /// The VMI in the same namespace.
  let vmiName: String
  let addedNodeSelector: [String: String]
  /// `system-critical`, `user-triggered`, `system-maintenance`, or empty.
  let priority: String
  /// Whether it sends to another namespace or cluster, or receives from one.
  let role: Role
  /// Empty until virt-controller has seen it.
  let phase: String
  let conditions: [Condition]
  /// When each phase was entered for the first time.
  let phaseTimes: [PhaseTime]
  /// During the run it holds the source's pod only; the full copy is written with the final phase.
  let state: MigrationState?

  enum Role: Sendable { case local, sender, receiver }

  struct PhaseTime: Decodable, Hashable, Sendable {
    let phase: String
    let phaseTransitionTimestamp: String?
  }

  private enum CodingKeys: String, CodingKey { case metadata, spec, status }

  private struct Present: Decodable {}

  private struct Spec: Decodable {
    var vmiName: String?
    var addedNodeSelector: [String: String]?
    var priority: String?
    var isSender = false
    var isReceiver = false

    private enum CodingKeys: String, CodingKey { case vmiName, addedNodeSelector, priority, sendTo, receive }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      vmiName = values.lenient(.vmiName)
      addedNodeSelector = values.lenient(.addedNodeSelector)
      priority = values.lenient(.priority)
      isSender = values.lenient(.sendTo, as: Present.self) != nil
      isReceiver = values.lenient(.receive, as: Present.self) != nil
    }
  }

  private struct Status: Decodable {
    var phase: String
    var conditions: [Condition]
    var phaseTimes: [PhaseTime]
    var state: MigrationState?

    private enum CodingKeys: String, CodingKey {
      case phase, conditions, phaseTransitionTimestamps, migrationState
    }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      phase = values.lenient(.phase) ?? ""
      conditions = values.lenientList(.conditions)
      phaseTimes = values.lenientList(.phaseTransitionTimestamps)
      state = values.lenient(.migrationState)
    }
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    let spec = values.lenient(.spec, as: Spec.self)
    vmiName = spec?.vmiName ?? ""
    addedNodeSelector = spec?.addedNodeSelector ?? [:]
    priority = spec?.priority ?? ""
    role = spec?.isReceiver == true ? .receiver : spec?.isSender == true ? .sender : .local
    let status = values.lenient(.status, as: Status.self)
    phase = status?.phase ?? ""
    conditions = status?.conditions ?? []
    phaseTimes = status?.phaseTimes ?? []
    state = status?.state
  }

  /// When a phase was entered, by the cluster's clock.
  func entered(_ phase: String) -> ClusterTime? {
    ClusterTime(phaseTimes.first { $0.phase == phase }?.phaseTransitionTimestamp)
  }

  var isFinal: Bool { phase == "Succeeded" || phase == "Failed" }

  /// Whether it waits for something before its target is started.
  var isWaiting: Bool { phase.isEmpty || phase == "Pending" || waitsForPeer }

  /// Whether it waits for the namespace or cluster at the other end.
  var waitsForPeer: Bool { phase == "WaitingForSync" || phase == "Synchronizing" }

  /// Whether it holds one of the slots that are counted, as virt-controller counts them.
  var holdsSlot: Bool {
    !isFinal && !isWaiting && (phase != "Scheduling" || role != .sender)
  }
}
