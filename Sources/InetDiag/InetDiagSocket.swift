internal import CLinux
internal import Glibc
internal import Synchronization

/// Reads the TCP connections of a network namespace from the kernel (`NETLINK_SOCK_DIAG`), without a child process.
///
/// Needs no privilege in the own namespace: every user sees all connections and all their figures. Calls are quick but
/// block, for seconds at the very worst: make them from a thread of your own, not from Swift's cooperative pool. Calls
/// from several threads at once wait for one another.
public final class InetDiagSocket: Sendable {
  let descriptor: Descriptor
  /// The number of the last question; held while the answer is awaited.
  let sequence = Mutex<UInt32>(0)

  /// Opens a socket, which stays in its namespace whatever becomes of the process that it was named by.
  ///
  /// - Parameter networkNamespace: a path such as `/proc/PID/ns/net`; nil for this process's own. Another namespace
  ///   needs CAP_SYS_ADMIN, and CAP_SYS_PTRACE where another user's process names it; no thread's namespace changes.
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
  /// The kernel filters, so other connections cost little. One that comes or goes meanwhile may be missing; none is
  /// there twice. The order means nothing.
  public func connections(
    toPorts ports: ClosedRange<UInt16>, states: Set<TCPConnection.State> = Set(TCPConnection.State.allCases)
  ) throws(InetDiagError) -> [TCPConnection] {
    try sequence.withLock { sequence throws(InetDiagError) in
      var found: [TCPConnection] = []
      for family in [AF_INET, AF_INET6] {
        let request = InetDiagRequest(family: family, ports: ports, states: states)
        found += try NetlinkSocket.dump(descriptor, request, sequence: &sequence)
      }
      // A connection that changes its state moves to where the kernel looks once more.
      var seen: Set<UInt64> = []
      return found.filter { seen.insert($0.cookie).inserted }
    }
  }
}
