public import DroverCore
internal import Glibc
public import Logging
internal import Posix

/// Watches one libvirt host: its domains, their migrations, and the connections that these go over.
public final class LibvirtBackend: MigrationBackend {
  private let configuration: LibvirtConfiguration
  private let clock: any Timepiece
  private let log: Logger

  /// What is known of it before it has said anything.
  public let descriptor: BackendDescriptor

  /// Makes a back end; nothing is opened before it runs.
  public init(configuration: LibvirtConfiguration, clock: any Timepiece, log: Logger) {
    self.configuration = configuration
    self.clock = clock
    var log = log
    log[metadataKey: "backend"] = "\(configuration.name.rawValue)"
    self.log = log
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
    while !Task.isCancelled {
      if await watch(telling: sink) { return }
      log.error("no thread or no descriptor is left to watch libvirt with; trying again in 1 s")
      try? await Task.sleep(for: .seconds(1))
    }
  }

  /// False where it could not begin.
  private func watch(telling sink: @escaping @Sendable (BackendMessage) -> Void) async -> Bool {
    guard let mailbox = HostMailbox() else { return false }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isStarted = startThread("drover-host") { [configuration, clock, log] in
          HostLoop(configuration, clock: clock, log: log, mailbox: mailbox, telling: sink).run()
          continuation.resume(returning: true)
        }
        if !isStarted { continuation.resume(returning: false) }
      }
    } onCancel: {
      mailbox.stop()
    }
  }
}
