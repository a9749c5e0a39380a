internal import DroverCore
internal import Logging

/// The VM behind a socket.
struct QMPSubject: Hashable, Sendable {
  var vm: VMRef
  var domain: DomainKey
  var memory: Bytes?
}

/// One look at a QEMU: the answers to `query-migrate` and to what was asked with it.
struct QMPLook: Sendable {
  var answer: MigrateAnswer
  var runState: String?
  var takenAt: Moment
  var interval: Duration
  var epoch: EpochOffset
}

/// Follows the migrations of one QEMU: looks and events in, observations out.
struct MigrationWatch: Sendable {
  enum Note {
    case tell(BackendMessage)
    case log(Logger.Level, String)
  }

  /// What tells one end from another: nothing that may change while a job is long over.
  private struct EndMark: Equatable, Sendable {
    var status: String?
    var totalTime: Duration?
    var sent: [UInt64?]
    var errorText: String?

    init(_ answer: MigrateAnswer) {
      status = answer.status
      totalTime = answer.totalTime
      sent = [answer.memory?.transferred, answer.disk?.transferred]
      errorText = answer.errorText
    }
  }

  /// How long an end may remain half told before it is taken as it is.
  private static let longestSettling = Duration.seconds(2)

  @Apart private var job: FollowedJob?
  /// The last migration, while QEMU still shows it: its guest may be started again.
  @Apart private var ended: MigrationObservation?
  /// The last answer that spoke of no running job; nil before the first.
  @Apart private var rest: EndMark?
  /// Since when an end has been half told.
  private var unsettledAt: Moment?
  private var inbound: InboundState?
  @Apart private var unheard: News?
  @Apart private var unknownStatus: String?
  private var presence = Presence.here

  /// Where the run state that was told last puts the guest; it is not asked for at every look.
  private enum Presence {
    case here, elsewhere
    /// Stopped for the last pass, or for all of post-copy.
    case leaving

    init(_ runState: String) {
      self =
        switch runState {
        case "inmigrate", "postmigrate": .elsewhere
        case "finish-migrate": .leaving
        default: .here
        }
    }
  }

  private struct InboundState: Equatable {
    var isActive: Bool
    var guestRuns: Bool?
  }

  /// What events have said since the last answer to `query-migrate`.
  struct News: Equatable, Sendable {
    /// A job began then.
    var began: Moment?
    /// The final status of the job before it.
    var final: String?
    var guestStopped = false
    var shutdownReason: String?
  }

  private var news: News {
    get { unheard ?? News() }
    set { unheard = newValue == News() ? nil : newValue }
  }

  /// Phase of the migration that is followed; nil where there is none.
  var phase: Phase? { job?.last.phase }
  /// The migration that is followed, or else the last one, while QEMU still shows it.
  var currentID: MigrationID? { (job?.last ?? ended)?.id }
  /// Whether something moves, in or out.
  var isBusy: Bool { job != nil || inbound?.isActive == true }
  /// Whether QEMU shows an end that is not complete yet, so that it is to be asked again at once.
  private(set) var isSettling = false
  /// Whether the guest is in this QEMU: not before it has arrived, nor after it has left.
  var hasGuest: Bool {
    switch presence {
    case .elsewhere: false
    case .leaving: (job?.last ?? ended)?.guestOnSource ?? true
    case .here: phase?.isPostcopy != true
    }
  }
  /// Bandwidth and downtime limits as asked last; set by the owner.
  @Apart var parameters: ParametersAnswer?
  /// Capacity of the disks that are copied; set by the owner.
  @Apart var disks: Bytes?

  mutating func heard(_ event: QMPEvent, at now: Moment) {
    switch event.name {
    case "STOP": news.guestStopped = true
    case "RESUME": news.guestStopped = false
    case "SHUTDOWN": news.shutdownReason = event.reason ?? ""
    case "RESET": news.shutdownReason = nil
    case "MIGRATION":
      switch event.status {
      case "setup": news.began = now
      case "completed", "failed", "cancelled": if news.began == nil { news.final = event.status }
      default: break
      }
    default: break
    }
  }

