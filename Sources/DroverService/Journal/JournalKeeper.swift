internal import DroverCore
internal import Journal
internal import Logging
internal import Synchronization

/// Brings what happens to migrations into the journal, without anybody who tells it waiting for a disk.
final class JournalKeeper: Sendable {
  private struct Core {
    var mailbox: JournalMailbox
    var limits: JournalLimits
    var isOverflowing = false
    /// Calls that failed one after the other.
    var failures = 0
    /// Nothing is tried before that.
    var retryAt: Moment?
    var pruneAt: Moment
    /// The same for a journal that is too large.
    var sizeCheckAt: Moment
  }

  /// Migrations that are written together.
  private static let batch = 500
  private static let pauses = RetrySchedule(first: .seconds(1), longest: .seconds(60))

  private let journal: ServiceJournal
  private let clock: any Timepiece
  private let log: Logger
  private let core: Mutex<Core>
  private let wakes: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation

  /// A keeper that keeps as many migrations as `capacity` while the journal cannot be written.
  init(
    _ journal: ServiceJournal, limits: JournalLimits, clock: any Timepiece, log: Logger,
    capacity: Int = 10_000
  ) {
    self.journal = journal
    self.clock = clock
    self.log = log
    core = Mutex(
      Core(
        mailbox: JournalMailbox(capacity: capacity), limits: limits,
        // By then back ends that are up have told what there is.
        pruneAt: clock.now() + .seconds(60), sizeCheckAt: clock.now()))
    (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Takes other limits into use, at once.
  func apply(_ limits: JournalLimits) {
    let now = clock.now()
    core.withLock { core in
      guard core.limits != limits else { return }
      core.limits = limits
      core.pruneAt = min(core.pruneAt, now)
    }
    wake.yield()
  }

  /// Takes what happened; never waits for more than a lock that is held to copy.
  func take(_ events: [LifecycleEvent]) {
    guard journal.isWanted else { return }
    let offset = clock.epochOffset()
    let oldest = offset.unixMilliseconds(clock.now() - core.withLock(\.limits.maxAge))
    let migrations = events.compactMap { PastMigration($0, epochOffset: offset, notBefore: oldest) }
    guard !migrations.isEmpty else { return }
    let (lost, isNew) = core.withLock { core in
      let lost = migrations.count { !core.mailbox.put($0) }
      let isNew = lost > 0 && !core.isOverflowing
      core.isOverflowing = core.isOverflowing || lost > 0
      return (lost, isNew)
    }
    if lost > 0 { journal.note(lost: UInt64(lost)) }
    if isNew { log.error("more migrations wait for the journal than are kept; the rest is not recorded") }
    wake.yield()
  }

  /// Records until cancelled, and then what is left.
  ///
  /// - Parameter snapshot: The fleet as it is known.
  func run(_ snapshot: @escaping @Sendable () -> FleetSnapshot) async {
    await withDiscardingTaskGroup { group in
      group.addTask { await self.keepWaking() }
      for await _ in wakes { await turn(snapshot) }
    }
    await flush()
  }

  private func keepWaking() async {
    while (try? await Task.sleep(for: .seconds(1))) != nil { wake.yield() }
  }

  /// Does what is due.
  func turn(_ snapshot: () -> FleetSnapshot) async {
    let now = clock.now()
    guard journal.isWanted, core.withLock({ $0.retryAt.map { $0 <= now } ?? true }) else { return }
    if !journal.state.isRecording { await journal.revive() }
    let isDone = await flush()
    core.withLock { core in
      core.failures = isDone ? 0 : core.failures + 1
      core.retryAt = isDone ? nil : now + Self.pauses.pause(after: core.failures - 1, name: "journal")
    }
    if isDone, await isPruneDue(now) { await prune(snapshot, now) }
  }

  /// Writes what waits; whether nothing does any more, and the journal records.
  @discardableResult
  private func flush() async -> Bool {
    while journal.isWanted {
      if journal.state.trouble?.kind == .newer {
        // That does not pass while this program runs.
        journal.note(lost: UInt64(core.withLock { $0.mailbox.discard() }))
        return false
      }
      let batch = core.withLock { $0.mailbox.take(Self.batch) }
      guard !batch.isEmpty else { break }
      do throws(JournalError) {
        try await journal.upsert(batch)
      } catch {
        core.withLock { $0.mailbox.putBack(batch) }
        return false
      }
    }
    core.withLock { $0.isOverflowing = false }
    return journal.state.isRecording
  }

  private func isPruneDue(_ now: Moment) async -> Bool {
    let (at, sizeCheckAt, limits) = core.withLock { ($0.pruneAt, $0.sizeCheckAt, $0.limits) }
    if at <= now { return true }
    guard sizeCheckAt <= now else { return false }
    core.withLock { $0.sizeCheckAt = now + .seconds(60) }
    guard let size = await (try? journal.readable())?.size() else { return false }
    return size > max(limits.maxSize, JournalLimits.leastSize)
  }

  private func prune(_ snapshot: () -> FleetSnapshot, _ now: Moment) async {
    let limits = core.withLock { core in
      core.pruneAt = now + .seconds(3600)
      core.sizeCheckAt = now + .seconds(60)
      return core.limits
    }
    let unix = clock.epochOffset().unixMilliseconds(now)
    do throws(JournalError) {
      let open = try await journal.readable().openMigrations()
      try await journal.upsert(UnseenEnds(open, in: snapshot()).records(at: unix))
      let report = try await journal.prune(to: limits, now: unix)
      if !report.isNothing {
        log.info(
          "old entries removed from the journal",
          metadata: ["migrations": "\(report.migrations)", "decisions": "\(report.decisions)"])
      }
    } catch {
      // Writing says so itself; reading is told where somebody asks.
      log.debug("journal not pruned", metadata: ["error": "\(error)"])
    }
  }
}
