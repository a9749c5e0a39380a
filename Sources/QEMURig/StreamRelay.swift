internal import Glibc
internal import Synchronization

/// A wire between two Unix sockets that can be cut, healed and severed.
///
/// While it is cut nothing is closed: bytes pile up in the kernel until the sender stalls, as on a network
/// that has gone silent.
public final class StreamRelay: Sendable {
  private let state: Mutex<RelayState>
  private let wakeup: Descriptor
  private let path: String

  /// Listens at `path` and connects each arrival to `target`.
  ///
  /// - Throws: ``RigError`` when the socket cannot be made.
  public init(listeningAt path: String, forwardingTo target: String) throws(RigError) {
    unlink(path)
    let listener = try UnixSocket.listen(at: path)
    let wakeups = try UnixSocket.pair()
    wakeup = try Descriptor(wakeups.0, "socketpair")
    self.path = path
    let wakened = try Descriptor(wakeups.1, "socketpair")
    state = Mutex(RelayState(listener: listener, wakened: wakened, target: target))
    try runOnThread("rig-relay") { self.run() }
  }

  /// Bytes that have been handed on to the target's side so far.
  public var bytesForwarded: Int { state.withLock { $0.bytesForwarded } }

  /// Stops forwarding, in both directions, without closing anything; no byte passes after the return.
  public func cut() { change { $0.isCut = true } }

  /// Goes on after ``cut()``.
  public func heal() { change { $0.isCut = false } }

  /// Closes the connections on both sides; new ones are taken.
  public func sever() { change { $0.links = [] } }

  /// Closes everything and ends the relay's thread.
  public func close() {
    change { state in
      state.isClosed = true
      state.links = []
    }
    unlink(path)
  }

  private func change(_ body: (inout RelayState) -> Void) {
    state.withLock { body(&$0) }
    _ = withUnsafeBytes(of: UInt8(1)) { write(wakeup.number, $0.baseAddress, 1) }
  }

  private func run() {
    while var interests = state.withLock({ $0.isClosed ? nil : $0.interests }) {
      poll(&interests, nfds_t(interests.count), -1)
      state.withLock { $0.pass() }
    }
  }
}

private struct RelayState: ~Copyable {
  let listener: Descriptor
  let wakened: Descriptor
  let target: String
  var links: [RelayLink] = []
  var isCut = false
  var isClosed = false
  var bytesForwarded = 0

  init(listener: consuming Descriptor, wakened: consuming Descriptor, target: String) {
    self.listener = listener
    self.wakened = wakened
    self.target = target
  }

  /// What is worth waking up for.
  var interests: [pollfd] {
    var all = [pollfd(fd: wakened.number, events: Int16(POLLIN), revents: 0)]
    guard !isCut else { return all }
    all.append(pollfd(fd: listener.number, events: Int16(POLLIN), revents: 0))
    for link in links { all += link.interests }
    return all
  }

  /// Does whatever can be done without waiting.
  mutating func pass() {
    var drain = [UInt8](repeating: 0, count: 64)
    while read(wakened.number, &drain, drain.count) > 0 {}
    guard !isCut, !isClosed else { return }
    acceptOne()
    for link in links { bytesForwarded += link.pass() }
    links.removeAll { $0.isOver }
  }

  private mutating func acceptOne() {
    guard
      let near = try? UnixSocket.accept(from: listener), let far = try? UnixSocket.connect(to: target)
    else { return }
    links.append(RelayLink(near: near, far: far))
  }
}

/// One connection through the relay; used under the relay's lock only.
private final class RelayLink {
  private let near: Descriptor
  private let far: Descriptor
  private var outward = RelayBuffer()
  private var inward = RelayBuffer()

  init(near: consuming Descriptor, far: consuming Descriptor) {
    self.near = near
    self.far = far
  }

  var isOver: Bool { outward.isBroken || inward.isBroken || (outward.isDone && inward.isDone) }

  var interests: [pollfd] {
    [
      interest(near.number, reads: outward.wantsToRead, writes: inward.wantsToWrite),
      interest(far.number, reads: inward.wantsToRead, writes: outward.wantsToWrite),
    ]
  }

  /// Moves what can be moved; returns the bytes that went to the far side.
  func pass() -> Int {
    _ = inward.move(from: far.number, to: near.number)
    return outward.move(from: near.number, to: far.number)
  }

  private func interest(_ number: Int32, reads: Bool, writes: Bool) -> pollfd {
    let events = (reads ? POLLIN : 0) | (writes ? POLLOUT : 0)
    // A closed peer wakes poll even if nothing is asked for; -1 leaves the descriptor out.
    return pollfd(fd: events == 0 ? -1 : number, events: Int16(events), revents: 0)
  }
}

/// The bytes that are under way in one direction.
private struct RelayBuffer {
  private var bytes: ArraySlice<UInt8> = []
  private var sawEnd = false
  private(set) var isDone = false
  private(set) var isBroken = false

  var wantsToRead: Bool { bytes.isEmpty && !sawEnd }
  var wantsToWrite: Bool { !bytes.isEmpty }

  mutating func move(from source: Int32, to target: Int32) -> Int {
    if wantsToRead { fill(from: source) }
    let sent = bytes.isEmpty ? 0 : drain(to: target)
    if sawEnd && bytes.isEmpty && !isDone {
      shutdown(target, Int32(SHUT_WR))
      isDone = true
    }
    return sent
  }

  private mutating func fill(from source: Int32) {
    var failure: Int32 = 0
    let chunk = [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
      let result = read(source, buffer.baseAddress, buffer.count)
      count = max(0, result)
      if result < 0 { failure = errno } else if result == 0 { sawEnd = true }
    }
    if failure != 0 && failure != EAGAIN && failure != EINTR { isBroken = true }
    bytes = chunk[...]
  }

  private mutating func drain(to target: Int32) -> Int {
    let sent = bytes.withUnsafeBytes { send(target, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    if sent > 0 {
      bytes = bytes.dropFirst(sent)
    } else if sent < 0 && errno != EAGAIN && errno != EINTR {
      isBroken = true
    }
    return max(0, sent)
  }
}
