internal import DroverCore
internal import Logging

/// What is learnt of domains, from events, lists and looks.
extension HostWatch {
  mutating func watch(_ name: DomainName, _ state: DomainState) {
    guard domains[name.uuid].map({ $0.name != name }) ?? true else { return }
    domains[name.uuid] = DomainWatch(
      name, state: state, backend: configuration.name, host: host,
      samplingInterval: configuration.activeInterval)
  }

  mutating func heard(
    _ name: DomainName, _ event: HostEvent, at now: Moment, _ epoch: EpochOffset,
    into actions: inout [HostAction]
  ) {
    // Events may overtake the answer that the connection is open.
    guard !host.isEmpty else { return }
    if domains[name.uuid] == nil { watch(name, .shutOff(.other)) }
    change(name.uuid, at: now, into: &actions) { $0.hear(event, at: now, epoch: epoch) }
    forgetIfGone(name.uuid, at: now)
  }

  mutating func listed(
    _ result: Result<[RunningDomain], LibvirtError>, _ begunAt: Moment, at now: Moment,
    into actions: inout [HostAction]
  ) {
    // The answer of a connection that has been let go.
    guard link == .up else { return }
    listBegan = nil
    isListLate = false
    listAt = max(now, begunAt + configuration.idleInterval)
    switch result {
    case .failure(let error) where error.isConnectionLost:
      closed(.broken(error.message), at: now, into: &actions)
    case .failure(let error):
      if health.failed(error.kind, what: "\(error)") { actions.append(.log(.warning, "\(error)")) }
    case .success(let running):
      attempts = 0
      if health.answered(at: now, took: now - begunAt) {
        actions.append(.log(.info, "libvirt answers again"))
      }
      for domain in running {
        let known = domains[domain.name.uuid]
        // Nearly all of them, nearly always.
        if let known, known.name == domain.name, known.state == domain.state, known.isShownRight { continue }
        let isNew = known == nil
        watch(domain.name, domain.state)
        change(domain.name.uuid, at: now, into: &actions) { watch in
          var notes: [DomainWatch.Note] = []
          // An event may have told a later state than a list that was asked for before it.
          if isNew || !watch.isBusy { watch.enter(domain.state, at: now, into: &notes) }
          watch.show(into: &notes)
          return notes
        }
        if domain.state == .pausedMigration, looks[domain.name.uuid] == nil, lookAt[domain.name.uuid] == nil,
          domains[domain.name.uuid]?.isArriving == false
        {
          lookAt[domain.name.uuid] = now
        }
      }
      missed(Set(running.map(\.name.uuid)), at: now, into: &actions)
    }
  }

  /// Forgets what is missing from two lists in a row: the events of its end are then long here.
  mutating func missed(_ present: Set<String>, at now: Moment, into actions: inout [HostAction]) {
    let gone = Set(domains.keys).subtracting(present)
    for uuid in gone where missing.contains(uuid) {
      if domains[uuid]?.isBusy == true {
        lookAt[uuid] = lookAt[uuid] ?? now
        continue
      }
      change(uuid, at: now, into: &actions) { watch in
        var notes: [DomainWatch.Note] = []
        watch.leave(into: &notes)
        return notes
      }
      forgetIfGone(uuid, at: now)
    }
    missing = gone
  }

  mutating func forgetIfGone(_ uuid: String, at now: Moment) {
    guard let watch = domains[uuid], !watch.isActive, !watch.isBusy, !watch.remembersEnd(at: now) else {
      return
    }
    domains[uuid] = nil
    lookAt[uuid] = nil
    busy.remove(uuid)
  }

