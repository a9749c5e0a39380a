public import DroverCore
public import Logging
internal import Posix
internal import Synchronization

/// Watches QEMUs that nothing manages, over their QMP sockets.
public final class QEMUBackend: MigrationBackend {
  private let configuration: QEMUConfiguration
  let clock: any Timepiece
  private let log: Logger
  /// The way to the thread that owns the sockets; nil while there is none.
  let mail = Mutex<LoopMail?>(nil)

  /// What is known of it before it has said anything.
  public let descriptor: BackendDescriptor

  /// Makes a back end; nothing is opened before it runs.
  public init(configuration: QEMUConfiguration, clock: any Timepiece, log: Logger) {
    self.configuration = configuration
    self.clock = clock
    self.log = log
    descriptor = BackendDescriptor(
      name: configuration.name, type: "qemu", endpoint: configuration.sockets.joined(separator: ","),
      node: configuration.host, origins: [.unknown],
      causes: [
        .userAbort, .policyAbort, .connectionLost, .sourceLost, .targetLost, .targetRefused, .guestShutdown,
        .guestCrashed, .postcopyBroken, .other, .unknown,
      ],
      errorKinds: QMPErrorKind.allCases.map(\.rawValue), budget: configuration.budget)
  }

  /// Watches until the task is cancelled; everything happens on one thread of its own.
  public func run(telling sink: @escaping @Sendable (BackendMessage) -> Void) async {
    while !Task.isCancelled {
      if await watch(telling: sink) { return }
      let problem = "no thread or no descriptors are left for the QMP sockets"
      log.error("\(problem); trying again in 1 s")
      sink(
        .health(
          BackendHealth(
            backend: configuration.name, isUp: false, lastSuccess: nil,
            errorKind: QMPErrorKind.connect.rawValue, problem: problem)))
      try? await Task.sleep(for: .seconds(1))
    }
  }

  /// False where it could not begin.
  private func watch(telling sink: @escaping @Sendable (BackendMessage) -> Void) async -> Bool {
    guard let mail = LoopMail() else { return false }
    self.mail.withLock { $0 = mail }
    defer { self.mail.withLock { $0 = nil } }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isStarted = startThread("drover-qmp") { [configuration, clock, log] in
          let loop = QMPLoop(
            configuration, clock: clock, log: log, mail: mail, telling: sink)
          loop?.run()
          mail.stop()
          continuation.resume(returning: loop != nil)
        }
        if !isStarted {
          mail.stop()
          continuation.resume(returning: false)
        }
      }
    } onCancel: {
      mail.stop()
    }
  }
}
