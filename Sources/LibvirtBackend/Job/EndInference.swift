internal import DroverCore

/// How a migration ended that its source leaves no word of: what is known of the domain, and what the host's own
/// connections show.
///
/// libvirt keeps nothing of a migration that failed or was aborted: the job is gone, and the guest runs on.
struct EndInference: Hashable, Sendable {
  let outcome: Outcome
  var cause: FailureCause?
  let certainty: Certainty
  let text: String

  /// - Parameters:
  ///   - stop: Why the domain stopped; nil where it runs on, or nobody says.
  ///   - isStopped: Whether it stopped.
  ///   - isLeftPaused: Whether it stands for its migration still.
  ///   - phase: What the migration was in.
  ///   - evidence: What became of its connections; nil where they cannot be looked at.
  init(
    stop: DomainState.Stop?, isStopped: Bool, isLeftPaused: Bool = false, phase: Phase,
    _ evidence: EndEvidence?
  ) {
    switch stop {
    case .migrated:
      self.init(.succeeded, nil, .reported, "the domain has migrated; libvirt told no figures of it")
    case .shutdown where !phase.isPostcopy:
      self.init(.failed, .guestShutdown, .reported, "the guest shut down")
    case .crashed where !phase.isPostcopy:
      self.init(.failed, .guestCrashed, .reported, "the guest crashed")
    case .destroyed where !phase.isPostcopy:
      self.init(.failed, .vmLost, .reported, "the domain was destroyed at the source")
    case _? where phase.isPostcopy:
      self.init(.failed, .postcopyBroken, .inferred, "the source was ended in post-copy")
    case .failed?: self.init(.failed, .sourceLost, .reported, "the source's QEMU failed")
    case _?: self.init(.failed, .other, .reported, "the domain stopped at the source")
    case nil where isStopped:
      self.init(
        .failed, phase.isPostcopy ? .postcopyBroken : .sourceLost, .inferred,
        "the domain is gone from the source, and nobody said why")
    case nil where isLeftPaused:
      self.init(
        .failed, .unknown, .inferred,
        "the job is gone and the source was left paused: see whether the guest runs at the target")
    case nil: self.init(evidence)
    }
  }

  private init(_ outcome: Outcome, _ cause: FailureCause?, _ certainty: Certainty, _ text: String) {
    self.outcome = outcome
    self.cause = cause
    self.certainty = certainty
    self.text = text
  }

  /// The job is gone and the guest runs on at the source.
  private init(_ evidence: EndEvidence?) {
    guard let evidence else {
      self.init(
        .failed, .unknown, .inferred,
        "the job ended and the guest runs on at the source; the connections cannot be looked at")
      return
    }
    let keepalive = evidence.keepalive
    if let silence = evidence.controlSilence, keepalive.isEnabled,
      // A connection that is well is silent for an interval and a little more; libvirt counts whole seconds.
      silence >= keepalive.timeout - .seconds(1)
    {
      self.init(
        .failed, .keepalive, .inferred,
        "the control connection had been silent for \(silence.milliseconds) ms; it is closed after "
          + "\(keepalive.timeout.milliseconds) ms")
      return
    }
    guard let data = evidence.data else {
      self.init(
        .failed, .unknown, .inferred,
        "the job ended and the guest runs on at the source; control and data shared one connection, or were not seen"
      )
      return
    }
    switch (data, dataFirst: evidence.dataEndedFirst) {
    case (.closedHere, true):
      self.init(
        .aborted, .userAbort, .inferred,
        "the source itself ended the copy, and nothing was wrong with the connections")
    case (.endedByPeer, _) where evidence.dataSilence.map { $0 > Self.tcpPatience } ?? false:
      self.init(
        .failed, .connectionLost, .inferred, "the data connection had been silent until it was given up")
    case (.endedByPeer, true) where evidence.dataQueue > Self.shortQueue:
      // An abort with much in flight is answered by a reset, too.
      self.init(
        .failed, .unknown, .inferred, "the data connection was reset: the target died, or it was aborted")
    case (.endedByPeer, true):
      self.init(.failed, .targetLost, .inferred, "the target ended the data connection")
    case (.closedHere, false) where evidence.control == .endedByPeer,
      (.endedByPeer, false) where evidence.control != .closedHere:
      self.init(.failed, .targetLost, .inferred, "the target's daemon ended the control connection")
    case (.endedByPeer, nil) where evidence.control != .closedHere && evidence.dataQueue <= Self.shortQueue:
      self.init(.failed, .targetLost, .inferred, "the target ended the connections")
    case (.closedHere, nil), (.endedByPeer, nil):
      self.init(
        .failed, .unknown, .inferred,
        "it is not known which of control and data ended first: the target died, or it was aborted")
    case (.closedHere, _), (.endedByPeer, _), (.open, _):
      self.init(.failed, .unknown, .inferred, "the job ended and the guest runs on at the source")
    }
  }

  /// A target that dies leaves no more than this unsent; an abort with more in flight looks the same.
  private static let shortQueue = Bytes.mebibytes(1) - 524_288
  /// So long a silence ends in TCP's own time-out.
  private static let tcpPatience = Duration.seconds(60)

  func ending(at moment: Moment) -> Ending {
    Ending(outcome: outcome, cause: cause, certainty: certainty, text: text, endedAt: moment)
  }
}
