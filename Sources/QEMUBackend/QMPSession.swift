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
  }

  private enum Link: Equatable {
    case down, opening, greeting, up
  }

  private struct Request {
    var command: Command
    var id: UInt32
  }

  let path: String
  /// A path that was configured as such, and must be there.
  let isLiteral: Bool
  let settings: QMPSettings

  /// The part of a `VMObservation` that can change.
  private struct Told: Equatable {
    var vm: VMRef
    var blockers: [NotMigratableReason]?
  }

  private var link = Link.down
  /// When something must have happened, or is to be done.
  private(set) var nextDeadline: Moment
  private var requests: UInt32 = 0
  private var awaited: Request?
  private var queue: [Command] = []
  private var attempts = 0
  private var connectedAt: Moment
  private var isReopening = false

  private var subject: QMPSubject
  private var blockers: [NotMigratableReason]?
  /// What was last told of the VM; nil where it was taken away, or never told.
  private var told: Told?
  private var watch = MigrationWatch()

  private var idle: IdleAnswer?
  private var pollWanted = false
  private var isForced = false
  private var pollBegan: Moment
  private var parametersAt: Moment?
  private var switchoverAt: Moment?
  @Apart private var look: QMPLook?
  private var announcement = MigrationWatch.Announcement()

  /// How the socket does, for the back end's health.
  private(set) var health = SocketHealth()

  init(path: String, isLiteral: Bool, settings: QMPSettings, at now: Moment) {
    self.path = path
    self.isLiteral = isLiteral
    self.settings = settings
    nextDeadline = now
    connectedAt = now
    pollBegan = now
    subject = QMPSubject(path: path, settings)
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
  private mutating func drop(_ kind: QMPErrorKind, _ text: String, _ now: Moment, _ out: inout [Action]) {
    out.append(.close)
    forgetConnection()
    fail(kind, text, now, &out)
  }

  private mutating func fail(_ kind: QMPErrorKind, _ text: String, _ now: Moment, _ out: inout [Action]) {
    isReopening = false
    out.append(.log(health.isBad ? .debug : .warning, "\(text); trying again"))
    health.failed(kind)
    out.append(.failed(kind))
    retry(now)
  }

  private mutating func retry(_ now: Moment) {
    nextDeadline = now + settings.retry.pause(after: attempts, path: path)
    attempts += 1
  }

  private mutating func gone(_ closing: QMPClosing, _ now: Moment, _ out: inout [Action]) {
    isReopening = false
    add(watch.processGone(subject, at: now), &out)
    takeVMAway(&out)
    idle = nil
    blockers = nil
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

  private mutating func forgetConnection() {
    link = .down
    awaited = nil
    queue = []
    look = nil
    pollWanted = false
  }

  // MARK: - Requests

  private mutating func ask(_ command: Command, _ now: Moment, _ out: inout [Action]) {
    requests &+= 1
    awaited = Request(command: command, id: requests)
    nextDeadline = now + settings.requestDeadline
    let arguments =
      command == .enableEvents
      ? #","arguments":{"capabilities":[{"capability":"events","state":true}]}"# : ""
    out.append(
      .send(
        Array(
          (#"{"execute":""# + command.rawValue + #"","id":""# + identifier(requests) + "\"" + arguments
            + "}\r\n")
            .utf8)))
  }

  private mutating func poll(_ now: Moment, _ out: inout [Action]) {
    isForced = pollWanted
    pollWanted = false
    pollBegan = now
    ask(.migrate, now, &out)
  }

  private mutating func next(_ now: Moment, _ epoch: EpochOffset, _ out: inout [Action]) {
    if !queue.isEmpty {
      let command = queue.removeFirst()
      // An empty array may keep its memory, and a session rests with an empty one.
      if queue.isEmpty { queue = [] }
      ask(command, now, &out)
    } else if look != nil {
      conclude(now, &out)
    } else {
      poll(now, &out)
    }
  }

  private mutating func receive(
    _ bytes: [UInt8], _ now: Moment, _ epoch: EpochOffset, _ out: inout [Action]
  ) {
    if !isForced, let awaited, awaited.command == .migrate, let idle, idle.equals(bytes, id: awaited.id) {
      answered(now, &out)
      return
    }
    do throws(QMPProtocolError) {
      switch try QMPLine(bytes) {
      case .greeting(let version) where link == .greeting:
        greeted(version, now, &out)
      case .greeting:
        throw QMPProtocolError(text: "a second greeting")
      case .event(let event):
        heard(event, now)
      case .answer(let id):
        guard let request = take(id) else { return }
        try answer(to: request, bytes, now, epoch, &out)
      case .refusal(let id, let text):
        // QEMU refuses what it cannot read without an id.
        guard let request = id == nil ? awaited : take(id) else { return }
        awaited = nil
        try refused(request.command, text, now, epoch, &out)
      }
    } catch {
      drop(
        .protocol, "\(error.text); is this a QMP socket (-qmp, mode=control, without pretty=on)?", now, &out)
    }
  }

  /// The request that an answer belongs to; nil for one that is late, or not ours.
  private mutating func take(_ id: String?) -> Request? {
    guard let awaited, id == identifier(awaited.id) else { return nil }
    self.awaited = nil
    return awaited
  }

  private mutating func greeted(_ version: String, _ now: Moment, _ out: inout [Action]) {
    link = .up
    health.version = version
    if isReopening {
      isReopening = false
      out.append(.failed(.closed))
      out.append(.log(.info, "QEMU had closed the connection and took a new one"))
    }
    subject = QMPSubject(path: path, settings)
    queue = [.name, .uuid, .memory] + (settings.events ? [.enableEvents] : [])
    idle = nil
    ask(.capabilities, now, &out)
  }

  private mutating func heard(_ event: QMPEvent, _ now: Moment) {
    watch.heard(event, at: now)
    guard Self.telling.contains(event.name), link == .up else { return }
    pollWanted = true
    if awaited == nil { nextDeadline = min(nextDeadline, max(now, pollBegan + settings.eventInterval)) }
  }

  /// Events after which a migration may be another.
  private static let telling: Set<String> = [
    "STOP", "RESUME", "SHUTDOWN", "RESET", "SUSPEND", "WAKEUP", "POWERDOWN", "GUEST_PANICKED", "MIGRATION",
    "MIGRATION_PASS", "UNPLUG_PRIMARY",
  ]

  private mutating func refused(
    _ command: Command, _ text: String, _ now: Moment, _ epoch: EpochOffset, _ out: inout [Action]
  ) throws(QMPProtocolError) {
    switch command {
    case .capabilities, .migrate, .status:
      throw QMPProtocolError(text: "QEMU refuses \(command.rawValue): \(text.prefix(120))")
    case .name, .uuid, .memory, .enableEvents, .parameters, .block:
      out.append(.log(.debug, "QEMU refuses \(command.rawValue): \(text.prefix(120))"))
      next(now, epoch, &out)
    }
  }

  private mutating func answer(
    to request: Request, _ bytes: [UInt8], _ now: Moment, _ epoch: EpochOffset, _ out: inout [Action]
  ) throws(QMPProtocolError) {
    switch request.command {
    case .capabilities, .enableEvents:
      break
    case .name:
      if let name = try QMPReturn<NameAnswer>.value(of: bytes).name, !name.isEmpty {
        subject.vm = VMRef(backend: settings.backend, scope: .host(settings.host), name: name)
      }
    case .uuid:
      if let domain = DomainKey(uuid: try QMPReturn<UUIDAnswer>.value(of: bytes).uuid) {
        subject.domain = domain
      }
    case .memory:
      subject.memory = try QMPReturn<MemoryAnswer>.value(of: bytes).bytes.map { Bytes($0) }
    case .migrate:
      try migrateAnswered(bytes, request.id, now, epoch, &out)
    case .status:
      look?.runState = try QMPReturn<StatusAnswer>.value(of: bytes).status
    case .parameters:
      watch.parameters = try QMPReturn<ParametersAnswer>.value(of: bytes)
      parametersAt = now
    case .block:
      watch.disks = try QMPReturn<[BlockAnswer]>.value(of: bytes)
        .compactMap { $0.copiedCapacity.map { Bytes($0) } }.reduce(0, +)
    }
    next(now, epoch, &out)
  }

  // MARK: - One look

  private mutating func migrateAnswered(
    _ bytes: [UInt8], _ id: UInt32, _ now: Moment, _ epoch: EpochOffset, _ out: inout [Action]
  ) throws(QMPProtocolError) {
    let answer = try QMPReturn<MigrateAnswer>.value(of: bytes)
    look = QMPLook(answer: answer, takenAt: now, interval: settings.activeInterval, epoch: epoch)
    announcement = watch.announcement()
    idle = IdleAnswer(bytes, id: id)
    note(answer.blockedReasons, &out)
    queue = [.status]
    guard let status = answer.status, !SourceStatus(status, runState: nil).isEnd else { return }
    if watch.phase == nil || parametersAt.map({ now - $0 >= .seconds(5) }) ?? true {
      queue.append(.parameters)
    }
    if answer.disk != nil, watch.disks == nil { queue.append(.block) }
  }

  private mutating func conclude(_ now: Moment, _ out: inout [Action]) {
    guard let look else { return }
    self.look = nil
    let hadJob = watch.phase != nil
    let notes = watch.take(look, of: subject, after: announcement)
    // A VM is told before its migration, whose failures are counted by VM, and taken away after it.
    if watch.hasGuest { tellVM(&out) }
    add(notes, &out)
    if !watch.hasGuest { takeVMAway(&out) }
    if watch.isBusy || watch.isSettling { idle = nil }
    // A manager may quit the source right after: what is asked seldom is not seen.
    switchoverAt = watch.phase == .switchover ? switchoverAt ?? now : nil
    // The run state may follow the end a moment later.
    if hadJob && watch.phase == nil { pollWanted = true }
    answered(now, &out)
  }

  private mutating func answered(_ now: Moment, _ out: inout [Action]) {
    awaited = nil
    attempts = 0
    if health.isBad { out.append(.log(.info, "QEMU answers again")) }
    health.answered(at: now)
    out.append(.polled(now - pollBegan))
    let interval: Duration =
      pollWanted || watch.isSettling || switchoverAt.map({ now - $0 < .seconds(2) }) == true
      ? settings.eventInterval : watch.isBusy ? settings.activeInterval : settings.idleInterval
    nextDeadline = max(now, pollBegan + interval)
  }

  private mutating func note(_ reasons: [String], _ out: inout [Action]) {
    guard health.tellsBlockers else { return }
    let new = reasons.prefix(16).map { text in
      let lower = text.lowercased()
      return lower.contains("vfio") || lower.contains("assigned device")
        ? NotMigratableReason.hostDevice : .other
    }
    guard new != blockers else { return }
    blockers = new
    for reason in reasons.prefix(16) { out.append(.log(.info, "cannot be migrated: \(reason.prefix(300))")) }
  }

  private var key: VMKey { VMKey(backend: settings.backend, text: path) }

  private mutating func tellVM(_ out: inout [Action]) {
    let current = Told(vm: subject.vm, blockers: blockers)
    guard current != told else { return }
    told = current
    out.append(
      .tell(.vm(VMObservation(key: key, vm: subject.vm, node: settings.host, blockers: blockers))))
  }

  private mutating func takeVMAway(_ out: inout [Action]) {
    guard told != nil else { return }
    out.append(.tell(.vmGone(key)))
    told = nil
  }

  private func add(_ notes: [MigrationWatch.Note], _ out: inout [Action]) {
    for note in notes {
      switch note {
      case .tell(let message): out.append(.tell(message))
      case .log(let level, let text): out.append(.log(level, text))
      }
    }
  }
}

extension QMPSubject {
  /// What is known of a VM before its QEMU has said anything.
  fileprivate init(path: String, _ settings: QMPSettings) {
    let file = path.split(separator: "/").last.map(String.init) ?? path
    vm = VMRef(backend: settings.backend, scope: .host(settings.host), name: file)
    domain = DomainKey(backend: settings.backend, socketPath: path)
  }
}

private func seconds(_ duration: Duration) -> String { "\(duration.inSeconds) s" }
