import CLinux
import DroverCore
import Glibc
import Testing

@testable import InetDiag

@Suite("Connections of this machine")
struct ConnectionTests {
  let socket: InetDiagSocket

  init() throws { socket = try InetDiagSocket() }

  @Test("a connection is found by the port it goes to", arguments: Peers.Family.available)
  func found(family: Peers.Family) throws {
    let peers = try Peers(family)
    let client = try #require(try peers.clientEnd(socket))
    let address = IPAddress(family == .v6 ? "::1" : "127.0.0.1")
    #expect(client.local.address == address && client.remote.address == address)
    #expect(client.remote.port == peers.port)
    #expect(client.state == .established && client.timer == .none)
    #expect(client.uid == getuid())
    let server = try #require(try peers.serverEnd(socket))
    #expect(server.local == client.remote && server.remote == client.local)
    #expect(server.cookie != client.cookie)
    #expect(try peers.clientEnd(socket)?.cookie == client.cookie)
  }

  @Test("connections to other ports are left out, to the port")
  func otherPorts() throws {
    let peers = try Peers()
    let port = peers.port
    func isFound(_ ports: ClosedRange<UInt16>) throws -> Bool {
      let connections = try socket.connections(toPorts: ports)
      #expect(connections.allSatisfy { ports.contains($0.remote.port) })
      return connections.contains { $0.local.port == peers.clientPort && $0.remote.port == port }
    }
    #expect(try isFound(port...port))
    #expect(try isFound(port - 1...port))
    #expect(try isFound(port...port + 1))
    #expect(try isFound(0...65535))
    #expect(try !isFound(0...port - 1))
    #expect(try !isFound(port + 1...65535))
  }

  @Test("several ranges are asked for at once, whichever of them a port is in")
  func ranges() throws {
    let peers = try Peers()
    let port = peers.port
    func isFound(_ connections: [TCPConnection]) -> Bool {
      connections.contains { $0.local.port == peers.clientPort && $0.remote.port == port }
    }
    #expect(isFound(try socket.connections(toPorts: port...port, 1...2)))
    #expect(isFound(try socket.connections(toPorts: 1...2, port...port)))
    #expect(isFound(try socket.connections(toPorts: 1...2, port - 1...port + 1, 3...4)))
    #expect(isFound(try socket.connections(toPorts: 1...2, 3...4, port...port)))
    #expect(!isFound(try socket.connections(toPorts: 0...port - 1, port + 1...65535)))
    #expect(!isFound(try socket.connections(toPorts: port + 1...65535, 1...2, 0...port - 1)))
    #expect(try socket.connections(states: [.established]).isEmpty)
  }

  @Test("connections in other states are left out")
  func otherStates() throws {
    let peers = try Peers()
    #expect(try socket.connections(toPorts: peers.port...peers.port, states: [.established]).count == 1)
    let others = Set(TCPConnection.State.allCases).subtracting([.established])
    #expect(try socket.connections(toPorts: peers.port...peers.port, states: others).isEmpty)
    #expect(try socket.connections(toPorts: peers.port...peers.port, states: []).isEmpty)
  }

  @Test("the time since data came is short after some came, and grows while none comes")
  func silence() async throws {
    let peers = try Peers()
    let before = ContinuousClock.now
    write(1, to: peers.server)
    #expect(take(1, from: peers.client) == 1)
    let first = try #require(try peers.clientEnd(socket)?.lastDataReceived)
    // The kernel counts in ticks of up to 10 ms.
    #expect(first <= ContinuousClock.now - before + .milliseconds(10))
    let later = try await eventually {
      try peers.clientEnd(socket)?.lastDataReceived.flatMap { $0 >= first + .milliseconds(50) ? $0 : nil }
    }
    #expect(later <= ContinuousClock.now - before + .milliseconds(10))
    // The peer, which sent it, has had an acknowledgement for as long.
    let peer = try #require(try peers.serverEnd(socket))
    #expect(try #require(peer.lastAckReceived) >= .milliseconds(50))
    #expect(try #require(peer.lastDataSent) >= .milliseconds(50))
    let again = ContinuousClock.now
    write(1, to: peers.server)
    #expect(take(1, from: peers.client) == 1)
    let fresh = try #require(try peers.clientEnd(socket)?.lastDataReceived)
    #expect(fresh <= ContinuousClock.now - again + .milliseconds(10))
  }

  @Test("bytes are counted on both sides")
  func bytes() throws {
    let peers = try Peers()
    #expect(write(1000, to: peers.client) == 1000)
    #expect(try peers.serverEnd(socket)?.receiveQueue == 1000)
    #expect(take(1000, from: peers.server) == 1000)
    let server = try #require(try peers.serverEnd(socket))
    #expect(server.bytesReceived == 1000 && server.receiveQueue == 0)
    // The kernel counts the beginning of a connection as a byte.
    let client = try #require(try peers.clientEnd(socket))
    #expect(client.bytesAcked == 1001 && client.sendQueue == 0 && client.unacked == 0)
  }

