internal import DroverCore
internal import Logging

/// One look at a QEMU, and what is told of it.
extension QMPSession {
  mutating func migrateAnswered(
    _ bytes: [UInt8], _ id: UInt32, _ now: Moment, _ epoch: EpochOffset, _ out: inout [Action]
  ) throws(QMPProtocolError) {
    let answer = try QMPReturn<MigrateAnswer>.value(of: bytes)
    look = QMPLook(answer: answer, takenAt: now, interval: settings.activeInterval, epoch: epoch)
    announcement = watch.announcement()
    watch.answered(answer.status)
    idle = IdleAnswer(bytes, id: id)
    note(answer.blockedReasons, &out)
    queue = [.status]
    guard let status = answer.status, !SourceStatus(status, runState: nil).isEnd else { return }
    if watch.phase == nil || parametersAt.map({ now - $0 >= .seconds(5) }) ?? true {
      queue.append(.parameters)
    }
    if answer.disk != nil, watch.disks == nil { queue.append(.block) }
  }

  mutating func conclude(_ now: Moment, _ out: inout [Action]) {
    guard let look else { return }
    self.look = nil
    let hadJob = watch.phase != nil
    let wasBusy = watch.isBusy || watch.isSettling
    let notes = watch.take(look, of: subject, after: announcement ?? .init())
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
    out.append(.looked(QMPLive(look, beganAt: pollBegan, watch)))
    // While a migration runs QEMU refuses to change its capabilities.
    if wasBusy, !watch.isBusy, !watch.isSettling, wantsEvents { ask(.enableEvents, now, &out) }
  }

  mutating func answered(_ now: Moment, _ out: inout [Action]) {
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
    let current = Told(name: subject.vm.name, blockers: blockers)
    guard current != told else { return }
    told = current
    out.append(
      .tell(.vm(VMObservation(key: key, vm: subject.vm, node: settings.host, blockers: blockers))))
  }

  mutating func takeVMAway(_ out: inout [Action]) {
    guard told != nil else { return }
    out.append(.tell(.vmGone(key)))
    told = nil
  }

  func add(_ notes: [MigrationWatch.Note], _ out: inout [Action]) {
    for note in notes {
      switch note {
      case .tell(let message): out.append(.tell(message))
      case .log(let level, let text): out.append(.log(level, text))
      }
    }
  }
}
