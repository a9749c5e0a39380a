internal import DroverCore
internal import Kubernetes

/// Now, by this machine's clocks.
struct Instant: Sendable {
  let now: Moment
  let epoch: EpochOffset

  /// A moment that the cluster tells; not later than now, and not earlier than `earliest`.
  ///
  /// - Returns: The moment, and by how much the cluster's clock must be wrong for that.
  func moment(_ time: ClusterTime, notBefore earliest: Moment? = nil) -> (moment: Moment, error: Duration) {
    let told = epoch.moment(unixMilliseconds: time.unixMilliseconds)
    // Times have a resolution of 1 s, so that what happened just now may lie a second back.
    let moment = min(now, max(told, earliest.map { $0 - .seconds(1) } ?? told))
    let error = told - moment
    return (moment, error < .zero ? .zero - error : error)
  }
}

/// One VMIM from its creation to its end: everything that is latched, since the object vanishes when it is final.
struct MigrationRecord: Sendable {
  private(set) var vmim: VMIM
  let id: MigrationID
  let firstSeen: Moment
  /// Whether it was in the first list: when it began is told by its timestamps only.
  let isInitial: Bool
  /// Whether it was over when anybody looked for the first time.
  let isHistory: Bool
  /// When it was asked for.
  let createdAt: Moment
  /// What the VMI said of this migration last.
  private(set) var state: MigrationState?
  /// The VMI as it was last seen.
  private(set) var vm: VMRecord?
  private(set) var isVMIGone = false
  /// The guest's node when the migration was asked for: afterwards the VMI names the target.
  private(set) var sourceNode = ""
  private(set) var events: [String] = []
  private(set) var isUnschedulable = false
  private(set) var isAbortRequested = false
  /// When it was seen last without having started.
  private(set) var notStartedAt: Moment?
  private(set) var startedAt: Moment?
  /// The object is gone before it was final.
  private(set) var vanishedAt: Moment?
  var copy = CopyWatch()
  /// The target's pod, as it was when it was read last.
  var targetPod: Pod?
  var targetPodAskedAt: Moment?
  /// Pods of earlier migrations that were left lying, by uid, as far as they were seen before this one had any.
  private(set) var earlierPods: Set<String> = []
  private var hasSeenPods = false
  /// The largest error of a clock that its timestamps showed.
  private(set) var clockError = Duration.zero

  init?(_ vmim: VMIM, isInitial: Bool, at instant: Instant) {
    guard let id = MigrationID(vmim.metadata.uid) else { return nil }
    self.id = id
    self.vmim = vmim
    self.isInitial = isInitial
    isHistory = isInitial && vmim.isFinal
    createdAt = ClusterTime(vmim.metadata.creationTimestamp).map { instant.moment($0).moment } ?? instant.now
    firstSeen = instant.now
    take(vmim, at: instant)
  }

  var name: VMName { VMName(namespace: vmim.metadata.namespace, name: vmim.vmiName) }
  var isFinal: Bool { vmim.isFinal }
  var hasStarted: Bool { startedAt != nil }

  /// Where the guest goes to, or its pod was put; empty where that is not known yet.
  var targetNode: String {
    if let told = state?.targetNode, !told.isEmpty { return told }
    return targetPod?.node ?? ""
  }

  // MARK: What comes in

  mutating func take(_ vmim: VMIM, at instant: Instant) {
    self.vmim = vmim
    if let told = vmim.state, told.uid == vmim.metadata.uid { take(told, at: instant) }
    if vmim.metadata.deletionTimestamp != nil && !vmim.isFinal
      || vmim.conditions.isTrue("migrationAbortRequested")
    {
      isAbortRequested = true
    }
    noteStart(at: instant)
  }

  mutating func take(_ vm: VMRecord, at instant: Instant) {
    self.vm = vm
    isVMIGone = false
    if sourceNode.isEmpty, !hasStarted { sourceNode = vm.node }
    if !hasSeenPods, vmim.phase.isEmpty { earlierPods = Set(vm.otherPods.map(\.pod)) }
    hasSeenPods = true
    if let told = vm.state, told.uid == vmim.metadata.uid { take(told, at: instant) }
    noteStart(at: instant)
  }

  mutating func loseVMI() { isVMIGone = true }

