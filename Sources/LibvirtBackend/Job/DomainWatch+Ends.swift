internal import DroverCore

/// How the migration of a domain ends.
extension DomainWatch {
  /// The source's own word that a migration succeeded.
  mutating func succeed(
    _ statistics: JobStatistics, at now: Moment, _ epoch: EpochOffset, into notes: inout [Note]
  ) {
    let start = statistics.elapsed.map { now - $0 } ?? hintedAt ?? now
    // The same success may be told twice: by the event, and by the figures that the host keeps.
    if job == nil, let ended, ended.outcome == .succeeded, hintedAt == nil { return }
    var last = (job ?? begin(at: start, now, epoch)).last
    last.takenAt = max(now, last.takenAt)
    last.sample = Sample(statistics, phase: .succeeded, limits: job?.limits)
    last.guestOnSource = false
    last.guestOnTarget = true
    let over = statistics.elapsed.map { last.startedAt + $0 } ?? now
    last.end(
      Ending(
        outcome: .succeeded, certainty: .reported, endedAt: min(now, over), duration: statistics.elapsed))
    finish(last, into: &notes)
  }

  /// A guest that was left paused may have gone on at the target.
  private var guestOnSourceWithoutJob: Bool? { state == .pausedMigration ? nil : guestOnSource }

  /// The domain does not run here any more; `stop` is nil where nobody says why.
  mutating func stopped(_ stop: DomainState.Stop?, at now: Moment, into notes: inout [Note]) {
    guard var job else {
      if hintedAt == nil { hint(at: now, into: &notes) }
      return
    }
    job.stoppedAt = job.stoppedAt ?? now
    job.stop = stop ?? job.stop
    job.last.guestOnSource = false
    self.job = job
    // The figures of a success come right behind; of anything else nothing more comes.
    if let stop = job.stop, stop != .migrated { conclude(nil, at: now, into: &notes) }
  }

  /// Whether it still matters that a guest left from here: one that is started again runs twice.
  func remembersEnd(at now: Moment) -> Bool {
    ended.map { $0.outcome == .succeeded && now - $0.at < .seconds(3600) } ?? false
  }

  /// When the watch wants to be woken to conclude; nil where nothing is pending.
  var settlesAt: Moment? {
    job.flatMap { $0.stoppedAt }.map { $0 + Self.longestSettling }
  }

  /// Ends a job that is over, by what is known of how.
  ///
  /// - Parameters:
  ///   - evidence: What the host's connections show, where they could be looked at.
  ///   - isBehindAbsence: Whether the connection to the daemon was away since the last look.
  mutating func conclude(
    _ evidence: EndEvidence?, isBehindAbsence: Bool = false, at now: Moment, into notes: inout [Note]
  ) {
    guard let job, job.stoppedAt != nil || job.vanishedAt != nil else { return }
    if let stoppedAt = job.stoppedAt, job.stop == nil || job.stop == .migrated {
      guard now - stoppedAt >= Self.longestSettling else { return }
    }
    var last = job.last
    let endedAt = job.stoppedAt ?? job.vanishedAt ?? now
    last.takenAt = max(endedAt, last.takenAt)
    last.guestOnSource = job.stoppedAt == nil ? guestOnSourceWithoutJob : false
    last.guestOnTarget = job.stop == .migrated ? true : last.phase.isPostcopy ? last.guestOnTarget : nil
    if isBehindAbsence, job.stoppedAt != nil, job.stop == nil {
      last.end(
        Ending(
          outcome: .failed, cause: .unknown, certainty: .inferred,
          text: "the domain went away while the connection to the source's libvirt daemon was lost",
          endedAt: endedAt))
    } else {
      let inference = EndInference(
        stop: job.stop, isStopped: job.stoppedAt != nil, isLeftPaused: state == .pausedMigration,
        phase: job.last.phase, evidence)
      last.end(inference.ending(at: endedAt))
    }
    finish(last, into: &notes)
  }

  /// The connection was away, and came back without the job.
  mutating func concludeUnseen(byDaemon: Bool, at now: Moment, into notes: inout [Note]) {
    guard let job, job.vanishedAt != nil else { return }
    var last = job.last
    last.takenAt = max(now, last.takenAt)
    last.guestOnSource = guestOnSourceWithoutJob
    last.guestOnTarget = nil
    last.end(
      Ending(
        outcome: .failed, cause: byDaemon ? .sourceLost : .unknown, certainty: .inferred,
        text: byDaemon
          ? "the source's libvirt daemon went away during the migration, and came back without it"
          : "it ended while the connection to the source's libvirt daemon was lost",
        endedAt: now))
    finish(last, into: &notes)
  }

  mutating func finish(_ last: MigrationObservation, into notes: inout [Note]) {
    job = nil
    hintedAt = nil
    if let ending = last.ending { ended = (last.id, ending.outcome, ending.endedAt, last.takenAt) }
    notes.append(.tell(.migration(last)))
    show(into: &notes)
  }

  static func unseen(_ job: Job, at now: Moment) -> MigrationObservation {
    var last = job.last
    last.takenAt = now
    last.guestOnTarget = nil
    last.end(
      Ending(
        outcome: .failed, cause: .unknown, certainty: .inferred,
        text: "another migration of this guest began before the end of this one was seen", endedAt: now))
    return last
  }

  /// A guest that is started here behind a migration that took it away runs twice.
  mutating func move(_ id: MigrationID, into notes: inout [Note]) {
    notes.append(
      .tell(.guestMoved(GuestMove(backend: vm.backend, id: id, isOnSource: true, isTargetKnown: false))))
    ended = nil
  }
}
