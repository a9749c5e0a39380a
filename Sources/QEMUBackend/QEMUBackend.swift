internal import CLinux
public import DroverCore
internal import Glibc
public import Logging
internal import Posix

/// Watches QEMUs that nothing manages, over their QMP sockets.
public final class QEMUBackend: MigrationBackend {
  private let configuration: QEMUConfiguration
  private let clock: any Timepiece
  private let log: Logger

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
      log.error("no thread or no descriptors are left for the QMP sockets; trying again in 1 s")
      sink(
        .health(
          BackendHealth(
            backend: configuration.name, isUp: false, lastSuccess: nil,
            errorKind: QMPErrorKind.connect.rawValue)))
      try? await Task.sleep(for: .seconds(1))
    }
  }

  /// False where it could not begin.
  private func watch(telling sink: @escaping @Sendable (BackendMessage) -> Void) async -> Bool {
    guard let stop = StopSignal() else { return false }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isStarted = startThread("drover-qmp") { [configuration, clock, log] in
          let loop = QMPLoop(
            configuration, clock: clock, log: log, stop: stop.number, telling: sink)
          loop?.run()
          continuation.resume(returning: loop != nil)
        }
        if !isStarted { continuation.resume(returning: false) }
      }
    } onCancel: {
      stop.send()
    }
  }
}

/// Ends the loop from any thread.
private final class StopSignal: Sendable {
  let number: Int32

  init?() {
    number = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    if number < 0 { return nil }
  }

  deinit { close(number) }

  func send() {
    var one: UInt64 = 1
    _ = write(number, &one, MemoryLayout<UInt64>.size)
  }
}
