internal import DroverCore
internal import Logging

/// Follows one domain of a host: the migration that takes it away, or its arrival.
struct DomainWatch: Sendable {
  enum Note {
    case tell(BackendMessage)
    case log(Logger.Level, String)
    /// Something has just happened that only a look can tell more of.
    case look
  }

  /// How long the final figures of a migration may take after its domain has stopped.
  static let longestSettling = Duration.seconds(1)
  /// How often limits are asked for.
  static let limitsInterval = Duration.seconds(5)
  /// A guest that stands for its migration without a job for so long was left so: nobody will say how it ended.
  static let longestConfirmation = Duration.seconds(10)
  /// Two starts of one job differ by no more than this, however they were found.
  static let sameStart = Duration.seconds(2)

  /// A migration out of this host.
  struct Job: Sendable {
    var last: MigrationObservation
    var limits: MigrationLimits?
    var limitsAskedAt: Moment?
    var diskCapacities: [Bytes]?
    var disksAskedAt: Moment?
    var largestDiskTotal: UInt64 = 0
    /// Since when its domain does not run here any more, without a word of how it went.
    var stoppedAt: Moment?
    var stop: DomainState.Stop?
    /// Since when it is paused for the migration, and without a job.
    var leftPausedAt: Moment?
    /// The domain was looked at without a job: how it ended is to be found out.
    var vanishedAt: Moment?
  }

  let name: DomainName
  let vm: VMRef
  let domain: DomainKey
  let host: String
  let samplingInterval: Duration

  var state: DomainState
  var job: Job?
  /// When an event spoke of a migration that no look has shown yet.
  var hintedAt: Moment?
  /// Since when it is paused for a migration.
  var pausedAt: Moment?
  var arrival: Arrival?
  var ended: (id: MigrationID, outcome: Outcome, at: Moment, seenAt: Moment)?
  /// When an event last told what the domain does.
  var heardAt: Moment?
  var isShown = false

  struct Arrival: Equatable {
    var isActive: Bool
    var guestRuns: Bool
  }

  init(
    _ name: DomainName, state: DomainState, backend: BackendName, host: String, samplingInterval: Duration
  ) {
    self.name = name
    self.state = state
    self.host = host
    self.samplingInterval = samplingInterval
    vm = VMRef(backend: backend, scope: .host(host), name: name.name)
    domain = DomainKey(uuid: name.uuid) ?? DomainKey(backend: backend, socketPath: name.uuid)
  }

  /// What it is in the inventory.
  var key: VMKey { VMKey(backend: vm.backend, text: name.uuid) }
  /// Whether it is looked at again and again: a migration runs, or may.
  var isBusy: Bool { job != nil || hintedAt != nil }
  /// Whether a guest is arriving here.
  var isArriving: Bool { arrival?.isActive == true }
  /// Whether its QEMU runs.
  var isActive: Bool { state.isActive }
  /// Whether what was told of it last still holds.
  var isShownRight: Bool { isShown == hasGuest }
  /// Whether the guest itself is here: not before it has arrived, nor after it has left.
  var hasGuest: Bool {
    switch state {
    case .shutOff, .starting, .pausedPostcopy, .pausedPostcopyFailed: false
    default: !(arrival.map { $0.isActive && !$0.guestRuns } ?? false)
    }
  }

  /// Whether the next look should ask for limits, too.
  func wantsLimits(at now: Moment) -> Bool {
    guard let job, job.stoppedAt == nil else { return false }
    return job.limitsAskedAt.map { now - $0 >= Self.limitsInterval } ?? true
  }

  /// Whether the next look should ask how large the guest's memory is.
  var wantsMemory: Bool { job?.last.facts.memory == nil }
  /// Whether the next look should ask how large the disks are.
  func wantsDisks(at now: Moment) -> Bool {
    guard let job, job.largestDiskTotal > 0, job.diskCapacities == nil else { return false }
    return job.disksAskedAt.map { now - $0 >= Self.limitsInterval } ?? true
  }

  // MARK: - Events

  mutating func hear(_ event: HostEvent, at now: Moment, epoch: EpochOffset) -> [Note] {
    var notes: [Note] = []
    switch event {
    case .iteration:
      // The first word of a migration that copies memory only.
      if job == nil { hint(at: now, into: &notes) }
    case .completed(let statistics):
      if statistics.isMigrationOut { succeed(statistics, at: now, epoch, into: &notes) }
    case .lifecycle(let lifecycle):
      heardAt = now
      hear(lifecycle, at: now, into: &notes)
      show(into: &notes)
    }
    return notes
  }

