import DroverCore
import Logging

@testable import QEMUBackend

/// A QEMU made of answers, and the session that talks to it, on one clock.
struct SessionDriver {
  var session: QMPSession
  var now = Moment(milliseconds: 1_000_000)
  var epoch = EpochOffset(milliseconds: 1_700_000_000_000)

  /// What QEMU returns; a command without an entry is not answered.
  var returns: [String: String] = [
    "qmp_capabilities": "{}",
    "query-name": #"{"name": "guest1"}"#,
    "query-uuid": #"{"UUID": "11111111-2222-4333-8444-555555555555"}"#,
    "query-memory-size-summary": #"{"base-memory": 268435456, "plugged-memory": 0}"#,
    "migrate-set-capabilities": "{}",
    "query-migrate": "{}",
    "query-status": #"{"status": "running", "singlestep": false, "running": true}"#,
    "query-migrate-parameters":
      #"{"downtime-limit": 300, "max-bandwidth": 20971520, "max-postcopy-bandwidth": 4194304}"#,
    "query-block": Trace.block,
  ]
  /// Commands that QEMU answers with an error.
  var refusals: Set<String> = []
  var version = (7, 2, 22)
  /// What a connection comes to.
  var connecting: QMPClosing?
  var greets = true

  var messages: [BackendMessage] = []
  var logs: [(level: Logger.Level, text: String)] = []
  var failures: [QMPErrorKind] = []
  var commands: [String] = []
  var lines: [String] = []
  var polls = 0
  var looks: [QMPLive] = []
  var cancels: [String?] = []
  var identities: [String] = []
  var connects: [Moment] = []
  var closes = 0

  init(
    path: String = "/run/guests/one.qmp", isLiteral: Bool = false, events: Bool = false,
    retry: RetrySchedule = RetrySchedule()
  ) {
    let settings = QMPSettings(
      backend: BackendName(rawValue: "qemu"), host: "host-a", events: events,
      activeInterval: .milliseconds(500), idleInterval: .seconds(2), requestDeadline: .seconds(2),
      retry: retry)
    session = QMPSession(path: path, isLiteral: isLiteral, settings: settings, at: now)
  }

  /// A session that is connected and has made its first poll.
  static func connected(
    migrate: String = "{}", runState: String = "running", events: Bool = false, isLiteral: Bool = false
  ) -> SessionDriver {
    var driver = SessionDriver(isLiteral: isLiteral, events: events)
    driver.migrate(migrate, runState)
    driver.feed(.tick)
    return driver
  }

  mutating func migrate(_ answer: String, _ runState: String = "running") {
    returns["query-migrate"] = answer
    returns["query-status"] = #"{"status": "\#(runState)"}"#
  }

  mutating func feed(_ input: QMPSession.Input) {
    var inputs = [input]
    while !inputs.isEmpty {
      for action in session.handle(inputs.removeFirst(), at: now, epoch: epoch) {
        switch action {
        case .connect:
          connects.append(now)
          if let connecting {
            inputs.append(.closed(connecting))
          } else {
            inputs.append(.connected)
            if greets {
              inputs.append(
                .line(
                  Array(
                    #"{"QMP": {"version": {"qemu": {"major": \#(version.0), "minor": \#(version.1), "micro": \#(version.2)}}}}"#
                      .utf8)))
            }
          }
        case .send(let bytes):
          if let reply = reply(to: String(decoding: bytes, as: UTF8.self)) {
            inputs.append(.line(Array(reply.utf8)))
          }
        case .close: closes += 1
        case .tell(let message): messages.append(message)
        case .log(let level, let text): logs.append((level, text))
        case .failed(let kind): failures.append(kind)
        case .polled: polls += 1
        case .looked(let live): looks.append(live)
        case .cancelAnswered(let refusal): cancels.append(refusal)
        case .identified(let name): identities.append(name)
        }
      }
    }
  }

