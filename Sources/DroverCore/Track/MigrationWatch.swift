/// What is remembered of one migration to make the next view of it.
struct MigrationWatch: Sendable {
  /// For so long the retention waits for a guest that runs nowhere or twice.
  static let longestWait = Duration.seconds(86_400)
  /// Longest stop of the bytes that is never an interruption.
  private static let shortestInterruption = Duration.seconds(2)
  /// The span over which throughput is measured.
  private static let rateSpan = Duration.seconds(3)

  var samplingInterval: Duration
  /// Cause that an abort was announced with before it was sent.
  var announcedAbort: FailureCause?
  /// Whether Drover ends it at deadlines that nothing else enforces.
  var isEnforced = false
  /// When the end was first seen.
  var endSeenAt: Moment?
  /// Whether the start was counted, by this Drover or by the one that ran then.
  var isCountedAsStarted: Bool

  /// Since when the retention runs; nil while the migration is open or its guest runs nowhere or twice.
  private var retentionBegan: Moment?
  private var progress: ProgressWatch?
  private var rate = RateWindow()
  private var ownBudgets: OwnBudgets?
  private var sampleDelay = Duration.zero
  private var networkSeenAt: Moment?
  private var passes = PassWatch()
  private var passCount = PassCount()
  private var disks = DiskWatch()
  private var guestOnSource: Bool?
  private var guestOnTarget: Bool?
  /// Since when both ends together say that the guest runs nowhere or twice.
  private var alarmingSince: Moment?

  init(samplingInterval: Duration, isCountedAsStarted: Bool) {
    self.samplingInterval = samplingInterval
    self.isCountedAsStarted = isCountedAsStarted
  }

  /// How long bytes may stop before it counts.
  private var tolerance: Duration {
    max(Self.shortestInterruption, samplingInterval * 3, (disks.step ?? .zero) * 3)
  }

  /// Brings `view` up to date with what its source says; returns an interruption that is over.
  mutating func apply(
    _ observation: MigrationObservation, to view: inout MigrationView, budget: BudgetSettings,
    verdict: VerdictSettings, automatic: AutomaticSettings, arrival: InboundObservation?, at now: Moment
  ) -> Duration? {
    samplingInterval = observation.samplingInterval
    sampleDelay = observation.sampleDelay
    ownBudgets = observation.budgets
    view.facts = observation.facts.completed(by: view.facts)
    // A source may know an address only; the destination knows its name.
    if let arrival { view.facts.target = arrival.host }
    if observation.hasStarted, !view.hasStarted {
      view.hasStarted = true
      view.startedAt = observation.startedAt
    }
    view.createdAt = observation.createdAt ?? view.createdAt
    view.waiting = observation.ending == nil ? observation.waiting : nil
    view.statusWord = observation.statusWord
    let isSampledAnew = date(&view, as: observation)
    guestOnSource = observation.guestOnSource
    guestOnTarget = observation.guestOnTarget
    locate(in: &view, evidence: arrival?.guestRuns, at: now)
    if let ending = observation.ending {
      return end(&view, ending: ending.corrected(by: arrival), last: observation.sample, at: now)
    }
    if observation.phase != view.phase {
      view.phase = observation.phase
      view.phaseEnteredAt = observation.phaseEnteredAt ?? observation.takenAt
    }
    let interruption = isSampledAnew ? follow(observation.sample, in: &view, settings: verdict) : nil
    // Bytes that stop, or go again, are known as soon as they are told.
    if isSampledAnew, view.network?.lostIfBytesStop != nil { setLosses(of: &view, settings: verdict) }
    setDeadlines(of: &view, budget: budget, automatic: automatic)
    setKeepalive(of: &view)
    judge(&view, settings: verdict, at: now)
    return interruption
  }

  /// Dates the counters of an observation; returns whether they are others than before.
  private func date(_ view: inout MigrationView, as observation: MigrationObservation) -> Bool {
    guard let sampledAt = observation.sampledAt else {
      view.sampledAt = max(view.sampledAt, observation.takenAt)
      return true
    }
    guard progress != nil else {
      // What was shown until now was when the source had answered, and that is later.
      view.sampledAt = sampledAt
      return true
    }
    let isAnew = sampledAt > view.sampledAt
    view.sampledAt = max(view.sampledAt, sampledAt)
    return isAnew
  }

