internal import CLinux
internal import DroverCore
internal import Glibc
internal import Logging

/// The one thread of a back end: all its sockets, none of which it ever waits for.
final class QMPLoop {
  /// A socket with its connection.
  final class Peer {
    var session: QMPSession
    var connection: Connection?
    /// The file that was there at the last attempt.
    var file: FileIdentity?
    /// The QEMU behind the socket, where this is the one that it is watched over.
    var process: PeerProcess?
    /// The earliest moment that the queue holds for it.
    var queuedAt: Moment?
    let key: UInt64

    init(_ session: QMPSession, key: UInt64) {
      self.session = session
      self.key = key
    }
  }

  final class Connection {
    let descriptor: Descriptor
    var lines: LineBuffer
    var unsent: ArraySlice<UInt8> = []
    /// Whether the other side takes nothing at the moment.
    var isBlocked = false

    init(_ descriptor: Descriptor, lineLimit: Int) {
      self.descriptor = descriptor
      lines = LineBuffer(limit: lineLimit)
    }
  }

  private static let mailKey = UInt64.max
  private static let scanInterval = Duration.seconds(1)
  /// Guests that are begun together with Drover have time to appear.
  private static let patience = Duration.seconds(10)
  /// More sockets than this are a mistake.
  private static let mostSockets = 4096

  private let configuration: QEMUConfiguration
  private let settings: QMPSettings
  private let patterns: [SocketPattern]
  let clock: any Timepiece
  private let log: Logger
  private let tell: (BackendMessage) -> Void
  private let poller: Descriptor
  private let buffer: UnsafeMutableRawBufferPointer

  private(set) var peers: [String: Peer] = [:]
  private var byKey: [UInt64: Peer] = [:]
  private var lastKey: UInt64 = 0
  private var deadlines = DeadlineQueue()
  private var watched: [PeerProcess: UInt64] = [:]
  /// Paths that belong to another manager; of those configured as such, what is wrong with them.
  private var refused: [String: SocketHealth?] = [:]
  /// Patterns that have matched nothing yet, and when that is said of them, once; nil before the first look.
  private var unmatched: (patterns: Set<String>, tellAt: Moment)?
  private var directories = PatternDirectories()
  private var hasTooMany = false
  private var board: HealthBoard
  /// Whether a socket's state changed since the board was last looked at.
  private var isTurned = true
  private var scanAt: Moment
  private let mail: LoopMail
  /// Orders that wait for a look or an answer, by the socket's key.
  var orders: [UInt64: [QMPOrder]] = [:]

  /// Nil where the system has no descriptors left.
  init?(
    _ configuration: QEMUConfiguration, clock: any Timepiece, log: Logger, mail: LoopMail,
    telling: @escaping (BackendMessage) -> Void
  ) {
    let number = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard number >= 0 else { return nil }
    poller = Descriptor(number)
    self.configuration = configuration
    settings = QMPSettings(configuration)
    patterns = configuration.sockets.map { SocketPattern($0) }
    self.clock = clock
    self.log = log
    tell = telling
    board = HealthBoard(backend: configuration.name)
    scanAt = clock.now()
    self.mail = mail
    buffer = .allocate(byteCount: 1 << 16, alignment: 16)
    guard watch(mail.number, EPOLLIN, Self.mailKey, EPOLL_CTL_ADD) else { return nil }
  }

  deinit { buffer.deallocate() }

  /// Works until its mail is stopped.
  func run() {
    defer { for order in orders.values.joined() { LoopMail.refuse(order) } }
    var events = [epoll_event](repeating: epoll_event(), count: 64)
    while true {
      let now = clock.now()
      scan(now)
      failOverdue(now)
      let epoch = clock.epochOffset()
      while let (due, key) = deadlines.take(at: now) {
        guard let peer = byKey[key], peer.queuedAt == due else { continue }
        peer.queuedAt = nil
        if peer.session.nextDeadline <= now { feed(.tick, to: peer, now, epoch) }
        arm(peer)
      }
      tellHealth(now)
      let count = epoll_wait(poller.number, &events, Int32(events.count), pause())
      guard count > 0 else { continue }
      for event in events[..<Int(count)] {
        guard event.data.u64 != Self.mailKey else {
          guard let sent = mail.take() else { return }
          for order in sent { take(order) }
          continue
        }
        guard let peer = byKey[event.data.u64] else { continue }
        if event.events & EPOLLOUT.rawValue != 0 { flush(peer) }
        if event.events & ~EPOLLOUT.rawValue != 0 { read(peer) }
      }
    }
  }

  /// Milliseconds until something has to be done.
  private func pause() -> Int32 {
    var next = scanAt
    if let health = board.nextDeadline { next = min(next, health) }
    if let deadline = deadlines.first { next = min(next, deadline) }
    return Int32(clamping: max(0, (next - clock.now()).milliseconds))
  }

