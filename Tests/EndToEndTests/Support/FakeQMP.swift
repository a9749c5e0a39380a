import Foundation
import Synchronization
import Testing

@testable import ProgramSupport

/// A QMP server that runs no guest; each connection has a thread.
final class FakeQMP: Sendable {
  enum Behaviour: String, CaseIterable, Sendable {
    case good, hangs, garbage, endlessLine, closes
  }

  let path: String
  private let behaviour: Behaviour
  private let listener: Int32
  private let accepted = Mutex(0)
  private let isStopped = Mutex(false)

  init(_ path: String, _ behaviour: Behaviour = .good) throws {
    self.path = path
    self.behaviour = behaviour
    let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    self.listener = listener
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    try #require(status == 0 && listen(listener, 16) == 0)
    Thread { [weak self] in
      while true {
        let peer = accept(listener, nil, nil)
        guard peer >= 0 else { return }
        self?.accepted.withLock { $0 += 1 }
        Thread {
          Self.talk(to: peer, behaviour)
          close(peer)
        }.start()
      }
    }.start()
  }

  deinit { stop() }

  /// How many clients have come so far.
  var connections: Int { accepted.withLock(\.self) }

  /// Goes as a QEMU does that ends.
  func stop() {
    guard
      isStopped.withLock({ stopped in
        defer { stopped = true }
        return !stopped
      })
    else { return }
    unlink(path)
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  private static func talk(to peer: Int32, _ behaviour: Behaviour) {
    switch behaviour {
    case .closes: return
    case .hangs: break
    case .garbage: _ = send("monitor - type 'help' for more information\r\n(qemu) ", to: peer)
    case .endlessLine:
      let block = String(repeating: "x", count: 1 << 20)
      for _ in 0..<100 { guard send(block, to: peer) else { return } }
    case .good:
      guard
        send(
          #"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}"#
            + "\r\n", to: peer)
      else { return }
    }
    var rest: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let count = recv(peer, &buffer, buffer.count, 0), count > 0 {
      guard behaviour == .good else { continue }
      rest += buffer[..<count]
      while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
        guard answer(Data(rest[..<end]), to: peer) else { return }
        rest.removeFirst(end + 1)
      }
    }
  }

  private static func answer(_ line: Data, to peer: Int32) -> Bool {
    guard let request = try? JSONSerialization.jsonObject(with: line) as? [String: Any],
      let command = request["execute"] as? String, let id = request["id"] as? String
    else { return false }
    let value =
      switch command {
      case "query-status": #"{"status": "running", "running": true, "singlestep": false}"#
      case "query-uuid": #"{"UUID": "00000000-0000-0000-0000-000000000000"}"#
      case "query-memory-size-summary": #"{"base-memory": 1048576}"#
      default: "{}"
      }
    return send(#"{"return": \#(value), "id": "\#(id)"}"# + "\r\n", to: peer)
  }

  private static func send(_ text: String, to peer: Int32) -> Bool {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.send(peer, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { return false }
      bytes = bytes.dropFirst(count)
    }
    return true
  }
}
