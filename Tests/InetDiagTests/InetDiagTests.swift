import Glibc
import Testing

@testable import InetDiag

@Suite struct Smoke {
  @Test func all() throws {
    let socket = try InetDiagSocket()
    for connection in try socket.connections(toPorts: 0...65535) { print(connection) }
    print(ProcessTable().socketInodes(ofProcess: getpid()) as Any)
    print(try InetDiagSocket(networkNamespace: "/proc/self/ns/net").connections(toPorts: 1...65535).count)
  }
}
