import CLinux
import Foundation
import Glibc

/// Idle QEMUs, as far as their QMP sockets tell; one thread serves all of them.
final class FakeQEMUs {
  private struct Connection {
    let index: Int
    var received: [UInt8] = []
  }

  private let poller: Int32
  private var listeners: [Int32: Int] = [:]
  private var connections: [Int32: Connection] = [:]

  /// Listens at `guest-00000.qmp` and so on.
  init(in directory: String, count: Int) throws {
    poller = epoll_create1(Int32(EPOLL_CLOEXEC))
    for index in 0..<count {
      let listener = try Self.listen(at: directory + String(format: "/guest-%05d.qmp", index))
      listeners[listener] = index
      try watch(listener)
    }
  }

  /// Starts them in a process of their own, so that their work is not counted with ours.
  static func start(in directory: String, count: Int) throws -> Child {
    let child = try Child([ownPath, "--fake-qemus", directory, "\(count)"])
    try child.line()
    return child
  }

  func serve() throws {
    try FileHandle.standardOutput.write(contentsOf: Data("\n".utf8))
    var events = [epoll_event](repeating: epoll_event(), count: 64)
    while true {
      let count = epoll_wait(poller, &events, Int32(events.count), -1)
      for event in events.prefix(Int(max(0, count))) {
        let descriptor = Int32(truncatingIfNeeded: event.data.u64)
        if let index = listeners[descriptor] {
          try greet(drover_accept(descriptor), index)
        } else {
          read(descriptor)
        }
      }
    }
  }

  private func greet(_ descriptor: Int32, _ index: Int) throws {
    guard descriptor >= 0 else { return }
    connections[descriptor] = Connection(index: index)
    try watch(descriptor)
    write(
      #"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "#
        + #""package": "Debian 1:7.2+dfsg-7+deb12u18"}, "capabilities": ["oob"]}}"#, to: descriptor)
  }

  private func read(_ descriptor: Int32) {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = recv(descriptor, &bytes, bytes.count, 0)
    guard count > 0 else {
      if count == 0 || errno != EAGAIN {
        close(descriptor)
        connections[descriptor] = nil
      }
      return
    }
    connections[descriptor]?.received += bytes[..<count]
    while let connection = connections[descriptor],
      let end = connection.received.firstIndex(of: UInt8(ascii: "\n"))
    {
      let line = String(decoding: connection.received[..<end], as: UTF8.self)
      connections[descriptor]?.received.removeFirst(end + 1)
      let id = Self.value(of: "id", in: line)
      write(
        #"{"return": \#(Self.answer(to: Self.value(of: "execute", in: line), connection.index)), "id": "\#(id)"}"#,
        to: descriptor)
    }
  }

  private static func answer(to command: Substring, _ index: Int) -> String {
    switch command {
    case "query-status": #"{"status": "running", "singlestep": false, "running": true}"#
    case "query-name": String(format: #"{"name": "guest-%05d"}"#, index)
    case "query-uuid": String(format: #"{"UUID": "6f1c8a52-5f3c-4d1e-9b7a-%012x"}"#, index)
    case "query-memory-size-summary": #"{"base-memory": 4294967296, "plugged-memory": 0}"#
    // What a QEMU answers to `query-migrate` that never had a migration.
    default: "{}"
    }
  }

  /// The text of a member, which is all that Drover's requests hold.
  private static func value(of key: String, in line: String) -> Substring {
    guard let found = line.range(of: "\"\(key)\":\"") else { return "" }
    return line[found.upperBound...].prefix { $0 != "\"" }
  }

  private func write(_ text: String, to descriptor: Int32) {
    let bytes = Array((text + "\r\n").utf8)
    send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  private func watch(_ descriptor: Int32) throws {
    var event = epoll_event()
    event.events = EPOLLIN.rawValue
    event.data.u64 = UInt64(descriptor)
    guard epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
      throw BenchError("epoll_ctl: \(String(cString: strerror(errno)))")
    }
  }

  private static func listen(at path: String) throws -> Int32 {
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let descriptor = socket(AF_UNIX, kind, 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard descriptor >= 0, status == 0, Glibc.listen(descriptor, 1) == 0 else {
      throw BenchError("\(path): \(String(cString: strerror(errno)))")
    }
    return descriptor
  }
}
