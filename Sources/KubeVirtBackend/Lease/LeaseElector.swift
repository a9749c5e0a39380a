internal import DroverCore
internal import Kubernetes
internal import Logging
internal import Synchronization

/// Takes part in an election for as long as it runs.
final class LeaseElector: Sendable {
  private let client: KubernetesClient
  private let path: ResourcePath
  private let clock: any Timepiece
  private let log: Logger
  private let tell: @Sendable (LeaderTerm) -> Void
  private let election: Mutex<LeaseElection>
  private let isHeard = Mutex(true)

  /// A server that takes longer is as good as away; three such fit into a term.
  private static let deadline = Duration.seconds(3)

  init(
    _ settings: KubeVirtConfiguration.Lease, client: KubernetesClient, clock: any Timepiece, log: Logger,
    telling tell: @escaping @Sendable (LeaderTerm) -> Void
  ) {
    self.client = client
    path = LeaseRecord.leases.named(settings.name, in: settings.namespace)
    self.clock = clock
    self.log = log
    self.tell = tell
    election = Mutex(
      LeaseElection(identity: settings.identity, namespace: settings.namespace, name: settings.name))
  }

  /// Whether this process leads now.
  var isLeader: Bool {
    let now = clock.now()
    return election.withLock { $0.term.heldUntil.map { now < $0 } ?? false }
  }

  /// Looks and renews until cancelled, then gives up what it holds.
  func run() async {
    while !Task.isCancelled {
      await turn()
      try? await Task.sleep(for: LeaseElection.period)
    }
    // What is cancelled sends nothing any more.
    await Task { await self.release() }.value
  }

  private func turn() async {
    let before = election.withLock(\.term)
    do throws(ControlError) {
      let found = try await read()
      let (now, unix) = (clock.now(), unixNow)
      if let wish = election.withLock({ $0.take(found, at: now, unixMilliseconds: unix) }) {
        try await write(wish)
        election.withLock { $0.written(wish, sentAt: now) }
      }
      if !isHeard.withLock({ heard in
        defer { heard = true }
        return heard
      }) {
        log.notice("the Lease can be read and written again", metadata: ["lease": "\(path)"])
      }
    } catch {
      election.withLock { $0.settle(at: clock.now()) }
      // Losing a race for it is no fault.
      if error.kind != .replaced, error.kind != .refused,
        isHeard.withLock({ heard in
          defer { heard = false }
          return heard
        })
      {
        log.error("the Lease cannot be had: this Drover does not lead", metadata: ["error": "\(error)"])
      }
    }
    let after = election.withLock(\.term)
    if (before.heldUntil == nil) != (after.heldUntil == nil) || before.holder != after.holder {
      log.notice(
        after.heldUntil == nil ? "does not lead" : "leads", metadata: ["leader": "\(after.holder)"])
    }
    tell(after)
  }

  private func release() async {
    guard election.withLock({ $0.term.heldUntil != nil }) else { return }
    let unix = unixNow
    tell(LeaderTerm(holder: ""))
    do throws(ControlError) {
      let found = try await read()
      if let wish = election.withLock({ $0.release(found, unixMilliseconds: unix) }) { try await write(wish) }
    } catch {
      log.warning("the Lease was not given back: it runs out by itself", metadata: ["error": "\(error)"])
    }
  }

  private func read() async throws(ControlError) -> LeaseRecord? {
    let call = "reading \(path)"
    return try await within(Self.deadline, call) { [client, path] () async throws(ControlError) in
      do throws(KubernetesError) {
        return try await client.get(path, as: LeaseRecord.self)
      } catch {
        if error.kind == .notFound { return nil }
        throw ControlError(error, call)
      }
    }
  }

  private func write(_ wish: LeaseElection.Wish) async throws(ControlError) {
    let call = "writing \(path)"
    try await within(Self.deadline, call, isSent: true) { [client, path] () async throws(ControlError) in
      do throws(KubernetesError) {
        if wish.isNew {
          try await client.create(wish.record, in: LeaseRecord.leases.within(wish.record.metadata.namespace))
        } else {
          try await client.update(path, with: wish.record)
        }
      } catch {
        throw ControlError(error, call, isSent: true)
      }
    }
  }

  private var unixNow: Int64 { clock.epochOffset().unixMilliseconds(clock.now()) }
}