  /// What was announced before this answer; to be taken when `query-migrate` is answered, since what is announced
  /// later belongs to the next answer.
  mutating func announcement() -> Announcement {
    defer {
      news.began = nil
      news.final = nil
      news.guestStopped = false
    }
    return Announcement(began: news.began, final: news.final)
  }

  /// An end that QEMU has told stays told until its next answer, also if it goes before the look is whole.
  mutating func answered(_ status: String?) {
    if job != nil, status == "completed" { news.final = status }
  }

  struct Announcement: Equatable {
    var began: Moment?
    var final: String?
  }

  mutating func take(_ look: QMPLook, of subject: QMPSubject, after heard: Announcement) -> [Note] {
    var notes: [Note] = []
    presence = look.runState.map { Presence($0) } ?? presence
    if let status = look.answer.status, status != unknownStatus,
      case .unknown = SourceStatus(status, runState: nil)
    {
      notes.append(.log(.warning, "QEMU tells a migration status unknown to Drover: \(status)"))
      unknownStatus = status
    }
    let role = MigrationRole(look.answer, runState: look.runState, followsJob: job != nil)
    settle(look, role)
    if job != nil, heard.began != nil { endUnseen(look, final: heard.final, into: &notes) }
    switch role {
    case .destination:
      endReplaced(look, into: &notes)
      arrive(look, subject, into: &notes)
      rest = EndMark(look.answer)
    case .none:
      endReplaced(look, into: &notes)
      leave(subject, runState: look.runState, into: &notes)
      rest = EndMark(look.answer)
    case .source:
      leave(subject, runState: look.runState, into: &notes)
      follow(look, subject, heard, into: &notes)
    }
    return notes
  }

  /// The process is gone, as far as its socket tells.
  mutating func processGone(_ subject: QMPSubject, at now: Moment) -> [Note] {
    var notes: [Note] = []
    if let job { notes.append(.tell(.migration(Self.lost(job, news, at: now)))) }
    // Where the guest has left, or was leaving, its end here says nothing of where it runs.
    if let inbound, inbound.isActive || job == nil && hasGuest {
      tellInbound(InboundState(isActive: false, guestRuns: false), subject, into: &notes)
    }
    self = MigrationWatch()
    return notes
  }

  // MARK: - At the source

  private mutating func follow(
    _ look: QMPLook, _ subject: QMPSubject, _ heard: Announcement, into notes: inout [Note]
  ) {
    if let job, !job.isContinued(by: look.answer) { endUnseen(look, final: nil, into: &notes) }
    switch SourceStatus(look.answer.status ?? "", runState: look.runState) {
    case .running(let phase):
      proceed(look, subject, phase, heard, into: &notes)
    case .unknown:
      proceed(look, subject, job?.last.phase ?? .precopy, heard, into: &notes)
    case .ended(.succeeded) where isSettling:
      if let phase = job?.last.phase {
        proceed(look, subject, phase.isPostcopy ? phase : .switchover, heard, into: &notes)
      } else {
        news.began = news.began ?? heard.began
      }
    case .ended(let outcome):
      finish(look, subject, outcome, heard, into: &notes)
    }
  }

  /// QEMU shows an end before the run state has followed, and before 9.0 `completed` before its times are there.
  private mutating func settle(_ look: QMPLook, _ role: MigrationRole) {
    let isWhole =
      switch (role, SourceStatus(look.answer.status ?? "", runState: nil)) {
      case (.source, .ended(let outcome)):
        look.runState != "finish-migrate" && (outcome != .succeeded || tellsTimes(look.answer))
      default: true
      }
    unsettledAt = isWhole ? nil : unsettledAt ?? look.takenAt
    isSettling = unsettledAt.map { look.takenAt - $0 < Self.longestSettling } ?? false
  }