  /// Makes sure that the queue wakes the loop in time; a deadline that moved away is queued anew when it comes up.
  func arm(_ peer: Peer) {
    let due = peer.session.nextDeadline
    guard peer.queuedAt.map({ due < $0 }) ?? true else { return }
    peer.queuedAt = due
    deadlines.insert(peer.key, at: due)
  }

  // MARK: - Finding sockets

  private func scan(_ now: Moment) {
    guard now >= scanAt else { return }
    scanAt = now + Self.scanInterval
    lookAtDirectories(now)
    var present: Set<String> = []
    var missing = unmatched ?? (Set(patterns.map(\.text)), now + Self.patience)
    defer { unmatched = missing }
    for pattern in patterns {
      let matches = pattern.matches()
      if !matches.isEmpty {
        missing.patterns.remove(pattern.text)
      } else if missing.tellAt <= now, missing.patterns.remove(pattern.text) != nil {
        log.warning(
          "no socket matches; those that appear are followed", metadata: ["sockets": "\(pattern.text)"])
      }
      for path in matches where present.insert(path).inserted {
        if let peer = peers[path] {
          if peer.session.isDown, FileIdentity(path) != peer.file { hurry(peer, now) }
        } else if !pattern.isGlob || FileIdentity(path)?.isSocket == true {
          find(path, isLiteral: !pattern.isGlob, now)
        }
      }
    }
    refused = refused.filter { present.contains($0.key) || SocketPresence($0.key) != .missing }
    for (path, peer) in peers where !present.contains(path) && peer.session.isDown {
      // A look that failed shows nothing, and a path that cannot be looked at is not gone.
      guard SocketPresence(path) == .missing else { continue }
      feed(.closed(.missing), to: peer, now, clock.epochOffset())
      peers[path] = nil
      byKey[peer.key] = nil
      isTurned = true
    }
  }

