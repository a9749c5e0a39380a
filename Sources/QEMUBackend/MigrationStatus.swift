internal import DroverCore

/// Whether an answer to `query-migrate` speaks of a guest that leaves or of one that arrives.
enum MigrationRole {
  case none, source, destination

  /// Decides by the run state, and by the counters, which only a source has.
  init(_ answer: MigrateAnswer, runState: String?, followsJob: Bool) {
    guard runState != "inmigrate" else {
      self = .destination
      return
    }
    switch answer.status {
    case nil, "none":
      self = answer.listens ? .destination : .none
    // A destination that fails leaves the process, or the run state at `inmigrate`.
    case "setup", "wait-unplug", "cancelling", "cancelled", "failing", "failed":
      self = .source
    // A source leaves out the counters too while a post-copy is being recovered.
    default:
      self = answer.memory != nil || followsJob ? .source : .destination
    }
  }
}

/// What a status of `query-migrate` means at the source.
enum SourceStatus: Equatable {
  case running(Phase)
  case ended(Outcome)
  case unknown(String)

  /// `status` wins over the run state: that is `finish-migrate` all through post-copy.
  init(_ status: String, runState: String?) {
    self =
      switch status {
      case "completed": .ended(.succeeded)
      case "failed": .ended(.failed)
      case "cancelled": .ended(.aborted)
      case "postcopy-paused", "postcopy-recover-setup": .running(.postcopyPaused)
      case "postcopy-active", "postcopy-recover", "postcopy-device": .running(.postcopy)
      case "pre-switchover", "device": .running(.switchover)
      case "active", "colo": .running(SourceStatus.copying(runState) ?? .precopy)
      case "cancelling", "failing": .running(SourceStatus.copying(runState) ?? .aborting)
      case "setup", "wait-unplug": .running(.preparing)
      default: .unknown(status)
      }
  }

  var isEnd: Bool { if case .ended = self { true } else { false } }

  /// The phase that the run state makes of a copy; nil while the guest runs.
  private static func copying(_ runState: String?) -> Phase? {
    switch runState {
    case "finish-migrate", "postmigrate": .switchover
    case "paused", "suspended", "prelaunch", "io-error", "watchdog", "debug", "save-vm": .guestSuspended
    default: nil
    }
  }
}

/// Whether a QEMU in this run state runs its guest or holds it paused; nil where the state says nothing.
func holdsGuest(_ runState: String?) -> Bool? {
  switch runState {
  case nil: nil
  case "postmigrate", "shutdown", "guest-panicked", "internal-error", "inmigrate": false
  default: true
  }
}

/// Why a migration failed, from what QEMU says.
struct FailureReason: Equatable {
  var cause: FailureCause
  var certainty: Certainty

  /// The guest's own end comes first: the error of the copy is only its consequence.
  init(errorText: String?, runState: String?, in phase: Phase) {
    switch runState {
    case "shutdown": self.init(.guestShutdown, .reported)
    case "guest-panicked", "internal-error": self.init(.guestCrashed, .reported)
    case let state where phase.isPostcopy && state != "running": self.init(.postcopyBroken, .inferred)
    default: self.init(errorText: errorText)
    }
  }

  private init(_ cause: FailureCause, _ certainty: Certainty) {
    self.cause = cause
    self.certainty = certainty
  }

  private init(errorText: String?) {
    guard let text = errorText, !text.isEmpty else {
      self.init(.unknown, .inferred)
      return
    }
    func says(_ words: String...) -> Bool { words.contains { text.contains($0) } }
    if text.hasPrefix("Failed to connect to") {
      self.init(.targetRefused, .reported)
    } else if says("Connection timed out", "No route to host", "Network is unreachable") {
      self.init(.connectionLost, .reported)
    } else if says("Broken pipe", "Connection reset by peer") {
      self.init(.targetLost, .inferred)
    } else {
      self.init(.other, .reported)
    }
  }
}

extension Sample {
  /// What a source's answer says; counters that it leaves out are those of `last`.
  init(_ answer: MigrateAnswer, phase: Phase, parameters: ParametersAnswer?, last: Sample?) {
    self.init()
    memory = answer.memory.flatMap { StreamCounters($0) } ?? last?.memory
    disk = answer.disk.flatMap { StreamCounters($0) } ?? last?.disk
    iterations = answer.memory?.iterations ?? last?.iterations
    postcopyRequests = answer.memory?.postcopyRequests ?? last?.postcopyRequests
    if answer.status == "active" {
      expectedDowntime = answer.expectedDowntime
      dirtyRate = answer.memory.flatMap { BytesPerSecond(dirtying: $0, after: answer.totalTime) }
    }
    // After a post-copy whose downtime was below 1 ms, QEMU 7.2 tells its whole clock instead.
    if phase == .succeeded, let told = answer.downtime, told <= answer.totalTime ?? told { downtime = told }
    if !phase.isFinal { cpuThrottle = answer.throttlePercent.map { Double(min($0, 100)) / 100 } }
    downtimeLimit = parameters?.downtimeLimit ?? last?.downtimeLimit
    let cap = phase.isPostcopy ? parameters?.postcopyBandwidth : parameters?.bandwidth
    if let cap, cap > 0 { bandwidthLimit = BytesPerSecond(cap) }
  }
}

extension StreamCounters {
  fileprivate init?(_ answer: StreamAnswer) {
    guard let transferred = answer.transferred else { return nil }
    self.init(
      transferred: Bytes(transferred), remaining: answer.remaining.map { Bytes($0) },
      total: answer.total.map { Bytes($0) })
  }
}

extension BytesPerSecond {
  /// Nil in the first pass, and for a 0 in the first second: QEMU measures between two looks at the dirty bitmap that
  /// are a second apart, and says 0 before.
  fileprivate init?(dirtying answer: StreamAnswer, after time: Duration?) {
    guard let passes = answer.iterations, passes >= 2, let pages = answer.dirtyPagesPerSecond,
      let size = answer.pageSize, pages > 0 || (time ?? .zero) > .seconds(1)
    else { return nil }
    let (rate, overflow) = pages.multipliedReportingOverflow(by: size)
    guard !overflow else { return nil }
    self.init(rate)
  }
}
