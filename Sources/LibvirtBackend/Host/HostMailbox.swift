internal import CLinux
internal import DroverCore
internal import Glibc
internal import InetDiag
internal import Synchronization

/// What another thread has for the loop of a host.
enum HostMail: Sendable {
  /// What a connection told; one that is no longer in use is not listened to.
  case told(HostInput, by: Int)
  /// What came of a call, whichever connection it went over.
  case came(HostInput)
  /// There are connections.
  case connected(ConnectionPool, HostFacts, conf: QEMUConf?, number: Int)
  /// There are none.
  case notConnected(LibvirtError, number: Int)
}

/// What other threads have for the loop of a host, and what wakes it.
final class HostMailbox: Sendable {
  private struct Contents {
    var mail: [HostMail] = []
    var isStopped = false
  }

  private let contents = Mutex(Contents())
  private let wake: Int32

  /// Nil where the system has no descriptors left.
  init?() {
    wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    if wake < 0 { return nil }
  }

  deinit { close(wake) }

  /// Leaves something; false where nobody will take it any more.
  @discardableResult
  func put(_ mail: HostMail) -> Bool {
    let (isTaken, isFirst) = contents.withLock { contents in
      guard !contents.isStopped else { return (false, false) }
      contents.mail.append(mail)
      return (true, contents.mail.count == 1)
    }
    if isFirst { ring() }
    return isTaken
  }

  func stop() {
    contents.withLock { $0.isStopped = true }
    ring()
  }

  /// Waits until there is something, or for so long; nil once it is stopped.
  func take(within patience: Duration?) -> [HostMail]? {
    if contents.withLock(\.isStopped) { return nil }
    var request = pollfd(fd: wake, events: Int16(POLLIN), revents: 0)
    let milliseconds = patience.map { Int32(clamping: max(0, $0.milliseconds)) } ?? -1
    if poll(&request, 1, milliseconds) > 0 {
      var count: UInt64 = 0
      _ = read(wake, &count, MemoryLayout<UInt64>.size)
    }
    return contents.withLock { contents in
      guard !contents.isStopped else { return nil }
      defer { contents.mail = [] }
      return contents.mail
    }
  }

  private func ring() {
    var one: UInt64 = 1
    _ = write(wake, &one, MemoryLayout<UInt64>.size)
  }
}
