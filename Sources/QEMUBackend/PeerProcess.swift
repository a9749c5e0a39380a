internal import CLinux
internal import Glibc

/// A QEMU behind a connected socket.
///
/// The process alone does not tell: it is that which made the socket listen, which may be a manager that hands sockets
/// to several QEMUs.
struct PeerProcess: Hashable {
  let process: Int32
  /// The UUID or name by which QEMU calls itself.
  let name: String

  /// Nil where the kernel does not say, or the process is in another PID namespace.
  init?(_ descriptor: Int32, name: String) {
    var peer = drover_peer()
    var length = socklen_t(MemoryLayout<drover_peer>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0, peer.pid > 0 else {
      return nil
    }
    process = peer.pid
    self.name = name
  }
}
