import CurlClient
import Foundation
import Glibc
import Synchronization

/// A server that answers byte for byte what a test says, on a thread per connection.
final class TestServer: Sendable {
  enum Place: CaseIterable { case tcp, unix }

  let address: ServerAddress
  private let listener: Int32
  private let socketPath: String?
  private let counts = Mutex((accepted: 0, closed: 0))

  /// How many connections came in.
  var connections: Int { counts.withLock { $0.accepted } }

  /// How many of them this side has not closed.
  var openConnections: Int { counts.withLock { $0.accepted - $0.closed } }

  init(_ place: Place = .tcp, handler: @escaping @Sendable (Connection) -> Void) throws {
    switch place {
    case .tcp:
      (listener, address) = try Self.bindOnLoopback()
      socketPath = nil
      guard Glibc.listen(listener, 512) == 0 else { throw POSIXError(.EIO) }
    case .unix:
      let path = temporarySocketPath()
      (listener, address) = (try Self.listen(at: path), try ServerAddress(parsing: "unix://\(path)"))
      socketPath = path
    }
    Thread.detachNewThread { [listener] in
      while true {
        let fd = accept(listener, nil, nil)
        _ = fcntl(fd, F_SETFD, FD_CLOEXEC)
        guard fd >= 0 else { break }
        self.counts.withLock { $0.accepted += 1 }
        Thread.detachNewThread {
          handler(Connection(fd))
          close(fd)
          self.counts.withLock { $0.closed += 1 }
        }
      }
      close(listener)
    }
  }

  func stop() {
    shutdown(listener, Int32(SHUT_RDWR))
    if let socketPath { unlink(socketPath) }
  }

  func endpoint(_ path: String = "/") -> Endpoint { Endpoint(address, path: path) }

  /// A port of its own where nothing listens yet.
  static func bindOnLoopback() throws -> (Int32, ServerAddress) {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(fd, $0, length) == 0 ? getsockname(fd, $0, &length) : -1
      }
    }
    guard result == 0 else { throw POSIXError(.EIO) }
    return (fd, try ServerAddress(parsing: "http://127.0.0.1:\(UInt16(bigEndian: name.sin_port))"))
  }

  static func listen(at path: String) throws -> Int32 {
    let fd = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(fd, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0, Glibc.listen(fd, 512) == 0 else { throw POSIXError(.EIO) }
    return fd
  }
}

/// One accepted connection; every wait gives up after 20 seconds.
struct Connection {
  private let fd: Int32

  init(_ fd: Int32) { self.fd = fd }

  /// The next request, header and body as they came, or nil at the end of the connection.
  func request() -> String? { message().map { String(decoding: $0.head + $0.body, as: UTF8.self) } }

  /// The next request in two parts, or nil at the end of the connection.
  func message() -> (head: [UInt8], body: [UInt8])? {
    var bytes: [UInt8] = []
    while true {
      if let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
        let head = String(decoding: bytes[..<end.upperBound], as: UTF8.self)
        let length = head.lowercased().firstMatch(of: /content-length: (\d+)/).flatMap { Int($0.1) } ?? 0
        if bytes.count >= end.upperBound + length {
          return (Array(bytes[..<end.upperBound]), Array(bytes[end.upperBound...]))
        }
      }
      guard let more = receive() else { return nil }
      bytes += more
    }
  }

  @discardableResult
  func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// Answers 200 with this body and keeps the connection.
  @discardableResult
  func answer(_ body: String = "ok") -> Bool {
    send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
  }

  /// Answers every request the same until the client goes.
  func answerAll(_ body: String = "ok") { while request() != nil, answer(body) {} }

  /// Waits until the client has closed the connection, and says when.
  func waitForClose() -> ContinuousClock.Instant? {
    while receive() != nil {}
    return ContinuousClock.now
  }

  /// Lets time pass without reading.
  func pause(milliseconds: Int32) {
    var poll = pollfd(fd: fd, events: 0, revents: 0)
    _ = Glibc.poll(&poll, 1, milliseconds)
  }

  /// The client's end of this connection, if the client lives in this process and has no other.
  func clientDescriptor() -> Int32? {
    let own = Self.name(fd, getsockname)
    return (3..<4096).first { Self.name($0, getpeername) == own }
  }

  private static func name(
    _ fd: Int32, _ call: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
  ) -> [UInt8]? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call(fd, $0, &length) }
    }
    return result == 0 ? withUnsafeBytes(of: storage) { Array($0.prefix(Int(length))) } : nil
  }

  /// The next bytes, whatever they are, or nil at the end of the connection.
  func receive() -> [UInt8]? {
    var poll = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
    guard Glibc.poll(&poll, 1, 20_000) > 0 else { return nil }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = recv(fd, &buffer, buffer.count, 0)
    return count > 0 ? Array(buffer[..<count]) : nil
  }
}

func temporarySocketPath() -> String { "/tmp/curl-client-\(UUID().uuidString).sock" }

/// Runs a test against a server and a client of its own, and ends both.
func withServer(
  _ place: TestServer.Place = .tcp, configuration: CurlClient.Configuration = .init(),
  handler: @escaping @Sendable (Connection) -> Void,
  test: (TestServer, CurlClient) async throws -> Void
) async throws {
  let server = try TestServer(place, handler: handler)
  let client = CurlClient(configuration: configuration)
  do {
    try await test(server, client)
  } catch {
    server.stop()
    await client.shutdown()
    throw error
  }
  server.stop()
  await client.shutdown()
}

/// What a request brings, as a value that `#expect` can look into.
func outcome(_ client: CurlClient, _ request: Request) async -> Result<Response, CurlError> {
  do {
    return .success(try await client.send(request))
  } catch {
    return .failure(error)
  }
}

extension Result where Success == Response, Failure == CurlError {
  var response: Response? { try? get() }

  var error: CurlError? { if case .failure(let error) = self { error } else { nil } }
}

/// The error that a request brings; nil when it brings a response.
func failure(_ client: CurlClient, _ request: Request) async -> CurlError? {
  await outcome(client, request).error
}

/// A value that one thread sets and a test waits for.
final class Box<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)

  func set(_ new: Value) { value.withLock { $0 = new } }

  var now: Value? { value.withLock { $0 } }

  func wait() async throws -> Value {
    try await eventually { self.now }
  }
}

/// Texts that server threads saw, in order.
final class Mailbag: Sendable {
  private let texts = Mutex<[String]>([])

  var all: [String] { texts.withLock { $0 } }

  func put(_ text: String) { texts.withLock { $0.append(text) } }
}

/// A sum that server threads add to.
final class Counter: Sendable {
  private let sum = Atomic(0)

  var value: Int { sum.load(ordering: .sequentiallyConsistent) }

  func add(_ count: Int) { sum.add(count, ordering: .sequentiallyConsistent) }
}

struct Timeout: Error {}

/// Looks until there is a value; gives up after 20 seconds.
func eventually<T>(_ look: () async throws -> T?) async throws -> T {
  let end = ContinuousClock.now + .seconds(20)
  while ContinuousClock.now < end {
    if let value = try await look() { return value }
    try await Task.sleep(for: .milliseconds(1))
  }
  throw Timeout()
}
