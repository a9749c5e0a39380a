public import FoundationEssentials
public import QEMURig
import Synchronization

extension Migration {
  /// Why a migration stays in Pending.
  public enum PendingReason: Sendable {
    /// Nothing is written: it waits for a slot.
    case queued
    /// The target pod would exceed a quota.
    case quota
    /// A backup of the guest runs.
    case backup
    /// Utility volumes are attached.
    case utilityVolumes
    /// The last evacuations of the guest failed.
    case backoff
  }

  /// Takes all steps up to a phase that have not been taken.
  ///
  /// - Parameter node: Where the guest goes.
  @discardableResult
  public func advance(to last: Phase, on node: String) async throws -> Migration {
    let steps: [(Phase, () async throws -> Void)] = [
      (.pending, { try await self.pending() }), (.scheduling, { try await self.scheduling() }),
      (.scheduled, { try await self.scheduled(node) }),
      (.preparingTarget, { try await self.preparingTarget() }),
      (.targetReady, { try await self.targetReady() }), (.running, { try await self.running() }),
    ]
    for (phase, step) in steps where phase <= last && phase > self.phase { try await step() }
    return self
  }

  /// The controller has seen it: it gets its label, and waits.
  public func pending(_ reason: PendingReason = .queued, at: Date? = nil) async throws {
    try await label()
    let time = cluster.stamp(at)
    try await enter(.pending, at: at) { object in
      switch reason {
      case .queued, .backoff: break
      case .quota: object.setCondition("migrationRejectedByResourceQuota", "True", at: time)
      case .backup:
        object.setCondition("migrationBlockedByBackup", "True", reason: "BackupInProgress", at: time)
      case .utilityVolumes:
        object.setCondition(
          "migrationBlockedByUtilityVolumes", "True", reason: "UtilityVolumesPresent", at: time)
      }
    }
    if case .backoff = reason {
      try await addGuestEvent(
        "MigrationBackoff", "backoff migrating vmi \(namespace)/\(vm.name)", isWarning: true, at: at)
    }
  }

  /// A decentralized migration waits for its other half.
  ///
  /// - Parameter address: Where its own synchronization controller is reached.
  public func waiting(
    _ phase: Phase = .waitingForSync, address: String = "10.52.0.99:9185", at: Date? = nil
  ) async throws {
    try await label()
    try await enter(phase, at: at) { $0[path: "status", "synchronizationAddresses"] = [.string(address)] }
  }

  private func label() async throws {
    try await cluster.api.patch(
      .vmims, name, in: namespace, ["metadata": ["labels": ["kubevirt.io/vmi-name": .string(vm.name)]]])
  }

  /// Makes the target pod, which is what a slot is needed for; the phase stays Pending until
  /// ``scheduling(at:)``.
  public func createTargetPod(at: Date? = nil) async throws {
    let hostname = try await object()?[path: "spec", "addedNodeSelector"]?.members
    let pod = try await cluster.addLauncherPod(
      of: vm, on: nil, for: self, selector: hostname?.compactMapValues(\.string) ?? [:])
    state.withLock { $0.targetPod = pod }
    try await addEvent("SuccessfulCreate", "Created migration target pod \(pod.name)", at: at)
  }

  /// The target pod waits for a node, or on it for its containers.
  public func scheduling(at: Date? = nil) async throws {
    if targetPod == nil { try await createTargetPod(at: at) }
    try await enter(.scheduling, at: at) { $0.removeCondition("migrationRejectedByResourceQuota") }
  }

  /// The scheduler finds no node for the target pod.
  public func unschedulable(
    _ message: String =
      "0/2 nodes are available: 1 node(s) didn't match pod anti-affinity rules, 1 Insufficient memory.",
    at: Date? = nil
  ) async throws {
    guard let targetPod else { return }
    try await cluster.setPodUnschedulable(targetPod, in: namespace, message: message, at: at)
    try await addEvent(
      "migrationTargetPodUnschedulable",
      "Migration target pod for VMI [\(namespace)/\(vm.name)] is currently unschedulable.", isWarning: true,
      at: at)
  }

