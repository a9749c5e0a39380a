internal import CLinux
internal import DroverCore
internal import Glibc

extension TCPConnection {
  /// Reads `struct inet_diag_msg` and the attributes behind it.
  init(_ body: RawSpan) throws(InetDiagError) {
    guard let message = body.load(at: 0, as: inet_diag_msg.self) else {
      throw .garbled("a connection of \(body.byteCount) bytes")
    }
    guard let state = State(rawValue: message.idiag_state) else {
      throw .garbled("a connection in state \(message.idiag_state)")
    }
    let id = message.id
    let addresses: (local: IPAddress, remote: IPAddress)
    switch Int32(message.idiag_family) {
    case AF_INET: addresses = (IPAddress(v4: id.idiag_src.0), IPAddress(v4: id.idiag_dst.0))
    case AF_INET6: addresses = (IPAddress(v6: id.idiag_src), IPAddress(v6: id.idiag_dst))
    default: throw .garbled("a connection of address family \(message.idiag_family)")
    }
    self.init(
      local: Endpoint(address: addresses.local, port: UInt16(bigEndian: id.idiag_sport)),
      remote: Endpoint(address: addresses.remote, port: UInt16(bigEndian: id.idiag_dport)), state: state,
      cookie: UInt64(id.idiag_cookie.1) << 32 | UInt64(id.idiag_cookie.0),
      inode: UInt64(message.idiag_inode), uid: message.idiag_uid)
    interface = id.idiag_if
    timer = Timer(message.idiag_timer)
    // Negative on some kernels while the timer is due.
    timerExpires = .milliseconds(max(0, Int32(bitPattern: message.idiag_expires)))
    attempts = message.idiag_retrans
    receiveQueue = Bytes(UInt64(message.idiag_rqueue))
    sendQueue = Bytes(UInt64(message.idiag_wqueue))
    if let info = try body.attribute(UInt16(INET_DIAG_INFO), from: MemoryLayout<inet_diag_msg>.size) {
      take(body.extracting(info))
    }
  }

  /// Reads as much of `struct tcp_info` as this kernel has.
  private mutating func take(_ info: RawSpan) {
    // Of one who listens the figures are others, under the same names.
    guard state != .listen else { return }
    func word(_ field: TCPInfo) -> UInt32? { info.load(at: field.rawValue, as: UInt32.self) }
    func long(_ field: TCPInfo) -> UInt64? { info.load(at: field.rawValue, as: UInt64.self) }
    func milliseconds(_ field: TCPInfo) -> Duration? { word(field).map { .milliseconds($0) } }
    retransmitBackoff = info.load(at: TCPInfo.backoff.rawValue, as: UInt8.self)
    retransmitTimeout = word(.rto).map { .microseconds($0) }
    unackedSegments = word(.unacked).map { UInt64($0) }
    retransmits = word(.totalRetrans).map { UInt64($0) }
    notSent = word(.notsentBytes).map { Bytes(UInt64($0)) }
    bytesAcked = long(.bytesAcked).map { Bytes($0) }
    bytesReceived = long(.bytesReceived).map { Bytes($0) }
    // Before the peer has answered these count from the start of the kernel's clock.
    guard state != .synSent else { return }
    lastDataSent = milliseconds(.lastDataSent)
    lastDataReceived = milliseconds(.lastDataRecv)
    lastAckReceived = milliseconds(.lastAckRecv)
  }
}

extension TCPConnection.Timer {
  fileprivate init(_ number: UInt8) {
    switch number {
    case 0: self = .none
    case 1: self = .retransmit
    case 2: self = .keepalive
    case 3: self = .timeWait
    case 4: self = .zeroWindowProbe
    default: self = .other
    }
  }
}

/// Where the fields of the kernel's `struct tcp_info` (linux/tcp.h) are, in bytes from its start.
///
/// The structure only ever grows at its end. glibc's own ends before the fields of 64 bits.
enum TCPInfo: Int, CaseIterable {
  case backoff = 4
  case rto = 8
  case unacked = 24
  case lastDataSent = 44
  case lastDataRecv = 52
  case lastAckRecv = 56
  case totalRetrans = 100
  case bytesAcked = 120
  case bytesReceived = 128
  case notsentBytes = 144
}