  private func tellsTimes(_ answer: MigrateAnswer) -> Bool {
    guard let total = answer.totalTime, total > .zero else { return false }
    return total >= job?.totalTime ?? .zero
  }

  private mutating func proceed(
    _ look: QMPLook, _ subject: QMPSubject, _ phase: Phase, _ heard: Announcement, into notes: inout [Note]
  ) {
    var job = self.job ?? begin(look, subject, at: heard.began)
    job.note(look)
    update(&job.last, look, subject, phase)
    job.last.guestOnSource = phase.isPostcopy ? false : holdsGuest(look.runState)
    job.last.guestOnTarget = phase == .postcopy ? true : nil
    notes.append(.tell(.migration(job.last)))
    self.job = job
    ended = nil
  }

  private mutating func finish(
    _ look: QMPLook, _ subject: QMPSubject, _ outcome: Outcome, _ heard: Announcement,
    into notes: inout [Note]
  ) {
    let mark = EndMark(look.answer)
    defer {
      rest = mark
      job = nil
      parameters = nil
      disks = nil
    }
    // Nobody knows when the first final answer came to be: counting it would count it again after each restart.
    let isNews = heard.began != nil || rest.map { $0 != mark && !isCompleted($0, by: mark, look) } ?? false
    guard job != nil || isNews else {
      if let rest, rest != mark, let text = mark.errorText {
        notes.append(.log(.info, "the migration that failed: \(text)"))
      }
      retell(look, into: &notes)
      return
    }
    var last = (job ?? begin(look, subject, at: heard.began)).last
    let phaseBefore = last.phase
    update(&last, look, subject, outcome.phase)
    last.guestOnSource = Self.keepsGuest(look.runState, after: outcome, of: phaseBefore)
    last.guestOnTarget = outcome == .succeeded ? true : nil
    var ending = Ending(outcome: outcome, certainty: .reported, endedAt: look.takenAt)
    ending.text = look.answer.errorText ?? ""
    switch outcome {
    case .succeeded:
      inbound = nil
      ending.duration = tellsTimes(look.answer) ? look.answer.totalTime : nil
      if let duration = ending.duration, let origin = job?.origin, let sampled = job?.last.takenAt {
        ending.endedAt = min(look.takenAt, max(sampled, origin + duration))
      }
    case .aborted:
      ending.cause = .userAbort
    case .failed:
      let reason = FailureReason(errorText: look.answer.errorText, runState: look.runState, in: phaseBefore)
      ending.cause = reason.cause
      ending.certainty = reason.certainty
    }
    last.end(ending)
    notes.append(.tell(.migration(last)))
    ended = last
  }

  /// Whether this is the end that was told before, with what was missing: its times, or a moment later its error.
  private func isCompleted(_ before: EndMark, by mark: EndMark, _ look: QMPLook) -> Bool {
    // Only a source tells what was sent.
    let isHalfTold =
      before.status == "completed" && before.sent[0] != nil && before.totalTime ?? .zero == .zero
    if isHalfTold, mark.status == "completed" { return true }
    var completed = before
    completed.errorText = mark.errorText
    guard before.errorText == nil, completed == mark, let end = ended?.ending, end.outcome == .failed else {
      return false
    }
    return look.takenAt - end.endedAt < .seconds(3)
  }

  /// A guest that is started, or stopped, behind a migration that is over runs twice, or nowhere.
  private mutating func retell(_ look: QMPLook, into notes: inout [Note]) {
    guard var ended, let outcome = ended.phase.outcome,
      let onSource = Self.keepsGuest(look.runState, after: outcome, of: ended.phase),
      onSource != ended.guestOnSource
    else { return }
    ended.guestOnSource = onSource
    notes.append(
      .tell(.guestMoved(GuestMove(backend: ended.vm.backend, id: ended.id, isOnSource: onSource))))
    self.ended = ended
  }

