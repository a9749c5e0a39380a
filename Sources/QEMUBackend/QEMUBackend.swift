internal import CLinux
public import DroverCore
internal import Glibc
public import Logging

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

/// Runs the body on a thread that takes no signals; false where there is none left.
private func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
  final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  var all = sigset_t()
  var before = sigset_t()
  sigfillset(&all)
  // A thread inherits the mask of the one that makes it.
  pthread_sigmask(SIG_SETMASK, &all, &before)
  defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
  var thread = pthread_t()
  let argument = Unmanaged.passRetained(Body(body))
  let status = pthread_create(
    &thread, &attributes,
    { raw in
      guard let raw else { return nil }
      Unmanaged<Body>.fromOpaque(raw).takeRetainedValue().run()
      return nil
    }, argument.toOpaque())
  if status != 0 { argument.release() } else { _ = drover_name_thread(thread, name) }
  return status == 0
}
