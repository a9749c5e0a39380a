import CLinux
import DroverCore
import Glibc
import Testing

@testable import InetDiag

@Suite("The kernel's answers")
struct ReplyTests {
  @Test("a connection is read with all its figures")
  func established() throws {
    let (connections, progress) = try read(Recorded.v4, Recorded.done)
    #expect(progress == .finished)
    try #require(connections.count == 2)
    let loopback = try #require(IPAddress("127.0.0.1"))
    var expected = TCPConnection(
      local: .init(address: loopback, port: 51542), remote: .init(address: loopback, port: 49152),
      state: .established, cookie: 0xDD, inode: 86131, uid: 0)
    expected.retransmitBackoff = 0
    expected.retransmitTimeout = .microseconds(204_000)
    expected.receiveQueue = 5
    expected.notSent = 0
    expected.unackedSegments = 0
    expected.retransmits = 0
    expected.bytesAcked = 1001
    expected.bytesReceived = 5
    expected.lastDataSent = .milliseconds(500)
    expected.lastDataReceived = .milliseconds(500)
    expected.lastAckReceived = .milliseconds(500)
    #expect(connections[0] == expected)
    #expect(connections[0].unacked == 0)
  }

  @Test("one in TIME_WAIT has its ends and its timer, and nothing of what needs tcp_info")
  func timeWait() throws {
    let connection = try #require(try read(Recorded.v4).connections.last)
    var expected = TCPConnection(
      local: connection.local, remote: connection.remote, state: .timeWait, cookie: 0xDE)
    expected.timer = .timeWait
    expected.timerExpires = .milliseconds(59500)
    #expect(connection == expected)
    #expect(connection.local.port == 51558 && connection.unacked == nil)
  }

  @Test("one between IPv4-mapped addresses shows the IPv4 ones")
  func mapped() throws {
    let connection = try #require(try read(Recorded.v6).connections.first)
    #expect("\(connection.local) \(connection.remote)" == "127.0.0.1:51560 127.0.0.1:49152")
    #expect(connection.local.address == IPAddress("127.0.0.1"))
  }

  @Test("the fields of tcp_info are where glibc has them too, as far as glibc goes")
  func offsets() {
    #expect(TCPInfo.backoff.rawValue == MemoryLayout<tcp_info>.offset(of: \.tcpi_backoff))
    #expect(TCPInfo.rto.rawValue == MemoryLayout<tcp_info>.offset(of: \.tcpi_rto))
    #expect(TCPInfo.unacked.rawValue == MemoryLayout<tcp_info>.offset(of: \.tcpi_unacked))
    #expect(TCPInfo.lastDataSent.rawValue == MemoryLayout<tcp_info>.offset(of: \.tcpi_last_data_sent))
    #expect(TCPInfo.lastDataRecv.rawValue == MemoryLayout<tcp_info>.offset(of: \.tcpi_last_data_recv))
    #expect(TCPInfo.lastAckRecv.rawValue == MemoryLayout<tcp_info>.offset(of: \.tcpi_last_ack_recv))
    #expect(TCPInfo.totalRetrans.rawValue == MemoryLayout<tcp_info>.offset(of: \.tcpi_total_retrans))
  }

  @Test("a shorter tcp_info leaves out what it does not hold, and only that")
  func shortInfo() throws {
    let whole = try #require(try read(Recorded.v4).connections.first)
    for length in 0...280 {
      let connection = try #require(try read(Recorded.withInfo(of: length)).connections.first)
      func expected<T>(_ value: T?, _ field: TCPInfo, _ size: Int) -> T? {
        length >= field.rawValue + size ? value : nil
      }
      #expect(connection.retransmitBackoff == expected(whole.retransmitBackoff, .backoff, 1))
      #expect(connection.unackedSegments == expected(whole.unackedSegments, .unacked, 4))
      #expect(connection.lastDataReceived == expected(whole.lastDataReceived, .lastDataRecv, 4))
      #expect(connection.retransmits == expected(whole.retransmits, .totalRetrans, 4))
      #expect(connection.bytesAcked == expected(whole.bytesAcked, .bytesAcked, 8))
      #expect(connection.bytesReceived == expected(whole.bytesReceived, .bytesReceived, 8))
      #expect(connection.notSent == expected(whole.notSent, .notsentBytes, 4))
      #expect(connection.receiveQueue == 5)
    }
  }

  @Test("before the first answer there is no time of one, and a listener has none of a connection's figures")
  func meaningless() throws {
    var bytes = Recorded.v4
    bytes[17] = TCPConnection.State.synSent.rawValue
    let asking = try #require(try read(bytes).connections.first)
    #expect(asking.lastDataReceived == nil && asking.lastAckReceived == nil && asking.lastDataSent == nil)
    #expect(asking.retransmitTimeout != nil)
    bytes[17] = TCPConnection.State.listen.rawValue
    let listening = try #require(try read(bytes).connections.first)
    #expect(listening.lastDataReceived == nil && listening.notSent == nil && listening.receiveQueue == 5)
  }

  @Test(
    "timers go by the kernel's numbers",
    arguments: zip(
      0...6 as ClosedRange<UInt8>,
      [.none, .retransmit, .keepalive, .timeWait, .zeroWindowProbe, .other, .other]
        as [TCPConnection.Timer]))
  func timer(number: UInt8, timer: TCPConnection.Timer) throws {
    var bytes = Recorded.v4
    bytes[18] = number
    #expect(try read(bytes).connections.first?.timer == timer)
  }

