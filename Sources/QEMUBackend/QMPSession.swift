internal import DroverCore
internal import Logging

/// One QMP socket: what was heard in, what to do out; no I/O and no clock.
struct QMPSession: Sendable {
  enum Input {
    /// A connection is there.
    case connected
    /// A line without its end.
    case line([UInt8])
    /// The connection is gone, or did not come about; the descriptor is closed.
    case closed(QMPClosing)
    /// Time has passed.
    case tick
  }

  enum Action {
    /// Connect; answer with `connected` or `closed`.
    case connect
    case send([UInt8])
    /// Close the connection; no `closed` follows.
    case close
    case tell(BackendMessage)
    case log(Logger.Level, String)
    /// An error happened; counted once.
    case failed(QMPErrorKind)
    /// A poll was answered.
    case polled(Duration)
    /// The name or UUID that QEMU calls itself by.
    case identified(String)
    /// A look is whole.
    case looked(QMPLive)
    /// `migrate_cancel` was taken, or refused with this text.
    case cancelAnswered(refusal: String?)
  }

  enum Command: String {
    case capabilities = "qmp_capabilities"
    case name = "query-name"
    case uuid = "query-uuid"
    case memory = "query-memory-size-summary"
    case enableEvents = "migrate-set-capabilities"
    case migrate = "query-migrate"
    case status = "query-status"
    case parameters = "query-migrate-parameters"
    case block = "query-block"
    case cancel = "migrate_cancel"
  }

  enum Link: Equatable {
    case down, opening, greeting, up
  }

  struct Request {
    var command: Command
    var id: UInt32
  }

  let path: String
  /// A path that was configured as such, and must be there.
  let isLiteral: Bool
  let settings: QMPSettings

  /// The part of a `VMObservation` that can change.
  struct Told: Equatable {
    var name: String
    var blockers: [NotMigratableReason]?
  }

  var link = Link.down
  /// When something must have happened, or is to be done.
  var nextDeadline: Moment
  var requests: UInt32 = 0
  var awaited: Request?
  var queue: [Command] = []
  var attempts = 0
  var connectedAt: Moment
  var isReopening = false

  var subject: QMPSubject
  var blockers: [NotMigratableReason]?
  /// What was last told of the VM; nil where it was taken away, or never told.
  var told: Told?
  /// The socket over which the same QEMU is watched already.
  @Apart var twin: String?
  /// Whether the capability `events` is configured and not switched on yet.
  var wantsEvents = false
  var hasWarnedOfEvents = false
  var watch = MigrationWatch()

  var idle: IdleAnswer?
  var pollWanted = false
  var isForced = false
  var pollBegan: Moment
  var parametersAt: Moment?
  var switchoverAt: Moment?
  @Apart var look: QMPLook?
  @Apart var announcement: MigrationWatch.Announcement?

  /// How the socket does, for the back end's health.
  var health: SocketHealth

  init(path: String, isLiteral: Bool, settings: QMPSettings, at now: Moment) {
    self.path = path
    self.isLiteral = isLiteral
    self.settings = settings
    nextDeadline = now
    connectedAt = now
    pollBegan = now
    subject = QMPSubject(path: path, settings)
    health = SocketHealth(since: now)
  }

  /// Whether there is neither a connection nor one being made.
  var isDown: Bool { link == .down }

  mutating func handle(_ input: Input, at now: Moment, epoch: EpochOffset) -> [Action] {
    var out: [Action] = []
    switch input {
    case .connected:
      link = .greeting
      connectedAt = now
    case .line(let bytes):
      receive(bytes, now, epoch, &out)
    case .closed(let closing):
      closed(closing, now, &out)
    case .tick:
      if now >= nextDeadline { tick(now, &out) }
    }
    return out
  }

  /// Looks as soon as nothing is awaited.
  mutating func wantLook(_ now: Moment) {
    pollWanted = true
    if link == .up, awaited == nil { nextDeadline = now }
  }

  /// Ends the migration that was just looked at.
  mutating func cancel(_ now: Moment) -> [Action] {
    var out: [Action] = []
    ask(.cancel, now, &out)
    return out
  }

  /// Tries again now: there is another file under the path.
  mutating func hurry(_ now: Moment) {
    guard link == .down else { return }
    attempts = 0
    nextDeadline = now
  }

  // MARK: - Connection