  mutating func vanish(last: VMIM?, at instant: Instant) {
    if let last { take(last, at: instant) }
    if !isFinal { vanishedAt = vanishedAt ?? instant.now }
  }

  mutating func take(_ event: ClusterEvent) {
    if event.reason == "FailedMigration" { events.append(event.message) }
    if event.reason == "migrationTargetPodUnschedulable" { isUnschedulable = true }
  }

  mutating func take(_ pod: Pod?) {
    targetPod = pod
    if pod?.isUnschedulable == true { isUnschedulable = true }
  }

  mutating func take(_ points: [CopyPoint]) {
    guard let startedAt else { return }
    // The counters are kept by VM: what is older belongs to the migration before.
    copy.take(points.filter { $0.at >= startedAt - .seconds(2) })
  }

  private mutating func take(_ told: MigrationState, at instant: Instant) {
    state = told
    if !told.sourceNode.isEmpty { sourceNode = told.sourceNode }
    if told.isAbortRequested { isAbortRequested = true }
  }

  private mutating func noteStart(at instant: Instant) {
    guard startedAt == nil else { return }
    let told = ClusterTime(state?.start) ?? (vmim.phase == "Running" ? vmim.entered("Running") : nil)
    guard let told else {
      if vmim.phase == "Running" { startedAt = instant.now } else { notStartedAt = instant.now }
      return
    }
    startedAt = moment(told, notBefore: notStartedAt, at: instant)
  }

  private mutating func moment(_ time: ClusterTime, notBefore earliest: Moment?, at instant: Instant)
    -> Moment
  {
    let (moment, error) = instant.moment(time, notBefore: earliest)
    clockError = max(clockError, error)
    return moment
  }

  // MARK: What it comes to

  /// The reduced phase; `nil` for a word that is not known.
  var phase: Phase? {
    if vmim.phase == "Succeeded" { return .succeeded }
    if vmim.phase == "Failed" { return isAbortRequested ? .aborted : .failed }
    let early: Phase?
    switch vmim.phase {
    case "", "Pending", "WaitingForSync", "Synchronizing": early = .pending
    case "Scheduling": early = .scheduling
    case "Scheduled", "PreparingTarget", "TargetReady": early = .preparing
    case "Running": early = nil
    default: return nil
    }
    if let state, early == nil || state.start != nil {
      if state.mode == "PostCopy" { return .postcopy }
      if state.isCompleted, !state.hasFailed { return .switchover }
      if state.mode == "Paused" { return .guestSuspended }
    }
    if isAbortRequested { return .aborting }
    return early ?? .precopy
  }

  /// When the phase of the VMIM was entered, as the cluster tells it.
  func phaseEntered(at instant: Instant) -> Moment? {
    guard phase != .aborting, phase != .postcopy, phase != .guestSuspended, phase != .switchover else {
      return nil
    }
    let first = vmim.phase.isEmpty ? ClusterTime(vmim.metadata.creationTimestamp) : vmim.entered(vmim.phase)
    return first.map { instant.moment($0, notBefore: isInitial ? nil : firstSeen).moment }
  }

  func endedAt(_ instant: Instant) -> Moment {
    let told = ClusterTime(state?.end) ?? vmim.entered("Succeeded") ?? vmim.entered("Failed")
    let earliest = startedAt ?? (isInitial ? nil : firstSeen)
    return told.map { instant.moment($0, notBefore: earliest).moment } ?? instant.now
  }

  /// Whether the source holds the guest, and whether the target does; nil where nobody can tell.
  func guest(isSourceReachable: Bool) -> (source: Bool?, target: Bool?) {
    if isVMIGone || vm == nil { return (nil, nil) }
    if vm?.isFinal == true { return (false, false) }
    if vm?.phase == "Unknown" { return (nil, nil) }
    guard let state else { return (isSourceReachable ? true : nil, isSourceReachable ? false : nil) }
    if state.isCompleted, !state.hasFailed {
      // The VMI names its new node once the target has the domain.
      let hasArrived = state.targetReady != nil || vm?.node == state.targetNode
      return (false, hasArrived ? true : nil)
    }
    if state.mode == "PostCopy" { return (false, state.hasFailed ? nil : true) }
    return isSourceReachable ? (true, false) : (nil, nil)
  }
}