  @Test("what a peer does not take stays in the queues, and is asked about by and by")
  func peerThatDoesNotRead() async throws {
    let peers = try Peers()
    var written: UInt64 = 0
    while case let count = write(65536, to: peers.client, flags: MSG_DONTWAIT), count > 0 {
      written += UInt64(count)
    }
    let client = try await eventually {
      try peers.clientEnd(socket).flatMap {
        $0.timer == .zeroWindowProbe && $0.timerExpires > .zero ? $0 : nil
      }
    }
    let server = try #require(try peers.serverEnd(socket))
    let notSent = try #require(client.notSent)
    #expect(notSent.count > 0 && client.sendQueue >= notSent)
    #expect(client.unacked == client.sendQueue - notSent)
    #expect(server.receiveQueue + client.sendQueue == Bytes(written))
    #expect(server.sendQueue == 0)
  }

  @Test("a closing peer leaves CLOSE_WAIT, and has no owner and no tcp_info itself")
  func closedByPeer() async throws {
    let peers = try Peers()
    peers.closeServer()
    let client = try await eventually {
      try peers.clientEnd(socket).flatMap { $0.state == .closeWait ? $0 : nil }
    }
    #expect(client.inode != 0)
    let server = try await eventually {
      try peers.serverEnd(socket).flatMap { $0.state == .finWait2 ? $0 : nil }
    }
    #expect(server.inode == 0 && server.lastDataReceived == nil)
  }

  @Test("a connection that this side closed first ends in TIME_WAIT, without an owner")
  func closedBySelf() async throws {
    let peers = try Peers()
    peers.closeClient()
    try await eventually {
      try peers.serverEnd(socket).flatMap { $0.state == .closeWait ? $0 : nil }
    }
    peers.closeServer()
    let client = try await eventually {
      try peers.clientEnd(socket).flatMap { $0.state == .timeWait ? $0 : nil }
    }
    #expect(client.inode == 0)
    #expect(client.timer == .timeWait && client.timerExpires > .zero)
    #expect(client.lastDataReceived == nil && client.retransmits == nil && client.notSent == nil)
    #expect(try peers.serverEnd(socket) == nil)
  }

  @Test("one that nobody answers is SYN_SENT, and says when it is tried again")
  func unanswered() async throws {
    let listener = try Descriptor(stream(AF_INET))
    try #require(bind(listener.number, .v4, port: 0) == 0 && listen(listener.number, 0) == 0)
    let port = try #require(boundPort(of: listener.number))
    // One that waits fills the queue; what comes then is dropped.
    let waiting = try (0..<3).map { _ in try Descriptor(stream(AF_INET, flags: Int32(SOCK_NONBLOCK.rawValue)))
    }
    for one in waiting { _ = connect(one.number, .v4, port: port) }
    let connection = try #require(try socket.connections(toPorts: port...port, states: [.synSent]).first)
    #expect(connection.timer == .retransmit && connection.timerExpires > .zero)
    #expect(connection.timerExpires <= connection.retransmitTimeout ?? .zero)
    #expect(connection.lastDataReceived == nil && connection.lastAckReceived == nil)
  }

  @Test("a connection is read again by itself", arguments: Peers.Family.available)
  func again(family: Peers.Family) async throws {
    let peers = try Peers(family)
    let first = try #require(try peers.clientEnd(socket))
    #expect(try socket.refreshed(first)?.bytesReceived == 0)
    write(10, to: peers.server)
    #expect(take(10, from: peers.client) == 10)
    let second = try #require(try socket.refreshed(first))
    #expect(second.bytesReceived == 10 && second.cookie == first.cookie && second.inode == first.inode)
    #expect(second.local == first.local && second.remote == first.remote)
    peers.closeClient()
    try await eventually { try socket.refreshed(first).flatMap { $0.inode == 0 ? $0 : nil } }
  }

  @Test("another connection between the same ends is not the same connection")
  func another() throws {
    let peers = try Peers()
    var former = try #require(try peers.clientEnd(socket))
    former.cookie &+= 1 << 40
    #expect(try socket.refreshed(former) == nil)
    var elsewhere = try #require(try peers.clientEnd(socket))
    elsewhere.remote.port &+= 1
    #expect(try socket.refreshed(elsewhere) == nil)
    #expect(try peers.clientEnd(socket) != nil)
  }

  @Test("the inode is that of the owner's descriptor")
  func inode() throws {
    let peers = try Peers()
    var status = stat()
    #expect(fstat(try #require(peers.client).number, &status) == 0)
    let inode = try #require(try peers.clientEnd(socket)?.inode)
    #expect(inode == status.st_ino)
    #expect(ProcessTable().socketInodes(ofProcess: getpid())?.contains(inode) == true)
  }
}
