/// What nothing that acts by itself may do to a migration, beyond what nobody may.
///
/// It looks at the migration as it is known; right before anything is sent ``AbortGuard`` looks at the source.
public enum AutomaticGate {
  /// Why a migration must not be ended by itself now; nil where it may be.
  public static func refusal(of view: MigrationView, _ limits: AutomaticLimits, at now: Moment) -> Refusal? {
    refusal(in: view.phase) ?? refusal(ofOrigin: view.facts.origin) ?? age(of: view, limits, at: now)
      ?? ending(of: view, limits, at: now)
  }

  private static func refusal(in phase: Phase) -> Refusal? {
    switch phase {
    case .postcopy, .postcopyPaused:
      Refusal(.postcopy, "it is in post-copy: the guest would be lost")
    case .switchover: Refusal(.switchover, "the guest is being switched over; a moment later it is over")
    case .guestSuspended:
      Refusal(.suspended, "its guest is held paused to let it end; only a person may end it now")
    case .aborting: Refusal(.aborting, "somebody has asked for its end already")
    case .succeeded, .failed, .aborted: Refusal(.finished, "it is over already: \(phase.rawValue)")
    case .pending, .scheduling, .preparing, .precopy: nil
    }
  }

  private static func refusal(ofOrigin origin: Origin) -> Refusal? {
    switch origin {
    case .evacuation, .workloadUpdate, .descheduler:
      Refusal(
        .comesBack, "\(origin.rawValue) began it, and begins it again when it is ended; only a person may")
    case .manual, .decentralized, .drover, .unknown: nil
    }
  }

  private static func age(of view: MigrationView, _ limits: AutomaticLimits, at now: Moment) -> Refusal? {
    var limit = limits.sampleAge
    if case .namespace = view.identity.vm.scope { limit += view.sampleSpacing }
    guard let read = view.countersReadAt else {
      return Refusal(.oldSample, "its source has told no counters yet")
    }
    guard now - read > limit else { return nil }
    return Refusal(
      .oldSample,
      "its last sample is \(PolicyCondition.seconds(now - read)) old, more than "
        + "\(PolicyCondition.seconds(limit)): what it says may not hold any more")
  }

  private static func ending(of view: MigrationView, _ limits: AutomaticLimits, at now: Moment) -> Refusal? {
    guard limits.guardTime > .zero, let end = view.verdict.expectedEnd, end - now <= limits.guardTime else {
      return nil
    }
    return Refusal(
      .nearlyDone,
      "it ends in \(PolicyCondition.seconds(max(.zero, end - now))) if this goes on: that is let happen")
  }
}
