internal import DroverCore

/// What a host says of a domain and its job at one moment.
struct LiveReading: Sendable {
  /// The domain's state, asked last; for it nobody's QEMU is asked.
  var state: Result<DomainState, LibvirtError>
  /// Its job; nil where there is no QEMU that could have one, or where the state says enough.
  var job: Result<JobStatistics, LibvirtError>?
  /// What the host keeps of the last migration of a domain that does not run any more.
  var completed: JobStatistics?
  /// When the job was told, in Unix milliseconds.
  var readAt: Int64
}

/// What Drover itself knows of a migration.
struct KnownMigration: Hashable, Sendable {
  /// How it was seen to end; nil while it was not.
  var outcome: Outcome?
  /// Whether an abort of it has been sent.
  var isAbortSent = false
}

extension MigrationTarget {
  /// Two starts of one job differ by no more than this, however they were found.
  static let sameStart = DomainWatch.sameStart

  /// When it began, in Unix milliseconds; nil where its identity does not tell.
  var startedAt: Int64? {
    let prefix = domain.text + "-"
    guard sourceID.description.hasPrefix(prefix) else { return nil }
    return Int64(sourceID.description.dropFirst(prefix.utf8.count))
  }

  /// Whether a job of its domain that began then is the one meant.
  func isSame(startedAt start: Int64) -> Bool {
    guard let mine = startedAt else { return false }
    let (difference, overflow) = mine.subtractingReportingOverflow(start)
    return !overflow && difference.magnitude <= UInt64(Self.sameStart.milliseconds)
  }
}

extension LiveMigration {
  /// Makes out how a migration is.
  ///
  /// - Throws: Where what was read does not tell.
  init(
    _ reading: LiveReading, of target: MigrationTarget, known: KnownMigration = KnownMigration()
  ) throws(ControlError) {
    func over(_ word: String) -> LiveMigration {
      LiveMigration(known.outcome.map { .finished($0) } ?? .gone, word: word)
    }
    let state: DomainState
    switch reading.state {
    case .success(let told): state = told
    case .failure(let error) where error.code == .noDomain:
      self = over("no such domain")
      return
    case .failure(let error): throw ControlError(error)
    }
    switch state {
    case .shutOff(let stop):
      self = over("shut off (\(stop))")
      // A migration that succeeded leaves its figures, and nothing else takes a domain away like that.
      if stop == .migrated, self.state == .gone, reading.completed?.isMigrationOut == true {
        self.state = .finished(.succeeded)
      }
    case .runningPostcopy: self = over("running (post-copy): it has come here")
    case .pausedPostcopy, .pausedPostcopyFailed: self.init(state)
    case .pausedMigration where reading.job == nil && known.outcome == nil: self.init(state)
    case .starting, .running, .paused, .pausedMigration:
      guard let job = reading.job else {
        self = over("running")
        return
      }
      switch job {
      case .success(let job) where job.isMigrating:
        try self.init(job, state, at: reading.readAt, of: target, known)
      case .success(let job): self = over("\(state.word), \(job.word)")
      case .failure(let error)
      where [.operationUnsupported, .operationInvalid, .noDomain].contains(error.code):
        self = over("\(state.word), \(error.message)")
      case .failure(let error): throw ControlError(error)
      }
    }
  }

