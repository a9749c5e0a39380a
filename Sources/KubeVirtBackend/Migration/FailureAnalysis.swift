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
  /// Messages of the events of the VMIM, oldest first.
  var events: [String] = []
  /// Phase of the VMI now; empty where it is gone.
  var vmiPhase = ""
  var hasVMIGone = false
  /// Whether the cluster calls the two nodes ready; nil where nobody knows.
  var isSourceReady: Bool?
  var isTargetReady: Bool?
  /// Whether the target's pod existed for so long without becoming ready; nil where there was none.
  var waited: Duration?
  /// From the start of the copy to its end.
  var elapsed: Duration?
  /// From the last byte seen to the end; nil where no bytes were seen.
  var silence: Duration?
  /// By how much `silence` may be too long: the time between two samples.
  var silenceUncertainty = Duration.seconds(5)
  var budgets = OwnBudgets(completion: nil, progress: nil)
  var keepalive = KeepaliveSettings()

  typealias Answer = (cause: FailureCause, certainty: Certainty)

  var answer: Answer {
    let text = state?.failureReason ?? ""
    if let answer = told(by: text) { return answer }
    for message in events.reversed() { if let answer = told(byEvent: message) { return answer } }
    if isAbortRequested || state?.isAbortRequested == true { return (.userAbort, .reported) }
    if state?.start == nil, let answer = beforeTheStart { return answer }
    if state?.mode == "PostCopy" { return (.postcopyBroken, .inferred) }
    if text.contains("Live migration has been aborted") || isAbortedByItself { return byTiming }
    if let answer = Self.told(byLibvirt: text) {
      return answer.cause == .connectionLost ? connection(answer) : answer
    }
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

  private func told(byEvent message: String) -> Answer? {
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
    if hasQuotaCondition { return (.quota, .reported) }
    if isUnschedulable { return (.unschedulable, .reported) }
    if hasVMIGone { return (.vmLost, .inferred) }
    guard let waited else { return nil }
    // virt-controller gives up after 300 s where no node takes the pod, after 900 s in any case.
    if waited >= .seconds(890) { return (.podPendingTimeout, .inferred) }
    if waited >= .seconds(295), waited < .seconds(330) { return (.unschedulable, .inferred) }
    return nil
  }

  /// A time-out leaves an abort that nobody asked for.
  private var isAbortedByItself: Bool {
    state?.abortStatus == "Succeeded" && state?.isAbortRequested != true
  }

  /// From 1.9 one text stands for a time-out, a stall and a user's abort; the last is known by the request.
  private var byTiming: Answer {
    let slack = Duration.seconds(5)
    if let budget = budgets.progress, let silence, silence + silenceUncertainty >= budget.timeout {
      return (.progressTimeout, .inferred)
    }
    if let budget = budgets.completion, let elapsed, elapsed + slack >= budget.timeout {
      return (.completionTimeout, .inferred)
    }
    return (.unknown, .inferred)
  }

  /// A control connection that was closed: after a keepalive's worth of silence by the keepalive, else by the peer.
  private func connection(_ answer: Answer) -> Answer {
    if let silence, keepalive.isEnabled {
      let early = keepalive.timeout - keepalive.interval - .seconds(2)
      let late = keepalive.timeout + silenceUncertainty * 2 + .seconds(5)
      if silence >= early, silence <= late { return (.keepalive, .inferred) }
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
      ("unable to access disk", .storage), ("input/output error", .storage),
      ("client socket is closed", .connectionLost), ("end of file while reading data", .connectionLost),
      ("connection reset by peer", .connectionLost), ("lost connection to destination", .connectionLost),
      ("broken pipe", .connectionLost), ("connection timed out", .connectionLost),
      ("unexpectedly closed the monitor", .targetLost), ("domain is not running", .guestShutdown),
      ("guest unexpectedly quit", .guestCrashed), ("domain's main event loop", .guestCrashed),
    ]
    return known.first { lower.contains($0.0) }.map { ($0.1, .reported) }
  }
}
