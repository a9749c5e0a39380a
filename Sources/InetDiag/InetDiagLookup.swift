internal import CLinux
internal import Glibc
internal import Synchronization

/// The question after one connection, which the kernel finds without going through its table.
struct InetDiagLookup {
  let connection: TCPConnection

  func message(sequence: UInt32) -> [UInt8] {
    var question = inet_diag_req_v2()
    let isIPv4 = connection.local.address.isIPv4
    // A connection of IPv6 whose addresses are IPv4's is found under those.
    question.sdiag_family = UInt8(truncatingIfNeeded: isIPv4 ? AF_INET : AF_INET6)
    question.sdiag_protocol = UInt8(IPPROTO_TCP)
    question.idiag_ext = 1 << UInt8(INET_DIAG_INFO - 1)
    question.idiag_states = .max
    question.id.idiag_sport = connection.local.port.bigEndian
    question.id.idiag_dport = connection.remote.port.bigEndian
    let (local, remote) = (connection.local.address.words, connection.remote.address.words)
    question.id.idiag_src = isIPv4 ? (local.3, 0, 0, 0) : local
    question.id.idiag_dst = isIPv4 ? (remote.3, 0, 0, 0) : remote
    question.id.idiag_cookie = (
      UInt32(truncatingIfNeeded: connection.cookie), UInt32(truncatingIfNeeded: connection.cookie >> 32)
    )
    let header = nlmsghdr(
      nlmsg_len: UInt32(MemoryLayout<nlmsghdr>.size + MemoryLayout<inet_diag_req_v2>.size),
      nlmsg_type: UInt16(SOCK_DIAG_BY_FAMILY), nlmsg_flags: UInt16(NLM_F_REQUEST), nlmsg_seq: sequence,
      nlmsg_pid: 0)
    var bytes: [UInt8] = []
    withUnsafeBytes(of: header) { bytes.append(contentsOf: $0) }
    withUnsafeBytes(of: question) { bytes.append(contentsOf: $0) }
    return bytes
  }
}

extension NetlinkSocket {
  /// One connection as it is now; nil where there is no such connection any more.
  static func look(
    _ descriptor: Descriptor, at connection: TCPConnection, sequence: inout UInt32
  ) throws(InetDiagError) -> TCPConnection? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    sequence = max(1, sequence &+ 1)
    try send(InetDiagLookup(connection: connection).message(sequence: sequence), to: descriptor)
    var reply = InetDiagReply(sequence: sequence)
    do throws(InetDiagError) {
      while reply.connections.isEmpty {
        guard let length = try receive(descriptor, &buffer, flags: 0) else { break }
        _ = try reply.take(buffer.span.bytes.extracting(first: length))
      }
    } catch {
      // ESTALE: the ports are in use again, by another connection.
      guard error.systemError == ENOENT || error.systemError == ESTALE else { throw error }
    }
    return reply.connections.first
  }
}

extension InetDiagSocket {
  /// A connection as it is now; nil where there is no trace of it any more.
  ///
  /// Costs a few microseconds, however many connections there are.
  public func connection(again connection: TCPConnection) throws(InetDiagError) -> TCPConnection? {
    try sequence.withLock { sequence throws(InetDiagError) in
      try NetlinkSocket.look(descriptor, at: connection, sequence: &sequence)
    }
  }
}
