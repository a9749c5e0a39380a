internal import DroverCore
internal import Logging
internal import Synchronization

/// Ends and starts the migrations of one host, over connections of its own.
///
/// It shares neither a connection nor a thread nor a lock that anything waits under with those that watch the host; it only
/// leaves them word when a domain is to be left alone.
final class LibvirtControl: Sendable {
  private struct State {
    /// Where the loop of the host takes its mail; nil while the host is not watched.
    var mailbox: HostMailbox?
    /// Domains and peers whose questions hang, how many, and since when the last does.
    var stuck: [String: (count: Int, since: ContinuousClock.Instant)] = [:]
    /// Domains whose abort is being sent.
    var aborting: Set<String> = []
    /// Domains whose migration Drover started and which has not ended.
    var started: Set<String> = []
  }

  let configuration: LibvirtConfiguration
  let clock: any Timepiece
  let log: Logger
  let connections: ControlConnections
  let known = KnownMigrations()
  private let state = Mutex(State())

  init(_ configuration: LibvirtConfiguration, clock: any Timepiece, log: Logger) {
    self.configuration = configuration
    self.clock = clock
    self.log = log
    connections = ControlConnections(uri: configuration.effectiveControlURI)
  }

  // MARK: - The watch of the host

  /// Takes or gives back the way to the loop of the host.
  func attach(_ mailbox: HostMailbox?) { state.withLock { $0.mailbox = mailbox } }

  /// Leaves something for the loop of the host, where it runs.
  func tell(_ input: HostInput) {
    _ = state.withLock(\.mailbox)?.put(.came(input))
  }

  // MARK: - Live state

  func live(_ target: MigrationTarget) async throws(ControlError) -> LiveMigration {
    try await ask(target.domain.text, call: "virDomainGetJobStats") {
      [connections, configuration, clock, known] progress throws(ControlError) in
      let reading = try Self.reading(target, progress, connections, configuration, clock)
      return try LiveMigration(reading, of: target, known: known.known(target, at: clock.now()))
    }
  }

  // MARK: - Aborts

  func abort(_ target: MigrationTarget) async throws(ControlError) {
    let uuid = target.domain.text
    guard state.withLock({ $0.aborting.insert(uuid).inserted }) else {
      throw ControlError(
        .refused, call: "virDomainAbortJob",
        cause: "an abort of this domain's migration is being sent already",
        remedy: "wait for its end")
    }
    // A question that hangs would hold the lock that the abort needs.
    let longest =
      configuration.controlDeadline + configuration.controlDeadline + configuration.controlDeadline
    tell(.leaveAlone(uuid, until: clock.now() + longest))
    defer {
      state.withLock { _ = $0.aborting.remove(uuid) }
      tell(.lookAgain(uuid))
    }
    try await ask(uuid, call: "virDomainAbortJob") {
      [connections, configuration, clock, known] progress throws(ControlError) in
      let reading = try Self.reading(target, progress, connections, configuration, clock)
      let live = try LiveMigration(reading, of: target, known: known.known(target, at: clock.now()))
      if let objection = live.objection { throw objection }
      // Where nobody waits any more it has been said that nothing was sent.
      guard progress.enter(.sending, within: configuration.controlDeadline) else { return }
      do throws(LibvirtError) {
        try connections.with(isRepeatable: false, endsMigrations: true) { connection throws(LibvirtError) in
          try connection.abortJob(of: uuid)
        }
      } catch {
        throw ControlError(abort: error)
      }
      known.abortSent(target, at: clock.now())
    }
  }

  // MARK: - Questions

  private static func reading(
    _ target: MigrationTarget, _ progress: ErrandProgress, _ connections: ControlConnections,
    _ configuration: LibvirtConfiguration, _ clock: any Timepiece
  ) throws(ControlError) -> LiveReading {
    do throws(LibvirtError) {
      return try connections.with(endsMigrations: true) { connection throws(LibvirtError) in
        _ = progress.enter(.asking, within: configuration.questionDeadline)
        return try connection.read(target.domain.text, clock)
      }
    } catch {
      throw ControlError(error)
    }
  }

  /// Has a domain asked something on a thread of its own; a domain whose last question hangs is not asked another.
  func ask<R: Sendable>(
    _ uuid: String, call: String,
    _ body: @escaping @Sendable (ErrandProgress) throws(ControlError) -> R
  ) async throws(ControlError) -> R {
    try await ask(
      uuid, call: call, whereStuck: "its QEMU hangs", remedy: "see whether it answers virsh domjobinfo", body)
  }

  /// Questions of one peer that may hang at a time.
  private static let mostStuck = 16

  /// Has somebody asked something on a thread of its own, who is not asked another while that hangs.
  ///
  /// - Parameters:
  ///   - whom: A domain's UUID, or a peer's address.
  ///   - whereStuck: Why an earlier question has not been answered.
  ///   - patience: After which another is put all the same; nil for never.
  func ask<R: Sendable>(
    _ whom: String, call: String, whereStuck: String, remedy: String, patience: Duration? = nil,
    _ body: @escaping @Sendable (ErrandProgress) throws(ControlError) -> R
  ) async throws(ControlError) -> R {
    let mayAsk = state.withLock { state in
      guard let stuck = state.stuck[whom] else { return true }
      guard let patience, stuck.count < Self.mostStuck else { return false }
      return .now - stuck.since >= patience
    }
    guard mayAsk else {
      throw ControlError(
        .timeout, call: call, cause: "an earlier question has not been answered yet: \(whereStuck)",
        remedy: "\(remedy); nothing was sent", mayBeDone: false)
    }
    let answer = await runErrand(within: configuration.controlDeadline) { progress in
      Result { () throws(ControlError) in try body(progress) }
    } lateEnd: { [weak self] in
      self?.stick(whom, -1)
    }
    switch answer {
    case .success(let result): return try result.get()
    case .failure(let failure):
      if case .late = failure { stick(whom, 1) }
      throw ControlError(failure, call: call)
    }
  }

  /// The end of a question may be told before it is told that it hangs.
  private func stick(_ whom: String, _ change: Int) {
    state.withLock { state in
      let count = (state.stuck[whom]?.count ?? 0) + change
      state.stuck[whom] = count == 0 ? nil : (count, .now)
    }
  }

  // MARK: - Starts

  /// Marks a domain as being started; false where it is already.
  func beginStart(_ uuid: String) -> Bool { state.withLock { $0.started.insert(uuid).inserted } }

  /// Whether the host is watched.
  var isWatched: Bool { state.withLock { $0.mailbox != nil } }

  func endStart(_ uuid: String) { state.withLock { _ = $0.started.remove(uuid) } }
}

extension ControlError {
  /// Why an abort that was sent was not done.
  init(abort error: LibvirtError) {
    self.init(error)
    switch kind {
    // libvirt says so where there is no job, and where the guest is at the target.
    case .refused where error.code == .operationInvalid:
      kind = .refused
      remedy = "look whether the migration is over"
    case .unreachable where error.call != "virConnectOpen":
      cause += "; it may have been done all the same"
      mayBeDone = true
    default: break
    }
  }

  /// Why a migration that was asked for did not begin.
  ///
  /// - Parameter isLost: Whether it was Drover's own connection that broke, and not the one between the hosts.
  init(start error: LibvirtError, isLost: Bool) {
    self.init(error)
    if isLost {
      cause += "; it may begin all the same"
      mayBeDone = true
    } else if kind == .unreachable, error.call != "virConnectOpen" {
      remedy = "see that the source's daemon can reach the target as libvirt.peers says"
    }
  }
}
