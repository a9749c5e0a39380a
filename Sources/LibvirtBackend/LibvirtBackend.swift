public import DroverCore
internal import Glibc
public import Logging
internal import Posix

/// Watches one libvirt host: its domains, their migrations, and the connections that these go over; and ends and starts
/// migrations there.
public final class LibvirtBackend: MigrationBackend, ControllableBackend {
  private let configuration: LibvirtConfiguration
  private let clock: any Timepiece
  private let log: Logger
  private let control: LibvirtControl

  /// What is known of it before it has said anything.
  public let descriptor: BackendDescriptor

  /// Makes a back end; nothing is opened before it runs.
  public init(configuration: LibvirtConfiguration, clock: any Timepiece, log: Logger) {
    self.configuration = configuration
    self.clock = clock
    var log = log
    log[metadataKey: "backend"] = "\(configuration.name.rawValue)"
    self.log = log
    control = LibvirtControl(configuration, clock: clock, log: log)
    descriptor = BackendDescriptor(
      name: configuration.name, type: "libvirt", endpoint: configuration.uri,
      node: configuration.host.isEmpty ? nil : configuration.host, origins: [.unknown],
      causes: [
        .userAbort, .policyAbort, .alertAbort, .keepalive, .connectionLost, .sourceLost, .targetLost,
        .guestShutdown, .guestCrashed, .postcopyBroken, .vmLost, .other, .unknown,
      ],
      errorKinds: LibvirtErrorKind.allCases.map(\.rawValue), budget: configuration.budget)
  }

  /// Watches until the task is cancelled.
  public func run(telling sink: @escaping @Sendable (BackendMessage) -> Void) async {
    // Where nothing is to be moved nobody may need to open a connection that could.
    guard !configuration.peers.isEmpty else { return await keepWatching(telling: sink) }
    let outlook = OutlookWatch(clock, telling: sink)
    await withDiscardingTaskGroup { group in
      group.addTask { [control] in
        await outlook.run { vm in
          do throws(ControlError) { return try await control.eligibility(of: vm) } catch { return nil }
        }
      }
      await keepWatching { outlook.hear($0) }
      group.cancelAll()
    }
  }

  private func keepWatching(telling sink: @escaping @Sendable (BackendMessage) -> Void) async {
    while !Task.isCancelled {
      if await watch(telling: sink) { return }
      log.error("no thread or no descriptor is left to watch libvirt with; trying again in 1 s")
      try? await Task.sleep(for: .seconds(1))
    }
  }

  /// False where it could not begin.
  private func watch(telling sink: @escaping @Sendable (BackendMessage) -> Void) async -> Bool {
    guard let mailbox = HostMailbox() else { return false }
    control.attach(mailbox)
    defer { control.attach(nil) }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isStarted = startThread("drover-host") { [configuration, clock, log, known = control.known] in
          HostLoop(configuration, clock: clock, log: log, mailbox: mailbox) { sink(known.hear($0)) }.run()
          continuation.resume(returning: true)
        }
        if !isStarted { continuation.resume(returning: false) }
      }
    } onCancel: {
      mailbox.stop()
    }
  }

  // MARK: - Control

  /// Reads a migration at its source, over a connection of its own.
  ///
  /// - Throws: `.timeout` after a second in which its QEMU does not answer, `.unreachable` where libvirt does not.
  public func live(_ migration: MigrationTarget) async throws(ControlError) -> LiveMigration {
    try await control.live(migration)
  }

  /// Aborts the job of a domain, if that is the migration meant at the moment before, and not in post-copy or switchover.
  ///
  /// The domain is not sampled meanwhile: a question that hangs would hold the lock that the abort needs. Between the last
  /// look and the abort another job may take the place of the migration, and would be aborted: libvirt has no abort that
  /// names a job.
  ///
  /// - Throws: `.gone` and `.replaced` where it is not there, `.refused` in post-copy, in switchover and while another abort
  ///   is being sent, `.timeout` with whether it was sent.
  public func abort(_ migration: MigrationTarget) async throws(ControlError) {
    try await control.abort(migration)
  }

  /// Finds out what speaks against a migration to a peer, and which `virsh migrate` would do the same.
  public func plan(_ order: StartOrder) async throws(ControlError) -> StartPlan {
    try await control.plan(order)
  }

  /// Starts a live migration, led by the source's daemon, to the peer that is wished for or the first that can take it.
  ///
  /// It goes on when Drover ends. What libvirt says of one that fails later is logged, and told with its end.
  ///
  /// - Throws: `.refused` for whatever speaks against it, before anything is sent, and what libvirt says where it does not
  ///   begin.
  public func start(_ order: StartOrder) async throws(ControlError) -> StartReceipt {
    try await control.start(order)
  }

  /// Finds out whether a domain can be migrated, and to which of the peers.
  public func eligibility(of vm: VMRef) async throws(ControlError) -> Eligibility {
    try await control.eligibility(of: vm)
  }

  /// Reads which domains run on the host; nobody's QEMU is asked.
  ///
  /// - Throws: `.gone` for any other name than the host's.
  public func node(_ name: String) async throws(ControlError) -> NodeReading { try await control.node(name) }

  /// Finds out to which of the peers a domain can go, and what is free there.
  public func choices(for vm: VMRef) async throws(ControlError) -> MoveChoices? {
    try await control.survey(vm).choices
  }

  /// Looks at every domain of the host, and whether the peers have room for all of them.
  public func preflight(node: String?) async throws(ControlError) -> Preflight {
    try await control.preflight(node)
  }
}
