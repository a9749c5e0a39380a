internal import DroverCore
internal import InetDiag
internal import Logging

/// Watches one libvirt host: what happens in, what to ask and what to tell out. Pure; time is a parameter.
struct HostWatch: Sendable {
  /// So many calls that hang are too many for one connection: a daemon reads five requests of a client at a time.
  private static let mostHanging = 3
  /// How long a round over domains that rest may take where the kernel's connections show each new migration.
  private static let slowSweep = Duration.seconds(10)
  /// How many connections may be given up with their hanging calls.
  private static let mostReplaced = 6

  /// How often a migration's connections are looked at for their end.
  private static let pollInterval = Duration.milliseconds(20)

  enum Link: Equatable {
    case down
    case opening(since: Moment, isReplacement: Bool)
    case up
  }

  let configuration: LibvirtConfiguration
  var link = Link.down
  var health: HostHealth
  private(set) var host = ""
  private(set) var keepalive = KeepaliveSettings()
  private var knowsJobs = true
  private(set) var domains: [String: DomainWatch] = [:]

  private var attempts = 0
  private var retryAt: Moment?
  private var replaced = 0
  /// When the connection in use was opened.
  private var openedAt: Moment
  private var lostByDaemon = false

  private var listAt: Moment?
  private var listBegan: Moment?
  private var isListLate = false
  private var missing: Set<String> = []

  /// Looks under way, and which of them hang.
  private var looks: [String: Moment] = [:]
  private var hanging: Set<String> = []
  private var lookAt: [String: Moment] = [:]

  private var sweepBegan: Moment?
  private var sweepAt: Moment?
  private var unswept: [String] = []

  private var book = ConnectionBook()
  private var networkAt: Moment?
  private var pollAt: Moment?
  /// Why the kernel's connections cannot be read; nil where they can.
  private var networkError: InetDiagError?
  private var hasSSH = false
  private var isNetworkVisible = false

  private var dirtyRatesAt: Moment?
  private var areDirtyRatesMeasured = false

  init(_ configuration: LibvirtConfiguration, at now: Moment) {
    self.configuration = configuration
    health = HostHealth(backend: configuration.name)
    openedAt = now
    retryAt = now
  }

  // MARK: - What happens

  mutating func handle(_ input: HostInput, at now: Moment, epoch: EpochOffset) -> [HostAction] {
    var actions: [HostAction] = []
    switch input {
    case .tick: break
    case .opened(let facts, let conf): opened(facts, conf, at: now, into: &actions)
    case .openFailed(let error): openFailed(error, at: now, into: &actions)
    case .closed(let words): closed(words, at: now, into: &actions)
    case .event(let name, let event): heard(name, event, at: now, epoch, into: &actions)
    case .listed(let result, let begunAt): listed(result, begunAt, at: now, into: &actions)
    case .looked(let look): looked(look, at: now, epoch, into: &actions)
    case .swept: sweepBegan = nil
    case .sweepHangs(let uuid, let rest):
      sweepBegan = nil
      if let uuid {
        looks[uuid] = now - configuration.callDeadline
        hang(uuid, into: &actions)
      }
      unswept = rest + unswept
    case .network(let result): seen(result, at: now, epoch, into: &actions)
    case .polled(let connections):
      for uuid in book.take(polled: connections, at: now) where looks[uuid] == nil { lookAt[uuid] = now }
    case .dirtyRate(let uuid, let rate):
      if let watch = domains[uuid], !watch.isBusy {
        actions.append(.tell(.dirtyRate(VMKey(backend: configuration.name, text: uuid), rate)))
      }
    case .dirtyRatesDone(let error):
      areDirtyRatesMeasured = false
      dirtyRatesAt = now + configuration.dirtyRateInterval
      if let error { complain(error, "dirty rates cannot be measured", into: &actions) }
    }
    proceed(at: now, into: &actions)
    if let due = health.due(at: now) { actions.append(.tell(.health(due))) }
    return actions
  }

