internal import CLinux
internal import DroverCore
internal import Glibc
internal import Logging

/// The one thread of a back end: all its sockets, none of which it ever waits for.
final class QMPLoop {
  /// A socket with its connection.
  private final class Peer {
    var session: QMPSession
    var connection: Connection?
    /// The file that was there at the last attempt.
    var file: FileIdentity?
    let key: UInt64

    init(_ session: QMPSession, key: UInt64) {
      self.session = session
      self.key = key
    }
  }

  private final class Connection {
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

  private static let stopKey = UInt64.max
  private static let scanInterval = Duration.seconds(1)
  /// More than this many sockets of one glob are a mistake.
  private static let mostSockets = 4096

  private let configuration: QEMUConfiguration
  private let settings: QMPSettings
  private let patterns: [SocketPattern]
  private let clock: any Timepiece
  private let log: Logger
  private let tell: (BackendMessage) -> Void
  private let poller: Descriptor
  private let buffer: UnsafeMutableRawBufferPointer

  private var peers: [String: Peer] = [:]
  private var byKey: [UInt64: Peer] = [:]
  private var lastKey: UInt64 = 0
  private var refusedPaths: Set<String> = []
  private var board: HealthBoard
  private var scanAt: Moment

  /// Nil where the system has no descriptors left.
  init?(
    _ configuration: QEMUConfiguration, clock: any Timepiece, log: Logger, stop: Int32,
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
    buffer = .allocate(byteCount: 1 << 16, alignment: 16)
    guard watch(stop, EPOLLIN, Self.stopKey, EPOLL_CTL_ADD) else { return nil }
  }

  deinit { buffer.deallocate() }

  /// Works until the stop descriptor becomes readable.
  func run() {
    var events = [epoll_event](repeating: epoll_event(), count: 64)
    while true {
      let now = clock.now()
      scan(now)
      let epoch = clock.epochOffset()
      for peer in peers.values where peer.session.nextDeadline <= now { feed(.tick, to: peer, now, epoch) }
      tellHealth(now)
      let count = epoll_wait(poller.number, &events, Int32(events.count), pause())
      guard count > 0 else { continue }
      for event in events[..<Int(count)] {
        guard event.data.u64 != Self.stopKey else { return }
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
    for peer in peers.values { next = min(next, peer.session.nextDeadline) }
    return Int32(clamping: max(0, (next - clock.now()).milliseconds))
  }

  // MARK: - Finding sockets

  private func scan(_ now: Moment) {
    guard now >= scanAt else { return }
    scanAt = now + Self.scanInterval
    var present: Set<String> = []
    for pattern in patterns {
      for path in pattern.matches(limit: Self.mostSockets) where present.insert(path).inserted {
        if let peer = peers[path] {
          if peer.session.isDown, FileIdentity(path) != peer.file { peer.session.hurry(now) }
        } else if isOurs(path) {
          add(path, isLiteral: !pattern.isGlob, now)
        }
      }
    }
    refusedPaths.formIntersection(present)
    for (path, peer) in peers where !present.contains(path) && peer.session.isDown {
      feed(.closed(.missing), to: peer, now, clock.epochOffset())
      peers[path] = nil
      byKey[peer.key] = nil
    }
  }

  private func isOurs(_ path: String) -> Bool {
    guard let owner = SocketOwner.ofSocket(path, in: configuration.owned) else { return true }
    if refusedPaths.insert(path).inserted {
      log.warning("not watched: \(QEMUConfigurationError.owned(by: owner, path: path))")
      board.failed(.socketOwned)
    }
    return false
  }

  private func add(_ path: String, isLiteral: Bool, _ now: Moment) {
    lastKey += 1
    let peer = Peer(
      QMPSession(path: path, isLiteral: isLiteral, settings: settings, at: now), key: lastKey)
    peers[path] = peer
    byKey[lastKey] = peer
  }

  // MARK: - One socket

  private func feed(_ input: QMPSession.Input, to peer: Peer, _ now: Moment, _ epoch: EpochOffset) {
    var inputs = [input]
    while !inputs.isEmpty {
      for action in peer.session.handle(inputs.removeFirst(), at: now, epoch: epoch) {
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
        }
      }
    }
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
    let due = board.due(
      peers.values.lazy.map { $0.session.health }, scannedAt: scanAt - Self.scanInterval, at: now)
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
