internal import DroverCore
internal import Logging

/// What is asked, one command at a time, and what is answered.
extension QMPSession {
  mutating func ask(_ command: Command, _ now: Moment, _ out: inout [Action]) {
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

  mutating func poll(_ now: Moment, _ out: inout [Action]) {
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

  mutating func receive(
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
    wantsEvents = settings.events
    queue = [.name, .uuid, .memory] + (wantsEvents ? [.enableEvents] : [])
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
    case .enableEvents where !hasWarnedOfEvents:
      hasWarnedOfEvents = true
      out.append(
        .log(
          .warning,
          "QEMU does not switch its migration events on: \(text.prefix(120)); asked again after each migration"
        ))
      next(now, epoch, &out)
    case .cancel:
      pollWanted = true
      answered(now, &out)
      out.append(.cancelAnswered(refusal: String(text.prefix(300))))
    case .name, .uuid, .memory, .enableEvents, .parameters, .block:
      out.append(.log(.debug, "QEMU refuses \(command.rawValue): \(text.prefix(120))"))
      if command == .uuid { identify(&out) }
      next(now, epoch, &out)
    }
  }

  private mutating func answer(
    to request: Request, _ bytes: [UInt8], _ now: Moment, _ epoch: EpochOffset, _ out: inout [Action]
  ) throws(QMPProtocolError) {
    switch request.command {
    case .cancel:
      pollWanted = true
      answered(now, &out)
      out.append(.cancelAnswered(refusal: nil))
      return
    case .capabilities:
      break
    case .enableEvents:
      wantsEvents = false
    case .name:
      if let name = try QMPReturn<NameAnswer>.value(of: bytes).name, !name.isEmpty {
        subject.vm = VMRef(
          backend: settings.backend, scope: .host(settings.host), name: name.prefix(bytes: Self.longestName))
      }
    case .uuid:
      let uuid = try QMPReturn<UUIDAnswer>.value(of: bytes).uuid.lowercased()
      if Self.isUUID(uuid), let domain = DomainKey(uuid: uuid) { subject.domain = domain }
      identify(&out)
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

  private func identify(_ out: inout [Action]) {
    if subject.domain.isShared {
      out.append(.identified(subject.domain.text))
    } else if subject.vm != QMPSubject(path: path, settings).vm {
      out.append(.identified(subject.vm.name))
    }
  }

  /// A name is kept with each migration; no more than this of it.
  private static let longestName = 255

  private static func isUUID(_ text: String) -> Bool {
    text.utf8.count == 36
      && text.utf8.allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0) || $0 == UInt8(ascii: "-")
      }
  }
}