  /// Takes what the source's host sees of the network.
  mutating func take(
    _ network: NetworkObservation, in view: inout MigrationView, settings: VerdictSettings, at now: Moment
  ) {
    guard !view.isOver, networkSeenAt.map({ network.takenAt >= $0 }) ?? true else { return }
    networkSeenAt = network.takenAt
    view.network = network.report
    // Better than nothing, until the destination tells its name.
    if view.facts.target.isEmpty { view.facts.target = network.report.peer }
    setLosses(of: &view, settings: settings)
    setKeepalive(of: &view)
    judge(&view, settings: settings, at: now)
  }

  /// Takes a look at the network that says again what the last one said; false where it says something else, or where
  /// what it says counts from its own time.
  mutating func renew(_ network: NetworkObservation, of view: borrowing MigrationView) -> Bool {
    guard let networkSeenAt, network.takenAt >= networkSeenAt, !view.isOver, network.report.isTimeless,
      // A loss that stopped bytes told ends with the copy, too.
      view.networkLosses.isEmpty, view.network == network.report
    else { return false }
    self.networkSeenAt = network.takenAt
    return true
  }

  /// Joins what the last look at the network says is lost with what the bytes say.
  private func setLosses(of view: inout MigrationView, settings: VerdictSettings) {
    guard let report = view.network, let networkSeenAt else { return }
    view.networkLosses = report.losses(at: networkSeenAt, settings: settings)
    if let loss = silentBytes(in: view, report, settings: settings) { view.networkLosses.append(loss) }
  }

  private func setKeepalive(of view: inout MigrationView) {
    view.keepalive = view.network.flatMap {
      KeepaliveBudget(
        $0, lastSent: view.progress?.lastSent, sentUncertainty: view.progress?.sentUncertainty ?? .zero,
        clockError: view.progress?.sentClockError ?? .zero, step: disks.step ?? .zero)
    }
  }

  /// The network that bytes which stop say is lost, where nobody sees the connection itself.
  private func silentBytes(in view: MigrationView, _ report: NetworkReport, settings: VerdictSettings)
    -> NetworkLoss?
  {
    guard let network = report.lostIfBytesStop, report.reported.isEmpty, view.phase.copies, let progress
    else {
      return nil
    }
    let silence = view.sampledAt - progress.clocks.lastSent
    // One sample without growth may be a copy that is about to end.
    guard silence >= max(settings.dataSilence, samplingInterval * 3 / 2) else { return nil }
    return NetworkLoss(network: network, silence: silence, limit: settings.dataSilence)
  }

  private static func forgetNetwork(of view: inout MigrationView) {
    view.network = nil
    view.networkLosses = []
    view.keepalive = nil
  }

  /// Whether the last look at the network is too old to say anything: what nobody looks at is not known to be lost, nor
  /// does a deadline hold that nobody measures.
  private func isNetworkOld(at now: Moment) -> Bool {
    networkSeenAt.map { now - $0 > NetworkObservation.longestAge(samplingInterval) } ?? false
  }

  /// Looks again at a migration that nothing new was said of: silence counts too.
  func judge(_ view: inout MigrationView, settings: VerdictSettings, at now: Moment) {
    guard !view.isOver else { return }
    if view.network != nil, isNetworkOld(at: now) { Self.forgetNetwork(of: &view) }
    view.sampleSpacing = samplingInterval + sampleDelay
    view.sampleAgeLimit = settings.longestSampleAge(samplingInterval + sampleDelay)
    view.verdict = .judge(view, passes: passes, disks: disks, settings: settings, at: now)
  }

  /// Begins the retention of an ended migration, or breaks it off while its guest runs nowhere or twice.
  mutating func runRetention(of view: MigrationView, at now: Moment) {
    retentionBegan = view.isOver && !view.guest.isAlarming ? retentionBegan ?? now : nil
  }

  /// Whether the migration has been shown for long enough after its end.
  func isPastRetention(_ retention: Duration, at now: Moment) -> Bool {
    guard let endSeenAt else { return false }
    let isDue = retentionBegan.map { now - $0 >= retention } ?? false
    return isDue || now - endSeenAt >= Self.longestWait + retention
  }