  mutating func hear(_ lifecycle: Lifecycle, at now: Moment, into notes: inout [Note]) {
    switch lifecycle {
    case .started(let isIncoming):
      if let ended, ended.outcome == .succeeded, !isIncoming { move(ended.id, into: &notes) }
      // A guest that comes back is another story, and may be started again as often as anybody likes.
      ended = nil
      state = isIncoming ? .pausedMigration : .running
      if isIncoming || isArriving {
        arrive(Arrival(isActive: isIncoming, guestRuns: !isIncoming), into: &notes)
      }
    case .suspended(let state):
      enter(state, at: now, into: &notes)
      // A destination is paused for the migration, too.
      if job == nil, !isArriving, state != .paused { hint(at: now, into: &notes) }
    case .resumed(let state): enter(state, at: now, into: &notes)
    case .stopped(let stop):
      state = .shutOff(stop)
      if arrival?.guestRuns == true || isArriving {
        arrive(Arrival(isActive: false, guestRuns: false), into: &notes)
      }
      if stop == .migrated || job != nil { stopped(stop, at: now, into: &notes) }
    case .other: break
    }
  }

  mutating func hint(at now: Moment, into notes: inout [Note]) {
    hintedAt = hintedAt ?? now
    notes.append(.look)
  }

  /// Takes a state that an event, or a list, tells.
  mutating func enter(_ state: DomainState, at now: Moment, into notes: inout [Note]) {
    guard state != self.state else { return }
    self.state = state
    pausedAt = state == .pausedMigration ? now : nil
    switch state {
    case .runningPostcopy: if job == nil { arrive(Arrival(isActive: true, guestRuns: true), into: &notes) }
    case .running, .paused:
      if isArriving { arrive(Arrival(isActive: false, guestRuns: true), into: &notes) }
    default: break
    }
    guard var job, state.isActive else { return }
    job.last.takenAt = max(now, job.last.takenAt)
    job.last.phase = phase(copying: job.last.phase != .preparing)
    job.last.guestOnSource = guestOnSource
    job.last.guestOnTarget = guestOnTarget
    notes.append(.tell(.migration(job.last)))
    self.job = job
  }

  // MARK: - Looks

  mutating func take(_ look: DomainLook, epoch: EpochOffset) -> [Note] {
    var notes: [Note] = []
    // An event may have told a later state than a look that was begun before it.
    let isOvertaken = heardAt.map { look.begunAt < $0 } ?? false
    switch look.state {
    case .success(let state):
      if state.isActive, !isOvertaken { enter(state, at: look.takenAt, into: &notes) }
    case .failure: break
    }
    switch look.job {
    case .success(let statistics) where statistics.isMigrating:
      follow(statistics, look, epoch, into: &notes)
    case .success(let statistics):
      // To save or dump a guest makes passes over its memory, too.
      if statistics.kind == .active { hintedAt = nil }
      miss(look, epoch, into: &notes)
    case .failure(let error) where error.code == .operationUnsupported && job == nil:
      // Only the host that a guest leaves tells about its migration.
      hintedAt = nil
      guard !isOvertaken, state.isActive else { break }
      // The state was asked for later: a guest that runs by then has arrived.
      let hasArrived = state == .running || state == .paused
      arrive(
        Arrival(isActive: !hasArrived, guestRuns: hasArrived || state == .runningPostcopy), into: &notes)
    case .failure(let error) where error.code == .noDomain || error.code == .operationInvalid:
      miss(look, epoch, into: &notes)
    case .failure: break
    }
    show(into: &notes)
    return notes
  }

