internal import FoundationEssentials
internal import Synchronization

/// An event that QEMU sent.
public struct QMPEvent: Hashable, Sendable {
  /// Its name, such as `MIGRATION` or `STOP`.
  public let name: String
  /// Its payload; null where there is none.
  public let data: JSONValue
}

/// The QMP connection through which the rig gives its orders.
public final class QMPConductor: Sendable {
  /// How long an answer may take unless the caller says otherwise; generous, as the machine may be busy.
  public static let patience = Duration.seconds(30)

  private let connection: SocketReader
  private let lastID = Atomic<Int64>(0)
  private let replies = Inbox<JSONValue>(keeping: 64)
  private let eventLog = Inbox<QMPEvent>(keeping: 1000)

  private init(reading connection: SocketReader) throws(RigError) {
    self.connection = connection
    let dispatcher = QMPDispatcher(replies: replies, events: eventLog)
    try connection.start(dispatcher.receive)
  }

  deinit { connection.shut() }

  /// Connects to a QMP socket as soon as it is there, and negotiates.
  ///
  /// - Parameters:
  ///   - path: The Unix socket.
  ///   - limit: How long to try, including the negotiation.
  ///   - giveUp: Asked before each attempt; what it throws ends the wait, for a QEMU that has exited.
  /// - Throws: ``RigError`` or ``QMPError``.
  public static func connect(
    to path: String, within limit: Duration = patience,
    unless giveUp: @escaping @Sendable () throws -> Void = {}
  ) async throws -> QMPConductor {
    try await withDeadline(limit, "connecting to \(path)") {
      let conductor = try QMPConductor(reading: try await openWhenThere(path, unless: giveUp))
      _ = try await conductor.replies.first { $0["QMP"] != nil }
      try await conductor.execute("qmp_capabilities")
      return conductor
    }
  }

  /// Executes one command and returns what QMP calls the return value.
  ///
  /// - Throws: ``QMPError`` when QEMU refuses, ``RigError`` when the connection ends or the time runs out.
  @discardableResult
  public func execute(
    _ command: String, _ arguments: JSONValue? = nil, within limit: Duration = patience
  ) async throws -> JSONValue {
    let id = JSONValue.int(lastID.add(1, ordering: .relaxed).newValue)
    var request: [String: JSONValue] = ["execute": .string(command), "id": id]
    request["arguments"] = arguments
    let line = try Array(JSONEncoder().encode(JSONValue.object(request))) + [UInt8(ascii: "\n")]
    try connection.send(line, "QMP \(command)")
    let reply = try await withDeadline(limit, "QMP \(command)") { [replies] in
      try await replies.first { $0["id"] == id }
    }
    if let error = reply["error"] {
      throw QMPError(
        command: command, errorClass: error["class"]?.string ?? "", desc: error["desc"]?.string ?? "")
    }
    return reply["return"] ?? .null
  }

  /// The last 1,000 events since the connection was made, the oldest first.
  public var events: [QMPEvent] { eventLog.messages }

  /// The first event, past or to come, that fits.
  ///
  /// - Throws: ``RigError`` when the connection ends or the time runs out.
  public func event(
    within limit: Duration = patience, where fits: @escaping @Sendable (QMPEvent) -> Bool
  ) async throws -> QMPEvent {
    try await withDeadline(limit, "waiting for an event") { [eventLog] in
      try await eventLog.first(where: fits)
    }
  }
}

/// Connects to a socket that may not be there yet.
func openWhenThere(_ path: String, unless giveUp: @Sendable () throws -> Void) async throws -> SocketReader {
  while true {
    try giveUp()
    do throws(RigError) {
      return SocketReader(try UnixSocket.connect(to: path))
    } catch  where error.code == .unsuitable {
      throw error
    } catch {
      try await Task.sleep(for: .milliseconds(20))
    }
  }
}

/// Splits what arrives into lines and sorts them into answers and events.
private final class QMPDispatcher: Sendable {
  private let partialLine = Mutex<[UInt8]>([])
  private let replies: Inbox<JSONValue>
  private let events: Inbox<QMPEvent>

  init(replies: Inbox<JSONValue>, events: Inbox<QMPEvent>) {
    self.replies = replies
    self.events = events
  }

  @Sendable func receive(_ bytes: ArraySlice<UInt8>?) {
    guard let bytes else { return finish(RigError(.disconnected, "QMP", "QEMU closed the connection")) }
    let lines = partialLine.withLock { partial in
      partial += bytes
      var lines = partial.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      partial = lines.popLast().map(Array.init) ?? []
      return lines
    }
    for line in lines where !line.isEmpty {
      guard let message = try? JSONDecoder().decode(JSONValue.self, from: Data(line)) else {
        return finish(RigError(.protocolViolation, "QMP", "QEMU sent a line that is not JSON"))
      }
      if let name = message["event"]?.string {
        events.deliver(QMPEvent(name: name, data: message["data"] ?? .null))
      } else {
        replies.deliver(message)
      }
    }
  }

  private func finish(_ error: RigError) {
    replies.finish(error)
    events.finish(error)
  }
}
