import CLinux
import Foundation
import Glibc
import Posix
import Testing

@testable import InetDiag

/// A network namespace takes CAP_SYS_ADMIN, which even root may lack in a container; DROVER_LAB insists.
private let hasNamespaces = {
  ProcessInfo.processInfo.environment["DROVER_LAB"] == "1" || (try? Namespace()) != nil
}()

@Suite("Network namespaces")
struct NamespaceTests {
  @Test(
    "the connections of another namespace are read there, and this process stays where it is",
    .enabled(if: hasNamespaces, "needs CAP_SYS_ADMIN: run as root"))
  func other() throws {
    let before = ownNamespaces()
    let namespace = try Namespace()
    let port = namespace.port
    let inside = try InetDiagSocket(networkNamespace: namespace.path)
    let connection = try #require(try inside.connections(toPorts: port...port).first)
    #expect(connection.remote.address == IPAddress("127.0.0.1") && connection.state == .established)
    let outside = try InetDiagSocket()
    #expect(try outside.connections(toPorts: port...port).allSatisfy { $0.cookie != connection.cookie })
    #expect(ownNamespaces() == before && before.count == 1 && before != [nil])
  }

  @Test(
    "a socket reads its namespace on when nothing else names it any more",
    .enabled(if: hasNamespaces, "needs CAP_SYS_ADMIN: run as root"))
  func unnamed() async throws {
    var namespace: Namespace? = try Namespace()
    let port = try #require(namespace?.port)
    let socket = try InetDiagSocket(networkNamespace: try #require(namespace?.path))
    #expect(try socket.connections(toPorts: port...port, states: [.established]).count == 1)
    namespace = nil
    try await eventually {
      try socket.connections(toPorts: port...port, states: [.established]).isEmpty ? true : nil
    }
  }

  @Test(
    "a path that is no network namespace is unavailable", arguments: ["/nonexistent/ns/net", "/dev/null"])
  func noNamespace(path: String) {
    let error = #expect(throws: InetDiagError.self) { _ = try InetDiagSocket(networkNamespace: path) }
    // Without CAP_SYS_ADMIN the kernel does not even look.
    #expect(error?.kind == .unavailable || error?.systemError == EPERM)
    #expect(error?.call.contains(path) == true)
  }

  @Test(
    "a user without privileges reads the own namespace, and is denied another one's and other users' sockets")
  func unprivileged() async {
    await #expect(processExitsWith: .success) {
      if geteuid() == 0 {
        try #require(setgroups(0, nil) == 0 && setgid(65534) == 0)
        try #require(setuid(65534) == 0)
      }
      let error = #expect(throws: InetDiagError.self) {
        _ = try InetDiagSocket(networkNamespace: "/proc/1/ns/net")
      }
      #expect(error?.kind == .denied)
      #expect(ProcessTable().socketInodes(ofProcess: 1) == nil)
      #expect(throws: Never.self) { _ = try InetDiagSocket(networkNamespace: "/proc/self/ns/net") }
      let peers = try Peers()
      let connection = try #require(try peers.clientEnd(try InetDiagSocket()))
      #expect(connection.inode != 0 && connection.lastAckReceived != nil && connection.notSent != nil)
    }
  }
}

/// The namespaces of the process's first thread and of the calling one.
private func ownNamespaces() -> Set<String?> {
  Set(
    ["self", "thread-self"].map {
      try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\($0)/ns/net")
    })
}

/// A new network namespace with a connection in it.
private final class Namespace {
  let port: UInt16
  private let descriptor: Descriptor
  private let peers: Peers

  var path: String { "/proc/self/fd/\(descriptor.number)" }

  init() throws {
    let (descriptor, peers) = try NetworkNamespace.onThread { () throws(InetDiagError) in
      guard drover_make_network_namespace() == 0 else { throw .system("unshare", errno) }
      do {
        try raiseLoopback()
        let descriptor = Descriptor(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC))
        return (descriptor, try Peers())
      } catch {
        throw .garbled("\(error)")
      }
    }
    self.descriptor = descriptor
    self.peers = peers
    port = peers.port
  }
}

/// Does in the calling thread's namespace what `ip link set lo up` does.
private func raiseLoopback() throws {
  let socket = Descriptor(socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
  var request = ifreq()
  withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: "lo".utf8) }
  request.ifr_ifru.ifru_flags = Int16(IFF_UP)
  try #require(ioctl(socket.number, UInt(SIOCSIFFLAGS), &request) == 0)
}