  mutating func follow(
    _ statistics: JobStatistics, _ look: DomainLook, _ epoch: EpochOffset, into notes: inout [Note]
  ) {
    // An event that came meanwhile knows better; and a look that was begun before an end was told shows what has ended.
    if let stoppedAt = job?.stoppedAt, look.begunAt <= stoppedAt { return }
    if job == nil, let ended, look.begunAt <= ended.seenAt { return }
    let start =
      statistics.elapsed.map { look.takenAt - $0 } ?? job?.last.startedAt ?? hintedAt ?? look.takenAt
    if let job, isAnother(statistics, than: job, startedAt: start, look) {
      // One job ended and another began between two looks.
      notes.append(.tell(.migration(Self.unseen(job, at: look.takenAt))))
      self.job = nil
    }
    // Between QEMU's end and libvirt's the job is there for a moment with all its numbers at 0 but its time.
    // One that has run for a shorter time than was seen is another.
    if let job, statistics.isPreparing, job.last.sample.transferred ?? 0 > 0,
      statistics.elapsed.map({ $0 + .milliseconds(100) >= job.last.takenAt - job.last.startedAt }) ?? true
    {
      if look.askedLimits { self.job?.limitsAskedAt = look.takenAt }
      return
    }
    // A guest that leaves has arrived, whether or not that was heard.
    if job == nil, isArriving { arrive(Arrival(isActive: false, guestRuns: true), into: &notes) }
    var job = self.job ?? begin(at: start, look.takenAt, epoch)
    hintedAt = nil
    (job.vanishedAt, job.leftPausedAt) = (nil, nil)
    // Found so: no event has told since when.
    if state == .pausedMigration { pausedAt = pausedAt ?? look.takenAt }
    if look.askedLimits { job.limitsAskedAt = look.takenAt }
    job.limits = look.limits ?? job.limits
    // None is known where somebody else was just asking QEMU: they are asked for again.
    let capacities = look.diskCapacities.flatMap { $0.isEmpty ? nil : $0 }
    if look.diskCapacities != nil { job.disksAskedAt = look.takenAt }
    // Until then the total stood for them, which grows with what the guest writes.
    let areDisksKnownNow = job.diskCapacities == nil && capacities != nil
    job.diskCapacities = capacities ?? job.diskCapacities
    job.largestDiskTotal = max(job.largestDiskTotal, statistics.disk.total)
    let facts = job.last.facts
    job.last.facts.memory = look.memory ?? facts.memory
    job.last.facts.size = size(of: job, before: areDisksKnownNow ? nil : facts.size)
    job.last.takenAt = look.takenAt
    job.last.phase = phase(copying: !statistics.isPreparing)
    if job.last.phase == .switchover, isHeld(statistics, job.limits, at: look.takenAt) {
      job.last.phase = .guestSuspended
    }
    job.last.sample = Sample(
      statistics, phase: job.last.phase, limits: job.limits, memory: job.last.facts.memory)
    job.last.guestOnSource = guestOnSource
    job.last.guestOnTarget = guestOnTarget
    notes.append(.tell(.migration(job.last)))
    if self.job == nil { ended = nil }
    self.job = job
  }

  /// Whether a job is not the one that was seen before.
  ///
  /// libvirt counts `time_elapsed` on its host's wall clock, so a start that moves proves nothing by itself: another job
  /// has begun since the last look, and has sent less than the first.
  func isAnother(
    _ statistics: JobStatistics, than job: Job, startedAt start: Moment, _ look: DomainLook
  ) -> Bool {
    guard start - job.last.startedAt > Self.sameStart, let elapsed = statistics.elapsed,
      elapsed <= look.takenAt - job.last.takenAt + Self.sameStart
    else { return false }
    let sent = Bytes(statistics.memory.processed) + Bytes(statistics.disk.processed)
    return sent < job.last.sample.transferred ?? 0
  }

  /// Memory and the disks that are copied; it never shrinks below what is known, since the source's own totals begin at 0.
  func size(of job: Job, before: Bytes?) -> Bytes? {
    guard let memory = job.last.facts.memory else { return before }
    let disks = copiedDisks(capacities: job.diskCapacities ?? [], total: Bytes(job.largestDiskTotal))
    return max(before ?? 0, memory + disks)
  }

