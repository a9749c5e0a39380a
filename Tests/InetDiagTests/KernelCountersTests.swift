import FoundationEssentials
import Glibc
import Posix
import Testing

@Suite("Counters of the kernel")
struct KernelCountersTests {
  @Test(
    "the counter is found by its name, and where it is not there nothing is",
    arguments: [
      ("Ip: Forwarding\nIp: 1\nTcp: MaxConn ActiveOpens PassiveOpens\nTcp: -1 53 7\nUdp: A\nUdp: 1\n", 53),
      ("Tcp: ActiveOpens\nTcp: 18446744073709551615", .max),
      ("", nil), ("Tcp: ActiveOpens\n", nil), ("Tcp: ActiveOpens\nTcp:\n", nil), ("Tcp: A\nTcp: 1\n", nil),
      ("Tcp: ActiveOpens\nTcp: -1\n", nil), ("Tcp: ActiveOpens\nTcp: x\n", nil),
      ("Tcp: ActiveOpens\nTcp: 1\nTcp: 2\n", nil), ("TcpExt: ActiveOpens\nTcpExt: 1\n", nil),
    ] as [(String, UInt64?)])
  func parsing(text: String, opened: UInt64?) {
    #expect(KernelCounters(bytes: Array(text.utf8))["ActiveOpens", of: "Tcp:"] == opened)
  }

  @Test("it grows with each connection that is begun here")
  func kernel() throws {
    func opened() throws -> UInt64 {
      let data = try Data(contentsOf: URL(filePath: "/proc/\(getpid())/net/snmp"))
      return try #require(KernelCounters(bytes: Array(data))["ActiveOpens", of: "Tcp:"])
    }
    let before = try opened()
    let peers = try (0..<3).map { _ in try Peers() }
    // Other tests open some, too.
    #expect(try opened() >= before + 3)
    withExtendedLifetime(peers) {}
  }
}
