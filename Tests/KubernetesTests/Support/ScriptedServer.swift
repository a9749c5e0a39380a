import CurlClient
import Foundation
import Glibc
import Synchronization

/// What a client asked.
struct Ask: Sendable {
  var method: String
  var path: String
  var query: [String: String]
  /// Names in lower case.
  var headers: [String: String]
  var body: String
  /// How many requests came before.
  var number: Int

  var isWatch: Bool { query["watch"] == "true" }
}

/// What a server answers.
struct Reply: Sendable {
  enum Ending: Sendable {
    /// The body ends as it should.
    case clean
    /// The connection is cut before that.
    case cut
    /// Nothing more comes until the client goes.
    case held
  }

  var status = 200
  var headers: [String: String] = [:]
  var pieces: [String] = []
  var ending = Ending.clean

  static func json(_ body: String, status: Int = 200, headers: [String: String] = [:]) -> Reply {
    Reply(status: status, headers: headers, pieces: [body])
  }

  static func stream(_ pieces: [String], _ ending: Ending = .held) -> Reply {
    Reply(pieces: pieces, ending: ending)
  }
}

/// An HTTP/1.1 server that answers what a test says, one request a connection.
final class ScriptedServer: Sendable {
  let address: ServerAddress
  private let listener: Int32
  private let asked = Mutex<[Ask]>([])
  private let stopped = Mutex(false)
  private let script: @Sendable (Ask) -> Reply

  /// All requests so far.
  var asks: [Ask] { asked.withLock { $0 } }

  init(_ script: @escaping @Sendable (Ask) -> Reply) throws {
    self.script = script
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = listener
    let result = withUnsafeMutablePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0
          ? getsockname(descriptor, $0, &length) : -1
      }
    }
    guard result == 0 else { throw POSIXError(.EIO) }
    address = try ServerAddress(parsing: "http://127.0.0.1:\(UInt16(bigEndian: name.sin_port))")
    Thread.detachNewThread {
      while true {
        let connection = accept(descriptor, nil, nil)
        guard connection >= 0 else { break }
        Thread.detachNewThread {
          self.serve(connection)
          close(connection)
        }
      }
      close(descriptor)
    }
  }

  func stop() {
    // Once: the number may belong to another server by then.
    let wasStopped = stopped.withLock { stopped in
      defer { stopped = true }
      return stopped
    }
    if !wasStopped { shutdown(listener, Int32(SHUT_RDWR)) }
  }

  private func serve(_ connection: Int32) {
    guard let text = request(connection) else { return }
    let ask = asked.withLock { asks in
      let ask = Self.parse(text, number: asks.count)
      asks.append(ask)
      return ask
    }
    let reply = script(ask)
    var head = "HTTP/1.1 \(reply.status) Any\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
    for (name, value) in reply.headers { head += "\(name): \(value)\r\n" }
    send(connection, head + "\r\n")
    for piece in reply.pieces where !piece.isEmpty {
      send(connection, String(piece.utf8.count, radix: 16) + "\r\n" + piece + "\r\n")
    }
    switch reply.ending {
    case .clean: send(connection, "0\r\n\r\n")
    case .cut: break
    case .held: while receive(connection) != nil {}
    }
  }

  private func request(_ connection: Int32) -> String? {
    var bytes: [UInt8] = []
    while let more = receive(connection) {
      bytes += more
      let text = String(decoding: bytes, as: UTF8.self)
      guard let end = text.range(of: "\r\n\r\n") else { continue }
      let length = text.lowercased().firstMatch(of: /content-length: (\d+)/).flatMap { Int($0.1) } ?? 0
      if text[end.upperBound...].utf8.count >= length { return text }
    }
    return nil
  }

  private static func parse(_ text: String, number: Int) -> Ask {
    let parts = text.components(separatedBy: "\r\n\r\n")
    let lines = parts[0].components(separatedBy: "\r\n")
    let words = lines[0].split(separator: " ").map(String.init)
    let target = words[1].split(separator: "?", maxSplits: 1).map(String.init)
    var query: [String: String] = [:]
    for pair in (target.count > 1 ? target[1] : "").split(separator: "&") {
      let sides = pair.split(separator: "=", maxSplits: 1).map { String($0).removingPercentEncoding ?? "" }
      query[sides[0]] = sides.count > 1 ? sides[1] : ""
    }
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      let sides = line.split(separator: ":", maxSplits: 1).map(String.init)
      headers[sides[0].lowercased()] = sides[1].trimmingCharacters(in: .whitespaces)
    }
    return Ask(
      method: words[0], path: target[0], query: query, headers: headers,
      body: parts.dropFirst().joined(separator: "\r\n\r\n"), number: number)
  }

  private func send(_ connection: Int32, _ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }

  /// The next bytes; nil at the end, or after 20 s.
  private func receive(_ connection: Int32) -> [UInt8]? {
    var poll = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
    guard Glibc.poll(&poll, 1, 20_000) > 0 else { return nil }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = recv(connection, &buffer, buffer.count, 0)
    return count > 0 ? Array(buffer[..<count]) : nil
  }
}
