internal import DroverCore
internal import Glibc
internal import InetDiag
internal import Logging
internal import Posix

/// The thread of one host: takes what happens, lets the watch decide, and has it done.
///
/// It never calls libvirt itself: each call, or round of calls, has a thread of its own, which ends with it. A call that
/// hangs holds that thread and nothing else.
final class HostLoop {
  private let configuration: LibvirtConfiguration
  private let clock: any Timepiece
  private let log: Logger
  private let mailbox: HostMailbox
  private let tell: (BackendMessage) -> Void
  private let surroundings: HostSurroundings

  private var watch: HostWatch
  private var pool: ConnectionPool?
  /// Which of the connections that were ever tried is in use.
  private var number = 0
  private var tried = 0
  private var sweep: DomainSweep?

  init(
    _ configuration: LibvirtConfiguration, clock: any Timepiece, log: Logger, mailbox: HostMailbox,
    telling: @escaping (BackendMessage) -> Void
  ) {
    self.configuration = configuration
    self.clock = clock
    self.log = log
    self.mailbox = mailbox
    tell = telling
    surroundings = HostSurroundings(root: configuration.root)
    watch = HostWatch(configuration, at: clock.now())
  }

  /// Works until the mailbox is stopped.
  func run() {
    handle(.tick)
    while let mail = mailbox.take(within: watch.nextDeadline.map { $0 - clock.now() }) {
      for mail in mail {
        switch mail {
        case .came(let input): handle(input)
        case .told(let input, let number): if number == self.number { handle(input) }
        // Nobody waits any more for one that took too long.
        case .connected(let pool, _, _, let number) where number != tried:
          close(pool)
          handle(.lateOpening)
        case .notConnected(_, let number) where number != tried: handle(.lateOpening)
        case .notConnected(let error, _): handle(.openFailed(error))
        case .connected(let pool, let facts, let conf, let number):
          drop()
          self.pool = pool
          self.number = number
          handle(.opened(facts, conf: conf))
        }
      }
      handle(.tick)
    }
    drop()
  }

  private func handle(_ input: HostInput) {
    var inputs = [input]
    while !inputs.isEmpty {
      for action in watch.handle(inputs.removeFirst(), at: clock.now(), epoch: clock.epochOffset()) {
        switch action {
        case .tell(let message): tell(message)
        case .log(let level, let text): log.log(level: level, "\(text)")
        case .open: open()
        case .close: drop()
        case .list: list()
        case .look(let uuid, let wish): look(uuid, wish)
        case .sweep(let uuids): begin(DomainSweep(uuids))
        case .splitSweep:
          if let sweep {
            let (current, rest) = sweep.giveUp()
            self.sweep = nil
            inputs.append(.sweepSplit(at: current, rest: rest))
          }
        case .readNetwork(let domains, let asksSSH):
          inputs.append(.network(surroundings.network(of: domains, asksSSH: asksSSH, clock)))
        case .pollConnections(let connections):
          if let polled = surroundings.poll(connections) { inputs.append(.polled(polled)) }
        case .measureDirtyRates(let uuids, let round): measureDirtyRates(uuids, round)
        }
      }
    }
  }

  // MARK: - The connection

  private func open() {
    tried += 1
    let number = tried
    onThread { [configuration, mailbox, surroundings] in
      do throws(LibvirtError) {
        let (uri, canWrite) = (configuration.uri, configuration.dirtyRate)
        let listener = HostListener(
          hearing: { mailbox.put(.told(.event($0, $1), by: number)) },
          closed: { mailbox.put(.told(.closed($0), by: number)) })
        let pool = ConnectionPool(
          try HostConnection(to: uri, canWrite: canWrite, listener: listener)
        ) { () throws(LibvirtError) in try HostConnection(to: uri, canWrite: canWrite) }
        do throws(LibvirtError) {
          let facts = try pool.with { connection throws(LibvirtError) in try connection.facts() }
          let isTaken = mailbox.put(.connected(pool, facts, conf: surroundings.conf(), number: number))
          if !isTaken { pool.close() }
        } catch {
          pool.close()
          throw error
        }
      } catch {
        mailbox.put(.notConnected(error, number: number))
      }
    } orElse: {
      .openFailed(.noThread)
    }
  }

  /// Lets go of the connections; that may take as long as a call to a daemon that hangs.
  private func drop() {
    _ = sweep?.giveUp()
    sweep = nil
    guard let old = pool else { return }
    pool = nil
    close(old)
  }

  private func close(_ pool: ConnectionPool) {
    if !startThread("drover-close", { pool.close() }) { pool.close() }
  }

  // MARK: - Calls

  private func list() {
    ask { pool, clock in
      let begunAt = clock.now()
      let running = Result { () throws(LibvirtError) in
        try pool.with { connection throws(LibvirtError) in try connection.runningDomains() }
      }
      return .listed(running, begunAt: begunAt)
    } orElse: { now in
      .listed(.failure(.noThread), begunAt: now)
    }
  }