  @Test("a timer that is overdue expires now")
  func overdue() throws {
    var bytes = Recorded.v4
    bytes.replaceSubrange(68..<72, with: [0xFC, 0xFF, 0xFF, 0xFF])
    #expect(try read(bytes).connections.first?.timerExpires == .zero)
  }

  @Test("an answer that is no dump is complete with its one message")
  func single() throws {
    var bytes = Array(Recorded.v4.prefix(408))
    bytes[6] &= ~UInt8(NLM_F_MULTI)
    let (connections, progress) = try read(bytes)
    #expect(connections.count == 1 && progress == .finished)
  }

  @Test("a connection that the kernel met twice is there once")
  func twice() throws {
    #expect(try read(Recorded.v4, Recorded.v4, Recorded.done).connections.count == 2)
  }

  @Test("answers to other questions are skipped")
  func otherQuestion() throws {
    let (connections, progress) = try read(Recorded.v4, Recorded.done, sequence: 8)
    #expect(connections.isEmpty && progress == .unfinished)
  }

  @Test("a dump during which the table changed is told from a whole one")
  func inconsistent() throws {
    var bytes = Recorded.v4
    bytes[6] |= UInt8(NLM_F_DUMP_INTR)
    #expect(try read(bytes, Recorded.done).progress == .inconsistent)
    var end = Recorded.done
    end[6] |= UInt8(NLM_F_DUMP_INTR)
    #expect(try read(Recorded.v4, end).progress == .inconsistent)
  }

  @Test("a question is put again until the answer is whole, but not for ever")
  func repeated() throws {
    let connection = try #require(try read(Recorded.v6).connections.first)
    func asked(wholeAt: Int, failing: Int32 = 0) -> (
      count: Int, result: Result<[TCPConnection], InetDiagError>
    ) {
      var count = 0
      let result = Result { () throws(InetDiagError) in
        try NetlinkSocket.repeated { () throws(InetDiagError) in
          count += 1
          if failing != 0, count < wholeAt { throw .system("recv", failing) }
          return (Array(repeating: connection, count: count), count >= wholeAt)
        }
      }
      return (count, result)
    }
    for whole in 1...3 {
      #expect(asked(wholeAt: whole).count == whole)
      #expect(try asked(wholeAt: whole).result.get().count == whole)
      #expect(try asked(wholeAt: whole, failing: ENOBUFS).result.get().count == whole)
    }
    #expect(try asked(wholeAt: 9).result.get().count == 3)
    #expect(
      #expect(throws: InetDiagError.self) { try asked(wholeAt: 9, failing: ENOBUFS).result.get() }?.kind
        == .unavailable)
    #expect(asked(wholeAt: 9, failing: EPERM).count == 1)
  }

  @Test("the kernel's refusals name the cause")
  func refusals() {
    func error(_ code: Int32, type: UInt8) -> InetDiagError? {
      var bytes = Recorded.done
      bytes[4] = type
      withUnsafeBytes(of: code) { bytes.replaceSubrange(16..<20, with: $0) }
      return #expect(throws: InetDiagError.self) { try read(bytes) }
    }
    for type in [UInt8(NLMSG_ERROR), UInt8(NLMSG_DONE)] {
      #expect(error(-ENOENT, type: type)?.kind == .unavailable)
      #expect(error(-EPERM, type: type)?.kind == .denied)
      #expect(error(-EINVAL, type: type)?.kind == .protocol)
      #expect(error(-EBUSY, type: type)?.kind == .timeout)
      #expect(error(.min, type: type)?.kind == .protocol)
    }
    #expect(error(0, type: UInt8(NLMSG_ERROR))?.kind == .protocol)
    #expect(
      error(-ENOENT, type: UInt8(NLMSG_DONE))?.description
        == "asking the kernel for TCP connections (sock_diag): No such file or directory; "
        + "the kernel needs INET_DIAG and INET_TCP_DIAG (modprobe tcp_diag)")
  }

  @Test("an answer that is cut anywhere within a message is refused")
  func cut() {
    for length in 1..<Recorded.v4.count where length != 408 {
      let error = #expect(throws: InetDiagError.self) { try read(Array(Recorded.v4.prefix(length))) }
      #expect(error?.kind == .protocol)
    }
  }

  @Test("a connection in no state of TCP, or of no family of addresses, is refused")
  func nonsense() {
    for (index, value) in [(17, 0), (17, 13), (16, 0), (16, 1)] as [(Int, UInt8)] {
      var bytes = Recorded.v4
      bytes[index] = value
      #expect(throws: InetDiagError.self) { try read(bytes) }
    }
  }
}

/// Reads datagrams as the answer to a message.
func read(
  _ datagrams: [UInt8]..., sequence: UInt32 = 7
) throws(InetDiagError) -> (connections: [TCPConnection], progress: InetDiagReply.Progress) {
  var reply = InetDiagReply(sequence: sequence)
  var progress = InetDiagReply.Progress.unfinished
  for datagram in datagrams { progress = try reply.take(datagram.span.bytes) }
  return (reply.connections, progress)
}

extension Recorded {
  /// ``v4``'s first message, with as much of its `tcp_info`.
  fileprivate static func withInfo(of length: Int) -> [UInt8] {
    var bytes = Array(v4[..<(infoStart + length)])
    withUnsafeBytes(of: UInt16(length + 4)) { bytes.replaceSubrange(infoStart - 4..<infoStart - 2, with: $0) }
    bytes.append(contentsOf: Array(repeating: 0xAA, count: (4 - length % 4) % 4))
    withUnsafeBytes(of: UInt32(bytes.count)) { bytes.replaceSubrange(0..<4, with: $0) }
    return bytes
  }
}