  /// Computes the deadlines anew; for settings that changed, too.
  func setDeadlines(of view: inout MigrationView, budget: BudgetSettings, automatic: AutomaticSettings) {
    guard view.phase.hasDeadlines else {
      view.completion = nil
      view.completionDeadline = nil
      view.progressBudget = nil
      view.progressDeadline = nil
      return
    }
    if let ownBudgets {
      view.completion = ownBudgets.completion
      view.progressBudget = ownBudgets.progress
    } else {
      view.completion = CompletionBudget(perGiB: budget.completionPerGiB, size: view.facts.size)
      view.progressBudget = ProgressBudget(timeout: budget.progress)
      setEnforcer(of: &view, automatic)
    }
    view.completionDeadline = view.hasStarted ? view.completion.map { view.startedAt + $0.timeout } : nil
    view.progressDeadline = view.progressBudget.flatMap { budget in
      view.progress.map { $0.lastDrop - $0.dropUncertainty + budget.timeout }
    }
  }

  /// Where a drain of Drover's or a rule that is armed ends a migration at its time-outs, Drover enforces them.
  private func setEnforcer(of view: inout MigrationView, _ automatic: AutomaticSettings) {
    guard isEnforced || automatic.policies == .abort else { return }
    let subject = PolicySubject(view)
    if isEnforced || automatic.enforces(.completionTimeout, subject) {
      view.completion?.enforcedBy = .drover
      view.completion?.action = .abort
    }
    if isEnforced || automatic.enforces(.progressTimeout, subject) {
      view.progressBudget?.enforcedBy = .drover
    }
  }

  /// Joins what both ends say of the guest; `evidence` is the destination's own word, nil where nobody can ask it.
  ///
  /// The two ends are not asked at the same moment, so every switchover may look for a short time as if the guest ran
  /// nowhere or twice: that is said only once it has lasted longer than such a difference can.
  mutating func locate(in view: inout MigrationView, evidence: Bool?, at now: Moment) {
    let isSettled = view.isOver && (view.guest == .source || view.guest == .target)
    // A guest that moved on since is another migration's business.
    guard !isSettled else { return }
    let location = GuestLocation(onSource: guestOnSource, onTarget: evidence ?? guestOnTarget)
    guard location.isAlarming else {
      alarmingSince = nil
      view.guest = location
      return
    }
    let since = alarmingSince ?? now
    alarmingSince = since
    view.guest = now - since > tolerance ? location : .unknown
  }

  /// Takes the source's own word, after the end, that its guest was started or stopped behind the migration.
  ///
  /// `evidence` is the destination's own word, nil where nobody can ask it.
  mutating func relocate(_ move: GuestMove, in view: inout MigrationView, evidence: Bool?, at now: Moment) {
    guard view.isOver, move.backend == view.identity.vm.backend, move.isOnSource != guestOnSource else {
      return
    }
    guestOnSource = move.isOnSource
    if !move.isTargetKnown { guestOnTarget = nil }
    // What was settled is so no longer.
    view.guest = .unknown
    locate(in: &view, evidence: evidence, at: now)
  }

  /// Whether time alone may change where the guest is shown.
  func awaitsLocation(of view: MigrationView) -> Bool { alarmingSince != nil && !view.guest.isAlarming }

  /// Whether time alone may have changed the view.
  ///
  /// Everything but their age is judged as of the sample and the look at the network, so between two of them only that
  /// can matter.
  func needsLook(at view: MigrationView, settings: VerdictSettings, at now: Moment) -> Bool {
    if view.isOver { return awaitsLocation(of: view) || view.guest.isAlarming == (retentionBegan != nil) }
    if awaitsLocation(of: view) { return true }
    if view.network != nil, isNetworkOld(at: now) { return true }
    guard view.phase == .precopy, progress != nil, now - view.sampledAt > view.sampleAgeLimit else {
      return false
    }
    if case .sampleTooOld = view.verdict.evidence { return false }
    return true
  }

