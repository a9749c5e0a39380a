internal import CLinux

/// Hears from the kernel which TCP connections of a network namespace it has given up, nearly in the order in which it did.
///
/// A look at a connection tells that it is gone; of two that went between two looks nothing else tells which was first. One
/// is given up when its program has closed it and the peer has acknowledged all, or when it was reset; two that go within
/// some microseconds on two processors may be told the other way round. The kernel makes a notice for every connection for
/// as long as there is one who hears. Needs no privilege in the own namespace.
public final class ConnectionEnds: Sendable {
  private let descriptor: Descriptor

  /// Hears of what ends from now on.
  ///
  /// - Parameter networkNamespace: As for ``InetDiagSocket``.
  public init(networkNamespace: String? = nil) throws(InetDiagError) {
    let groups = [SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY].reduce(UInt32(0)) {
      $0 | 1 << (UInt32($1.rawValue) - 1)
    }
    guard let networkNamespace else {
      descriptor = try NetlinkSocket.open(groups: groups)
      return
    }
    descriptor = try NetworkNamespace.run(in: networkNamespace) { () throws(InetDiagError) in
      try NetlinkSocket.open(groups: groups)
    }
  }

  /// The cookies (``TCPConnection/cookie``) of those that ended since the last call, the first one first; returns at
  /// once.
  ///
  /// A notice comes a moment after the end. Where more ended than the kernel keeps notices of, some are missing.
  public func take() throws(InetDiagError) -> [UInt64] { try NetlinkSocket.told(descriptor).map(\.cookie) }
}
