import CLinux
import Glibc
import Posix
import Synchronization
import Testing

@testable import InetDiag

/// Two ends of a TCP connection over the loopback, which the kernel joins without a wait.
final class Peers: Sendable {
  /// The addresses that a connection can go over.
  enum Family: CaseIterable {
    case v4, v6, mapped

    /// A container may have no IPv6.
    static let available = allCases.filter { $0 == .v4 || hasIPv6 }
  }

  private static let hasIPv6 = {
    let number = socket(AF_INET6, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard number >= 0 else { return false }
    let descriptor = Descriptor(number)
    return bind(descriptor.number, Family.v6, port: 0) == 0
  }()

  /// The port that was connected to, and the one that was connected from.
  let port: UInt16
  let clientPort: UInt16
  private let ends: Mutex<(client: Descriptor?, server: Descriptor?)>
  private let listener: Descriptor

  var client: Descriptor? { ends.withLock { $0.client } }
  var server: Descriptor? { ends.withLock { $0.server } }

  init(_ family: Family = .v4) throws {
    listener = try Descriptor(stream(family == .v6 ? AF_INET6 : AF_INET))
    try #require(bind(listener.number, family == .v6 ? .v6 : .v4, port: 0) == 0)
    try #require(listen(listener.number, 16) == 0)
    port = try #require(boundPort(of: listener.number))
    let client = try Descriptor(stream(family == .v4 ? AF_INET : AF_INET6))
    try #require(connect(client.number, family, port: port) == 0)
    clientPort = try #require(boundPort(of: client.number))
    let server = drover_accept(listener.number)
    try #require(server >= 0 && fcntl(server, F_SETFL, 0) == 0)
    ends = Mutex((client, Descriptor(server)))
  }

  /// Ends the connection without a trace.
  func reset() {
    var now = linger(l_onoff: 1, l_linger: 0)
    for end in [client, server].compactMap(\.self) {
      setsockopt(end.number, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
    }
    closeClient()
    closeServer()
  }

  func closeClient() { ends.withLock { $0.client = nil } }
  func closeServer() { ends.withLock { $0.server = nil } }

  /// The client's end as the kernel sees it.
  func clientEnd(_ socket: InetDiagSocket) throws -> TCPConnection? {
    try socket.connections(toPorts: port...port).first { $0.local.port == clientPort }
  }

  /// The server's end.
  func serverEnd(_ socket: InetDiagSocket) throws -> TCPConnection? {
    try socket.connections(toPorts: clientPort...clientPort).first { $0.local.port == port }
  }
}

/// Sends bytes; the number that were taken.
@discardableResult
func write(_ count: Int, to descriptor: Descriptor?, flags: Int = 0) -> Int {
  guard let descriptor else { return -1 }
  return send(
    descriptor.number, [UInt8](repeating: 0, count: count), count, Int32(flags) | Int32(MSG_NOSIGNAL)
  )
}

/// Takes a number of bytes.
func take(_ count: Int, from descriptor: Descriptor?) -> Int {
  guard let descriptor else { return -1 }
  var bytes = [UInt8](repeating: 0, count: count)
  return recv(descriptor.number, &bytes, count, Int32(MSG_WAITALL))
}

func stream(_ family: Int32, flags: Int32 = 0) throws -> Int32 {
  let number = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue) | flags, 0)
  try #require(number >= 0)
  return number
}

func connect(_ descriptor: Int32, _ family: Peers.Family, port: UInt16) -> Int32 {
  withLoopback(family, port) { Glibc.connect(descriptor, $0, $1) }
}

func bind(_ descriptor: Int32, _ family: Peers.Family, port: UInt16) -> Int32 {
  withLoopback(family, port) { Glibc.bind(descriptor, $0, $1) }
}

private func withLoopback(
  _ family: Peers.Family, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
) -> Int32 {
  func call<Address>(_ address: Address) -> Int32 {
    withUnsafePointer(to: address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<Address>.size))
      }
    }
  }
  guard family != .v4 else {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
    return call(address)
  }
  var address = sockaddr_in6()
  address.sin6_family = sa_family_t(AF_INET6)
  address.sin6_port = port.bigEndian
  inet_pton(AF_INET6, family == .v6 ? "::1" : "::ffff:127.0.0.1", &address.sin6_addr)
  return call(address)
}

func boundPort(of descriptor: Int32) -> UInt16? {
  var address = sockaddr_in6()
  var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
  let answer = withUnsafeMutablePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
  }
  // The port is at the same place for both families.
  return answer == 0 ? UInt16(bigEndian: address.sin6_port) : nil
}

struct Timeout: Error {}

/// Looks until there is a value; gives up after two minutes, since many suites may share the processors.
///
/// Also for what a close brings about: a child that is just being started holds copies of all descriptors.
@discardableResult
func eventually<T>(_ look: () throws -> T?) async throws -> T {
  let end = ContinuousClock.now + .seconds(120)
  while ContinuousClock.now < end {
    if let value = try look() { return value }
    await moment()
  }
  throw Timeout()
}

/// Lets a few milliseconds go by without holding a thread of Swift's pool.
private func moment() async {
  await withCheckedContinuation { continuation in
    let isStarted = startThread("test-moment") {
      poll(nil, 0, 3)
      continuation.resume()
    }
    if !isStarted { continuation.resume() }
  }
}