  mutating func looked(
    _ look: DomainLook, at now: Moment, _ epoch: EpochOffset, into actions: inout [HostAction]
  ) {
    // Another has been put since.
    if let began = looks[look.uuid], look.begunAt < began { return }
    looks[look.uuid] = nil
    lookAt[look.uuid] = nil
    if hanging.remove(look.uuid) != nil {
      let seconds = (now - look.begunAt).inSeconds
      actions.append(
        .log(.info, "\(domains[look.uuid]?.name.name ?? look.uuid) answers again, after \(seconds) s"))
    }
    switch look.job {
    case .failure(let error) where error.code == .noSupport: knowsJobs = false
    case .failure(let error) where error.kind == .timeout:
      complain(error, "a domain cannot be asked", into: &actions)
    default: break
    }
    change(look.uuid, at: now, into: &actions) { $0.take(look, epoch: epoch) }
    conclude(look.uuid, at: now, into: &actions)
    if domains[look.uuid]?.isBusy == true {
      lookAt[look.uuid] = max(now, look.begunAt + configuration.activeInterval)
    }
    forgetIfGone(look.uuid, at: now)
  }

  /// Lets a domain's watch do something, and does what it asks for.
  mutating func change(
    _ uuid: String, at now: Moment, into actions: inout [HostAction],
    _ body: (inout DomainWatch) -> [DomainWatch.Note]
  ) {
    guard var watch = domains[uuid] else { return }
    let hadJob = watch.job != nil
    let wasPreparing = watch.job?.last.phase == .preparing
    let notes = body(&watch)
    domains[uuid] = watch
    if watch.isBusy { busy.insert(uuid) } else { busy.remove(uuid) }
    if watch.job != nil, !hadJob {
      networkAt = now
      if configuration.dirtyRate { actions.append(.tell(.dirtyRate(watch.key, nil))) }
    }
    // Where bytes have gone, their connection is there; the preparations may have taken long.
    if wasPreparing, let phase = watch.job?.last.phase, phase != .preparing { networkAt = now }
    for note in notes {
      switch note {
      case .tell(let message): actions.append(.tell(message))
      case .log(let level, let text): actions.append(.log(level, text))
      case .look: lookAt[uuid] = now
      }
    }
    if watch.isBusy, lookAt[uuid] == nil, looks[uuid] == nil { lookAt[uuid] = now }
  }

  /// Ends a migration that is over without a word; what its connections show is read first.
  mutating func conclude(_ uuid: String, at now: Moment, into actions: inout [HostAction]) {
    guard let job = domains[uuid]?.job, let vanishedAt = job.vanishedAt, job.stoppedAt == nil else { return }
    if job.last.takenAt < openedAt, job.last.startedAt < openedAt, vanishedAt >= openedAt {
      let byDaemon = lostByDaemon
      change(uuid, at: now, into: &actions) { watch in
        var notes: [DomainWatch.Note] = []
        watch.concludeUnseen(byDaemon: byDaemon, at: now, into: &notes)
        return notes
      }
    } else if configuration.isLocal, networkError == nil {
      networkAt = now
    } else {
      conclude(uuid, nil, at: now, into: &actions)
    }
  }

  mutating func conclude(
    _ uuid: String, _ evidence: EndEvidence?, at now: Moment, into actions: inout [HostAction]
  ) {
    // The job is gone a moment before libvirt says why to who had asked for it.
    if calls.contains(uuid), let vanishedAt = domains[uuid]?.job?.vanishedAt,
      now - vanishedAt < DomainWatch.longestSettling
    {
      // What the connections show first is what they are remembered by: soon they are forgotten.
      if held[uuid] == nil { held[uuid] = (vanishedAt + DomainWatch.longestSettling, evidence) }
      return
    }
    let evidence = held.removeValue(forKey: uuid)?.evidence ?? evidence
    let openedAt = openedAt
    change(uuid, at: now, into: &actions) { watch in
      var notes: [DomainWatch.Note] = []
      let isBehindAbsence = watch.job.map { $0.last.takenAt < openedAt } ?? false
      watch.conclude(evidence, isBehindAbsence: isBehindAbsence, at: now, into: &notes)
      return notes
    }
  }
}
