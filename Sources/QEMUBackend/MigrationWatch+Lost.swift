internal import DroverCore

/// How a migration is taken to have ended whose QEMU is gone.
extension MigrationWatch {
  static func lost(_ job: FollowedJob, _ news: News, at now: Moment) -> MigrationObservation {
    var last = job.last
    let before = last.phase
    last.takenAt = now
    last.guestOnSource = false
    last.guestOnTarget = nil
    var ending = Ending(
      outcome: .failed, cause: before.isPostcopy ? .postcopyBroken : .sourceLost, certainty: .inferred,
      text: "the source's QEMU is gone", endedAt: now)
    switch (news.final, news.shutdownReason) {
    case ("completed", _):
      ending.outcome = .succeeded
      ending.cause = nil
      ending.certainty = .reported
      ending.text = ""
      last.guestOnTarget = true
    case (_, "guest-shutdown"):
      ending.cause = .guestShutdown
      ending.certainty = .reported
      ending.text = "the guest shut down, and its QEMU is gone"
    case (_, "guest-panic"):
      ending.cause = .guestCrashed
      ending.certainty = .reported
      ending.text = "the guest panicked, and its QEMU is gone"
    case _ where before == .switchover || news.guestStopped && !before.isPostcopy:
      ending.text = "the source went away during the switchover; the guest may run on the target"
    default: break
    }
    if let reason = news.shutdownReason, ending.certainty == .inferred {
      ending.text += " (SHUTDOWN, \(reason))"
    }
    last.end(ending)
    return last
  }
}
