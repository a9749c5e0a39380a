internal import DroverCore
internal import Kubernetes

/// When what happened to a migration: what the cluster's clocks tell, within the bounds of what was seen.
///
/// Each node has a clock of its own, and one that is wrong by an hour must not make a deadline wrong by an hour.
struct MigrationTimes: Sendable {
  /// When it was asked for.
  let createdAt: Moment
  /// When the VMIM entered its present phase.
  private(set) var phaseEnteredAt: Moment
  /// Start of the copy; nil before it.
  private(set) var startedAt: Moment?
  /// The largest error of a clock that became apparent.
  private(set) var clockError = Duration.zero

  /// Whether that is only when its VMIM was called running.
  private var isStartGuessed = false
  private var phase: String
  /// Its creation by a clock that may be right; nothing happened before.
  private let earliest: Moment?
  /// When the copy was last known to go on.
  private var copyingAt: Moment?
  /// When it was first seen to have ended, and up to when it was known not to have.
  private var closed: (seen: Moment, after: Moment?)?
  /// When its VMIM entered the phase that follows start or end: told by another machine's clock.
  private var running: Moment?
  private var over: Moment?

  init(_ vmim: VMIM, at instant: Instant) {
    let created = ClusterTime(vmim.metadata.creationTimestamp).map(instant.local)
    createdAt = min(created ?? instant.now, instant.now)
    earliest = created.flatMap { $0 <= instant.now ? $0 : nil }
    phase = vmim.phase
    phaseEnteredAt = createdAt
    if let created { note(created - createdAt) }
    if let told = vmim.entered(vmim.phase).map(instant.local) { enterPhase(told, at: instant) }
  }

  /// Takes a VMIM as it is now, with what the VMI has said of it.
  mutating func take(_ vmim: VMIM, _ state: MigrationState?, at instant: Instant) {
    if vmim.phase != phase {
      enterPhase(vmim.entered(vmim.phase).map(instant.local) ?? instant.now, at: instant)
      phase = vmim.phase
    }
    running = vmim.entered("Running").map(instant.local)
    over = (vmim.entered("Succeeded") ?? vmim.entered("Failed")).map(instant.local)
    if let state { take(state, at: instant) }
    if startedAt == nil, vmim.phase == "Running" {
      begin(running ?? instant.now, at: instant)
      isStartGuessed = true
    }
    if vmim.isFinal { close(at: instant) }
  }

  /// Takes what the VMI says of it now.
  mutating func take(_ state: MigrationState, at instant: Instant) {
    if state.isCompleted { close(at: instant) }
    // Where the target's pod died before anything ran, start and end are written together.
    if state.hasFailed, state.start == state.end, running == nil { return }
    if let start = ClusterTime(state.start) { begin(instant.local(start), at: instant) }
  }

  /// Takes that the copy went on at a moment.
  mutating func noteCopying(at moment: Moment) { copyingAt = latest(copyingAt, moment) }

  /// When it ended; the first sight of that where nobody says when.
  mutating func endedAt(_ state: MigrationState?, at instant: Instant) -> Moment {
    let seen = closed?.seen ?? instant.now
    guard let told = ClusterTime(state?.end).map(instant.local) ?? over else { return seen }
    let after = latest(latest(startedAt ?? earliest, copyingAt), closed?.after)
    return bounded(told, or: over, notBefore: after, seen)
  }

  // What is seen for the first time happened after everything was known to have been told.

  private mutating func enterPhase(_ told: Moment, at instant: Instant) {
    phaseEnteredAt = bounded(told, notBefore: latest(earliest, instant.knownAt), instant.now)
  }

  private mutating func begin(_ told: Moment, at instant: Instant) {
    guard startedAt == nil || isStartGuessed else { return }
    startedAt = bounded(told, or: running, notBefore: latest(earliest, instant.knownAt), instant.now)
    isStartGuessed = false
  }

  private mutating func close(at instant: Instant) {
    if closed == nil { closed = (instant.now, instant.knownAt) }
  }

  /// `told`, or where that cannot be about what `other` says, or else the first sight of it; from `earliest` to `latest`.
  private mutating func bounded(
    _ told: Moment, or other: Moment? = nil, notBefore earliest: Moment?, _ latest: Moment
  ) -> Moment {
    // Times have a resolution of 1 s, so that what happened just now may lie a second back; and a VMIM is a little
    // behind its VMI.
    let earliest = earliest.map { min($0 - .seconds(1), latest) }
    func isPossible(_ moment: Moment, slack: Duration = .zero) -> Bool {
      moment <= latest + slack && earliest.map { moment >= $0 } ?? true
    }
    if isPossible(told) { return told }
    var moment = latest
    if let other, isPossible(other, slack: .seconds(5)) { moment = min(other, latest) }
    note(told - moment)
    return moment
  }

  private mutating func note(_ error: Duration) {
    clockError = max(clockError, error < .zero ? .zero - error : error)
  }

  private func latest(_ a: Moment?, _ b: Moment?) -> Moment? {
    guard let a, let b else { return a ?? b }
    return max(a, b)
  }
}