  /// When something has to be done even if nothing happens.
  var nextDeadline: Moment? {
    var deadlines = [retryAt, health.nextDeadline].compactMap(\.self)
    if case .opening(let since, _) = link, health.isOpeningLate == false {
      deadlines.append(since + configuration.openDeadline)
    }
    guard link == .up || listBegan != nil else { return deadlines.min() }
    if let listBegan { if !isListLate { deadlines.append(listBegan + configuration.callDeadline) } }
    else if let listAt { deadlines.append(listAt) }
    for (uuid, began) in looks where !hanging.contains(uuid) { deadlines.append(began + configuration.callDeadline) }
    for (uuid, watch) in domains where watch.isBusy {
      if looks[uuid] == nil, let at = lookAt[uuid] { deadlines.append(at) }
      if let settles = watch.settlesAt { deadlines.append(settles) }
    }
    if let sweepBegan { deadlines.append(sweepBegan + configuration.callDeadline) }
    if let networkAt { deadlines.append(networkAt) }
    if let pollAt { deadlines.append(pollAt) }
    if configuration.dirtyRate, !areDirtyRatesMeasured, let dirtyRatesAt { deadlines.append(dirtyRatesAt) }
    return deadlines.min()
  }

  // MARK: - The connection

  private mutating func opened(
    _ facts: HostFacts, _ conf: QEMUConf?, at now: Moment, into actions: inout [HostAction]
  ) {
    let isReplacement = if case .opening(_, let flag) = link { flag } else { false }
    link = .up
    attempts = 0
    retryAt = nil
    if !isReplacement { openedAt = now }
    listBegan = nil
    isListLate = false
    listAt = now
    sweepBegan = nil
    sweepAt = nil
    networkAt = now
    dirtyRatesAt = dirtyRatesAt ?? now + .seconds(10)
    knowsJobs = true
    // A host keeps the name that its migrations began with.
    if host.isEmpty {
      host = configuration.host.isEmpty ? facts.hostName : configuration.host
      actions.append(.tell(.node(configuration.name, host)))
    }
    settleKeepalive(conf, into: &actions)
    if health.opened(version: facts.version) {
      actions.append(.log(.info, "connected to libvirt \(facts.version) of \(facts.hostName)"))
    }
  }

  private mutating func settleKeepalive(_ conf: QEMUConf?, into actions: inout [HostAction]) {
    let told = conf.map { conf in
      KeepaliveSettings(
        interval: .seconds(conf.keepaliveInterval ?? 5), count: conf.keepaliveCount ?? 5)
    }
    let before = keepalive
    keepalive = configuration.keepalive ?? told ?? KeepaliveSettings()
    if let configured = configuration.keepalive, let told, configured != told, before != configured || attempts == 0 {
      actions.append(
        .log(
          .warning,
          "timeouts.keepalive is \(configured.interval.inSeconds) s and \(configured.count), but the host's qemu.conf "
            + "says \(told.interval.inSeconds) s and \(told.count); the configuration is used: remove it there to follow the host"
        ))
    }
  }

  private mutating func openFailed(_ error: LibvirtError, at now: Moment, into actions: inout [HostAction]) {
    let isReplacement = if case .opening(_, let flag) = link { flag } else { false }
    link = isReplacement ? .up : .down
    retryAt = now + configuration.retry.pause(after: attempts, name: configuration.uri)
    attempts += 1
    let kind: LibvirtErrorKind = error.kind == .denied ? .denied : .connect
    if health.failed(kind), !isReplacement {
      actions.append(.log(.warning, "\(error); tried again until it works"))
    }
  }

  private mutating func closed(_ words: String, at now: Moment, into actions: inout [HostAction]) {
    guard link != .down else { return }
    link = .down
    lostByDaemon = words == HostConnection.closedByDaemon
    retryAt = now + configuration.retry.pause(after: 0, name: configuration.uri)
    attempts = 1
    listBegan = nil
    listAt = nil
    if health.failed(.lost) {
      actions.append(.log(.warning, "the connection to libvirt is lost: \(words); opened again until it works"))
    }
    actions.append(.close)
  }

