public import FoundationEssentials
import QEMURig
import Synchronization

extension Migration {
  /// Why a migration failed, in the words of its version of KubeVirt.
  public enum Failure: Hashable, Sendable {
    /// KubeVirt's completion timeout, after a budget of so many seconds.
    case completionTimeout(budget: Int)
    /// No progress for so many seconds.
    case progressTimeout(seconds: Int)
    /// Somebody aborted it.
    case abort
    /// libvirt says this.
    case libvirt(String)
    /// The target pod died before the copy began.
    case targetPodDown
    /// A destination volume is too small.
    case volumeTooSmall
    /// Just these words, in any version.
    case text(String)

    /// The text of `failureReason`.
    public func text(version: String) -> String {
      let isOld = Cluster.minor(of: version) < 9
      return switch self {
      case .completionTimeout(let budget) where isOld:
        "Live migration is not completed after \(budget) seconds and has been aborted"
      case .progressTimeout(let seconds) where isOld:
        "Live migration stuck for \(seconds) seconds and has been aborted"
      case .abort where isOld: "Live migration aborted "
      case .completionTimeout, .progressTimeout, .abort: "Live migration has been aborted"
      case .libvirt(let text):
        isOld ? "Live migration failed \(text)" : "virError(Code=9, Domain=7, Message='\(text)')"
      case .targetPodDown: "Target pod is down"
      case .volumeTooSmall:
        "Volume migration cannot be performed because the destination volume is smaller "
          + (isOld ? "then" : "than") + " the source volume: rootdisk"
      case .text(let text): text
      }
    }

    /// Whether the launcher aborted the job.
    var isAbort: Bool {
      switch self {
      case .completionTimeout, .progressTimeout, .abort: true
      default: false
      }
    }
  }

  // MARK: Success

  /// The guest has moved, and its object says so; the controller has not seen it yet.
  public func complete(at: Date? = nil) async throws {
    let (source, target, targetPod) = state.withLock { ($0.source, $0.target ?? "", $0.targetPod) }
    let end = cluster.stamp(at, .node(source))
    let ready = cluster.stamp(at, .node(target))
    try await vm.edit { object in
      var state = object[path: "status", "migrationState"] ?? [:]
      state[path: "completed"] = true
      state[path: "endTimestamp"] = end
      state[path: "targetNodeDomainDetected"] = true
      state[path: "targetNodeDomainReadyTimestamp"] = ready
      if state["targetState"] != nil {
        state[path: "targetState", "domainDetected"] = true
        state[path: "targetState", "domainReadyTimestamp"] = ready
      }
      object[path: "status", "migrationState"] = state
      object[path: "status", "nodeName"] = .string(target)
      object[path: "metadata", "labels", "kubevirt.io/nodeName"] = .string(target)
      if let targetPod { object[path: "status", "activePods"] = [targetPod.uid: .string(target)] }
      object[path: "status", "evacuationNodeName"] = nil
      object.removeCondition("Paused")
    }
    try await addGuestEvent(
      "Migrated", "The VirtualMachineInstance migrated to node \(target).", at: at)
  }

  /// The guest has moved, and the controller has seen it.
  public func succeed(at: Date? = nil) async throws {
    try await complete(at: at)
    try await finish(.succeeded, at: at)
    try await addEvent("SuccessfulMigration", "Source node reported migration succeeded", at: at)
    let sourcePod = state.withLock { $0.sourcePod }
    if !sourcePod.isEmpty { try await cluster.endPod(sourcePod, in: namespace, .succeeded) }
  }

  // MARK: Failure

  /// The copy has failed, and the VMI says so; the controller has not seen it yet.
  public func reportFailure(_ failure: Failure, at: Date? = nil) async throws {
    try await markFailed(failure, at: at)
  }

  /// The copy has failed, and the controller has seen it.
  ///
  /// - Parameters:
  ///   - failure: Why.
  ///   - podEnd: What becomes of the target pod.
  public func fail(_ failure: Failure, podEnd: Cluster.PodEnd = .failed, at: Date? = nil) async throws {
    try await markFailed(failure, at: at)
    try await finish(.failed, at: at)
    try await addEvent(
      "FailedMigration", "source node reported migration failed", isWarning: true, at: at)
    if let targetPod { try await cluster.endPod(targetPod, in: namespace, podEnd) }
  }

