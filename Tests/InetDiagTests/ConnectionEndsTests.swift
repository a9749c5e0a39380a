import CLinux
import Glibc
import Testing

@testable import InetDiag

// One of them makes so many connections that the others would miss notices.
@Suite("Connections of this machine that end", .serialized)
struct ConnectionEndsTests {
  let socket: InetDiagSocket
  let ends: ConnectionEnds

  init() throws {
    socket = try InetDiagSocket()
    ends = try ConnectionEnds()
  }

  /// Awaits the end of some connections; other tests' end meanwhile.
  private func order(of cookies: Set<UInt64>) async throws -> [UInt64] {
    var told: [UInt64] = []
    return try await eventually {
      told += try ends.take().filter(cookies.contains)
      return Set(told) == cookies ? told : nil
    }
  }

  @Test("are told in the order in which they ended, once each", arguments: Peers.Family.available)
  func order(family: Peers.Family) async throws {
    let all = try (0..<4).map { _ in try Peers(family) }
    let cookies = try all.map { try #require(try $0.clientEnd(socket)?.cookie) }
    #expect(try ends.take().allSatisfy { !cookies.contains($0) })
    let order = [2, 0, 3, 1]
    for n in order {
      all[n].closeServer()
      all[n].closeClient()
      #expect(try await self.order(of: [cookies[n]]) == [cookies[n]])
    }
    #expect(try ends.take().allSatisfy { !cookies.contains($0) })
  }

  @Test("a connection that waits for its peer's last word has not ended")
  func halfClosed() async throws {
    let (half, whole) = (try Peers(), try Peers())
    let waiting = try #require(try half.clientEnd(socket)?.cookie)
    try #require(shutdown(try #require(half.client).number, Int32(SHUT_WR)) == 0)
    let ended = try #require(try whole.clientEnd(socket)?.cookie)
    whole.closeServer()
    whole.closeClient()
    #expect(try await order(of: [ended]) == [ended])
    half.closeServer()
    half.closeClient()
    #expect(try await order(of: [waiting]) == [waiting])
  }

  @Test("where more end than the kernel keeps notices of, later ones are told all the same")
  func overflow() async throws {
    let count = 2000
    // Reset, since what waits for a late packet would be in the way of other tests' ports.
    for _ in 0..<count { try Peers().reset() }
    #expect(try ends.take().count < count)
    // The kernel may still be busy with the others: some of these may be missing, too.
    var later: Set<UInt64> = []
    _ = try await eventually {
      let peers = try Peers()
      later.insert(try #require(try peers.clientEnd(socket)?.cookie))
      peers.reset()
      return try ends.take().first(where: later.contains)
    }
  }
}
