/// The open connections and the moment by which each must have moved on.
///
/// libmicrohttpd's own timeout counts silence only, so a client that sends a byte now and then would keep its
/// connection for ever.
struct ConnectionTable {
  typealias Instant = ContinuousClock.Instant

  private enum Phase { case receiving, handling, sending }

  private struct Entry {
    let socket: Int32
    var phase: Phase
    var deadline: Instant?
  }

  private let requestTimeout: Duration
  private let responseTimeout: Duration
  private var entries: [UInt: Entry] = [:]
  /// Requests that are complete and not yet answered to the end.
  private(set) var active = 0

  init(requestTimeout: Duration, responseTimeout: Duration) {
    self.requestTimeout = requestTimeout
    self.responseTimeout = responseTimeout
  }

  var count: Int { entries.count }

  mutating func opened(_ id: UInt, socket: Int32, at now: Instant) {
    entries[id] = Entry(socket: socket, phase: .receiving, deadline: Self.deadline(requestTimeout, now))
  }

  /// The request is complete; how long the handler takes is not the client's matter.
  mutating func handling(_ id: UInt) { move(id, to: .handling, deadline: nil) }

  mutating func sending(_ id: UInt, at now: Instant) {
    move(id, to: .sending, deadline: Self.deadline(responseTimeout, now))
  }

  /// The response is sent, or the request has come to another end.
  mutating func completed(_ id: UInt, at now: Instant) {
    move(id, to: .receiving, deadline: Self.deadline(requestTimeout, now))
  }

  mutating func closed(_ id: UInt) {
    move(id, to: .receiving, deadline: nil)
    entries[id] = nil
  }

  /// The sockets whose time has passed, each once.
  mutating func takeExpired(at now: Instant) -> [Int32] {
    var sockets: [Int32] = []
    for (id, entry) in entries {
      guard let deadline = entry.deadline, deadline <= now else { continue }
      entries[id]?.deadline = nil
      sockets.append(entry.socket)
    }
    return sockets
  }

  /// How long nothing can expire: until the next deadline, and a connection yet to come has a whole timeout.
  func quiet(at now: Instant) -> Duration? {
    let next = entries.values.compactMap(\.deadline).min().map { max(.zero, now.duration(to: $0)) }
    let limits = [requestTimeout, responseTimeout].filter { $0 > .zero }
    return (limits + [next].compactMap(\.self)).min()
  }

  private mutating func move(_ id: UInt, to phase: Phase, deadline: Instant?) {
    guard let entry = entries[id] else { return }
    active += (phase == .receiving ? 0 : 1) - (entry.phase == .receiving ? 0 : 1)
    entries[id]?.phase = phase
    entries[id]?.deadline = deadline
  }

  private static func deadline(_ timeout: Duration, _ now: Instant) -> Instant? {
    timeout > .zero ? now + timeout : nil
  }
}
