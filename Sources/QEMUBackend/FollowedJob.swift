internal import DroverCore

/// A migration that is followed, and what proves that an answer still speaks of it.
struct FollowedJob: Sendable {
  var last: MigrationObservation
  /// Moment of the first answer less its `total-time`.
  private(set) var origin: Moment?
  private(set) var totalTime: Duration?
  private var stage = 0

  init(_ first: MigrationObservation) { last = first }

  mutating func note(_ look: QMPLook) {
    if let total = look.answer.totalTime {
      origin = origin ?? look.takenAt - total
      totalTime = max(totalTime ?? total, total)
    }
    stage = Self.stage(look.answer.status) ?? stage
  }

  /// One job's status, `total-time`, passes and bytes never go back, so what does belongs to another job.
  ///
  /// Drover's clock proves nothing: it runs on while the host sleeps and QEMU's stands still, and an answer may lie
  /// unread. What remains unseen is a job that overtook all four between two answers; that takes a gap longer
  /// than the job before it had lasted.
  func isContinued(by answer: MigrateAnswer) -> Bool {
    // An end is that of the job that was seen; its `total-time` is 0 for a moment.
    if SourceStatus(answer.status ?? "", runState: nil).isEnd { return true }
    if let next = Self.stage(answer.status), next < stage { return false }
    if let total = answer.totalTime, let totalTime, total < totalTime { return false }
    // The stream of a recovered post-copy is another one, and may be counted anew.
    guard !last.phase.isPostcopy, let memory = answer.memory else { return true }
    if let passes = memory.iterations, let before = last.sample.iterations, passes < before { return false }
    if let sent = memory.transferred, let before = last.sample.memory?.transferred, Bytes(sent) < before {
      return false
    }
    return true
  }

  /// How far a status is; nil for one that says nothing of it.
  private static func stage(_ status: String?) -> Int? {
    switch status {
    case "setup", "wait-unplug": 0
    case "active", "colo", "pre-switchover", "device": 1
    case "postcopy-active", "postcopy-device", "postcopy-paused", "postcopy-recover",
      "postcopy-recover-setup":
      2
    case "cancelling", "failing": 3
    default: nil
    }
  }
}
