internal import CLinux
internal import Glibc

/// A question about TCP connections.
enum InetDiagRequest {
  /// All that have their remote port in one of some ranges, at least one, and are in one of some states.
  case all(toPorts: [ClosedRange<UInt16>], states: Set<TCPConnection.State>)
  /// One that was seen before.
  case one(TCPConnection)

  /// The question as a netlink message.
  func message(sequence: UInt32) -> [UInt8] {
    switch self {
    case .all(let ports, let states):
      // The oldest form of the question, the only one for IPv4 and IPv6 together: what a dump costs is the
      // walk over the kernel's hash table, however few connections are in there.
      var question = inet_diag_req()
      question.idiag_ext = Self.extensions
      question.idiag_states = states.reduce(0) { $0 | 1 << UInt32($1.rawValue) }
      var body = bytes(of: question)
      let filter = Self.filter(ports)
      body += bytes(
        of: nlattr(
          nla_len: UInt16(MemoryLayout<nlattr>.size + filter.count),
          nla_type: UInt16(INET_DIAG_REQ_BYTECODE)))
      body += filter
      return Self.message(type: TCPDIAG_GETSOCK, flags: NLM_F_REQUEST | NLM_F_DUMP, sequence, body)
    case .one(let connection):
      var question = inet_diag_req_v2()
      // Finds connections between IPv4-mapped addresses too.
      question.sdiag_family = UInt8(connection.remote.address.isIPv4 ? AF_INET : AF_INET6)
      question.sdiag_protocol = UInt8(IPPROTO_TCP)
      question.idiag_ext = Self.extensions
      question.idiag_states = .max
      question.id.idiag_sport = connection.local.port.bigEndian
      question.id.idiag_dport = connection.remote.port.bigEndian
      question.id.idiag_src = connection.local.address.words
      question.id.idiag_dst = connection.remote.address.words
      question.id.idiag_if = connection.interface
      question.id.idiag_cookie = (
        UInt32(truncatingIfNeeded: connection.cookie), UInt32(truncatingIfNeeded: connection.cookie >> 32)
      )
      return Self.message(type: SOCK_DIAG_BY_FAMILY, flags: NLM_F_REQUEST, sequence, bytes(of: question))
    }
  }

  /// Asks for `struct tcp_info`.
  private static let extensions: UInt8 = 1 << UInt8(INET_DIAG_INFO - 1)

  private static func message(type: Int32, flags: Int32, _ sequence: UInt32, _ body: [UInt8]) -> [UInt8] {
    let header = nlmsghdr(
      nlmsg_len: UInt32(MemoryLayout<nlmsghdr>.size + body.count), nlmsg_type: UInt16(type),
      nlmsg_flags: UInt16(flags), nlmsg_seq: sequence, nlmsg_pid: 0)
    return bytes(of: header) + body
  }

  /// The program that the kernel runs for each connection: "the peer's port is at least A and at most B, or …".
  ///
  /// Each test is two `inet_diag_bc_op`, of which the second holds the port. A test that holds goes on behind itself, the
  /// last one thereby to the end, which means yes. One that fails goes to the next range; in the last range four bytes
  /// beyond the end, which means no. Between two ranges lies a jump to the end, which takes its `no`: the kernel only
  /// lets a program through that can be walked by every `yes`.
  private static func filter(_ ranges: [ClosedRange<UInt16>]) -> [UInt8] {
    let op = MemoryLayout<inet_diag_bc_op>.size
    let test = 2 * op
    var program: [UInt8] = []
    for range in ranges.reversed() {
      let isLast = program.isEmpty
      // From the end of this range's tests to where one that fails goes.
      let beyond = op
      let jump =
        isLast
        ? []
        : bytes(
          of: inet_diag_bc_op(code: UInt8(INET_DIAG_BC_JMP), yes: UInt8(op), no: UInt16(op + program.count)))
      let ops = [
        inet_diag_bc_op(code: UInt8(INET_DIAG_BC_D_GE), yes: UInt8(test), no: UInt16(2 * test + beyond)),
        inet_diag_bc_op(code: 0, yes: 0, no: range.lowerBound),
        inet_diag_bc_op(code: UInt8(INET_DIAG_BC_D_LE), yes: UInt8(test), no: UInt16(test + beyond)),
        inet_diag_bc_op(code: 0, yes: 0, no: range.upperBound),
      ]
      program = ops.flatMap(bytes(of:)) + jump + program
    }
    return program
  }
}

private func bytes<Value: BitwiseCopyable>(of value: Value) -> [UInt8] {
  withUnsafeBytes(of: value) { Array($0) }
}
