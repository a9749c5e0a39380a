internal import DroverCore

/// What the connections of a migration showed when it had ended.
struct EndEvidence: Hashable, Sendable {
  /// What became of a connection.
  enum Fate: Hashable, Sendable {
    /// It is still there.
    case open
    /// This host closed it: it waits for the peer's last word, or is only kept for a while.
    case closedHere
    /// The peer ended it: it closed first, or there is no trace of the connection, which only a reset leaves.
    case endedByPeer
  }

  /// The connection between the daemons; nil where it was never seen.
  var control: Fate?
  /// The connection of the guest's memory, or of a disk; nil where it was never seen.
  var data: Fate?
  /// Whether the data connection had ended while the control connection, if any, was still there; nil where one look
  /// showed both ends and the kernel did not tell their order, or where what may be the control connection ended on
  /// either side of it.
  var dataEndedFirst: Bool?
  /// What the data connection still had to send when it was last seen.
  var dataQueue: Bytes = 0
  /// For how long the control connection had been silent when it ended.
  var controlSilence: Duration?
  /// For how long the data connection had left what was sent without an acknowledgement; nil where it owed none.
  var dataSilence: Duration?
  /// The keepalive of the control connection.
  var keepalive: KeepaliveSettings
}
