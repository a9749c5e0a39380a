internal import CLinux
internal import Glibc
internal import Synchronization

/// Reads the TCP connections of a network namespace from the kernel (`NETLINK_SOCK_DIAG`), without a child.
///
/// Needs no privilege in the own namespace: every user sees all connections and all their figures. Calls are
/// quick but block, for seconds at the very worst: make them from a thread of your own, not from Swift's
/// cooperative pool. Calls from several threads at once wait for one another. After an error the next call
/// begins anew.
public final class InetDiagSocket: Sendable {
  private let descriptor: Descriptor
  /// The number of the last question; held while the answer is awaited.
  private let sequence = Mutex<UInt32>(0)

  /// Opens a socket, which stays in its namespace whatever becomes of the process that it was named by.
  ///
  /// - Parameter networkNamespace: a path such as `/proc/PID/ns/net`; nil for the calling thread's own.
  ///   Another namespace takes CAP_SYS_ADMIN, and another user's process in the path takes CAP_SYS_PTRACE,
  ///   even where it is in the own namespace. No thread of the caller's changes its namespace.
  public init(networkNamespace: String? = nil) throws(InetDiagError) {
    if let networkNamespace {
      descriptor = try NetworkNamespace.run(in: networkNamespace) { () throws(InetDiagError) in
        try NetlinkSocket.open()
      }
    } else {
      descriptor = try NetlinkSocket.open()
    }
  }

  /// The connections whose *remote* port is in a range and that are in one of some states, IPv4 and IPv6.
  ///
  /// The kernel filters, and goes through its whole table for that: some milliseconds, which grow with the
  /// machine's memory rather than with its connections, and are the same again for each network namespace.
  /// A connection that comes or goes meanwhile may be missing; none is there twice. The order means nothing.
  public func connections(
    toPorts ranges: ClosedRange<UInt16>...,
    states: Set<TCPConnection.State> = Set(TCPConnection.State.allCases)
  ) throws(InetDiagError) -> [TCPConnection] {
    ranges.isEmpty ? [] : try ask(.all(toPorts: ranges, states: states))
  }

  /// The same connection as it is now; nil where it is no more.
  ///
  /// The kernel finds it without a search, in some microseconds.
  public func refreshed(_ connection: TCPConnection) throws(InetDiagError) -> TCPConnection? {
    do throws(InetDiagError) {
      return try ask(.one(connection)).first
    } catch {
      // Nothing is there, or another connection.
      guard error.systemError == ENOENT || error.systemError == ESTALE else { throw error }
      return nil
    }
  }

  private func ask(_ request: InetDiagRequest) throws(InetDiagError) -> [TCPConnection] {
    try sequence.withLock { sequence throws(InetDiagError) in
      try NetlinkSocket.ask(descriptor, request, sequence: &sequence)
    }
  }
}
