internal import CLinux
internal import Glibc

/// Wakes a thread that sleeps in `wait`.
final class Waker: Sendable {
  private let descriptor: Int32

  init() { descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) }

  deinit { close(descriptor) }

  func wake() {
    var one: UInt64 = 1
    _ = write(descriptor, &one, MemoryLayout<UInt64>.size)
  }

  /// Sleeps until woken, ever, or until the time has passed; `nil` is no limit.
  func wait(atMost timeout: Duration?) {
    var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    // Rounded up, so that what was waited for is due on return.
    let milliseconds = timeout.map { Int32(min($0, .seconds(3600)) / .milliseconds(1)) + 1 }
    _ = Glibc.poll(&poll, 1, milliseconds ?? -1)
  }
}
