import DroverCore
import Foundation
import Glibc
import Logging
import Synchronization

@testable import QEMUBackend

/// A QMP server on a thread of its own that behaves, or not.
final class FakeQMPServer: Sendable {
  enum Behaviour: String, CaseIterable, Sendable {
    case good, hangsAfterAccept, hangsAfterGreeting, garbage, endlessLine, drips, closesAtOnce, wrongJSON,
      wrongID
    case floods, closesAfterPoll

    /// The error that the back end names it by.
    var error: String {
      switch self {
      case .hangsAfterAccept, .hangsAfterGreeting, .drips, .wrongID: "timeout"
      case .garbage, .wrongJSON: "protocol"
      case .endlessLine: "line_too_long"
      case .closesAtOnce, .closesAfterPoll: "closed"
      case .good, .floods: ""
      }
    }
  }

  struct Seen: Sendable {
    var connections = 0
    var polls: [ContinuousClock.Instant] = []
    var bytesSent = 0
  }

  let path: String
  private let behaviour: Behaviour
  private let name: String?
  private let listener: Int32
  private let state = Mutex(Seen())
  private let isStopped = Atomic(false)
  private static let greeting =
    #"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}"#
    + "\r\n"

  init(_ path: String, _ behaviour: Behaviour, name: String? = nil) {
    self.path = path
    self.name = name
    self.behaviour = behaviour
    listener = listeningSocket(at: path)
    Thread { [self] in serve() }.start()
  }

  var seen: Seen { state.withLock { $0 } }

  /// The longest time between two polls so far.
  var longestGap: Duration {
    let polls = seen.polls
    return zip(polls, polls.dropFirst()).map { $1 - $0 }.max() ?? .zero
  }

  /// Ends as a QEMU does: no file, nobody who listens.
  func stop() {
    guard !isStopped.exchange(true, ordering: .relaxed) else { return }
    unlink(path)
    shutdown(listener, Int32(SHUT_RDWR))
  }

  private func serve() {
    while !isStopped.load(ordering: .relaxed) {
      let peer = accept(listener, nil, nil)
      guard peer >= 0 else { break }
      var patience = timeval(tv_sec: 0, tv_usec: 20_000)
      setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
      setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
      state.withLock { $0.connections += 1 }
      talk(to: peer)
      close(peer)
    }
    close(listener)
  }

  private func talk(to peer: Int32) {
    switch behaviour {
    case .closesAtOnce: return
    case .hangsAfterAccept: waitForEnd(peer)
    case .garbage:
      _ = send("\u{1}\u{2}QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) ", to: peer)
      waitForEnd(peer)
    case .endlessLine:
      let block = String(repeating: "x", count: 1 << 16)
      for _ in 0..<1600 where !isStopped.load(ordering: .relaxed) {
        guard send(block, to: peer) else { return }
      }
      waitForEnd(peer)
    case .drips:
      for byte in Self.greeting.unicodeScalars.cycled() {
        guard send(String(byte), to: peer), !isStopped.load(ordering: .relaxed) else { return }
        usleep(50_000)
      }
    case .hangsAfterGreeting:
      _ = send(Self.greeting, to: peer)
      waitForEnd(peer)
    case .good, .wrongJSON, .wrongID, .floods, .closesAfterPoll:
      guard send(Self.greeting, to: peer) else { return }
      answer(peer)
    }
  }

