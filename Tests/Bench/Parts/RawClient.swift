import CLinux
import Glibc

/// The cheapest HTTP client there is: one kept connection, one large buffer, nothing looked at but the length.
final class RawClient: Sendable {
  private let descriptor: Int32
  private let request: [UInt8]

  /// Connects to a port of this machine; nil where nobody listens.
  init?(port: UInt16, path: String = "/metrics", headers: [String: String] = [:]) {
    let lines = ["GET \(path) HTTP/1.1", "Host: localhost"] + headers.map { "\($0): \($1)" } + ["", ""]
    request = Array(lines.joined(separator: "\r\n").utf8)
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0, Loopback.connect(descriptor, port) else {
      if descriptor >= 0 { close(descriptor) }
      return nil
    }
  }

  static func connected(port: UInt16, path: String = "/metrics", headers: [String: String] = [:]) throws
    -> RawClient
  {
    guard let client = RawClient(port: port, path: path, headers: headers) else {
      throw BenchError("nobody listens on port \(port)")
    }
    return client
  }

  deinit { close(descriptor) }

  struct Answer {
    var status: Int
    var length: Int
    /// The body, where all of it came with the headers.
    var body: [UInt8]
  }

  /// Sends the request and reads the answer to its end.
  func get() throws -> Answer {
    guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
      throw BenchError("send: \(String(cString: strerror(errno)))")
    }
    return try withUnsafeTemporaryAllocation(byteCount: 256 << 10, alignment: 4096) { try receive(into: $0) }
  }

  /// Sends the request and returns the whole body.
  func text() throws -> String { String(decoding: try bytes(), as: UTF8.self) }

  /// The same as it came.
  func bytes() throws -> [UInt8] {
    var body: [UInt8] = []
    guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
      throw BenchError("send: \(String(cString: strerror(errno)))")
    }
    let answer = try withUnsafeTemporaryAllocation(byteCount: 256 << 10, alignment: 4096) {
      try receive(into: $0) { body += $0 }
    }
    guard answer.status == 200 else { throw BenchError("an answer with status \(answer.status)") }
    return answer.body.isEmpty ? body : answer.body
  }

  /// - Parameter taking: Lent the body, from its first byte on, where it did not come with the headers whole.
  private func receive(
    into buffer: UnsafeMutableRawBufferPointer, taking: (UnsafeRawBufferPointer) -> Void = { _ in }
  ) throws -> Answer {
    func more(at offset: Int = 0) throws -> Int {
      let count = recv(descriptor, buffer.baseAddress.map { $0 + offset }, buffer.count - offset, 0)
      guard count > 0 else { throw BenchError("recv: the connection has ended") }
      return count
    }
    var filled = 0
    while true {
      filled += try more(at: filled)
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<filled])
      guard let (status, length, start) = try head(of: bytes) else { continue }
      let body = UnsafeRawBufferPointer(rebasing: bytes[start...])
      var left = length - body.count
      guard left > 0 else { return Answer(status: status, length: length, body: Array(body)) }
      taking(body)
      while left > 0 {
        let count = try more()
        taking(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
        left -= count
      }
      return Answer(status: status, length: length, body: [])
    }
  }

  /// Status, length of the body and where that begins; nil as long as the headers have no end.
  ///
  /// By bytes: what strings take would be a third of a small answer's time.
  private func head(of bytes: UnsafeRawBufferPointer) throws -> (status: Int, length: Int, body: Int)? {
    func number(at start: Int) -> Int? {
      let rest = bytes.dropFirst(start).drop { $0 == UInt8(ascii: " ") }
      let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      guard (1...18).contains(digits.count) else { return nil }
      return digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }
    var length: Int?
    var line = 0
    while let end = bytes[line...].firstIndex(of: UInt8(ascii: "\n")) {
      if bytes[line..<end].allSatisfy({ $0 == UInt8(ascii: "\r") }) {
        guard let status = number(at: "HTTP/1.1".utf8.count), let length else {
          throw BenchError("an answer without status or length")
        }
        return (status, length, end + 1)
      }
      let name = "content-length:"
      if bytes[line..<end].lazy.map({ $0 | 0x20 }).starts(with: name.utf8) {
        length = number(at: line + name.utf8.count)
      }
      line = end + 1
    }
    return nil
  }
}

/// TCP on 127.0.0.1.
enum Loopback {
  static func connect(_ descriptor: Int32, _ port: UInt16) -> Bool {
    withAddress(port) { Glibc.connect(descriptor, $0, $1) == 0 }
  }

  /// A listening socket on a port that the kernel chooses.
  static func listen() throws -> (descriptor: Int32, port: UInt16) {
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let descriptor = socket(AF_INET, kind, 0)
    guard descriptor >= 0, withAddress(0, { bind(descriptor, $0, $1) == 0 }),
      Glibc.listen(descriptor, 128) == 0
    else { throw BenchError("no port on 127.0.0.1: \(String(cString: strerror(errno)))") }
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    return (descriptor, UInt16(bigEndian: address.sin_port))
  }

  /// A port that nobody uses at the moment.
  static func freePort() throws -> UInt16 {
    let (descriptor, port) = try listen()
    close(descriptor)
    return port
  }

  private static func withAddress(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Bool)
    -> Bool
  {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}
