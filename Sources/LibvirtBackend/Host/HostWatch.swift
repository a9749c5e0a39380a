internal import DroverCore
internal import InetDiag
internal import Logging

/// Watches one libvirt host: what happens goes in, what to ask and what to tell comes out; time is a parameter.
struct HostWatch: Sendable {
  /// How long a round over domains that rest may take where the kernel's connections show each new migration.
  static let slowSweep = Duration.seconds(20)

  /// An attempt to open a connection that has not ended by then never may: a daemon's machine that is cut off while it
  /// is to speak leaves a connection that nobody ends.
  static let longestOpening = Duration.seconds(300)
  /// Each of them holds a thread.
  static let mostLateOpenings = 16

  /// How often a migration's connections are looked at for their end.
  static let pollInterval = Duration.milliseconds(20)

  /// For so long after its beginning a migration whose data connection was not seen yet is looked at more often.
  static let youth = Duration.seconds(5)
  static let youngInterval = Duration.milliseconds(100)

  enum Link: Equatable {
    case down
    case opening(since: Moment)
    case up
  }

  let configuration: LibvirtConfiguration
  var link = Link.down
  var health: HostHealth
  var host = ""
  var keepalive = KeepaliveSettings()
  var knowsJobs = true
  var domains: [String: DomainWatch] = [:]
  /// Those that are looked at again and again.
  var busy: Set<String> = []

  var attempts = 0
  /// Attempts to open a connection that nobody waits for any more, and that have not ended.
  var lateOpenings = 0
  var retryAt: Moment?
  /// When the connection in use was opened.
  var openedAt: Moment
  var lostByDaemon = false
  /// What `qemu.conf` says where the configuration says otherwise, once that has been logged.
  var saidKeepalive: KeepaliveSettings?
  var saidDefault = false

  var listAt: Moment?
  var listBegan: Moment?
  var isListLate = false
  var missing: Set<String> = []

  /// Looks under way, and which of them hang.
  var looks: [String: Moment] = [:]
  var hanging: Set<String> = []
  var lookAt: [String: Moment] = [:]
  /// Domains that are asked nothing, and until when at the latest.
  var leftAlone: [String: Moment] = [:]
  /// Domains that Drover itself has migrated, until libvirt has said how that went.
  var calls: Set<String> = []
  /// Ends that wait for that word, until when at the latest, and what the connections showed.
  var held: [String: (until: Moment, evidence: EndEvidence?)] = [:]

  var sweepBegan: Moment?
  var sweepAt: Moment?
  var unswept: [String] = []
  /// What the round under way is asking: it is asked nothing else meanwhile.
  var sweeping: Set<String> = []

  var book = ConnectionBook()
  /// When all connections are to be read: the kernel goes through a large table for that.
  var networkAt: Moment?
  /// When those that are known are to be read again, which costs next to nothing.
  var pollAt: Moment?
  /// When what they show is to be told.
  var reportAt: Moment?
  /// Why the kernel's connections cannot be read; nil where they can.
  var networkError: InetDiagError?
  var hasSSH = false
  var isNetworkVisible = false

