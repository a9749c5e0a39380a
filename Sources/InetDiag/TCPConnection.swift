public import DroverCore

/// One TCP connection as the kernel sees it (`struct inet_diag_msg`, and mostly `struct tcp_info`).
///
/// Nil are the figures that the kernel does not have: there is no `tcp_info` for a connection in
/// ``State/timeWait``, for one whose owner has closed it while the peer has not (``State/finWait2``), and for
/// an incoming one in ``State/synReceived``; and older kernels know fewer figures.
public struct TCPConnection: Hashable, Sendable {
  /// One end of a connection.
  public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// Where the end is.
    public var address: IPAddress
    /// The port, in this machine's byte order.
    public var port: UInt16

    /// Puts an end together.
    public init(address: IPAddress, port: UInt16) {
      self.address = address
      self.port = port
    }

    /// `192.0.2.1:49152` or `[2001:db8::1]:49152`.
    public var description: String { address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)" }
  }

  /// The state of the protocol, numbered as the kernel does (`idiag_state`).
  public enum State: UInt8, Hashable, Sendable, CaseIterable {
    /// Both sides may send.
    case established = 1
    /// This side asked for the connection and has no answer yet.
    case synSent
    /// The peer asked for the connection and has not confirmed it yet.
    case synReceived
    /// This side closed; the peer has not acknowledged that.
    case finWait1
    /// This side closed and the peer acknowledged it, but has not closed itself.
    case finWait2
    /// Both closed; the kernel only keeps the ports a while.
    case timeWait
    /// No connection any more, or not yet.
    case closed
    /// The peer closed; this side has not.
    case closeWait
    /// Both closed; the peer has not acknowledged that.
    case lastAck
    /// Waits for connections.
    case listen
    /// Both closed at the same time; neither has acknowledged that.
    case closing
  }

  /// What the kernel does when the next timer of the connection fires (`idiag_timer`).
  public enum Timer: Hashable, Sendable {
    /// No timer runs.
    case none
    /// Sends again what was not acknowledged.
    case retransmit
    /// Asks a silent peer whether it is still there.
    case keepalive
    /// Forgets the connection.
    case timeWait
    /// Asks a peer that takes nothing whether it does now; also where this machine drops what it sends.
    case zeroWindowProbe
    /// One that this module does not know.
    case other
  }

  /// This side's address and port.
  public var local: Endpoint
  /// The peer's address and port.
  public var remote: Endpoint
  /// The protocol's state (`idiag_state`).
  public var state: State
  /// Identifies the connection for as long as the machine runs (`idiag_cookie`).
  public var cookie: UInt64
  /// The N of `socket:[N]` in `/proc/PID/fd` (`idiag_inode`); 0 once its owner has closed it.
  public var inode: UInt64
  /// The network interface that the socket is bound to, by number (`idiag_if`); 0 for any.
  public var interface: UInt32 = 0
  /// The user who owns the socket (`idiag_uid`).
  public var uid: UInt32

  /// What the kernel does next unless the peer answers (`idiag_timer`).
  public var timer: Timer = .none
  /// When ``timer`` fires, counted from now (`idiag_expires`, ms); 0 where none runs.
  public var timerExpires: Duration = .zero
  /// How many times in a row a retransmission or a probe got no answer (`idiag_retrans`).
  public var attempts: UInt8 = 0
  /// How many times the retransmission time-out was doubled since the peer last answered (`tcpi_backoff`).
  public var retransmitBackoff: UInt8?
  /// How long the kernel waits for an acknowledgement before it sends again, at present (`tcpi_rto`, µs).
  public var retransmitTimeout: Duration?

  /// What arrived and the owner did not read yet (`idiag_rqueue`, bytes).
  public var receiveQueue: Bytes = 0
  /// What the owner wrote and the peer did not acknowledge yet (`idiag_wqueue`, bytes).
  public var sendQueue: Bytes = 0
  /// The part of ``sendQueue`` that was not even sent once (`tcpi_notsent_bytes`); nil before Linux 4.6.
  public var notSent: Bytes?
  /// How many segments were sent and not acknowledged yet (`tcpi_unacked`).
  public var unackedSegments: UInt64?
  /// How many segments were sent again, in the connection's whole life (`tcpi_total_retrans`).
  public var retransmits: UInt64?
  /// What the peer acknowledged, in the connection's whole life (`tcpi_bytes_acked`); nil before Linux 4.2.
  public var bytesAcked: Bytes?
  /// What arrived, in the connection's whole life (`tcpi_bytes_received`); nil before Linux 4.2.
  public var bytesReceived: Bytes?

  /// How long ago data last came from the peer (`tcpi_last_data_recv`, ms); where none ever did, the
  /// connection's age.
  public var lastDataReceived: Duration?
  /// How long ago the peer last acknowledged anything (`tcpi_last_ack_recv`, ms).
  public var lastAckReceived: Duration?
  /// How long ago data was last sent (`tcpi_last_data_sent`, ms); where none ever was, the connection's age.
  public var lastDataSent: Duration?

  /// A connection of which only what every one has is known.
  public init(
    local: Endpoint, remote: Endpoint, state: State, cookie: UInt64 = 0, inode: UInt64 = 0, uid: UInt32 = 0
  ) {
    self.local = local
    self.remote = remote
    self.state = state
    self.cookie = cookie
    self.inode = inode
    self.uid = uid
  }

  /// What was sent and not acknowledged yet: ``sendQueue`` without ``notSent``.
  public var unacked: Bytes? { notSent.map { sendQueue - $0 } }
}