  private func lookAtDirectories(_ now: Moment) {
    for directory in Set(patterns.filter(\.isGlob).map(\.fixedDirectory)).sorted() {
      // With the capabilities in effect, as the glob itself is looked up.
      let code = faccessat(AT_FDCWD, directory, R_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno
      switch directories.looked(at: directory, code, now) {
      case nil: continue
      case .readable:
        log.info("the directory of sockets can be read again", metadata: ["directory": "\(directory)"])
      case .unreadable(let kind, let problem):
        log.warning(
          "\(problem); looking again until it can be",
          metadata: ["backend": "\(configuration.name.rawValue)"])
        board.failed(kind)
      }
      isTurned = true
    }
  }

  private func find(_ path: String, isLiteral: Bool, _ now: Moment) {
    if let owner = SocketOwner.ofSocket(path, in: configuration.owned) {
      guard refused[path] == nil else { return }
      var health = SocketHealth(since: now)
      let problem = "not watched: \(QEMUConfigurationError.owned(by: owner, path: path))"
      health.failed(.socketOwned, problem)
      refused[path] = .some(isLiteral ? health : nil)
      isTurned = true
      log.warning("\(problem)")
      board.failed(.socketOwned)
      return
    }
    refused[path] = nil
    guard peers.count < Self.mostSockets else {
      if !hasTooMany {
        log.warning("more than \(Self.mostSockets) sockets are found; the rest is not watched")
      }
      hasTooMany = true
      return
    }
    lastKey += 1
    let peer = Peer(
      QMPSession(path: path, isLiteral: isLiteral, settings: settings, at: now), key: lastKey)
    peers[path] = peer
    byKey[lastKey] = peer
    isTurned = true
    arm(peer)
  }

  private func hurry(_ peer: Peer, _ now: Moment) {
    peer.session.hurry(now)
    arm(peer)
  }

  // MARK: - One QEMU, one socket

  /// The socket over which the QEMU behind this one is watched already; without one, this is it from now on.
  private func twin(of peer: Peer, named name: String, _ now: Moment) -> String? {
    guard let number = peer.connection?.descriptor.number, let process = PeerProcess(number, name: name)
    else { return nil }
    if let key = watched[process], key != peer.key, let first = byKey[key] { return first.session.path }
    guard peer.process != process else { return nil }
    release(peer, now)
    peer.process = process
    watched[process] = peer.key
    return nil
  }

  /// Lets another socket of the same QEMU take over.
  ///
  /// A connection that is only lost keeps its QEMU, and its migration.
  private func release(_ peer: Peer, _ now: Moment) {
    guard let process = peer.process else { return }
    peer.process = nil
    watched[process] = nil
    for other in peers.values where other.session.twin == peer.session.path { hurry(other, now) }
  }

  // MARK: - One socket

  private func feed(_ input: QMPSession.Input, to peer: Peer, _ now: Moment, _ epoch: EpochOffset) {
    var inputs = [input]
    let before = peer.session.health.state
    defer {
      if peer.session.health.state != before { isTurned = true }
      arm(peer)
    }
    while !inputs.isEmpty {
      let input = inputs.removeFirst()
      for action in peer.session.handle(input, at: now, epoch: epoch) {
        switch action {
        case .connect: inputs.append(connect(peer))
        case .send(let bytes):
          peer.connection?.unsent.append(contentsOf: bytes)
          flush(peer)
        case .close: peer.connection = nil
        case .tell(let message): tell(message)
        case .log(let level, let text):
          log.log(level: level, "\(text)", metadata: ["socket": "\(peer.session.path)"])
        case .failed(let kind): board.failed(kind)
        case .polled(let took): board.polled(took)
        case .identified(let name):
          guard let first = twin(of: peer, named: name, now) else { continue }
          peer.connection = nil
          inputs.append(.closed(.twin(first)))
        case .looked(let live): looked(live, peer, now)
        case .cancelAnswered(let refusal): cancelAnswered(refusal, peer)
        }
      }
      if peer.session.isDown, !orders.isEmpty { failOrders(of: peer) }
      switch input {
      case .closed(.refused), .closed(.missing): release(peer, now)
      default: break
      }
    }
  }

  /// Does what a session wants of its own accord.
  func perform(_ actions: [QMPSession.Action], of peer: Peer) {
    for case .send(let bytes) in actions {
      peer.connection?.unsent.append(contentsOf: bytes)
      flush(peer)
    }
    arm(peer)
  }

  private func connect(_ peer: Peer) -> QMPSession.Input {
    peer.file = FileIdentity(peer.session.path)
    switch UnixSocket.connect(to: peer.session.path) {
    case .failure(let closing): return .closed(closing)
    case .success(let descriptor):
      guard watch(descriptor.number, EPOLLIN, peer.key, EPOLL_CTL_ADD) else {
        return .closed(.failed("epoll_ctl: \(text(of: errno))"))
      }
      peer.connection = Connection(descriptor, lineLimit: configuration.lineLimit)
      return .connected
    }
  }

  private func read(_ peer: Peer) {
    // Once only: what is left is told again, and the other sockets have their turn.
    guard let connection = peer.connection else { return }
    let count = recv(connection.descriptor.number, buffer.baseAddress, buffer.count, 0)
    if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
    let now = clock.now()
    let epoch = clock.epochOffset()
    guard count > 0 else {
      peer.connection = nil
      feed(.closed(.ended), to: peer, now, epoch)
      return
    }
    let isWhole = connection.lines.take(UnsafeRawBufferPointer(rebasing: buffer[..<count])) { line in
      feed(.line(line), to: peer, now, epoch)
      return peer.connection === connection
    }
    guard !isWhole, peer.connection === connection else { return }
    peer.connection = nil
    feed(.closed(.lineTooLong), to: peer, now, epoch)
  }

  private func flush(_ peer: Peer) {
    guard let connection = peer.connection, !connection.unsent.isEmpty else { return }
    let sent = connection.unsent.withUnsafeBytes {
      send(connection.descriptor.number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    // Where sending fails, reading tells why.
    if sent > 0 { connection.unsent = connection.unsent.dropFirst(sent) }
    let isBlocked = sent < 0 ? errno == EAGAIN || errno == EINTR : !connection.unsent.isEmpty
    if !isBlocked { connection.unsent = [] }
    guard isBlocked != connection.isBlocked else { return }
    connection.isBlocked = isBlocked
    _ = watch(
      connection.descriptor.number, isBlocked ? EPOLL_EVENTS(EPOLLIN.rawValue | EPOLLOUT.rawValue) : EPOLLIN,
      peer.key, EPOLL_CTL_MOD)
  }

  private func watch(_ number: Int32, _ events: EPOLL_EVENTS, _ key: UInt64, _ operation: Int32) -> Bool {
    var event = epoll_event()
    event.events = events.rawValue
    event.data.u64 = key
    return epoll_ctl(poller.number, operation, number, &event) == 0
  }

  private func tellHealth(_ now: Moment) {
    guard isTurned || board.nextDeadline.map({ now >= $0 }) ?? true else { return }
    isTurned = false
    let due = board.due(
      peers.values.map { $0.session.health } + refused.values.compactMap { $0 } + directories.unreadable,
      scannedAt: scanAt - Self.scanInterval, at: now)
    for health in due { tell(.health(health)) }
  }
}

extension QMPSettings {
  init(_ configuration: QEMUConfiguration) {
    backend = configuration.name
    host = configuration.host
    events = configuration.events
    activeInterval = configuration.activeInterval
    idleInterval = configuration.idleInterval
    requestDeadline = configuration.requestDeadline
    retry = configuration.retry
  }
}
