internal import DroverCore

/// Kinds of errors of a socket: a closed list, safe as a label.
enum QMPErrorKind: String, CaseIterable, Sendable {
  case connect, refused, permission, timeout, `protocol`, closed
  case lineTooLong = "line_too_long"
  case socketOwned = "socket_owned"
}

/// Why a connection ended, or did not come about.
enum QMPClosing: Error, Equatable {
  /// Nothing listens on the socket.
  case refused
  /// There is no such file.
  case missing
  case permission
  /// The other side ended it.
  case ended
  case lineTooLong
  /// The same QEMU is watched over this other socket.
  case twin(String)
  case failed(String)
}

/// What the sessions of one back end have in common.
struct QMPSettings: Sendable {
  var backend: BackendName
  var host: String
  var events: Bool
  var activeInterval: Duration
  var idleInterval: Duration
  var requestDeadline: Duration
  var retry: RetrySchedule

  /// Events ask for a poll at once, but no more often than this.
  var eventInterval: Duration { .milliseconds(50) }
}