  /// The target pod runs on `node`.
  public func scheduled(_ node: String, at: Date? = nil) async throws {
    guard let targetPod else { return }
    try await cluster.bindPod(targetPod, in: namespace, to: node)
    try await cluster.setPodRunning(targetPod, in: namespace, address: "10.52.1.91", at: at)
    state.withLock { $0.target = node }
    try await enter(.scheduled, at: at)
  }

  /// The controller writes the migration into the VMI, in the place of the one before.
  ///
  /// - Parameters:
  ///   - configuration: The resolved configuration; without one, KubeVirt's, its policy's and the version's
  ///     defaults.
  ///   - network: `Pod` or `Migration`; nil leaves it out, as versions do that do not know it.
  public func handOver(
    configuration: JSONValue? = nil, policy: String? = nil, network: String? = "Pod", at: Date? = nil
  ) async throws {
    let (source, sourcePod, target, targetPod) = state.withLock {
      ($0.source, $0.sourcePod, $0.target ?? "", $0.targetPod)
    }
    let resolved = try await cluster.resolvedConfiguration(of: vm)
    var written: JSONValue = [
      "migrationUid": .string(uid), "sourceNode": .string(source), "sourcePod": .string(sourcePod),
      "targetNode": .string(target), "targetPod": .string(targetPod?.name ?? ""),
      "migrationConfiguration": configuration ?? resolved.configuration,
    ]
    written[path: "migrationPolicyName"] = (policy ?? resolved.policy).map(JSONValue.string)
    written[path: "migrationNetworkType"] = network.map(JSONValue.string)
    if cluster.minorVersion >= 6 {
      for (key, node, pod) in [
        ("sourceState", source, sourcePod), ("targetState", target, targetPod?.name ?? ""),
      ] {
        written[path: key] = [
          "node": .string(node), "pod": .string(pod), "migrationUID": .string(uid),
          "domainName": .string(vm.name), "domainNamespace": .string(namespace),
          "virtualMachineInstanceUID": .string(vm.uid),
        ]
      }
    }
    try await vm.edit { object in
      object[path: "status", "migrationState"] = written
      object[path: "metadata", "labels", "kubevirt.io/migrationTargetNodeName"] = .string(target)
      if let targetPod { object[path: "status", "activePods", targetPod.uid] = .string(target) }
    }
    state.withLock { $0.isHandedOver = true }
    try await addEvent(
      "SuccessfulHandOver", "Migration target pod is ready for preparation by virt-handler.", at: at)
  }

  /// The target's virt-handler prepares; the hand-over comes first where it has not been taken.
  public func preparingTarget(at: Date? = nil) async throws {
    if !state.withLock({ $0.isHandedOver }) { try await handOver(at: at) }
    try await enter(.preparingTarget, at: at)
  }

  /// The target listens.
  public func targetReady(address: String = "10.52.1.77", at: Date? = nil) async throws {
    let ports: JSONValue = ["37819": 0, "42211": 49152, "45377": 49153]
    try await editState { state in
      state[path: "targetNodeAddress"] = .string(address)
      state[path: "targetDirectMigrationNodePorts"] = ports
      if state["targetState"] != nil {
        state[path: "targetState", "nodeAddress"] = .string(address)
        state[path: "targetState", "directMigrationNodePorts"] = ports
      }
    }
    try await addGuestEvent("PreparingTarget", "VirtualMachineInstance Migration Target Prepared.", at: at)
    try await enter(.targetReady, at: at)
  }

  /// The source begins to copy, and the controller sees it.
  public func running(at: Date? = nil) async throws {
    try await start(at: at)
    try await enter(.running, at: at)
  }

  /// The source begins to copy; the controller has not seen it yet.
  public func start(at: Date? = nil) async throws {
    let time = cluster.stamp(at, .node(source))
    try await editState { state in
      state[path: "startTimestamp"] = time
      state[path: "mode"] = "PreCopy"
    }
    try await addGuestEvent("Migrating", "VirtualMachineInstance is migrating.", at: at)
  }

  /// The guest moves over before its memory has.
  public func postcopy() async throws { try await editState { $0[path: "mode"] = "PostCopy" } }

  /// The guest is paused so that the copy can end.
  public func paused(at: Date? = nil) async throws {
    try await editState { $0[path: "mode"] = "Paused" }
    try await vm.setCondition(
      "Paused", "True", reason: "PausedByMigrationMonitor",
      message: "VMI was paused by the migration monitor", at: at)
  }
}
