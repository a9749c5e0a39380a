internal import CLibvirt
internal import Glibc
internal import Posix

/// libvirt's event loop: one for the whole process, since libvirt knows only one.
///
/// It must run before the first connection is opened: a connection that is older hears no events, and its keepalive
/// never notices a dead peer.
enum EventLoop {
  /// Starts the loop on first use; false where the system gives no thread.
  static let isRunning: Bool = {
    guard virInitialize() == 0, virEventRegisterDefaultImpl() == 0 else { return false }
    // Every error would be printed to standard error otherwise.
    virSetErrorFunc(nil) { _, _ in }
    return startThread("drover-libvirt") {
      while true {
        // Ends with an error only where it cannot poll at all; then it must not spin.
        if virEventRunDefaultImpl() < 0 { usleep(100_000) }
      }
    }
  }()
}
