import Foundation
import Glibc
import MicroHTTP
import Synchronization
import Testing

/// Runs blocking work on a thread of its own.
func blocking<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
  }
}

/// Waits until a condition holds; fails after a minute.
func eventually(_ what: Comment, _ condition: @Sendable () -> Bool) async throws {
  let deadline = ContinuousClock.now + .seconds(60)
  while !condition() {
    guard ContinuousClock.now < deadline else {
      Issue.record("never: \(what)")
      return
    }
    try await Task.sleep(for: .milliseconds(5))
  }
}

struct Answer: Sendable {
  var status = 0
  var headers: [(name: String, value: String)] = []
  var body: [UInt8] = []

  var text: String { String(decoding: body, as: UTF8.self) }

  func header(_ name: String) -> String? {
    headers.first { $0.name.lowercased() == name.lowercased() }?.value
  }
}

struct ClientError: Error { let call: String, number: Int32 }

/// A blocking HTTP client that sends exactly what it is told.
final class RawClient: Sendable {
  let descriptor: Int32
  private let buffer = Mutex<[UInt8]>([])

  init(_ address: ListenAddress, from: String? = nil, receiveBuffer: Int32? = nil) throws {
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    var storage = sockaddr_storage()
    switch address {
    case .unix(let path):
      var name = sockaddr_un()
      name.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
      size = socklen_t(MemoryLayout<sockaddr_un>.size)
      withUnsafeMutableBytes(of: &storage) { target in
        withUnsafeBytes(of: name) { target.copyMemory(from: $0) }
      }
    case .tcp(let host, let port):
      if let host, host.contains(":") {
        var name = sockaddr_in6()
        name.sin6_family = sa_family_t(AF_INET6)
        name.sin6_port = port.bigEndian
        inet_pton(AF_INET6, host, &name.sin6_addr)
        size = socklen_t(MemoryLayout<sockaddr_in6>.size)
        withUnsafeMutableBytes(of: &storage) { target in
          withUnsafeBytes(of: name) { target.copyMemory(from: $0) }
        }
      } else {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        inet_pton(AF_INET, host ?? "127.0.0.1", &name.sin_addr)
        size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutableBytes(of: &storage) { target in
          withUnsafeBytes(of: name) { target.copyMemory(from: $0) }
        }
      }
    }
    descriptor = socket(Int32(storage.ss_family), Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw ClientError(call: "socket", number: errno) }
    var timeout = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    if var receiveBuffer {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, socklen_t(MemoryLayout<Int32>.size))
    }
    let descriptor = descriptor
    if let from {
      var name = sockaddr_un()
      name.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: from.utf8) }
      let bound = withUnsafePointer(to: &name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
      guard bound == 0 else { throw ClientError(call: "bind", number: errno) }
    }
    let result = withUnsafePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
    }
    guard result == 0 else {
      let number = errno
      Glibc.close(descriptor)
      throw ClientError(call: "connect", number: number)
    }
  }

  deinit { Glibc.close(descriptor) }

  /// - Returns: how much was sent before the server closed.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Int {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(
          descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { break }
      sent += count
    }
    return sent
  }

  @discardableResult
  func send(_ text: String) -> Int { send(Array(text.utf8)) }

  func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// One response, or nil when the server closed before its end.
  func response(head: Bool = false) -> Answer? {
    var answer = Answer()
    repeat {
      guard let end = fill(until: Array("\r\n\r\n".utf8)) else { return nil }
      let lines = String(decoding: take(end), as: UTF8.self).components(separatedBy: "\r\n")
      answer.status = Int(lines[0].split(separator: " ").dropFirst().first ?? "") ?? 0
      answer.headers = lines.dropFirst().filter { !$0.isEmpty }.map { line in
        let parts = line.split(separator: ":", maxSplits: 1)
        return (String(parts[0]), parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : "")
      }
    } while answer.status == 100
    guard !head, let length = answer.header("Content-Length").flatMap(Int.init), answer.status != 304 else {
      return answer
    }
    guard fill(count: length) else { return nil }
    answer.body = take(length)
    return answer
  }

  func get(_ target: String, method: String = "GET", headers: String = "") -> Answer? {
    send("\(method) \(target) HTTP/1.1\r\nHost: x\r\n\(headers)\r\n")
    return response(head: method == "HEAD")
  }

  func waitForFirstByte() {
    var byte: UInt8 = 0
    _ = recv(descriptor, &byte, 1, Int32(MSG_PEEK))
  }

  /// Whether bytes, or the end of the connection, have arrived and were not read.
  var hasSomethingToRead: Bool {
    var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return Glibc.poll(&poll, 1, 0) > 0
  }

  /// What comes until the server closes.
  func rest() -> [UInt8] {
    while readMore() {}
    return buffer.withLock { buffer in
      defer { buffer = [] }
      return buffer
    }
  }

  private func take(_ count: Int) -> [UInt8] {
    buffer.withLock { buffer in
      defer { buffer.removeFirst(count) }
      return Array(buffer.prefix(count))
    }
  }

  private func fill(count: Int) -> Bool {
    while buffer.withLock({ $0.count }) < count { if !readMore() { return false } }
    return true
  }

  private func fill(until mark: [UInt8]) -> Int? {
    while true {
      let end = buffer.withLock { $0.firstRange(of: mark)?.upperBound }
      if let end { return end }
      if !readMore() { return nil }
    }
  }

  private func readMore() -> Bool {
    var chunk = [UInt8](repeating: 0, count: 1 << 18)
    let count = read(descriptor, &chunk, chunk.count)
    guard count > 0 else { return false }
    buffer.withLock { $0 += chunk[..<count] }
    return true
  }
}

