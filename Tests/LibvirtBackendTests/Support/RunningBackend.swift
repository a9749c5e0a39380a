import DroverCore
import Foundation
import Glibc
import Logging
import Synchronization

@testable import LibvirtBackend

/// This machine's clock.
struct Clock: Timepiece {
  private static let start = ContinuousClock.now

  func now() -> Moment { Moment(milliseconds: (ContinuousClock.now - Self.start).milliseconds) }
  func epochOffset() -> EpochOffset { EpochOffset(milliseconds: 1_700_000_000_000) }
}

/// A back end that runs, with all that it told and logged.
final class RunningBackend: Sendable {
  private struct Lines: LogHandler {
    let backend: RunningBackend
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { backend.state.withLock { $0.logs.append((event.level, "\(event.message)")) } }
  }

  private struct State {
    var messages: [BackendMessage] = []
    var logs: [(level: Logger.Level, text: String)] = []
    var isOver = false
  }

  private let state = Mutex(State())

  var messages: [BackendMessage] { state.withLock { $0.messages } }
  var logs: [(level: Logger.Level, text: String)] { state.withLock { $0.logs } }
  var isOver: Bool { state.withLock { $0.isOver } }

  /// Runs a back end for as long as the body does; returns how long it took to end.
  @discardableResult
  static func run(
    _ uri: String, _ change: (inout LibvirtConfiguration) -> Void = { _ in },
    _ body: (RunningBackend) async throws -> Void
  ) async rethrows -> Duration {
    var configuration = LibvirtConfiguration(name: lab, uri: uri)
    change(&configuration)
    let running = RunningBackend()
    let backend = LibvirtBackend(
      configuration: configuration, clock: Clock(),
      log: Logger(label: "test") { _ in Lines(backend: running) })
    let task = Task {
      await backend.run { message in running.state.withLock { $0.messages.append(message) } }
      running.state.withLock { $0.isOver = true }
    }
    do {
      try await body(running)
    } catch {
      task.cancel()
      await task.value
      throw error
    }
    let cancelled = ContinuousClock.now
    task.cancel()
    await task.value
    return ContinuousClock.now - cancelled
  }
}

/// Waits until something holds; false where it does not within a minute.
func eventually(_ condition: () -> Bool) async -> Bool {
  let deadline = ContinuousClock.now + .seconds(60)
  while ContinuousClock.now < deadline {
    if condition() { return true }
    try? await Task.sleep(for: .milliseconds(5))
  }
  return condition()
}

/// What a process holds.
enum Held {
  static var threads: Int { entries("/proc/self/task") }
  static var descriptors: Int { entries("/proc/self/fd") }

  private static func entries(_ path: String) -> Int {
    (try? FileManager.default.contentsOfDirectory(atPath: path).count) ?? 0
  }
}

/// A daemon that is none, on a Unix socket.
final class FakeDaemon: Sendable {
  enum Behaviour: Sendable { case hangs, closes, garbage }

  let path: String
  private let listener: Int32
  private let accepted = Mutex<[Int32]>([])
  private let count = Mutex(0)

  var connections: Int { count.withLock { $0 } }
  var uri: String { "qemu+unix:///system?socket=\(path)" }

  init(_ behaviour: Behaviour) {
    path = NSTemporaryDirectory() + "drover-\(UUID().uuidString.prefix(8)).sock"
    listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | 0o2000000, 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let (descriptor, size) = (listener, socklen_t(MemoryLayout<sockaddr_un>.size))
    withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = bind(descriptor, $0, size) }
    }
    listen(listener, 64)
    Thread { [self] in serve(behaviour) }.start()
  }

  private func serve(_ behaviour: Behaviour) {
    while true {
      let client = accept(listener, nil, nil)
      guard client >= 0 else { return }
      count.withLock { $0 += 1 }
      switch behaviour {
      case .hangs: accepted.withLock { $0.append(client) }
      case .closes: close(client)
      case .garbage:
        let bytes = [UInt8](repeating: 0xA5, count: 4096)
        _ = send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        accepted.withLock { $0.append(client) }
      }
    }
  }

  /// Ends it; those who wait for it are told that it is gone.
  func stop() {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
    unlink(path)
    for client in accepted.withLock({ $0 }) { close(client) }
  }
}
