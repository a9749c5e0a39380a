internal import CLinux
internal import Glibc

/// Puts the datagrams of an answer together; they may hold anything.
struct InetDiagReply {
  /// How far the answer is.
  enum Progress: Hashable {
    case unfinished, finished
    /// Finished, but the table changed while it was read, so something may be missing or there twice.
    case inconsistent
  }

  private let sequence: UInt32
  private var isInconsistent = false
  private var seen: Set<UInt64> = []
  /// What the datagrams so far told.
  private(set) var connections: [TCPConnection] = []

  /// Awaits the answer to the message with a number; answers to others are skipped.
  init(sequence: UInt32) { self.sequence = sequence }

  /// Reads one datagram.
  mutating func take(_ datagram: RawSpan) throws(InetDiagError) -> Progress {
    var start = 0
    while start < datagram.byteCount {
      guard let header = datagram.load(at: start, as: nlmsghdr.self) else {
        throw .garbled("a message header of \(datagram.byteCount - start) bytes")
      }
      let length = Int(header.nlmsg_len)
      guard length >= MemoryLayout<nlmsghdr>.size, length <= datagram.byteCount - start else {
        throw .garbled("a message of \(length) bytes in \(datagram.byteCount - start)")
      }
      let body = datagram.extracting(start + MemoryLayout<nlmsghdr>.size..<start + length)
      start += (length + 3) & ~3
      guard header.nlmsg_seq == sequence else { continue }
      if Int32(header.nlmsg_flags) & NLM_F_DUMP_INTR != 0 { isInconsistent = true }
      switch Int32(header.nlmsg_type) {
      case NLMSG_DONE:
        // Holds an error number since the kernel may fail in the middle of a dump.
        if let code = body.load(at: 0, as: Int32.self), code < 0 { throw .refused(code) }
        return isInconsistent ? .inconsistent : .finished
      case NLMSG_ERROR:
        guard let code = body.load(at: 0, as: Int32.self) else { throw .garbled("an error without a number") }
        throw .refused(code)
      case NLMSG_OVERRUN: throw .system("reading the kernel's answer (sock_diag)", ENOBUFS)
      case TCPDIAG_GETSOCK, SOCK_DIAG_BY_FAMILY:
        let connection = try TCPConnection(body)
        // One that changes its state meanwhile moves to where the kernel looks once more.
        if seen.insert(connection.cookie).inserted { connections.append(connection) }
        // One that was asked for by itself.
        if Int32(header.nlmsg_flags) & NLM_F_MULTI == 0 { return .finished }
      default: continue
      }
    }
    return .unfinished
  }
}

extension InetDiagError {
  /// The kernel's own no, as a negative error number.
  fileprivate static func refused(_ code: Int32) -> InetDiagError {
    let call = "asking the kernel for TCP connections (sock_diag)"
    // The smallest number has no positive counterpart.
    guard code < 0, code > -4096 else { return .garbled("error number \(code)") }
    return .system(call, -code)
  }
}

extension RawSpan {
  /// What is at an offset; nil where that does not lie within.
  func load<Value: BitwiseCopyable>(at offset: Int, as type: Value.Type) -> Value? {
    guard offset >= 0, MemoryLayout<Value>.size <= byteCount - offset else { return nil }
    return unsafeLoadUnaligned(fromByteOffset: offset, as: type)
  }

  /// Where the content of the first netlink attribute of a type is, from an offset on; nil without one.
  func attribute(_ type: UInt16, from offset: Int) throws(InetDiagError) -> Range<Int>? {
    var start = offset
    while start < byteCount {
      guard let header = load(at: start, as: nlattr.self) else {
        throw .garbled("an attribute header of \(byteCount - start) bytes")
      }
      let length = Int(header.nla_len)
      guard length >= MemoryLayout<nlattr>.size, length <= byteCount - start else {
        throw .garbled("an attribute of \(length) bytes in \(byteCount - start)")
      }
      if header.nla_type == type { return start + MemoryLayout<nlattr>.size..<start + length }
      start += (length + 3) & ~3
    }
    return nil
  }
}