/// What a server said, and where it listens.
struct TestServer: Sendable {
  let addresses: [ListenAddress]
  let log: Recorder

  var address: ListenAddress { addresses[0] }

  func client(receiveBuffer: Int32? = nil) async throws -> RawClient {
    let address = address
    return try await blocking { try RawClient(address, receiveBuffer: receiveBuffer) }
  }

  func get(_ target: String, method: String = "GET", headers: String = "") async throws -> Answer {
    let address = address
    let answer = try await blocking {
      try RawClient(address).get(target, method: method, headers: headers)
    }
    return try #require(answer)
  }

  /// Asks until there is an answer other than 503.
  func waitUntilServed(_ target: String) async throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while try await get(target).status == 503 {
      guard ContinuousClock.now < deadline else {
        Issue.record("\(target) was not served again")
        return
      }
    }
  }

  /// Sends text and gives the first answer.
  func send(_ text: String) async throws -> Answer? {
    let address = address
    return try await blocking {
      let client = try RawClient(address)
      client.send(text)
      return client.response()
    }
  }
}

final class Box<Value: Sendable>: Sendable {
  private let kept: Mutex<Value>
  init(_ value: Value) { kept = Mutex(value) }
  var value: Value {
    get { kept.withLock { $0 } }
    set { kept.withLock { $0 = newValue } }
  }
}

final class Recorder: Sendable {
  private let kept = Mutex<[String]>([])
  var lines: [String] { kept.withLock { $0 } }
  func add(_ line: String) { kept.withLock { $0.append(line) } }
}

final class Counter: Sendable {
  private let number = Mutex(0)
  var value: Int { number.withLock { $0 } }
  func add(_ by: Int = 1) { number.withLock { $0 += by } }
}

/// How many are inside, and how many were at the most.
final class Occupancy: Sendable {
  private let state = Mutex((now: 0, most: 0))
  var most: Int { state.withLock { $0.most } }

  func enter() {
    state.withLock { state in
      state.now += 1
      state.most = max(state.most, state.now)
    }
  }

  func leave() { state.withLock { $0.now -= 1 } }
}

/// A gate that handlers wait at.
final class Gate: Sendable {
  private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))
  var waiting: Int { state.withLock { $0.waiting.count } }

  func pass() async {
    await withCheckedContinuation { continuation in
      let isOpen = state.withLock { state in
        if !state.isOpen { state.waiting.append(continuation) }
        return state.isOpen
      }
      if isOpen { continuation.resume() }
    }
  }

  func open() {
    let waiting = state.withLock { state in
      defer { state = (true, []) }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }
}

/// Serves while `body` runs, then stops; gives the time that stopping took.
@discardableResult
func withServer(
  _ router: Router, limits: Limits = Limits(), at addresses: [String] = ["127.0.0.1:0"],
  tls: (@Sendable () -> TLSCredentials)? = nil, _ body: @Sendable (TestServer) async throws -> Void
) async throws -> Duration {
  let log = Recorder()
  let listeners = try addresses.map { Listener(try ListenAddress($0), createsDirectory: true) }
  let server = try HTTPServer(listeners: listeners, router: router, limits: limits, tls: tls) {
    log.add($0)
  }
  return try await withThrowingTaskGroup { group in
    group.addTask { try await server.run() }
    let result: Result<Void, any Error>
    do {
      try await body(TestServer(addresses: server.boundAddresses, log: log))
      result = .success(())
    } catch {
      result = .failure(error)
    }
    let began = ContinuousClock.now
    group.cancelAll()
    try await group.waitForAll()
    try result.get()
    return ContinuousClock.now - began
  }
}

func temporaryDirectory() throws -> String {
  var template = Array("/tmp/microhttp.XXXXXX".utf8CString)
  guard mkdtemp(&template) != nil else { throw ClientError(call: "mkdtemp", number: errno) }
  return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
