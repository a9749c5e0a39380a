/// One TCP connection of a migration, as the kernel of the source's host sees it.
public struct ConnectionHealth: Hashable, Sendable {
  /// When the peer was last heard: on the control connection the last data received (`tcpi_last_data_recv`), on the
  /// data connection, where the peer has nothing to say, its last acknowledgement (`tcpi_last_ack_recv`).
  public var lastHeard: Moment
  /// Whether the peer owes an acknowledgement, so that silence means something.
  public var isAwaited: Bool
  /// Bytes that the peer has not acknowledged; nil where the kernel does not tell.
  public var unacked: Bytes?
  /// Segments sent again since the connection was made; nil where the kernel does not tell.
  public var retransmits: UInt64?

  /// Describes a connection.
  public init(lastHeard: Moment, isAwaited: Bool, unacked: Bytes? = nil, retransmits: UInt64? = nil) {
    self.lastHeard = lastHeard
    self.isAwaited = isAwaited
    self.unacked = unacked
    self.retransmits = retransmits
  }
}

/// What the source's host sees of the network under a migration.
public struct NetworkReport: Hashable, Sendable {
  /// The keepalive that guards the control connection.
  public var settings: KeepaliveSettings
  /// What is known of its deadline.
  public var keepalive: KeepaliveBasis
  /// The connection between the two daemons; nil where it is not seen.
  public var control: ConnectionHealth?
  /// The connection that guest memory, or a disk, goes over; nil where it is not seen.
  public var data: ConnectionHealth?
  /// How much later than `control` the last of several was heard that may as well be this migration's; 0 where it is
  /// known which one is.
  public var controlSpread: Duration
  /// Whether control and data go to the same address: one wire, as far as anybody can tell.
  public var sharesWire: Bool
  /// The address that the migration goes to; empty where it is not seen.
  public var peer: String
  /// The network that is lost when bytes stop, where nobody sees the connections; nil where their stop says nothing.
  public var lostIfBytesStop: LostNetwork?
  /// Losses that are known in another way than by looking at connections; the management network first.
  public var reported: [NetworkLoss] = []

  /// Describes what is seen.
  public init(
    settings: KeepaliveSettings, keepalive: KeepaliveBasis, control: ConnectionHealth? = nil,
    data: ConnectionHealth? = nil, controlSpread: Duration = .zero, sharesWire: Bool = true, peer: String = ""
  ) {
    self.settings = settings
    self.keepalive = keepalive
    self.control = control
    self.data = data
    self.controlSpread = controlSpread
    self.sharesWire = sharesWire
    self.peer = peer
  }
}

extension NetworkReport {
  /// Whether it tells no silence, which grows from one look to the next.
  var isTimeless: Bool { control == nil && data == nil && reported.isEmpty }
}

/// The network under a migration at one moment; told apart from its counters, which a QEMU that hangs withholds.
public struct NetworkObservation: Sendable {
  /// For so long a look says something: five seconds, or three samples.
  public static func longestAge(_ samplingInterval: Duration) -> Duration {
    max(.seconds(5), samplingInterval * 3)
  }

  /// The back end that tells it.
  public var backend: BackendName
  /// The migration.
  public var id: MigrationID
  /// When the kernel was asked.
  public var takenAt: Moment
  /// What it said.
  public var report: NetworkReport

  /// Describes one look at the network.
  public init(backend: BackendName, id: MigrationID, takenAt: Moment, report: NetworkReport) {
    self.backend = backend
    self.id = id
    self.takenAt = takenAt
    self.report = report
  }
}

/// Which network of a migration is lost; the label `network`.
public enum LostNetwork: String, CaseIterable, Sendable {
  /// The one that the control connection goes over, or by which the node is reached.
  case management
  /// The one that the guest's memory goes over.
  case migration
  case unknown
}