  private func answer(_ peer: Int32) {
    var rest = ""
    var polls = 0
    while let text = receive(peer) {
      if behaviour == .floods {
        let events = String(
          repeating: #"{"event": "RTC_CHANGE", "data": {"offset": 0}}"# + "\r\n", count: 200)
        guard send(events, to: peer) else { return }
      }
      rest += text
      let lines = rest.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      rest = String(lines.last ?? "")
      for line in lines.dropLast() {
        let parts = line.split(separator: "\"")
        let command = String(parts[3])
        let id = behaviour == .wrongID ? "42" : String(parts[7])
        if command == "query-migrate" {
          state.withLock { $0.polls.append(.now) }
          polls += 1
        }
        let value =
          switch command {
          case "query-status": #"{"status": "running"}"#
          case "query-name": name.map { #"{"name": "\#($0)"}"# } ?? "{}"
          case "query-uuid": #"{"UUID": "00000000-0000-0000-0000-000000000000"}"#
          case "query-memory-size-summary": #"{"base-memory": 1048576}"#
          case "query-migrate" where behaviour == .wrongJSON: #"[{"status": }"#
          default: "{}"
          }
        guard send(#"{"return": \#(value), "id": "\#(id)"}"# + "\r\n", to: peer) else { return }
        if behaviour == .closesAfterPoll && polls > 0 && command == "query-status" { return }
      }
    }
  }

  private func waitForEnd(_ peer: Int32) {
    while receive(peer) != nil {}
  }

  private func receive(_ peer: Int32) -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while !isStopped.load(ordering: .relaxed) {
      let count = recv(peer, &buffer, buffer.count, 0)
      if count > 0 { return String(decoding: buffer[..<count], as: UTF8.self) }
      if count == 0 || errno != EAGAIN && errno != EINTR { return nil }
    }
    return nil
  }

  private func send(_ text: String, to peer: Int32) -> Bool {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty, !isStopped.load(ordering: .relaxed) {
      let count = bytes.withUnsafeBytes { Glibc.send(peer, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if count < 0 && (errno == EAGAIN || errno == EINTR) { continue }
      guard count > 0 else { return false }
      state.withLock { $0.bytesSent += count }
      bytes = bytes.dropFirst(count)
    }
    return bytes.isEmpty
  }
}

extension Sequence {
  fileprivate func cycled() -> some Sequence<Element> { (0..<1000).lazy.flatMap { _ in self } }
}

/// A directory that goes with its owner.
final class TemporaryDirectory: Sendable {
  let path: String

  init() {
    var name = Array("/tmp/drover-qmp-XXXXXX".utf8CString)
    mkdtemp(&name)
    path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

struct SystemClock: Timepiece {
  func now() -> Moment { Moment(milliseconds: Self.read(CLOCK_BOOTTIME)) }

  func epochOffset() -> EpochOffset {
    EpochOffset(milliseconds: Self.read(CLOCK_REALTIME) - Self.read(CLOCK_BOOTTIME))
  }

  private static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}

extension Logger {
  static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

/// A back end that runs, and what it has told.
final class RunningBackend: Sendable {
  private let told = Mutex<[BackendMessage]>([])
  private let task = Mutex<Task<Void, Never>?>(nil)

  static func run(
    _ configuration: QEMUConfiguration, _ body: (RunningBackend) async throws -> Void
  ) async rethrows {
    let running = RunningBackend()
    let backend = QEMUBackend(configuration: configuration, clock: SystemClock(), log: .quiet)
    running.task.withLock {
      $0 = Task { await backend.run { message in running.told.withLock { $0.append(message) } } }
    }
    do {
      try await body(running)
    } catch {
      await running.stop()
      throw error
    }
    await running.stop()
  }

  func stop() async {
    let task = task.withLock { $0 }
    task?.cancel()
    await task?.value
  }

  var health: [BackendHealth] {
    told.withLock { $0.compactMap { if case .health(let one) = $0 { one } else { nil } } }
  }
  var vms: [VMObservation] {
    told.withLock { $0.compactMap { if case .vm(let one) = $0 { one } else { nil } } }
  }
  var gone: [VMKey] {
    told.withLock { $0.compactMap { if case .vmGone(let one) = $0 { one } else { nil } } }
  }
}

/// Waits until the condition holds; false where it never does.
func eventually(
  within limit: Duration = .seconds(30), _ condition: @Sendable () -> Bool
) async -> Bool {
  let end = ContinuousClock.now + limit
  while ContinuousClock.now < end {
    if condition() { return true }
    try? await Task.sleep(for: .milliseconds(5))
  }
  return condition()
}
