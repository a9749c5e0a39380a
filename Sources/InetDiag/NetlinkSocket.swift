internal import CLinux
internal import Glibc

/// The calls on a netlink socket.
enum NetlinkSocket {
  /// How long the kernel may take for one datagram, and for a whole dump.
  private static let patience = (datagram: 1, dump: Duration.seconds(5))
  /// How often a dump is begun anew because the table changed meanwhile.
  private static let attempts = 3
  /// The largest datagram that the kernel makes.
  private static let largestDatagram = 32768

  static func open() throws(InetDiagError) -> Descriptor {
    let number = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), NETLINK_SOCK_DIAG)
    guard number >= 0 else { throw .system("opening a socket (NETLINK_SOCK_DIAG)", errno) }
    let descriptor = Descriptor(number)
    var limit = timeval(tv_sec: patience.datagram, tv_usec: 0)
    guard
      setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size)) == 0
    else { throw .system("setting a time limit on a socket (SO_RCVTIMEO)", errno) }
    return descriptor
  }

  /// One question and its whole answer; the last attempt's where the table changes each time.
  static func dump(
    _ descriptor: Descriptor, _ request: InetDiagRequest, sequence: inout UInt32
  ) throws(InetDiagError) -> [TCPConnection] {
    let start = ContinuousClock.now
    var buffer = [UInt8](repeating: 0, count: largestDatagram)
    var attempt = 0
    while true {
      attempt += 1
      try drain(descriptor, &buffer)
      // Never 0, which is what the kernel gives messages that answer nothing.
      sequence = max(1, sequence &+ 1)
      try send(request.message(sequence: sequence), to: descriptor)
      var reply = InetDiagReply(sequence: sequence)
      var progress = InetDiagReply.Progress.unfinished
      while progress == .unfinished {
        guard ContinuousClock.now - start < patience.dump else { throw .system(receiving, ETIMEDOUT) }
        guard let length = try receive(descriptor, &buffer, flags: 0) else { continue }
        progress = try reply.take(buffer.span.bytes.extracting(first: length))
      }
      if progress == .finished || attempt == attempts { return reply.connections }
    }
  }

  private static let receiving = "waiting for the kernel's answer (sock_diag)"

  /// Takes away what an answer that was given up has left, and thereby lets the kernel end it.
  private static func drain(_ descriptor: Descriptor, _ buffer: inout [UInt8]) throws(InetDiagError) {
    let start = ContinuousClock.now
    while true {
      do throws(InetDiagError) {
        _ = try receive(descriptor, &buffer, flags: Int32(MSG_DONTWAIT))
      } catch {
        if error.systemError == EAGAIN { return }
        guard error.kind == .protocol else { throw error }
      }
      guard ContinuousClock.now - start < patience.dump else { throw .system(receiving, ETIMEDOUT) }
    }
  }

  static func send(_ message: [UInt8], to descriptor: Descriptor) throws(InetDiagError) {
    var kernel = sockaddr_nl()
    kernel.nl_family = sa_family_t(AF_NETLINK)
    while true {
      let sent = withUnsafePointer(to: &kernel) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          sendto(
            descriptor.number, message, message.count, 0, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
        }
      }
      if sent >= 0 { return }
      guard errno == EINTR else { throw .system("asking the kernel for TCP connections (sock_diag)", errno) }
    }
  }

  /// The length of the next datagram; nil where it is not the kernel's.
  static func receive(
    _ descriptor: Descriptor, _ buffer: inout [UInt8], flags: Int32
  ) throws(InetDiagError) -> Int? {
    var sender = sockaddr_nl()
    var size = socklen_t(MemoryLayout<sockaddr_nl>.size)
    while true {
      let length = withUnsafeMutablePointer(to: &sender) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          // With MSG_TRUNC the length is the datagram's own, even where the buffer is shorter.
          recvfrom(descriptor.number, &buffer, buffer.count, flags | Int32(MSG_TRUNC), $0, &size)
        }
      }
      if length < 0, errno == EINTR { continue }
      guard length >= 0 else { throw .system(receiving, errno) }
      guard length <= buffer.count else { throw .garbled("a datagram of \(length) bytes") }
      return sender.nl_pid == 0 ? length : nil
    }
  }
}
