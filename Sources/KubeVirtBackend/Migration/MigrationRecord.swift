internal import DroverCore
internal import Kubernetes

/// Now, by this machine's clocks.
struct Instant: Sendable {
  let now: Moment
  let epoch: EpochOffset
  /// Up to when everything that happened is known to have been told; nil where that is not known.
  var knownAt: Moment?

  /// A moment that the cluster tells, as it would be on this machine's clock.
  func local(_ time: ClusterTime) -> Moment { epoch.moment(unixMilliseconds: time.unixMilliseconds) }

  /// The same of something that has happened: not later than now, whatever the cluster's clock shows.
  func past(_ time: ClusterTime) -> Moment { min(now, local(time)) }
}

/// One VMIM from its creation to its end: everything that is latched, since the object vanishes when it is final.
struct MigrationRecord: Sendable {
  @Shared private(set) var vmim: VMIM
  let id: MigrationID
  let firstSeen: Moment
  /// Whether it was over when anybody looked for the first time.
  let isHistory: Bool
  /// What the VMI said of this migration last.
  @Shared private(set) var state: MigrationState? = nil
  /// The VMI as it was last seen.
  @Shared private(set) var vm: VMRecord? = nil
  private(set) var isVMIGone = false
  /// The guest's node when the migration was asked for: afterwards the VMI names the target.
  private(set) var sourceNode = ""
  /// Messages of failures, oldest first.
  private(set) var events: [String] = []
  private(set) var isUnschedulable = false
  /// What virt-controller said when it removed the target's pod, which had waited for too long.
  private(set) var podTimeoutText = ""
  /// Whether its target's pod was made, as its events tell.
  private(set) var hasTargetPod = false
  private(set) var isAbortRequested = false
  private(set) var times: MigrationTimes
  /// The object is gone.
  private(set) var isGone = false
  /// When the object went, if that was before it was final.
  private(set) var vanishedAt: Moment?
  private(set) var copy = CopyWatch()
  /// The target's pod, as it was when it was read last.
  @Shared private(set) var targetPod: Pod? = nil
  var targetPodAskedAt: Moment?
  /// Pods of earlier migrations that were left lying, by uid, as far as they were seen before this one had any.
  private(set) var earlierPods: Set<String> = []
  private var hasSeenPods = false

  init?(_ vmim: VMIM, isInitial: Bool, at instant: Instant) {
    guard let id = MigrationID(vmim.metadata.uid) else { return nil }
    self.id = id
    self.vmim = vmim
    isHistory = isInitial && vmim.isFinal
    times = MigrationTimes(vmim, at: instant)
    firstSeen = instant.now
    take(vmim, at: instant)
  }

  var name: VMName { VMName(namespace: vmim.metadata.namespace, name: vmim.vmiName) }
  var isFinal: Bool { vmim.isFinal }
  var hasStarted: Bool { times.startedAt != nil }
  /// Whether what is told of it may change although nothing happens to it.
  var isWaiting: Bool { vanishedAt != nil || phase == .pending }
  /// Whether there is something to tell of the network under it.
  var showsNetwork: Bool { hasStarted && vmim.role != .receiver }

  // MARK: What comes in

  mutating func take(_ vmim: VMIM, at instant: Instant) {
    self.vmim = vmim
    if let told = vmim.state, told.uid == vmim.metadata.uid { take(told) }
    if vmim.metadata.deletionTimestamp != nil && !vmim.isFinal
      || vmim.conditions.isTrue("migrationAbortRequested")
    {
      isAbortRequested = true
    }
    times.take(vmim, state, at: instant)
  }

  mutating func take(_ vm: VMRecord, at instant: Instant) {
    let isOurs = vm.state?.uid == vmim.metadata.uid
    if let before = self.vm, before.uid != vm.uid, state != nil, !isOurs {
      // Another VMI of the same name: the one that was migrated is gone.
      isVMIGone = true
      return
    }
    self.vm = vm
    isVMIGone = false
    if sourceNode.isEmpty, !hasStarted || !isOurs { sourceNode = vm.node }
    if !hasSeenPods, vmim.phase.isEmpty { earlierPods = Set(vm.otherPods.map(\.pod)) }
    hasSeenPods = true
    if isOurs, let told = vm.state {
      take(told)
      times.take(told, at: instant)
    }
  }

  /// Takes that a VMI is gone.
  mutating func loseVMI(_ uid: String) { if vm?.uid == uid { isVMIGone = true } }

