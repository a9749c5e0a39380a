internal import CLinux
internal import Glibc

/// The calls on a netlink socket.
enum NetlinkSocket {
  /// How long all attempts at an answer may take together.
  private static let longestAnswer = Duration.seconds(5)
  /// How often a question is put until its answer is whole.
  private static let attempts = 3
  /// How many notices one call hears at most: they may come as fast as they are read.
  private static let mostTold = 10_000
  /// The largest datagram that the kernel makes.
  private static let largestDatagram = 32768

  /// Opens a socket in the calling thread's network namespace; a wait for a datagram ends after `patience`.
  ///
  /// - Parameter groups: What it hears of unasked, a bit each, from that of group 1 on.
  static func open(
    patience: timeval = timeval(tv_sec: 1, tv_usec: 0), groups: UInt32 = 0
  ) throws(InetDiagError) -> Descriptor {
    let number = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), NETLINK_SOCK_DIAG)
    guard number >= 0 else { throw .system("opening a socket (NETLINK_SOCK_DIAG)", errno) }
    let descriptor = Descriptor(number)
    var limit = patience
    guard
      setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size)) == 0
    else { throw .system("setting a time limit on a socket (SO_RCVTIMEO)", errno) }
    guard groups != 0 else { return descriptor }
    var address = sockaddr_nl()
    address.nl_family = sa_family_t(AF_NETLINK)
    address.nl_groups = groups
    let isBound = withUnsafePointer(to: address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(number, $0, socklen_t(MemoryLayout<sockaddr_nl>.size)) == 0
      }
    }
    guard isBound else { throw .system("asking to be told of connections that end (sock_diag)", errno) }
    return descriptor
  }

  /// What was told unasked since the last call, in its order; some is missing where there was no room for it.
  static func told(_ descriptor: Descriptor) throws(InetDiagError) -> [TCPConnection] {
    var buffer = [UInt8](repeating: 0, count: largestDatagram)
    var connections: [TCPConnection] = []
    for _ in 0..<mostTold {
      var sender = sockaddr_nl()
      let length = receive(descriptor, &buffer, Int32(MSG_DONTWAIT), from: &sender)
      if length < 0, errno == EINTR || errno == ENOBUFS { continue }
      if length < 0, errno == EAGAIN { break }
      guard length >= 0 else { throw .system("hearing of connections that ended (sock_diag)", errno) }
      guard length <= buffer.count, sender.nl_pid == 0 else { continue }
      var notice = InetDiagReply(sequence: 0)
      _ = try? notice.take(buffer.span.bytes.extracting(first: length))
      connections += notice.connections
    }
    return connections
  }

  /// One question and its whole answer.
  static func ask(
    _ descriptor: Descriptor, _ request: InetDiagRequest, sequence: inout UInt32
  ) throws(InetDiagError) -> [TCPConnection] {
    let deadline = ContinuousClock.now + longestAnswer
    var buffer = [UInt8](repeating: 0, count: largestDatagram)
    return try repeated { () throws(InetDiagError) in
      drain(descriptor, &buffer, until: deadline)
      // Never 0, which is what the kernel gives messages that answer nothing.
      sequence = max(1, sequence &+ 1)
      try send(request.message(sequence: sequence), to: descriptor)
      var reply = InetDiagReply(sequence: sequence)
      var progress = InetDiagReply.Progress.unfinished
      while progress == .unfinished {
        let length = try receive(descriptor, &buffer, until: deadline)
        progress = try reply.take(buffer.span.bytes.extracting(first: length))
      }
      return (reply.connections, progress == .finished)
    }
  }

  /// The first whole answer, or else the last one.
  static func repeated(
    _ ask: () throws(InetDiagError) -> (connections: [TCPConnection], isWhole: Bool)
  ) throws(InetDiagError) -> [TCPConnection] {
    for _ in 1..<attempts {
      do throws(InetDiagError) {
        let answer = try ask()
        if answer.isWhole { return answer.connections }
      } catch {
        // The kernel had no room for a part of the answer.
        guard error.systemError == ENOBUFS else { throw error }
      }
    }
    return try ask().connections
  }

  /// Takes away what an answer that was given up has left, which also lets the kernel end it.
  private static func drain(
    _ descriptor: Descriptor, _ buffer: inout [UInt8], until deadline: ContinuousClock.Instant
  ) {
    repeat {
      let length = recv(descriptor.number, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if length < 0, errno != EINTR, errno != ENOBUFS { return }
    } while ContinuousClock.now < deadline
  }

  private static func send(_ message: [UInt8], to descriptor: Descriptor) throws(InetDiagError) {
    while true {
      // Without an address it goes to the kernel.
      if Glibc.send(descriptor.number, message, message.count, 0) >= 0 { return }
      guard errno == EINTR else { throw .system("asking the kernel for TCP connections (sock_diag)", errno) }
    }
  }

  /// One datagram, with who sent it.
  private static func receive(
    _ descriptor: Descriptor, _ buffer: inout [UInt8], _ flags: Int32, from sender: inout sockaddr_nl
  ) -> Int {
    var size = socklen_t(MemoryLayout<sockaddr_nl>.size)
    return withUnsafeMutablePointer(to: &sender) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        // With MSG_TRUNC the length is the datagram's own, even where the buffer is shorter.
        recvfrom(descriptor.number, &buffer, buffer.count, Int32(MSG_TRUNC) | flags, $0, &size)
      }
    }
  }

  /// The length of the kernel's next datagram.
  static func receive(
    _ descriptor: Descriptor, _ buffer: inout [UInt8], until deadline: ContinuousClock.Instant
  ) throws(InetDiagError) -> Int {
    let call = "waiting for the kernel's answer (sock_diag)"
    while ContinuousClock.now < deadline {
      var sender = sockaddr_nl()
      let length = receive(descriptor, &buffer, 0, from: &sender)
      if length < 0, errno == EINTR { continue }
      guard length >= 0 else { throw .system(call, errno) }
      guard length <= buffer.count else { throw .garbled("a datagram of \(length) bytes") }
      // Other processes may send here too.
      if sender.nl_pid == 0 { return length }
    }
    throw .system(call, ETIMEDOUT)
  }
}