  private mutating func complain(_ error: LibvirtError, _ what: String, into actions: inout [HostAction]) {
    if health.failed(error.kind, isHost: false, what: what) { actions.append(.log(.warning, "\(what): \(error)")) }
  }

  // MARK: - Domains

  private mutating func watch(_ name: DomainName, _ state: DomainState) {
    guard domains[name.uuid].map({ $0.name != name }) ?? true else { return }
    domains[name.uuid] = DomainWatch(
      name, state: state, backend: configuration.name, host: host,
      samplingInterval: configuration.activeInterval)
  }

  private mutating func heard(
    _ name: DomainName, _ event: HostEvent, at now: Moment, _ epoch: EpochOffset,
    into actions: inout [HostAction]
  ) {
    // Events may overtake the answer that the connection is open.
    guard !host.isEmpty else { return }
    if domains[name.uuid] == nil { watch(name, .shutOff(.other)) }
    change(name.uuid, at: now, into: &actions) { $0.hear(event, at: now, epoch: epoch) }
    forgetIfGone(name.uuid, at: now)
  }

  private mutating func listed(
    _ result: Result<[RunningDomain], LibvirtError>, _ begunAt: Moment, at now: Moment,
    into actions: inout [HostAction]
  ) {
    listBegan = nil
    isListLate = false
    listAt = max(now, begunAt + configuration.idleInterval)
    switch result {
    case .failure(let error) where error.isConnectionLost: closed(error.message, at: now, into: &actions)
    case .failure(let error):
      if health.failed(error.kind) { actions.append(.log(.warning, "\(error)")) }
    case .success(let running):
      if health.answered(at: now, took: now - begunAt) {
        actions.append(.log(.info, "libvirt answers again"))
      }
      for domain in running {
        let isNew = domains[domain.name.uuid] == nil
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
  private mutating func missed(_ present: Set<String>, at now: Moment, into actions: inout [HostAction]) {
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

  private mutating func forgetIfGone(_ uuid: String, at now: Moment) {
    guard let watch = domains[uuid], !watch.isActive, !watch.isBusy, !watch.remembersEnd(at: now) else { return }
    domains[uuid] = nil
    lookAt[uuid] = nil
  }

  private mutating func looked(
    _ look: DomainLook, at now: Moment, _ epoch: EpochOffset, into actions: inout [HostAction]
  ) {
    looks[look.uuid] = nil
    hanging.remove(look.uuid)
    if hanging.isEmpty { replaced = 0 }
    lookAt[look.uuid] = nil
    switch look.job {
    case .failure(let error) where error.code == .noSupport: knowsJobs = false
    case .failure(let error) where error.kind == .timeout:
      complain(error, "a domain cannot be asked", into: &actions)
    default: break
    }
    change(look.uuid, at: now, into: &actions) { $0.take(look, epoch: epoch) }
    conclude(look.uuid, at: now, into: &actions)
    if domains[look.uuid]?.isBusy == true { lookAt[look.uuid] = max(now, look.begunAt + configuration.activeInterval) }
    forgetIfGone(look.uuid, at: now)
  }

  /// Lets a domain's watch do something, and does what it asks for.
  private mutating func change(
    _ uuid: String, at now: Moment, into actions: inout [HostAction],
    _ body: (inout DomainWatch) -> [DomainWatch.Note]
  ) {
    guard var watch = domains[uuid] else { return }
    let notes = body(&watch)
    domains[uuid] = watch
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
  private mutating func conclude(_ uuid: String, at now: Moment, into actions: inout [HostAction]) {
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

  private mutating func conclude(
    _ uuid: String, _ evidence: EndEvidence?, at now: Moment, into actions: inout [HostAction]
  ) {
    change(uuid, at: now, into: &actions) { watch in
      var notes: [DomainWatch.Note] = []
      watch.conclude(evidence, at: now, into: &notes)
      return notes
    }
  }

  // MARK: - The network

  private mutating func seen(
    _ result: Result<NetworkLook, InetDiagError>, at now: Moment, _ epoch: EpochOffset,
    into actions: inout [HostAction]
  ) {
    let running = domains.values.compactMap { watch in
      watch.job.map { ConnectionBook.Migration(uuid: watch.name.uuid, startedAt: $0.last.startedAt) }
    }
    networkAt = now + (running.isEmpty ? configuration.idleInterval : configuration.activeInterval)
    switch result {
    case .failure(let error):
      if networkError == nil {
        actions.append(
          .log(.warning, "the kernel's connections cannot be read, so keepalive deadlines are inferred: \(error)"))
        health.count(.sockets)
      }
      networkError = error
    case .success(let look):
      networkError = nil
      hasSSH = look.hasSSH
      let hasNew = book.take(look.connections, of: running, owners: look.owners, at: look.takenAt)
      isNetworkVisible = true
      // A connection to another host's daemon is the first trace of a migration that copies disks.
      if hasNew { sweepAt = now }
    }
    for migration in running {
      guard let watch = domains[migration.uuid], let job = watch.job else { continue }
      if job.vanishedAt != nil, job.stoppedAt == nil {
        let evidence =
          networkError == nil ? book.evidence(of: migration.uuid, keepalive: keepalive) : nil
        conclude(migration.uuid, evidence, at: now, into: &actions)
      } else if let report = report(of: migration, at: now) {
        actions.append(
          .tell(
            .network(
              NetworkObservation(backend: configuration.name, id: job.last.id, takenAt: now, report: report))))
      }
    }
  }

  /// What is told of one migration's network; nil while it is too early to say.
  private func report(of migration: ConnectionBook.Migration, at now: Moment) -> NetworkReport? {
    guard configuration.isLocal else { return inferred(.remote) }
    guard networkError == nil else { return inferred(.denied) }
    let seen = book.connections(of: migration.uuid, at: now)
    var report = NetworkReport(
      settings: keepalive, keepalive: .measured, control: seen.control, data: seen.data,
      controlSpread: seen.spread, sharesWire: seen.sharesWire)
    if seen.control == nil {
      // The first connections take a moment.
      guard now - migration.startedAt > .seconds(2) else { return nil }
      report.keepalive =
        hasSSH ? .inferred(.ssh) : seen.data != nil ? .none(.notPeerToPeer) : .inferred(.invisible)
    }
    if !keepalive.isEnabled { report.keepalive = .none(.disabled) }
    return report
  }

  private func inferred(_ reason: KeepaliveBasis.Inference) -> NetworkReport {
    NetworkReport(
      settings: keepalive, keepalive: keepalive.isEnabled ? .inferred(reason) : .none(.disabled))
  }

  // MARK: - What is due

  private mutating func proceed(at now: Moment, into actions: inout [HostAction]) {
    proceedWithConnection(at: now, into: &actions)
    for (uuid, began) in looks where now - began >= configuration.callDeadline && !hanging.contains(uuid) {
      hang(uuid, into: &actions)
    }
    for (uuid, watch) in domains where watch.settlesAt.map({ now >= $0 }) ?? false {
      conclude(uuid, nil, at: now, into: &actions)
      forgetIfGone(uuid, at: now)
    }
    guard link == .up else { return }
    if let listBegan {
      if !isListLate, now - listBegan >= configuration.callDeadline {
        isListLate = true
        if health.failed(.timeout) { actions.append(.log(.warning, "libvirt does not answer; waiting for it")) }
      }
    } else if let listAt, now >= listAt {
      listBegan = now
      actions.append(.list)
    }
    if let networkAt, now >= networkAt { readNetwork(at: now, into: &actions) }
    pollConnections(at: now, into: &actions)
    lookAround(at: now, into: &actions)
    sweep(at: now, into: &actions)
    measureDirtyRates(at: now, into: &actions)
  }

  private mutating func proceedWithConnection(at now: Moment, into actions: inout [HostAction]) {
    switch link {
    case .down:
      if let retryAt, now >= retryAt {
        self.retryAt = nil
        link = .opening(since: now, isReplacement: false)
        health.openingBegan()
        actions.append(.open)
      }
    case .opening(let since, let isReplacement):
      if !isReplacement, !health.isOpeningLate, now - since >= configuration.openDeadline {
        health.isOpeningLate = true
        if health.failed(.timeout) {
          actions.append(.log(.warning, "libvirt takes longer than \(configuration.openDeadline.inSeconds) s to let us in; waiting for it"))
        }
      }
    case .up:
      if hanging.count >= Self.mostHanging * (replaced + 1), replaced < Self.mostReplaced, retryAt.map({ now >= $0 }) ?? true {
        replaced += 1
        retryAt = nil
        link = .opening(since: now, isReplacement: true)
        actions.append(.log(.info, "\(hanging.count) domains hang: going on over another connection"))
        actions.append(.open)
      } else {
        retryAt = nil
      }
    }
  }

  private mutating func hang(_ uuid: String, into actions: inout [HostAction]) {
    guard hanging.insert(uuid).inserted else { return }
    health.count(.timeout)
    let name = domains[uuid]?.name.name ?? uuid
    actions.append(.log(.warning, "\(name) does not answer: its QEMU hangs, or another client waits for it"))
  }

  private mutating func readNetwork(at now: Moment, into actions: inout [HostAction]) {
    let running = domains.values.filter { $0.job != nil }
    networkAt = now + (running.isEmpty ? configuration.idleInterval : configuration.activeInterval)
    if configuration.isLocal {
      actions.append(.readNetwork(domains: running.map(\.name)))
    } else {
      for watch in running {
        guard let job = watch.job else { continue }
        actions.append(
          .tell(
            .network(
              NetworkObservation(
                backend: configuration.name, id: job.last.id, takenAt: now, report: inferred(.remote)))))
      }
    }
  }

  private mutating func pollConnections(at now: Moment, into actions: inout [HostAction]) {
    guard networkError == nil, domains.values.contains(where: { $0.job != nil }) else {
      pollAt = nil
      return
    }
    if let pollAt, now < pollAt { return }
    pollAt = now + Self.pollInterval
    let polled = book.polled
    if !polled.isEmpty { actions.append(.pollConnections(polled)) }
  }

  private mutating func lookAround(at now: Moment, into actions: inout [HostAction]) {
    for (uuid, due) in lookAt where now >= due && looks[uuid] == nil {
      guard let watch = domains[uuid] else {
        lookAt[uuid] = nil
        continue
      }
      looks[uuid] = now
      lookAt[uuid] = nil
      actions.append(
        .look(
          uuid,
          LookWish(
            state: true, limits: watch.wantsLimits(at: now), memory: watch.wantsMemory,
            disks: watch.wantsDisks)))
    }
  }

  private mutating func sweep(at now: Moment, into actions: inout [HostAction]) {
    guard knowsJobs else { return }
    if let sweepBegan {
      if now - sweepBegan >= configuration.callDeadline { actions.append(.splitSweep) }
      return
    }
    if unswept.isEmpty, sweepAt.map({ now >= $0 }) ?? true {
      unswept = domains.filter { uuid, watch in
        watch.isActive && !watch.isBusy && looks[uuid] == nil && lookAt[uuid] == nil
      }.keys.sorted()
      sweepAt =
        now + (configuration.isLocal && isNetworkVisible && networkError == nil ? Self.slowSweep : configuration.idleInterval)
    }
    guard !unswept.isEmpty else { return }
    let uuids = unswept.filter { domains[$0] != nil && looks[$0] == nil }
    unswept = []
    guard !uuids.isEmpty else { return }
    sweepBegan = now
    actions.append(.sweep(uuids))
  }

  private mutating func measureDirtyRates(at now: Moment, into actions: inout [HostAction]) {
    guard configuration.dirtyRate, !areDirtyRatesMeasured, let dirtyRatesAt, now >= dirtyRatesAt else { return }
    let resting = domains.filter { uuid, watch in
      watch.isActive && !watch.isBusy && !watch.isArriving && looks[uuid] == nil
    }.keys.sorted()
    areDirtyRatesMeasured = true
    actions.append(.measureDirtyRates(resting))
  }
}
