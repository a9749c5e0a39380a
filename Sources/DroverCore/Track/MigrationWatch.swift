/// What is remembered of one migration to make the next view of it.
struct MigrationWatch: Sendable {
  /// Longest stop of the bytes that is never an interruption.
  private static let shortestInterruption = Duration.seconds(2)
  /// The span over which throughput is measured.
  private static let rateSpan = Duration.seconds(3)

  var samplingInterval: Duration
  /// Cause that an abort was announced with before it was sent.
  var announcedAbort: FailureCause?
  /// Since when the retention runs; nil while the migration is open or its guest runs nowhere or twice.
  var retentionBegan: Moment?
  /// When the end was first seen.
  var endSeenAt: Moment?
  /// Whether the start was seen, and so counted.
  var isCountedAsStarted = false

  private var progress: ProgressWatch?
  private var rate = RateWindow(length: Self.rateSpan)
  private var passes = PassWatch()
  private var guestOnSource: Bool?
  private var guestOnTarget: Bool?

  init(samplingInterval: Duration) { self.samplingInterval = samplingInterval }

  /// How long bytes may stop before it counts.
  private var tolerance: Duration { max(Self.shortestInterruption, samplingInterval * 3) }

  /// Brings `view` up to date with what its source says; returns an interruption that is over.
  mutating func apply(
    _ observation: MigrationObservation, to view: inout MigrationView, budget: BudgetSettings,
    verdict: VerdictSettings, evidence: Bool?, at now: Moment
  ) -> Duration? {
    samplingInterval = observation.samplingInterval
    view.facts = observation.facts
    view.sampledAt = observation.takenAt
    if observation.phase != view.phase {
      view.phase = observation.phase
      view.phaseEnteredAt = observation.takenAt
    }
    locate(observation, in: &view, evidence: evidence)
    if let ending = observation.ending {
      end(&view, ending: ending, last: observation.sample, at: now)
      return nil
    }
    let interruption = follow(observation.sample, in: &view, dirtyRatio: verdict.dirtyRatio)
    setDeadlines(of: &view, budget: budget)
    judge(&view, settings: verdict, at: now)
    return interruption
  }

  /// Looks again at a migration that nothing new was said of: silence counts too.
  func judge(_ view: inout MigrationView, settings: VerdictSettings, at now: Moment) {
    guard !view.isOver else { return }
    view.verdict = .judge(
      view, passes: passes, samplingInterval: samplingInterval, settings: settings, at: now)
  }

  /// Computes the deadlines anew; for settings that changed, too.
  func setDeadlines(of view: inout MigrationView, budget: BudgetSettings) {
    let applies = view.phase.hasDeadlines
    view.completion = applies ? CompletionBudget(perGiB: budget.completionPerGiB, size: view.facts.size) : nil
    view.completionDeadline = view.completion.map { view.startedAt + $0.timeout }
    view.progressTimeout = applies && budget.progress > .zero ? budget.progress : nil
    view.progressDeadline = view.progressTimeout.flatMap { timeout in
      view.progress.map { $0.lastDrop + timeout }
    }
  }

  /// Takes what the destination says of its guest; `nil` where nobody can ask it.
  mutating func locate(in view: inout MigrationView, evidence: Bool?) {
    let isSettled = view.isOver && (view.guest == .source || view.guest == .target)
    // A guest that moved on since is another migration's business.
    guard !isSettled else { return }
    view.guest = GuestLocation(onSource: guestOnSource, onTarget: evidence ?? guestOnTarget)
  }

  private mutating func locate(
    _ observation: MigrationObservation, in view: inout MigrationView, evidence: Bool?
  ) {
    guestOnSource = observation.guestOnSource
    guestOnTarget = observation.guestOnTarget
    locate(in: &view, evidence: evidence)
  }

  private mutating func follow(_ sample: Sample, in view: inout MigrationView, dirtyRatio: Double)
    -> Duration?
  {
    view.sample = sample
    guard let sent = sample.transferred, view.phase.copies || progress != nil else { return nil }
    let moment = view.sampledAt
    rate.add(sent, at: moment)
    view.transferRate = rate.rate

    let tolerance = tolerance
    var interruption: Duration?
    if view.phase.copies {
      if progress == nil { progress = ProgressWatch(sent: sent, remaining: sample.remaining, at: moment) }
      interruption = progress?.observe(
        sent: sent, remaining: sample.remaining, at: moment, samplingInterval: samplingInterval,
        tolerance: tolerance)
    } else {
      progress?.pause()
    }
    view.progress = progress?.clocks
    view.interruptions = progress?.interruptions ?? Interruptions()

    // The rate that a source reports stays as it was when the bytes stop.
    if let clocks = view.progress, moment - clocks.lastSent > tolerance { view.sample.dirtyRate = nil }
    if let memory = sample.memory, let remaining = memory.remaining, let iteration = sample.iterations {
      passes.observe(
        iteration: iteration, remaining: remaining, sent: memory.transferred, dirty: view.sample.dirtyRate,
        transfer: view.transferRate, ratio: dirtyRatio)
    }
    return interruption
  }

  private mutating func end(
    _ view: inout MigrationView, ending: Ending, last: Sample, at now: Moment
  ) {
    var ending = ending
    if ending.outcome == .aborted, ending.cause == .userAbort, let announcedAbort {
      ending.cause = announcedAbort
    }
    view.ending = ending
    view.phaseEnteredAt = ending.endedAt
    // A source that failed or was cancelled keeps no counters: the last ones seen stand.
    let before = view.sample
    view.sample = Sample()
    view.sample.memory = (last.memory ?? before.memory).map { StreamCounters(transferred: $0.transferred) }
    view.sample.disk = (last.disk ?? before.disk).map { StreamCounters(transferred: $0.transferred) }
    view.sample.downtime = last.downtime
    view.sample.downtimeLimit = last.downtimeLimit ?? before.downtimeLimit
    view.transferRate = nil
    view.progress = nil
    view.completion = nil
    view.completionDeadline = nil
    view.progressTimeout = nil
    view.progressDeadline = nil
    view.verdict = Verdict()
    endSeenAt = now
  }
}