  private mutating func tick(_ now: Moment, _ out: inout [Action]) {
    switch link {
    case .down:
      link = .opening
      nextDeadline = now + settings.requestDeadline
      out.append(.connect)
    case .opening:
      drop(.timeout, "no connection within \(seconds(settings.requestDeadline))", now, &out)
    case .greeting:
      drop(
        .timeout,
        "no greeting within \(seconds(settings.requestDeadline)): QEMU hangs, or another client holds the socket,"
          + " which serves one at a time; give QEMU a monitor for Drover alone (-qmp unix:…)", now, &out)
    case .up:
      guard let awaited else {
        poll(now, &out)
        return
      }
      drop(
        .timeout,
        "no answer to \(awaited.command.rawValue) within \(seconds(settings.requestDeadline)): QEMU hangs",
        now, &out)
    }
  }

  private mutating func closed(_ closing: QMPClosing, _ now: Moment, _ out: inout [Action]) {
    let wasUp = link == .up && health.answered(since: connectedAt)
    forgetConnection()
    switch closing {
    case .refused, .missing:
      gone(closing, now, &out)
    case .twin(let first):
      leave(to: first, now, &out)
    case .ended where wasUp:
      // QEMU closes its connections before its listening socket: a moment later it is clear whether it is gone.
      isReopening = true
      nextDeadline = now + (now - connectedAt >= .seconds(1) ? .milliseconds(20) : settings.retry.first)
    case .ended where isReopening && attempts < 3:
      attempts += 1
      nextDeadline = now + .milliseconds(100)
    case .ended:
      fail(.closed, "QEMU closed the connection before it answered", now, &out)
    case .permission:
      fail(
        .permission,
        "permission denied: Drover's user needs write access to the socket and search access"
          + " to its directory", now, &out)
    case .lineTooLong:
      fail(.lineTooLong, "a line without end: this is no QMP socket", now, &out)
    case .failed(let text):
      fail(.connect, text, now, &out)
    }
  }

  /// Ends the connection from this side.
  mutating func drop(_ kind: QMPErrorKind, _ text: String, _ now: Moment, _ out: inout [Action]) {
    out.append(.close)
    forgetConnection()
    fail(kind, text, now, &out)
  }

  private mutating func fail(_ kind: QMPErrorKind, _ text: String, _ now: Moment, _ out: inout [Action]) {
    isReopening = false
    out.append(.log(health.isBad ? .debug : .warning, "\(text); trying again"))
    health.failed(kind, "\(path): \(text)")
    out.append(.failed(kind))
    retry(now)
  }

  mutating func retry(_ now: Moment) {
    nextDeadline = now + settings.retry.pause(after: attempts, name: path)
    attempts += 1
  }

  private mutating func gone(_ closing: QMPClosing, _ now: Moment, _ out: inout [Action]) {
    forgetProcess(now, &out)
    if isLiteral {
      fail(
        closing == .missing ? .connect : .refused,
        closing == .missing
          ? "there is no such socket: QEMU does not run, or listens elsewhere"
          : "nothing listens on the socket: QEMU has ended without removing it", now, &out)
    } else {
      if !health.isStale { out.append(.log(.debug, "nothing listens on the socket any more; skipped")) }
      health.stale()
      retry(now)
    }
  }

  /// The QEMU is watched over another socket: it is not counted twice.
  private mutating func leave(to first: String, _ now: Moment, _ out: inout [Action]) {
    forgetProcess(now, &out)
    if twin != first { out.append(.log(.info, "not watched: the same QEMU as behind \(first)")) }
    twin = first
    health.stale()
    nextDeadline = now + .seconds(60)
  }

  private mutating func forgetProcess(_ now: Moment, _ out: inout [Action]) {
    isReopening = false
    add(watch.processGone(subject, at: now), &out)
    takeVMAway(&out)
    idle = nil
    blockers = nil
  }

  private mutating func forgetConnection() {
    link = .down
    awaited = nil
    queue = []
    look = nil
    pollWanted = false
  }
}

extension QMPSubject {
  /// What is known of a VM before its QEMU has said anything.
  init(path: String, _ settings: QMPSettings) {
    let file = path.split(separator: "/").last.map(String.init) ?? path
    vm = VMRef(backend: settings.backend, scope: .host(settings.host), name: file)
    domain = DomainKey(backend: settings.backend, socketPath: path)
  }
}

private func seconds(_ duration: Duration) -> String { "\(duration.inSeconds) s" }
