internal import DroverCore

/// Why a migration failed, from everything that KubeVirt leaves behind.
struct FailureAnalysis: Sendable {
  /// What VMI or VMIM say at the end.
  var state: MigrationState?
  /// Whether somebody deleted the VMIM, or a condition says that an abort was asked for.
  var isAbortRequested = false
  var hasQuotaCondition = false
  /// Whether an event or the target's pod said that no node takes it.
  var isUnschedulable = false
  /// What virt-controller said when it removed the target's pod, which had waited for too long; empty otherwise.
  var podTimeoutText = ""
  /// Messages of the events of the VMIM, oldest first.
  var events: [String] = []
  /// Phase of the VMI now; empty where it is gone.
  var vmiPhase = ""
  var hasVMIGone = false
  /// Whether the cluster calls the two nodes ready; nil where nobody knows.
  var isSourceReady: Bool?
  var isTargetReady: Bool?
  /// From the making of the target's pod to the end, where that never became ready; nil otherwise.
  var waited: Duration?
  /// For how long that pod may find no node, and may be pending at all.
  var podTimeouts = (unschedulable: Duration.seconds(300), pending: Duration.seconds(900))
  /// From the start of the copy to its end.
  var elapsed: Duration?
  /// From the last byte seen to the end; nil where the last sample showed some, or there was none.
  var stillness: Duration?
  /// Whether there was any sample.
  var hasSeenBytes = false
  /// By how much `stillness` may be too short: the time between two samples.
  var samplingInterval = Duration.seconds(5)
  /// Whether KubeVirt's own stall detector was at work.
  var hasStallDetector = false
  var budgets = OwnBudgets(completion: nil, progress: nil)
  var keepalive = KeepaliveSettings()

  typealias Answer = (cause: FailureCause, certainty: Certainty)

  var answer: Answer {
    let text = state?.failureReason ?? ""
    if let answer = told(by: text) { return answer }
    // The last event then says of the pod only that it is gone.
    if let answer = podTimeout { return answer }
    for message in events.reversed() { if let answer = told(byEvent: message) { return answer } }
    // Nobody can abort a migration in post-copy: it was broken, whatever the words.
    if state?.mode == "PostCopy" { return (.postcopyBroken, .inferred) }
    let isCancelled = state?.abortStatus == "Succeeded" || Self.isCancellation(text)
    let error = isCancelled ? nil : Self.told(byLibvirt: text)
    if isAbortRequested || state?.isAbortRequested == true {
      // An abort that was not carried out before libvirt gave up ended nothing.
      return error.map(refined) ?? (.userAbort, .reported)
    }
    if state?.start == nil, let answer = beforeTheStart { return answer }
    if isCancelled { return byTiming }
    if let error { return refined(error) }
    if hasVMIGone { return (.vmLost, .inferred) }
    if vmiPhase == "Failed" { return (.guestCrashed, .inferred) }
    if vmiPhase == "Succeeded" { return (.guestShutdown, .inferred) }
    if isSourceReady == false { return (.sourceLost, .inferred) }
    if isTargetReady == false { return (.targetLost, .inferred) }
    return (text.isEmpty ? .unknown : .other, text.isEmpty ? .inferred : .reported)
  }

  /// The text to show: KubeVirt's own, else that of its last event.
  var text: String {
    let reason = state?.failureReason ?? ""
    return reason.isEmpty ? events.last ?? "" : reason
  }

  /// KubeVirt's own words, in as far as they name one cause only.
  private func told(by text: String) -> Answer? {
    if text.contains("is not completed after") { return (.completionTimeout, .reported) }
    if text.contains("stuck for") { return (.progressTimeout, .reported) }
    if text.hasPrefix("Live migration aborted") { return (.userAbort, .reported) }
    if text.contains("Target pod is down") { return (.targetLost, .reported) }
    if text.contains("destination volume is smaller") { return (.storage, .reported) }
    return nil
  }

  private var podTimeout: Answer? {
    guard state?.start == nil, podTimeoutText.contains("timeout"), !isAbortRequested else { return nil }
    return (podTimeoutText.contains("unschedulable") ? .unschedulable : .podPendingTimeout, .reported)
  }