  mutating func vanish(last: VMIM?, at instant: Instant) {
    if let last { take(last, at: instant) }
    isGone = true
    if !isFinal { vanishedAt = vanishedAt ?? instant.now }
  }

  mutating func take(_ event: ClusterEvent) {
    switch event.reason {
    case "FailedMigration":
      // Counted up and listed anew it is the same event; a few are all that one migration can have.
      if !events.contains(event.message), events.count < 16 { events.append(event.message) }
    case "migrationTargetPodUnschedulable": isUnschedulable = true
    case "SuccessfulCreate": hasTargetPod = true
    case "SuccessfulDelete": podTimeoutText = event.message
    default: break
    }
  }

  /// Takes the target's pod as it is now; nil where there is none.
  mutating func take(_ pod: Pod?) {
    targetPod = pod ?? targetPod
    guard let pod else { return }
    hasTargetPod = true
    isUnschedulable = pod.isUnschedulable
  }

  mutating func take(_ points: [CopyPoint], at instant: Instant) {
    guard let startedAt = times.startedAt else { return }
    // The counters are kept by VM: what is older belongs to the migration before.
    copy.take(points.filter { $0.at >= startedAt - .seconds(2) })
    if let last = copy.last { times.noteCopying(at: last.at) }
  }

  mutating func takeFreshPoints() -> [CopyPoint] { copy.takeFresh() }

  private mutating func take(_ told: MigrationState) {
    // VMI and VMIM are told one after the other: what has ended does not go on.
    if state?.isCompleted == true, !told.isCompleted { return }
    state = told
    if !told.sourceNode.isEmpty { sourceNode = told.sourceNode }
    if told.isAbortRequested { isAbortRequested = true }
  }

  // MARK: What it comes to

  /// The node that it goes to; empty while that is not known.
  var targetNode: String {
    guard let node = state?.targetNode, !node.isEmpty else { return targetPod?.node ?? "" }
    return node
  }

  /// Whether it holds a slot; one that waits does once its target's pod is there.
  var holdsSlot: Bool { vmim.holdsSlot || hasTargetPod && vmim.phase == "Pending" }

  mutating func endedAt(at instant: Instant) -> Moment { times.endedAt(state, at: instant) }

  /// The reduced phase; `nil` for a word that is not known.
  var phase: Phase? {
    if vmim.phase == "Succeeded" { return .succeeded }
    if vmim.phase == "Failed" { return isAbortRequested ? .aborted : .failed }
    let early: Phase
    switch vmim.phase {
    case _ where vmim.isWaiting: early = .pending
    case "Scheduling": early = .scheduling
    case "Scheduled", "PreparingTarget", "TargetReady": early = .preparing
    case "Running": early = .precopy
    default: return nil
    }
    if let state, early == .precopy || state.start != nil {
      if state.mode == "PostCopy" { return .postcopy }
      if state.isCompleted, !state.hasFailed { return .switchover }
      if state.mode == "Paused", !state.isCompleted { return .guestSuspended }
      // The source begins before virt-controller has noticed.
      if !isAbortRequested, !state.isCompleted, hasStarted { return .precopy }
    }
    return isAbortRequested ? .aborting : early
  }

  /// When that phase was entered, as the cluster tells it; nil where it does not.
  var phaseEnteredAt: Moment? {
    switch phase {
    case .precopy: times.startedAt ?? times.phaseEnteredAt
    case .aborting, .postcopy, .guestSuspended, .switchover: nil
    default: times.phaseEnteredAt
    }
  }

  /// Whether the source holds the guest, and whether the target does; nil where nobody can tell.
  func guest(isSourceReachable: Bool) -> (source: Bool?, target: Bool?) {
    guard let vm, !isVMIGone, vm.phase != "Unknown" else { return (nil, nil) }
    let isMoved = state.map { $0.isCompleted && !$0.hasFailed } ?? false
    let isPostcopy = state?.mode == "PostCopy"
    if vm.isFinal {
      // One that ended at its source is nobody's loss; one that was handed over is to be somewhere.
      return (false, vm.phase == "Failed" && (isMoved || isPostcopy) ? false : nil)
    }
    if isMoved {
      // The VMI names its new node once the target has the domain.
      return (false, state?.targetReady != nil || vm.node == state?.targetNode ? true : nil)
    }
    if isPostcopy { return (false, state?.hasFailed == true ? nil : true) }
    return isSourceReachable ? (true, false) : (nil, nil)
  }
}