  private mutating func follow(_ sample: Sample, in view: inout MigrationView, settings: VerdictSettings)
    -> Duration?
  {
    view.sample = sample
    guard let sent = sample.transferred, view.phase.copies || progress != nil else {
      view.transferRate = nil
      return nil
    }
    let moment = view.sampledAt
    if let disk = sample.disk { disks.observe(disk, memory: sample.memory, at: moment) }
    rate.add(sent, at: moment, length: max(Self.rateSpan, (disks.step ?? .zero) * 3))
    view.transferRate = rate.rate

    if progress == nil {
      let gap = max(.zero, min(moment - view.startedAt, samplingInterval))
      progress = ProgressWatch(
        sent: sent, remaining: sample.remaining, at: moment, after: gap, clockError: sample.clockError)
    }
    let interruption = followProgress(sample, sent: sent, phase: view.phase, at: moment)
    view.progress = progress?.clocks
    view.interruptions = progress?.interruptions ?? Interruptions()

    // The rate that a source reports stays as it was when the bytes stop.
    if let clocks = view.progress, moment - clocks.lastSent > tolerance { view.sample.dirtyRate = nil }
    followPasses(sample, in: view, threshold: settings.dirtyRatio, at: moment)
    return interruption
  }

  private mutating func followPasses(
    _ sample: Sample, in view: MigrationView, threshold: Double, at moment: Moment
  ) {
    let stream: StreamCounters
    let iteration: UInt64
    if let memory = sample.memory, let told = sample.iterations {
      (stream, iteration) = (memory, told)
    } else if let data = sample.data ?? (sample.disk == nil ? sample.memory : nil) {
      passCount.observe(data, isMeasured: sample.dirtyRate.map { $0.value > 0 } ?? false)
      (stream, iteration) = (data, passCount.iteration)
    } else {
      return
    }
    passes.observe(
      stream, iteration: iteration, dirty: view.sample.dirtyRate, transfer: view.transferRate,
      throttle: sample.cpuThrottle ?? 0, threshold: threshold, at: moment)
  }

  private mutating func followProgress(_ sample: Sample, sent: Bytes, phase: Phase, at moment: Moment)
    -> Duration?
  {
    // A post-copy that lost its connection is an interruption, if it is ever recovered.
    guard phase.copies || phase == .postcopyPaused else {
      progress?.pause()
      return nil
    }
    let tolerance = tolerance
    let samplingInterval = samplingInterval
    let countsSent = ownBudgets?.progress?.countsSent ?? false
    return progress?.observe(
      sent: sent, remaining: sample.remaining, at: moment, samplingInterval: samplingInterval,
      tolerance: tolerance, countsSent: countsSent, clockError: sample.clockError)
  }

  private mutating func end(
    _ view: inout MigrationView, ending: Ending, last: Sample, at now: Moment
  ) -> Duration? {
    // Bytes that moved again just before the end.
    var interruption: Duration?
    if let sent = last.transferred {
      interruption = followProgress(last, sent: sent, phase: view.phase, at: view.sampledAt)
    }
    view.interruptions = progress?.interruptions ?? view.interruptions

    var ending = ending
    if let announcedAbort, ending.isExplainedByAbort {
      (ending.outcome, ending.cause) = (.aborted, announcedAbort)
    }
    view.ending = ending
    view.phase = ending.outcome.phase
    view.phaseEnteredAt = ending.endedAt
    // A source that failed or was cancelled keeps no counters: the last ones seen stand.
    let before = view.sample
    view.sample = Sample()
    view.sample.memory = (last.memory ?? before.memory).map { StreamCounters(transferred: $0.transferred) }
    view.sample.disk = (last.disk ?? before.disk).map { StreamCounters(transferred: $0.transferred) }
    view.sample.data = (last.data ?? before.data).map { StreamCounters(transferred: $0.transferred) }
    view.sample.downtime = last.downtime
    view.sample.downtimeLimit = last.downtimeLimit ?? before.downtimeLimit
    view.transferRate = nil
    view.progress = nil
    view.completion = nil
    view.completionDeadline = nil
    view.progressBudget = nil
    view.progressDeadline = nil
    Self.forgetNetwork(of: &view)
    view.verdict = Verdict()
    endSeenAt = now
    return interruption
  }
}

extension Ending {
  /// A source that went away right after the switchover cannot tell how it ended; its target can.
  fileprivate func corrected(by arrival: InboundObservation?) -> Ending {
    guard cause == .sourceLost || cause == .unknown, certainty == .inferred, arrival?.guestRuns == true else {
      return self
    }
    return Ending(
      outcome: .succeeded, certainty: .inferred, text: "the source went away; the guest runs at the target",
      endedAt: endedAt, duration: duration)
  }
}
