import CLinux
import Glibc
import Posix
import Synchronization
import Testing

@testable import InetDiag

@Suite("Calls on the kernel's socket")
struct NetlinkSocketTests {
  @Test("answers of many datagrams are put together, also behind one that was given up")
  func manyDatagrams() throws {
    let listener = try Descriptor(stream(AF_INET))
    try #require(bind(listener.number, .v4, port: 0) == 0 && listen(listener.number, 256) == 0)
    let port = try #require(boundPort(of: listener.number))
    let clients = try (0..<200).map { _ in try Descriptor(stream(AF_INET)) }
    for client in clients { try #require(connect(client.number, .v4, port: port) == 0) }
    let netlink = try NetlinkSocket.open()
    let request = InetDiagRequest.all(toPorts: [port...port], states: [.established])
    var sequence: UInt32 = .max
    for _ in 0..<2 {
      let abandoned = request.message(sequence: 77)
      #expect(send(netlink.number, abandoned, abandoned.count, 0) == abandoned.count)
      let connections = try NetlinkSocket.ask(netlink, request, sequence: &sequence)
      #expect(connections.count == 200 && Set(connections.map(\.cookie)).count == 200)
    }
    #expect(sequence == 2)
  }

  @Test("a kernel that does not answer is given up")
  func noAnswer() throws {
    let netlink = try NetlinkSocket.open(patience: timeval(tv_sec: 0, tv_usec: 1000))
    var buffer = [UInt8](repeating: 0, count: 16)
    let error = #expect(throws: InetDiagError.self) {
      try NetlinkSocket.receive(netlink, &buffer, until: .now + .seconds(20))
    }
    #expect(error?.kind == .timeout)
    #expect(
      #expect(throws: InetDiagError.self) {
        try NetlinkSocket.receive(netlink, &buffer, until: .now)
      }?.kind == .timeout)
  }

  @Test("an answer that is longer than the buffer is refused, not cut")
  func tooLong() throws {
    let peers = try Peers()
    let netlink = try NetlinkSocket.open()
    let request = InetDiagRequest.all(toPorts: [peers.port...peers.port], states: [.established])
    let message = request.message(sequence: 1)
    #expect(send(netlink.number, message, message.count, 0) == message.count)
    var buffer = [UInt8](repeating: 0, count: 16)
    let error = #expect(throws: InetDiagError.self) {
      try NetlinkSocket.receive(netlink, &buffer, until: .now + .seconds(20))
    }
    #expect(error?.kind == .protocol)
  }

  @Test(
    "what another process sends is not taken for the kernel's answer",
    .enabled(if: geteuid() == 0, "needs CAP_NET_ADMIN: run as root"))
  func forged() throws {
    let netlink = try NetlinkSocket.open()
    var address = sockaddr_nl()
    var length = socklen_t(MemoryLayout<sockaddr_nl>.size)
    address.nl_family = sa_family_t(AF_NETLINK)
    let other = try NetlinkSocket.open()
    let sent = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.bind(netlink.number, $0, length) == 0 && getsockname(netlink.number, $0, &length) == 0
          ? sendto(other.number, "forged", 6, 0, $0, length) : -1
      }
    }
    try #require(sent == 6)
    let request = InetDiagRequest.all(toPorts: [1...1], states: []).message(sequence: 1)
    #expect(send(netlink.number, request, request.count, 0) == request.count)
    var buffer = [UInt8](repeating: 0, count: 4096)
    #expect(try NetlinkSocket.receive(netlink, &buffer, until: .now + .seconds(20)) == 20)
  }

  @Test("a signal does not end the wait for an answer")
  func signals() async {
    await #expect(processExitsWith: .success) {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { _ in }
      sigaction(SIGALRM, &action, nil)
      // The pool's threads take none by themselves.
      var alarm = sigset_t()
      sigaddset(&alarm, SIGALRM)
      pthread_sigmask(SIG_UNBLOCK, &alarm, nil)
      let waiting = UInt(pthread_self())
      let isOver = Atomic(false)
      try #require(
        startThread("drover-test") {
          while !isOver.load(ordering: .relaxed) { pthread_kill(pthread_t(waiting), SIGALRM) }
        })
      let netlink = try NetlinkSocket.open()
      var buffer = [UInt8](repeating: 0, count: 16)
      let error = #expect(throws: InetDiagError.self) {
        try NetlinkSocket.receive(netlink, &buffer, until: .now + .milliseconds(200))
      }
      isOver.store(true, ordering: .relaxed)
      // Not EAGAIN, which would be a whole second without a signal.
      #expect(error?.systemError == ETIMEDOUT)
    }
  }

  @Test("two threads at once each get their own answer")
  func concurrent() async throws {
    let pairs = try (0..<2).map { _ in try Peers() }
    let ports = pairs.map(\.port)
    let socket = try InetDiagSocket()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for port in ports {
        group.addTask {
          for _ in 0..<200 {
            let connections = try socket.connections(toPorts: port...port)
            #expect(connections.count == 1 && connections.first?.remote.port == port)
          }
        }
      }
      try await group.waitForAll()
    }
    withExtendedLifetime(pairs) {}
  }
}
