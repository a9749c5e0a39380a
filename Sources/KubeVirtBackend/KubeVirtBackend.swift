public import DroverCore
public import Logging

/// Watches the live migrations of one cluster through the Kubernetes API.
public final class KubeVirtBackend: MigrationBackend {
  private let configuration: KubeVirtConfiguration
  private let clock: any Timepiece
  private let log: Logger

  /// What is known of it before it has said anything.
  public let descriptor: BackendDescriptor

  /// Makes a back end; nothing is asked before it runs.
  public init(configuration: KubeVirtConfiguration, clock: any Timepiece, log: Logger) {
    self.configuration = configuration
    self.clock = clock
    var log = log
    log[metadataKey: "backend"] = "\(configuration.name.rawValue)"
    self.log = log
    descriptor = BackendDescriptor(
      name: configuration.name, type: "kubevirt", endpoint: "", origins: Origin.allCases,
      causes: [
        .userAbort, .policyAbort, .alertAbort, .completionTimeout, .progressTimeout, .keepalive,
        .connectionLost,
        .sourceLost, .targetLost, .targetRefused, .unschedulable, .podPendingTimeout, .quota, .notMigratable,
        .storage, .guestShutdown, .guestCrashed, .postcopyBroken, .vmLost, .superseded, .other, .unknown,
      ],
      errorKinds: [], budget: configuration.budget)
  }

  /// Watches until the task is cancelled.
  public func run(telling sink: @escaping @Sendable (BackendMessage) -> Void) async {}
}