  var dirtyRatesAt: Moment?
  /// The round that measures dirty rates, of which domains, and when it is given up; nil while none does.
  var dirtyRound: (domains: [String], until: Moment)?
  var dirtyRounds = 0

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
    case .lateOpening: lateOpenings -= 1
    case .closed(let reason): closed(reason, at: now, into: &actions)
    case .event(let name, let event): heard(name, event, at: now, epoch, into: &actions)
    case .listed(let result, let begunAt): listed(result, begunAt, at: now, into: &actions)
    case .looked(let look): looked(look, at: now, epoch, into: &actions)
    case .swept:
      sweepBegan = nil
      sweeping = []
    case .sweepSplit(let current, let rest):
      sweepBegan = nil
      sweeping = []
      // A round may be slow, and none of its domains hang.
      if let current { looks[current.uuid] = current.since }
      unswept = rest + unswept
    case .network(let result): seen(result, at: now, epoch, into: &actions)
    case .polled(let poll):
      for uuid in book.take(poll, at: now) where looks[uuid] == nil { lookAt[uuid] = now }
    case .dirtyRate(let uuid, let rate):
      if let watch = domains[uuid], !watch.isBusy {
        actions.append(.tell(.dirtyRate(watch.key, rate)))
      }
    case .dirtyRatesDone(let round, _) where round != dirtyRounds: break
    case .dirtyRatesDone(_, let error):
      dirtyRound = nil
      dirtyRatesAt = now + configuration.dirtyRateInterval
      if let error { complain(error, "dirty rates cannot be measured", into: &actions) }
    case .leaveAlone(let uuid, let until): leftAlone[uuid] = until
    case .lookAgain(let uuid): lookAgain(uuid, at: now)
    case .called(let uuid): calls.insert(uuid)
    case .returned(let uuid):
      calls.remove(uuid)
      lookAgain(uuid, at: now)
    }
    proceed(at: now, into: &actions)
    if let due = health.due(at: now) { actions.append(.tell(.health(due))) }
    return actions
  }

  private mutating func lookAgain(_ uuid: String, at now: Moment) {
    leftAlone[uuid] = nil
    if domains[uuid] != nil, looks[uuid] == nil { lookAt[uuid] = now }
  }

  /// When something has to be done even if nothing happens.
  var nextDeadline: Moment? {
    var deadlines = [retryAt].compactMap(\.self)
    if case .opening(let since) = link {
      if !health.isOpeningLate {
        deadlines.append(since + configuration.openDeadline)
      } else if lateOpenings < Self.mostLateOpenings {
        deadlines.append(since + Self.longestOpening)
      }
    }
    // The kernel tells of connections whether or not the daemon does.
    if link == .up || !busy.isEmpty { deadlines += [networkAt, pollAt, reportAt].compactMap(\.self) }
    for uuid in busy {
      if let settles = domains[uuid]?.settlesAt { deadlines.append(settles) }
      if link == .up, looks[uuid] == nil, !sweeping.contains(uuid), let at = lookAt[uuid] {
        deadlines.append(leftAlone[uuid].map { max(at, $0) } ?? at)
      }
    }
    deadlines += held.values.map(\.until)
    for (uuid, began) in looks where !hanging.contains(uuid) {
      deadlines.append(began + configuration.callDeadline)
    }
    guard link == .up else { return deadlines.min() }
    deadlines += looks.values.filter { $0 < openedAt }.map { $0 + Self.longestOpening }
    if let listBegan {
      if !isListLate { deadlines.append(listBegan + configuration.callDeadline) }
    } else if let listAt {
      deadlines.append(listAt)
    }
    if let sweepBegan { deadlines.append(sweepBegan + configuration.callDeadline) }
    if let dirtyRound {
      deadlines.append(dirtyRound.until)
    } else if configuration.dirtyRate, knowsJobs, let dirtyRatesAt {
      deadlines.append(dirtyRatesAt)
    }
    return deadlines.min()
  }

  // MARK: - The connection

  mutating func opened(
    _ facts: HostFacts, _ conf: QEMUConf?, at now: Moment, into actions: inout [HostAction]
  ) {
    link = .up
    retryAt = nil
    openedAt = now
    listBegan = nil
    isListLate = false
    listAt = now
    sweepBegan = nil
    sweeping = []
    sweepAt = nil
    networkAt = now
    dirtyRatesAt = dirtyRatesAt ?? now + .seconds(10)
    knowsJobs = true
    if dirtyRound != nil {
      (dirtyRound, dirtyRatesAt) = (nil, now + .seconds(10))
      dirtyRounds += 1
    }
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

  mutating func settleKeepalive(_ conf: QEMUConf?, into actions: inout [HostAction]) {
    let told = conf.map { conf in
      KeepaliveSettings(
        interval: .seconds(conf.keepaliveInterval ?? QEMUConf.defaultKeepaliveInterval),
        count: conf.keepaliveCount ?? QEMUConf.defaultKeepaliveCount)
    }
    if told == nil, configuration.keepalive == nil, configuration.isLocal, !saidDefault {
      saidDefault = true
      actions.append(
        .log(
          .info,
          "the host's qemu.conf cannot be read: libvirt's default keepalive of 5 s and 5 is taken; where the host has "
            + "another, set timeouts.keepalive"))
    }
    keepalive = configuration.keepalive ?? told ?? KeepaliveSettings()
    if let configured = configuration.keepalive, let told, configured != told, saidKeepalive != told {
      saidKeepalive = told
      actions.append(
        .log(
          .warning,
          "timeouts.keepalive is \(configured.interval.inSeconds) s and \(configured.count), but the host's qemu.conf "
            + "says \(told.interval.inSeconds) s and \(told.count); the configuration is used: remove it there to follow the host"
        ))
    }
  }

  mutating func openFailed(_ error: LibvirtError, at now: Moment, into actions: inout [HostAction]) {
    guard link != .up else { return }
    link = .down
    retryAt = now + configuration.retry.pause(after: attempts, name: configuration.uri)
    attempts += 1
    let kind: LibvirtErrorKind = error.kind == .denied ? .denied : .connect
    if health.failed(kind, what: "\(error)") {
      actions.append(.log(.warning, "\(error); tried again until it works"))
    }
  }

  mutating func closed(_ reason: CloseReason, at now: Moment, into actions: inout [HostAction]) {
    // Over ssh it is ssh that ended.
    if reason == .byDaemon { lostByDaemon = configuration.isLocal }
    // One that is being opened is another.
    guard link == .up else { return }
    link = .down
    if reason != .byDaemon { lostByDaemon = false }
    // Counted up to the first answer: a daemon that lets in and closes at once is not asked again and again at once.
    retryAt = now + configuration.retry.pause(after: attempts, name: configuration.uri)
    attempts += 1
    listBegan = nil
    listAt = nil
    let problem = "the connection to libvirt is lost: \(reason.words)"
    if health.failed(.lost, what: problem) {
      actions.append(.log(.warning, "\(problem); opened again until it works"))
    }
    actions.append(.close)
    // Nobody measures them any more.
    if configuration.dirtyRate {
      for watch in domains.values { actions.append(.tell(.dirtyRate(watch.key, nil))) }
    }
  }

  mutating func complain(_ error: LibvirtError, _ what: String, into actions: inout [HostAction]) {
    if health.failed(error.kind, isHost: false, what: what) {
      actions.append(.log(.warning, "\(what): \(error)"))
    }
  }

}