  /// There is no job, or no domain any more.
  mutating func miss(_ look: DomainLook, _ epoch: EpochOffset, into notes: inout [Note]) {
    guard var job else {
      // Nothing is made up of an event alone: a guest that is saved or dumped tells the same ones.
      if let hintedAt, look.takenAt - hintedAt >= Self.longestSettling { self.hintedAt = nil }
      return
    }
    // What was asked before the job was seen says nothing of it.
    guard look.begunAt >= job.last.startedAt else { return }
    switch look.state {
    case .success(.pausedPostcopyFailed):
      // Not an end: it can be recovered, and stays until somebody does.
      enter(.pausedPostcopyFailed, at: look.takenAt, into: &notes)
    case .success(.pausedMigration):
      // The source's libvirt gives the job up where the client that was to confirm the end has gone.
      let since = job.leftPausedAt ?? look.takenAt
      job.leftPausedAt = since
      if look.takenAt - since >= Self.longestConfirmation { job.vanishedAt = job.vanishedAt ?? since }
      self.job = job
    case .success(.pausedPostcopy): break
    case .success(let state) where state.isActive:
      job.vanishedAt = job.vanishedAt ?? look.takenAt
      self.job = job
    case .success(let state):
      self.state = state
      if let completed = look.completed, completed.isMigrationOut, isSame(completed, job, look.takenAt),
        state == .shutOff(.migrated)
      {
        succeed(completed, at: look.takenAt, epoch, into: &notes)
      } else if case .shutOff(let stop) = state {
        stopped(stop, at: look.takenAt, into: &notes)
      }
    case .failure(let error) where error.code == .noDomain:
      // A transient domain that has gone leaves no word of how: the end of its migration may still be told.
      stopped(nil, at: look.takenAt, into: &notes)
    case .failure: break
    }
  }

  /// Whether figures that the host keeps are those of this job: they tell no start, but how long it took.
  func isSame(_ completed: JobStatistics, _ job: Job, _ now: Moment) -> Bool {
    completed.elapsed.map { $0 + Self.sameStart >= job.last.takenAt - job.last.startedAt } ?? false
  }

  func begin(at start: Moment, _ seen: Moment, _ epoch: EpochOffset) -> Job {
    let id = MigrationID(domain: domain, startedUnixMilliseconds: epoch.unixMilliseconds(start))
    var job = Job(
      last: MigrationObservation(
        id: id, vm: vm, domain: domain, takenAt: seen, startedAt: start, phase: .preparing,
        samplingInterval: samplingInterval))
    job.last.facts.source = host
    return job
  }

  func phase(copying: Bool) -> Phase {
    switch state {
    case .pausedPostcopy: .postcopy
    case .pausedPostcopyFailed: .postcopyPaused
    case .pausedMigration: .switchover
    case .paused: .guestSuspended
    default: copying ? .precopy : .preparing
    }
  }

  /// Whether a guest that is paused for a migration was suspended by somebody, rather than by the switchover.
  ///
  /// libvirt gives both the same state and the same event. But a switchover takes no longer than it may, and at its end
  /// nothing is left to be sent.
  func isHeld(_ statistics: JobStatistics, _ limits: MigrationLimits?, at now: Moment) -> Bool {
    guard let pausedAt, statistics.memory.remaining > 0 || statistics.memory.isAbsent else { return false }
    return now - pausedAt > (limits?.downtime ?? .milliseconds(300)) + .seconds(1)
  }

  var guestOnSource: Bool {
    switch state {
    case .running, .paused, .pausedMigration, .runningPostcopy: true
    case .starting, .pausedPostcopy, .pausedPostcopyFailed, .shutOff: false
    }
  }

  /// In post-copy the guest has gone over, whether or not its memory can still follow.
  var guestOnTarget: Bool? {
    switch state {
    case .pausedPostcopy, .pausedPostcopyFailed: true
    default: nil
    }
  }

  // MARK: - Arrivals and the inventory

  mutating func arrive(_ next: Arrival, into notes: inout [Note]) {
    guard next != arrival, job == nil else { return }
    arrival = next
    notes.append(
      .tell(
        .inbound(
          InboundObservation(
            vm: vm, host: host, domain: domain, isActive: next.isActive, guestRuns: next.guestRuns))))
  }

  /// Tells whether the VM counts as one of this host.
  mutating func show(into notes: inout [Note]) {
    guard hasGuest != isShown else { return }
    isShown = hasGuest
    notes.append(
      .tell(
        isShown
          ? .vm(VMObservation(key: key, vm: vm, node: host, blockers: nil)) : .vmGone(key)))
  }

  /// The domain is gone for good, or its back end is.
  mutating func leave(into notes: inout [Note]) {
    if state.isActive { state = .shutOff(.other) }
    if isArriving { arrive(Arrival(isActive: false, guestRuns: false), into: &notes) }
    if isShown {
      isShown = false
      notes.append(.tell(.vmGone(key)))
    }
  }
}
