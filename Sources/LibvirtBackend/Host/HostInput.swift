internal import DroverCore
internal import InetDiag
internal import Logging

/// What happens to the watch of a host.
enum HostInput: Sendable {
  case tick
  /// A connection is open; `conf` is the host's `qemu.conf`, nil where it cannot be read.
  case opened(HostFacts, conf: QEMUConf?)
  case openFailed(LibvirtError)
  /// An attempt that nobody waits for any more has ended after all.
  case lateOpening
  /// The daemon is gone.
  case closed(CloseReason)
  case event(DomainName, HostEvent)
  /// What runs on the host.
  case listed(Result<[RunningDomain], LibvirtError>, begunAt: Moment)
  case looked(DomainLook)
  /// A round of looks at domains that rest is over; those with something to tell were `looked` at.
  case swept
  /// The round was at a domain, and since when; the others are still to be looked at.
  case sweepSplit(at: (uuid: String, since: Moment)?, rest: [String])
  /// Nil where nothing can have come since the last look.
  case network(Result<NetworkLook?, InetDiagError>)
  case polled(ConnectionPoll)
  case dirtyRate(String, BytesPerSecond)
  /// A round of measurements is over, which one by its number.
  case dirtyRatesDone(Int, LibvirtError?)
  /// A domain is asked nothing until it is to be looked at again, or until then: something is sent to it.
  case leaveAlone(String, until: Moment)
  /// A domain is to be looked at, now: something was done to it.
  case lookAgain(String)
  /// Drover itself has libvirt migrate a domain: the call lasts as long as the migration, and tells why it failed.
  case called(String)
  /// The call is over.
  case returned(String)
}

/// How a connection to a daemon was lost.
enum CloseReason: Hashable, Sendable {
  /// The daemon closed it, as one does that ends.
  case byDaemon
  /// The daemon is not heard any more.
  case silent
  case broken(String)

  var words: String {
    switch self {
    case .byDaemon: "the daemon closed it"
    case .silent: "the daemon does not answer any more"
    case .broken(let words): words
    }
  }
}

/// One look at the kernel's connections.
struct NetworkLook: Sendable {
  var takenAt: Moment
  var connections: [TCPConnection]
  var owners: ConnectionBook.Owners
  /// Whether the daemon talks to others over ssh; nil where that was not looked at.
  var hasSSH: Bool?
  /// The cookies of the connections that the kernel told the end of, in its order.
  var ended: [UInt64] = []
}

/// Another look at known connections.
struct ConnectionPoll: Sendable {
  /// Each as it is now, by its cookie; nil where there is no trace of it any more.
  var connections: [UInt64: TCPConnection?]
  /// The cookies of the connections that the kernel told the end of, in its order.
  var ended: [UInt64] = []
}

/// A domain that runs.
struct RunningDomain: Hashable, Sendable {
  var name: DomainName
  var state: DomainState
}

/// What else one look at a domain is to ask.
struct LookWish: Hashable, Sendable {
  /// The state, even where there is no job.
  var state = false
  var limits = false
  var memory = false
  var disks = false
}

/// What the watch of a host wants done.
enum HostAction: Sendable {
  /// Opens a connection.
  case open
  /// Lets the connection go.
  case close
  case list
  case look(String, LookWish)
  /// Looks at domains that rest, one after the other.
  case sweep([String])
  /// The round takes too long: what has not been looked at yet is taken from it.
  case splitSweep
  /// Reads the kernel's connections, and who owns them.
  ///
  /// - Parameter asksSSH: Whether it is also looked whether the daemon has an ssh, which means a walk over all processes.
  case readNetwork(domains: [DomainName], asksSSH: Bool)
  /// Looks at single connections again, which costs next to nothing.
  case pollConnections([TCPConnection])
  case measureDirtyRates([String], round: Int)
  case tell(BackendMessage)
  case log(Logger.Level, String)
}