  private func markFailed(_ failure: Failure, at: Date?) async throws {
    let (source, targetPod) = state.withLock { ($0.source, $0.targetPod) }
    let end = cluster.stamp(at, .node(source))
    let text = failure.text(version: cluster.version)
    try await vm.edit { object in
      var state = object[path: "status", "migrationState"] ?? [:]
      state[path: "completed"] = true
      state[path: "failed"] = true
      if failure == .targetPodDown { state[path: "startTimestamp"] = end }
      state[path: "endTimestamp"] = end
      if failure.isAbort { state[path: "abortStatus"] = "Succeeded" }
      state[path: "failureReason"] = .string(text)
      object[path: "status", "migrationState"] = state
      if let targetPod { object[path: "status", "activePods", targetPod.uid] = nil }
      object.removeCondition("Paused")
    }
    try await addGuestEvent(
      "Migrated", "VirtualMachineInstance migration uid \(uid) failed. reason:\(text)", isWarning: true,
      at: at)
  }

  /// What ends a migration before anything was copied.
  public enum EarlyEnd: String, Sendable {
    case guestGone = "Migration failed because vmi does not exist."
    case guestShutDown = "Migration failed vmi shutdown during migration."
    case canceled = "Migration failed due to being canceled"
    case targetPodEnded = "Migration failed because target pod shutdown during migration"
    case targetPodRemoved = "Migration target pod was removed during active migration."
    case stateCleared = "VMI's migration state was cleared during the active migration."
    case takenOver = "VMI's migration state was taken over by another migration job during active migration."
    case attachmentPodEnded = "Migration failed because target attachment pod shutdown during migration"
    case notAlone = "VMI is not eligible for migration because another migration job is in progress."
  }

  /// The controller gives up; the VMI says nothing of it.
  public func fail(early end: EarlyEnd, podEnd: Cluster.PodEnd = .gone, at: Date? = nil) async throws {
    if let targetPod { try await cluster.endPod(targetPod, in: namespace, podEnd) }
    try await finish(.failed, at: at)
    try await addEvent("FailedMigration", end.rawValue, isWarning: true, at: at)
  }

  /// The target pod has waited too long: 300 s for a node, or 900 s for anything else.
  public func failUnschedulable(isPending: Bool = false, at: Date? = nil) async throws {
    try await addEvent(
      "SuccessfulDelete", "\(isPending ? "pending" : "unschedulable") pod timeout period exceeded", at: at)
    try await fail(early: .targetPodRemoved, at: at)
  }

  /// Writes the final phase and the copy of the VMI's state, and lets go of the object.
  func finish(_ phase: Phase, at: Date?) async throws {
    let isHandedOver = state.withLock { $0.isHandedOver }
    let copied = isHandedOver ? try await vm.object()[path: "status", "migrationState"] : nil
    try await enter(phase, at: at) { object in
      if let copied { object[path: "status", "migrationState"] = copied }
    }
    // An object that is being deleted goes with its finalizer.
    try await cluster.api.patch(.vmims, name, in: namespace, ["metadata": ["finalizers": .null]])
  }

  // MARK: Abort

  /// Deletes the object, as virtctl and Harvester abort a migration, and lets the controller see it.
  public func requestAbort(at: Date? = nil) async throws {
    try await cluster.api.delete(.vmims, name, in: namespace, uid: uid)
    try await acknowledgeAbort(at: at)
  }

  /// The controller has seen that somebody deleted the object.
  ///
  /// Before Running, nothing is aborted yet.
  public func acknowledgeAbort(at: Date? = nil) async throws {
    let time = cluster.stamp(at)
    try await edit { $0.setCondition("migrationAbortRequested", "True", at: time) }
    if cluster.isHarvester { try await vm.annotate(["harvesterhci.io/migrationState": "Aborting migration"]) }
    guard phase == .running else { return }
    try await editState { $0[path: "abortRequested"] = true }
    try await addEvent(
      "SuccessfulAbortMigration", "Migration is ready to be canceled by virt-handler.", at: at)
  }

  /// The abort has taken effect: the migration has failed, and its object is gone.
  public func finishAbort(podEnd: Cluster.PodEnd = .gone, at: Date? = nil) async throws {
    let isHandedOver = state.withLock { $0.isHandedOver }
    if isHandedOver {
      try await fail(.abort, podEnd: podEnd, at: at)
    } else {
      try await fail(early: .canceled, podEnd: podEnd, at: at)
    }
  }
}
