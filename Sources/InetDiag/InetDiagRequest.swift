internal import CLinux
internal import Glibc

/// The question: which TCP connections of a family there are to a range of ports, in some states.
struct InetDiagRequest {
  /// `AF_INET` or `AF_INET6`; connections to IPv4-mapped addresses are the latter's.
  let family: Int32
  let ports: ClosedRange<UInt16>
  let states: Set<TCPConnection.State>

  /// The message that starts the dump; everything in it is the machine's own byte order.
  func message(sequence: UInt32) -> [UInt8] {
    let filter = filter
    let attribute = MemoryLayout<nlattr>.size + filter.count
    let length = MemoryLayout<nlmsghdr>.size + MemoryLayout<inet_diag_req_v2>.size + attribute
    var question = inet_diag_req_v2()
    question.sdiag_family = UInt8(truncatingIfNeeded: family)
    question.sdiag_protocol = UInt8(IPPROTO_TCP)
    question.idiag_ext = 1 << UInt8(INET_DIAG_INFO - 1)
    question.idiag_states = states.reduce(0) { $0 | 1 << UInt32($1.rawValue) }

    var bytes: [UInt8] = []
    bytes.reserveCapacity(length)
    bytes.append(
      raw: nlmsghdr(
        nlmsg_len: UInt32(length), nlmsg_type: UInt16(SOCK_DIAG_BY_FAMILY),
        nlmsg_flags: UInt16(NLM_F_REQUEST | NLM_F_DUMP), nlmsg_seq: sequence, nlmsg_pid: 0))
    bytes.append(raw: question)
    bytes.append(raw: nlattr(nla_len: UInt16(attribute), nla_type: UInt16(INET_DIAG_REQ_BYTECODE)))
    bytes += filter
    return bytes
  }

  /// The program that the kernel runs for each connection: "the peer's port is at least A and at most B".
  ///
  /// Each test is two `inet_diag_bc_op`: the second holds the port. A test that holds goes on behind itself, the last
  /// one thereby to the end, which means yes; one that fails goes four bytes beyond the end, which means no.
  private var filter: [UInt8] {
    let op = MemoryLayout<inet_diag_bc_op>.size
    let test = 2 * op
    var bytes: [UInt8] = []
    bytes.append(
      raw: inet_diag_bc_op(code: UInt8(INET_DIAG_BC_D_GE), yes: UInt8(test), no: UInt16(2 * test + op)))
    bytes.append(raw: inet_diag_bc_op(code: 0, yes: 0, no: ports.lowerBound))
    bytes.append(
      raw: inet_diag_bc_op(code: UInt8(INET_DIAG_BC_D_LE), yes: UInt8(test), no: UInt16(test + op)))
    bytes.append(raw: inet_diag_bc_op(code: 0, yes: 0, no: ports.upperBound))
    return bytes
  }
}

extension [UInt8] {
  fileprivate mutating func append<Value: BitwiseCopyable>(raw value: Value) {
    Swift.withUnsafeBytes(of: value) { append(contentsOf: $0) }
  }
}