  private func told(byEvent message: String) -> Answer? {
    // virt-controller says so of every guest that has ended.
    if message.contains("vmi shutdown during migration"), vmiPhase == "Failed" {
      return (.guestCrashed, .reported)
    }
    let known: [(String, FailureCause)] = [
      ("vmi does not exist", .vmLost), ("vmi shutdown during migration", .guestShutdown),
      ("due to being canceled", .userAbort), ("target pod shutdown during migration", .targetLost),
      ("target pod was removed", .targetLost), ("target attachment pod shutdown", .targetLost),
      ("state was cleared", .superseded), ("taken over by another migration", .superseded),
      ("another migration job is in progress", .superseded),
    ]
    return known.first { message.contains($0.0) }.map { ($0.1, .reported) }
  }

  private var beforeTheStart: Answer? {
    if hasVMIGone { return (.vmLost, .inferred) }
    if vmiPhase == "Failed" { return (.guestCrashed, .inferred) }
    if vmiPhase == "Succeeded" { return (.guestShutdown, .inferred) }
    if hasQuotaCondition { return (.quota, .reported) }
    if isUnschedulable { return (.unschedulable, .reported) }
    guard let waited else { return nil }
    let slack = Duration.seconds(10)
    if waited >= podTimeouts.pending - slack { return (.podPendingTimeout, .inferred) }
    let late = waited - podTimeouts.unschedulable
    if late >= .zero - slack, late < slack * 3 { return (.unschedulable, .inferred) }
    return nil
  }

  /// libvirt's word for a job that was cancelled, whoever did so.
  private static func isCancellation(_ text: String) -> Bool {
    text.contains("Live migration has been aborted") || text.contains("canceled by client")
  }

  /// KubeVirt aborts by itself after a time-out or a stall; from 1.9 it says the same of both, and of a user's abort.
  private var byTiming: Answer {
    let slack = Duration.seconds(5)
    if let budget = budgets.progress, let stillness, stillness + samplingInterval >= budget.timeout {
      return (.progressTimeout, .inferred)
    }
    guard let budget = budgets.completion, let elapsed else { return (.unknown, .inferred) }
    if elapsed + slack >= budget.timeout { return (.completionTimeout, .inferred) }
    // Before its time nothing but a stall ends it: one that KubeVirt's detector sees while bytes flow, else one that
    // would have been seen here if anybody had looked.
    let isPossible =
      hasStallDetector || !hasSeenBytes && budgets.progress.map { elapsed + slack >= $0.timeout } ?? false
    return (isPossible ? .progressTimeout : .unknown, .inferred)
  }

  /// What ended a connection, where the time it was silent, or a node, tells.
  private func refined(_ answer: Answer) -> Answer {
    guard answer.cause == .connectionLost else { return answer }
    if let stillness {
      // The last byte was heard up to an interval before the cut, and the cut was up to one sample before it was seen.
      let earliest = keepalive.timeout - keepalive.interval - samplingInterval - .seconds(1)
      let latest = keepalive.timeout + .seconds(10)
      if keepalive.isEnabled, stillness >= earliest, stillness <= latest { return (.keepalive, .inferred) }
      if let budget = budgets.progress, stillness + samplingInterval >= budget.timeout {
        return (.progressTimeout, .inferred)
      }
    }
    if isTargetReady == false { return (.targetLost, .inferred) }
    if isSourceReady == false { return (.sourceLost, .inferred) }
    return answer
  }

  /// libvirt's words, which KubeVirt hands on.
  private static func told(byLibvirt text: String) -> Answer? {
    let lower = text.lowercased()
    let known: [(String, FailureCause)] = [
      ("keepalive timeout", .keepalive),
      ("guest cpu doesn't match", .targetRefused), ("cpu is incompatible", .targetRefused),
      ("unsupported configuration", .targetRefused), ("unable to connect to server", .targetRefused),
      ("unable to allocate", .targetRefused), ("already exists", .targetRefused),
      ("no space left", .storage), ("cannot access storage", .storage),
      ("failed to get \"write\" lock", .storage),
      ("unable to access disk", .storage),
      ("client socket is closed", .connectionLost), ("end of file while reading data", .connectionLost),
      ("connection reset by peer", .connectionLost), ("lost connection to destination", .connectionLost),
      ("broken pipe", .connectionLost), ("connection timed out", .connectionLost),
      ("unexpectedly closed the monitor", .targetLost), ("is not running", .guestShutdown),
      ("guest unexpectedly quit", .guestCrashed), ("domain's main event loop", .guestCrashed),
      // A connection's end is told with the same words behind it.
      ("input/output error", .storage),
    ]
    return known.first { lower.contains($0.0) }.map { ($0.1, .reported) }
  }
}