  private mutating func reply(to line: String) -> String? {
    lines.append(line)
    let parts = line.split(separator: "\"")
    let command = String(parts[3])
    let id = String(parts[7])
    commands.append(command)
    if refusals.contains(command) {
      return #"{"id": "\#(id)", "error": {"class": "CommandNotFound", "desc": "The command is not found"}}"#
    }
    return returns[command].map { #"{"return": \#($0), "id": "\#(id)"}"# }
  }

  /// Lets time pass, with a tick whenever the session wants one.
  mutating func advance(_ milliseconds: Int64) {
    let end = now + .milliseconds(milliseconds)
    while session.nextDeadline <= end {
      now = max(now, session.nextDeadline)
      feed(.tick)
    }
    now = end
  }

  mutating func event(_ name: String, _ data: String = "{}") {
    feed(.line(Array(#"{"timestamp": {"seconds": 1}, "event": "\#(name)", "data": \#(data)}"#.utf8)))
  }

  var migrations: [MigrationObservation] {
    messages.compactMap { if case .migration(let one) = $0 { one } else { nil } }
  }
  var phases: [Phase] {
    migrations.map(\.phase).reduce(into: []) { if $0.last != $1 { $0.append($1) } }
  }
  var inbound: [InboundObservation] {
    messages.compactMap { if case .inbound(let one) = $0 { one } else { nil } }
  }
  var moves: [GuestMove] {
    messages.compactMap { if case .guestMoved(let one) = $0 { one } else { nil } }
  }
  var vms: [VMObservation] { messages.compactMap { if case .vm(let one) = $0 { one } else { nil } } }
  var gone: [VMKey] { messages.compactMap { if case .vmGone(let one) = $0 { one } else { nil } } }
}

/// Answers to `query-migrate` as recorded from QEMU 7.2.22.
enum Trace {
  static let setup = #"{"status": "setup"}"#
  static let firstPass = active(
    total: 16, transferred: 2_097_357, remaining: 264_921_088, passes: 1, dirty: 0)
  static let cancelled = #"{"status": "cancelled"}"#
  static let brokenPipe = #"{"status": "failed", "error-desc": "Unable to write to socket: Broken pipe"}"#
  static let noListener =
    #"{"status": "failed", "error-desc": "Failed to connect to '/run/mig.sock': No such file or directory"}"#
  static let completed =
    #"{"status": "completed", "setup-time": 0, "downtime": 5, "total-time": 6100, "ram": {"total": 268967936, "postcopy-requests": 0, "dirty-sync-count": 3, "multifd-bytes": 0, "pages-per-second": 0, "downtime-bytes": 36943, "page-size": 4096, "remaining": 0, "postcopy-bytes": 0, "mbps": 582.49400000000003, "transferred": 126170644, "dirty-sync-missed-zero-copy": 0, "precopy-bytes": 126133701, "duplicate": 65349, "dirty-pages-rate": 0, "skipped": 0, "normal-bytes": 1335296, "normal": 326}}"#
  static let multifd =
    #"{"status": "completed", "setup-time": 1, "downtime": 1, "total-time": 16, "ram": {"total": 268967936, "multifd-bytes": 1403264, "downtime-bytes": 0, "page-size": 4096, "remaining": 0, "postcopy-bytes": 0, "transferred": 1991348, "precopy-bytes": 588084, "dirty-sync-count": 2, "dirty-pages-rate": 0}}"#
  static let postcopy =
    #"{"expected-downtime": 100, "status": "postcopy-active", "setup-time": 0, "total-time": 3105, "ram": {"total": 268967936, "postcopy-requests": 42, "dirty-sync-count": 2, "multifd-bytes": 0, "page-size": 4096, "remaining": 266612736, "postcopy-bytes": 258567, "transferred": 65393604, "precopy-bytes": 65135037, "dirty-pages-rate": 5105}}"#
  static let postcopyPaused =
    #"{"expected-downtime": 63131, "status": "postcopy-paused", "setup-time": 0, "total-time": 4005, "ram": {"total": 268967936, "postcopy-requests": 42, "dirty-sync-count": 2, "page-size": 4096, "remaining": 262672384, "postcopy-bytes": 4210791, "transferred": 69345828, "precopy-bytes": 65135037, "dirty-pages-rate": 5105}}"#
  static let postcopyCompleted =
    #"{"status": "completed", "setup-time": 1, "downtime": 2594475, "total-time": 5130, "ram": {"total": 268967936, "postcopy-requests": 18, "dirty-sync-count": 2, "page-size": 4096, "remaining": 0, "postcopy-bytes": 68006582, "transferred": 133141619, "precopy-bytes": 65135037, "dirty-pages-rate": 0}}"#
  static let disks =
    #"{"expected-downtime": 1000, "status": "active", "disk": {"total": 33554432, "dirty-sync-count": 0, "page-size": 0, "remaining": 17825792, "transferred": 15728640}, "setup-time": 1, "total-time": 152, "ram": {"total": 268967936, "dirty-sync-count": 1, "page-size": 4096, "remaining": 268967936, "transferred": 1520, "precopy-bytes": 1520, "dirty-pages-rate": 0}}"#
  static let block =
    #"[{"device": "floppy0", "removable": true, "inserted": {"image": {"virtual-size": 1474560}, "ro": true}}, {"device": "cd0", "removable": true}, {"device": "virtio0", "inserted": {"image": {"virtual-size": 33554432}, "ro": false}}]"#
  static let listening = #"{"socket-address": [{"path": "/run/mig.sock", "type": "unix"}]}"#
  static let arriving =
    #"{"status": "active", "socket-address": [{"path": "/run/mig.sock", "type": "unix"}]}"#
  static let arrived = #"{"status": "completed"}"#

  static func active(
    total: Int, transferred: UInt64, remaining: UInt64, passes: Int = 2, dirty: Int = 5085,
    status: String = "active", more: String = ""
  ) -> String {
    #"{"expected-downtime": 3193, "status": "\#(status)", "setup-time": 0, "total-time": \#(total), \#(more)"ram": {"total": 268967936, "postcopy-requests": 0, "dirty-sync-count": \#(passes), "multifd-bytes": 0, "pages-per-second": 5120, "downtime-bytes": 0, "page-size": 4096, "remaining": \#(remaining), "postcopy-bytes": 0, "mbps": 168.10128, "transferred": \#(transferred), "precopy-bytes": \#(transferred), "duplicate": 49169, "dirty-pages-rate": \#(dirty), "skipped": 0, "normal-bytes": 125382656, "normal": 30611}}"#
  }
}