  /// A migration out of the host is under way.
  private init(
    _ job: JobStatistics, _ state: DomainState, at readAt: Int64, of target: MigrationTarget,
    _ known: KnownMigration
  ) throws(ControlError) {
    guard let elapsed = job.elapsed else {
      throw ControlError(
        .other, call: "virDomainGetJobStats",
        cause: "libvirt does not tell since when the migration runs, so it may be another than the one meant",
        remedy: "ask again")
    }
    let start = readAt - elapsed.milliseconds
    // One that was seen to end does not run again: the next may begin within the tolerance of its start.
    guard known.outcome == nil, target.isSame(startedAt: start) else {
      self.init(
        .replaced(MigrationID(domain: target.domain, startedUnixMilliseconds: start)),
        word: "another migration, which began at \(start) ms")
      return
    }
    if known.isAbortSent {
      self.init(
        .running(.aborting), word: "\(state.word), abort sent", consequence: "it was asked to end already")
      return
    }
    switch state {
    case .pausedMigration: self.init(state)
    case .paused:
      self.init(
        .running(.guestSuspended), word: state.word,
        consequence: "the guest stays paused at the source; what was sent is thrown away")
    default:
      guard !job.isPreparing else {
        self.init(
          .running(.preparing), word: "\(state.word), nothing sent",
          consequence: "the guest runs on at the source; nothing has been sent")
        return
      }
      let disks = job.disk.isAbsent ? "" : ", and the copy of its disks at the target is worthless"
      self.init(
        .running(.precopy), word: "\(state.word), \(job.disk.remaining > 0 ? "copying disks" : "copying")",
        consequence: "the guest runs on at the source; what was sent is thrown away\(disks)")
    }
  }

  /// What the state says enough about.
  private init(_ state: DomainState) {
    switch state {
    case .pausedPostcopy:
      self.init(
        .running(.postcopy), word: state.word,
        consequence: "the guest runs at the target, and its memory is on both hosts: it would be lost")
    case .pausedPostcopyFailed:
      self.init(
        .running(.postcopyPaused), word: state.word,
        consequence:
          "the guest is at the target without all of its memory: it would be lost, but can be recovered with "
          + "virsh migrate --postcopy-resume")
    default:
      self.init(
        .running(.switchover), word: state.word,
        consequence: "the guest is being handed over, or somebody has suspended it: it cannot be told which")
    }
  }

  /// Why it must not be ended; nil where nothing speaks against it.
  var objection: ControlError? {
    func error(_ kind: ControlError.Kind, _ cause: String, _ remedy: String) -> ControlError {
      ControlError(kind, call: "virDomainAbortJob", cause: "not sent: \(cause) (\(word))", remedy: remedy)
    }
    return switch state {
    case .running(.postcopy), .running(.postcopyPaused):
      error(.refused, "the guest is at the target already, and would be lost", "let it come to its end")
    case .running(.switchover):
      error(.refused, "the guest is being switched over", "wait for its end, and migrate it back")
    case .running(.aborting): error(.refused, "an abort was sent already", "wait for its end")
    case .unclear: error(.refused, "what it does is not known", "look at the domain's job")
    case .running: nil
    case .finished: error(.gone, "the migration is over", "nothing is left to be done")
    case .gone: error(.gone, "the migration is not there any more", "nothing is left to be done")
    case .replaced: error(.replaced, "the domain has another migration", "look at that one")
    }
  }
}

extension DomainState {
  /// libvirt's own words for it.
  var word: String {
    switch self {
    case .starting: "starting"
    case .running: "running"
    case .runningPostcopy: "running (post-copy)"
    case .paused: "paused"
    case .pausedMigration: "paused (migrating)"
    case .pausedPostcopy: "paused (post-copy)"
    case .pausedPostcopyFailed: "paused (post-copy failed)"
    case .shutOff(let stop): "shut off (\(stop))"
    }
  }
}

extension JobStatistics {
  /// What the domain's job is.
  var word: String {
    switch kind {
    case .none: "no job"
    case .completed: "its job is over"
    case .other: "its job has ended"
    case .active: isMigrationOut ? "a migration" : "its job is \(operationWord), no migration"
    }
  }

  private var operationWord: String {
    switch operation {
    case 1: "its start"
    case 2: "a save"
    case 3: "a restore"
    case 4: "its arrival"
    case 6, 10: "a snapshot"
    case 7: "a return to a snapshot"
    case 8: "a dump"
    case 9: "a backup"
    default: "something else"
    }
  }
}
