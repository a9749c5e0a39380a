import DroverCore
import Foundation
import Glibc
import Logging
import Synchronization
import Testing

@testable import QEMUBackend

/// A QEMU that migrates, played over its socket, and does with `migrate_cancel` what a test wishes.
private final class PlayedQEMU: Sendable {
  enum OnCancel: Sendable {
    /// It answers, and shows that it cancels.
    case obeys
    /// It reads it, and its end of the connection goes.
    case closes
    /// It reads it, and says nothing more.
    case hangs
  }

  let path: String
  private let onCancel: OnCancel
  private let listener: Int32
  private let state = Mutex((cancels: 0, status: "active"))
  static let uuid = "6f2d8f0e-0000-4000-8000-000000000042"

  init(_ path: String, _ onCancel: OnCancel) {
    self.path = path
    self.onCancel = onCancel
    listener = listeningSocket(at: path)
    let listener = listener
    Thread { [self] in
      while case let peer = accept(listener, nil, nil), peer >= 0 {
        talk(to: peer)
        close(peer)
      }
      close(listener)
    }.start()
  }

  /// How often it has read `migrate_cancel`.
  var cancels: Int { state.withLock(\.cancels) }

  /// Has its migration be in another state from now on.
  func show(_ status: String) { state.withLock { $0.status = status } }

  func stop() {
    unlink(path)
    shutdown(listener, Int32(SHUT_RDWR))
  }

  private func talk(to peer: Int32) {
    var isSilent = false
    send(
      #"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}"#,
      to: peer)
    var rest = ""
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let count = recv(peer, &buffer, buffer.count, 0), count > 0 {
      rest += String(decoding: buffer[..<count], as: UTF8.self)
      let lines = rest.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      rest = String(lines.last ?? "")
      for line in lines.dropLast() where !isSilent {
        let parts = line.split(separator: "\"").map(String.init)
        if parts[3] == "migrate_cancel" {
          state.withLock { $0.cancels += 1 }
          switch onCancel {
          case .obeys: show("cancelling")
          case .closes: return
          case .hangs:
            isSilent = true
            continue
          }
        }
        send(#"{"return": \#(value(parts[3])), "id": "\#(parts[7])"}"#, to: peer)
      }
    }
  }

  private func value(_ command: String) -> String {
    switch command {
    case "query-status": #"{"status": "running"}"#
    case "query-name": #"{"name": "vm1"}"#
    case "query-uuid": #"{"UUID": "\#(Self.uuid)"}"#
    case "query-memory-size-summary": #"{"base-memory": 1048576}"#
    case "query-migrate":
      Trace.firstPass.replacingOccurrences(of: #""active""#, with: "\"\(state.withLock(\.status))\"")
    default: "{}"
    }
  }

  private func send(_ text: String, to peer: Int32) {
    var bytes = Array((text + "\r\n").utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.send(peer, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { return }
      bytes = bytes.dropFirst(count)
    }
  }
}

@Suite("Orders to a QEMU", .serialized)
struct OrderTests {
  private let directory = TemporaryDirectory()

  private func with(
    _ onCancel: PlayedQEMU.OnCancel,
    _ body: (QEMUBackend, PlayedQEMU, MigrationTarget, _ stop: () async -> Void) async throws -> Void
  ) async throws {
    let qemu = PlayedQEMU(directory.path + "/a.qmp", onCancel)
    defer { qemu.stop() }
    var configuration = QEMUConfiguration(
      name: BackendName(rawValue: "qemu"), sockets: [qemu.path], host: "host-a",
      idleInterval: .milliseconds(50), requestDeadline: .seconds(30))
    configuration.retry = RetrySchedule(first: .milliseconds(20), longest: .milliseconds(100))
    let backend = QEMUBackend(configuration: configuration, clock: SystemClock(), log: .quiet)
    let seen = Mutex<MigrationObservation?>(nil)
    let run = Task {
      await backend.run { message in
        if case .migration(let observation) = message { seen.withLock { $0 = observation } }
      }
    }
    func stop() async {
      run.cancel()
      await run.value
    }
    do {
      #expect(await eventually { seen.withLock { $0 } != nil })
      let observation = try #require(seen.withLock { $0 })
      try await body(
        backend, qemu, MigrationTarget(id: observation.id, vm: observation.vm, domain: observation.domain),
        stop)
    } catch {
      await stop()
      throw error
    }
    await stop()
  }

  private func abort(_ backend: QEMUBackend, _ target: MigrationTarget) async -> ControlError? {
    do throws(ControlError) {
      try await backend.abort(target)
      return nil
    } catch {
      return error
    }
  }

  @Test("a connection that is lost between migrate_cancel and its answer leaves open whether it was done")
  func lost() async throws {
    try await with(.closes) { backend, qemu, target, _ in
      let error = await abort(backend, target)
      #expect(error?.kind == .unreachable && error?.mayBeDone == true, "\(String(describing: error))")
      #expect(qemu.cancels == 1)
    }
  }

  @Test("two at once send one migrate_cancel; the second is told that it was asked for already")
  func two() async throws {
    try await with(.obeys) { backend, qemu, target, _ in
      async let first = abort(backend, target)
      async let second = abort(backend, target)
      let errors = await [first, second].compactMap(\.self)
      #expect(errors.map(\.kind) == [.refused], "\(errors)")
      #expect(errors.first?.mayBeDone == false)
      #expect(qemu.cancels == 1)
    }
  }

  @Test("a stop meanwhile ends the wait, and leaves open whether it was done")
  func stopped() async throws {
    try await with(.hangs) { backend, qemu, target, stop in
      async let failure = abort(backend, target)
      #expect(await eventually { qemu.cancels == 1 })
      await stop()
      let error = await failure
      #expect(error?.mayBeDone == true, "\(String(describing: error))")
      let late = await abort(backend, target)
      #expect(late?.kind == .unreachable && late?.mayBeDone == false)
    }
  }

  @Test(
    "what is in post-copy, handed over or asked to end already is looked at before, and sent nothing",
    arguments: ["postcopy-active", "postcopy-paused", "device", "cancelling"])
  func refused(status: String) async throws {
    try await with(.obeys) { backend, qemu, target, _ in
      qemu.show(status)
      let error = await abort(backend, target)
      #expect(error?.kind == .refused && error?.mayBeDone == false, "\(String(describing: error))")
      #expect(qemu.cancels == 0)
    }
  }

  @Test("an order that names another migration sends nothing")
  func another() async throws {
    try await with(.obeys) { backend, qemu, target, _ in
      let other = MigrationID(domain: target.domain, startedUnixMilliseconds: 1)
      let error = await abort(
        backend, MigrationTarget(id: target.id, sourceID: other, vm: target.vm, domain: target.domain))
      #expect(error?.kind == .replaced)
      #expect(qemu.cancels == 0)
      // One that goes on under its old name is meant by the name that QEMU's own job has.
      #expect(
        await abort(
          backend, MigrationTarget(id: other, sourceID: target.id, vm: target.vm, domain: target.domain))
          == nil)
    }
  }
}