  private func look(_ uuid: String, _ wish: LookWish) {
    // Whichever connection it went over: until it is back, the domain is not asked again.
    ask(isBound: false) { pool, clock in
      .looked(DomainLook(at: uuid, wish, over: pool, clock))
    } orElse: { now in
      .looked(
        DomainLook(
          uuid: uuid, begunAt: now, takenAt: now, job: .failure(.noThread), state: .failure(.noThread)))
    }
  }

  private func begin(_ sweep: DomainSweep) {
    self.sweep = sweep
    ask { [mailbox] pool, clock in
      while let uuid = sweep.next(at: clock.now()) {
        var look = DomainLook(at: uuid, LookWish(), over: pool, clock)
        // Its state was not asked for.
        if !look.isTelling { look.state = .failure(.closed) }
        // A domain that the round was given up at counts as being looked at until it is told that it is not.
        let isMine = sweep.finish()
        if look.isTelling || !isMine { mailbox.put(.came(.looked(look))) }
      }
      return sweep.isGivenUp ? nil : .swept
    } orElse: { _ in
      .swept
    }
  }

  private func measureDirtyRates(_ uuids: [String], _ round: Int) {
    ask(isBound: false) { [mailbox] pool, _ in
      var failure: LibvirtError?
      /// What does not go for one domain does not keep it from the others.
      func each(_ uuids: [String], _ call: (HostConnection, String) throws(LibvirtError) -> Void) {
        for uuid in uuids {
          do throws(LibvirtError) {
            try pool.with { connection throws(LibvirtError) in try call(connection, uuid) }
          } catch {
            failure = failure ?? error
          }
        }
      }
      var started: [String] = []
      each(uuids) { connection, uuid throws(LibvirtError) in
        // What rested when the round began may have begun to migrate.
        guard try connection.jobStatistics(of: uuid).kind == .none else { return }
        try connection.startDirtyRate(of: uuid)
        started.append(uuid)
      }
      // QEMU looks for one second.
      usleep(1_300_000)
      each(started) { connection, uuid throws(LibvirtError) in
        if let rate = try connection.dirtyRate(of: uuid) { mailbox.put(.came(.dirtyRate(uuid, rate))) }
      }
      return .dirtyRatesDone(round, failure)
    } orElse: { _ in
      .dirtyRatesDone(round, .noThread)
    }
  }

  /// Has one or more calls made on a thread of their own.
  ///
  /// - Parameters:
  ///   - isBound: Whether the answer is worth nothing once the connections are others.
  ///   - orElse: What is taken for the answer where there is no thread.
  private func ask(
    isBound: Bool = true, _ body: @escaping @Sendable (ConnectionPool, any Timepiece) -> HostInput?,
    orElse: (Moment) -> HostInput
  ) {
    guard let pool else { return }
    let number = number
    onThread { [mailbox, clock] in
      guard let input = body(pool, clock) else { return }
      mailbox.put(isBound ? .told(input, by: number) : .came(input))
    } orElse: {
      orElse(clock.now())
    }
  }

  private func onThread(_ body: @escaping @Sendable () -> Void, orElse: () -> HostInput) {
    guard !startThread("drover-call", body) else { return }
    mailbox.put(.came(orElse()))
  }
}

extension DomainLook {
  /// Asks a domain for its job, then for its state; blocks for as long as its QEMU does.
  fileprivate init(at uuid: String, _ wish: LookWish, over pool: ConnectionPool, _ clock: any Timepiece) {
    let begunAt = clock.now()
    do throws(LibvirtError) {
      self = try pool.with { connection throws(LibvirtError) in
        DomainLook(at: uuid, wish, over: connection, begunAt: begunAt, clock)
      }
    } catch {
      self.init(
        uuid: uuid, begunAt: begunAt, takenAt: clock.now(), job: .failure(error), state: .failure(error))
    }
  }

  private init(
    at uuid: String, _ wish: LookWish, over connection: HostConnection, begunAt: Moment,
    _ clock: any Timepiece
  ) {
    let job = Result { () throws(LibvirtError) in try connection.jobStatistics(of: uuid) }
    let takenAt = clock.now()
    let isAlone = (try? job.get())?.kind == JobStatistics.Kind.none
    // A domain that rests needs no second question, unless somebody waits for it.
    guard !isAlone || wish.state else {
      self.init(uuid: uuid, begunAt: begunAt, takenAt: takenAt, job: job, state: .success(.running))
      isTelling = false
      return
    }
    let state = Result { () throws(LibvirtError) in try connection.state(of: uuid) }
    self.init(uuid: uuid, begunAt: begunAt, takenAt: takenAt, job: job, state: state)
    if wish.memory { memory = try? connection.memory(of: uuid) }
    if isAlone || (try? state.get())?.isActive == false {
      if (try? state.get()) == .shutOff(.migrated) {
        completed = try? connection.completedStatistics(of: uuid)
      }
      return
    }
    if wish.limits {
      askedLimits = true
      limits = try? connection.limits(of: uuid)
    }
    if wish.disks { diskCapacities = try? connection.diskCapacities(of: uuid) }
  }
}