  /// QEMU shows the end before the run state has followed: `finish-migrate` then is what it was, not what it is.
  private static func keepsGuest(_ runState: String?, after outcome: Outcome, of phase: Phase) -> Bool? {
    if runState == "finish-migrate", outcome == .succeeded || phase.isPostcopy { return false }
    return holdsGuest(runState)
  }

  private func begin(_ look: QMPLook, _ subject: QMPSubject, at announced: Moment?) -> FollowedJob {
    let start = look.answer.totalTime.map { look.takenAt - $0 } ?? announced ?? look.takenAt
    let id = MigrationID(
      domain: subject.domain, startedUnixMilliseconds: look.epoch.unixMilliseconds(start))
    return FollowedJob(
      MigrationObservation(
        id: id, vm: subject.vm, domain: subject.domain, takenAt: look.takenAt, startedAt: start,
        phase: .preparing))
  }

  private func update(
    _ observation: inout MigrationObservation, _ look: QMPLook, _ subject: QMPSubject, _ phase: Phase
  ) {
    observation.takenAt = look.takenAt
    observation.phase = phase
    observation.sample = Sample(
      look.answer, phase: phase, parameters: parameters, last: observation.sample)
    observation.samplingInterval = look.interval
    observation.facts.source = subject.vm.scope.name
    let copied = observation.sample.disk.flatMap { disks ?? $0.total } ?? 0
    if let memory = subject.memory, observation.facts.size.map({ $0 < memory + copied }) ?? true {
      observation.facts.size = memory + copied
    }
  }

  // MARK: - Ends that nobody reported

  /// Another job has begun: how the one before ended was not seen.
  private mutating func endUnseen(_ look: QMPLook, final: String?, into notes: inout [Note]) {
    guard let job else { return }
    var last = job.last
    last.takenAt = look.takenAt
    last.guestOnSource = holdsGuest(look.runState)
    last.guestOnTarget = nil
    var ending = Ending(
      outcome: .failed, cause: .unknown, certainty: .inferred,
      text: "another migration of this guest began before the end of this one was seen", endedAt: look.takenAt
    )
    if let final, case .ended(let outcome) = SourceStatus(final, runState: nil) {
      ending.outcome = outcome
      ending.certainty = .reported
      ending.cause = outcome == .succeeded ? nil : outcome == .aborted ? .userAbort : .unknown
    }
    last.end(ending)
    notes.append(.tell(.migration(last)))
    self.job = nil
  }

  /// The QEMU that answers has no job, so it is not the one that had it.
  private mutating func endReplaced(_ look: QMPLook, into notes: inout [Note]) {
    if let job { notes.append(.tell(.migration(Self.lost(job, news, at: look.takenAt)))) }
    job = nil
    ended = nil
  }

  // MARK: - At the destination

  private mutating func arrive(_ look: QMPLook, _ subject: QMPSubject, into notes: inout [Note]) {
    let isActive =
      switch look.answer.status {
      case "active", "postcopy-active", "postcopy-paused", "postcopy-recover", "postcopy-recover-setup",
        "device", "colo":
        true
      default: false
      }
    tellInbound(
      InboundState(isActive: isActive, guestRuns: holdsGuest(look.runState)), subject,
      into: &notes)
  }

  private mutating func leave(_ subject: QMPSubject, runState: String?, into notes: inout [Note]) {
    guard let inbound, inbound.isActive else { return }
    tellInbound(
      InboundState(isActive: false, guestRuns: holdsGuest(runState)), subject, into: &notes)
  }

  private mutating func tellInbound(
    _ state: InboundState, _ subject: QMPSubject, into notes: inout [Note]
  ) {
    guard state != inbound else { return }
    inbound = state
    notes.append(
      .tell(
        .inbound(
          InboundObservation(
            vm: subject.vm, host: subject.vm.scope.name, domain: subject.domain, isActive: state.isActive,
            guestRuns: state.guestRuns))))
  }
}
