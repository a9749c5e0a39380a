import DroverCore
import InetDiag
import Logging
import Testing

@testable import LibvirtBackend

/// A libvirt host, as its daemon and its kernel answer.
struct FakeHost {
  enum Opening { case letsIn, fails(LibvirtError), hangs }

  var facts = HostFacts(hostName: "host-a", version: "9.0.0")
  var conf: QEMUConf? = QEMUConf(text: "")
  var opening = Opening.letsIn
  /// The domains that run; one that is missing is shut off.
  var states: [Int: DomainState] = [:]
  /// When the migration of each began that migrates.
  var jobs: [Int: Moment] = [:]
  /// What asking a domain for its job comes to, where that is something else.
  var answers: [Int: Result<JobStatistics, LibvirtError>] = [:]
  /// Domains whose QEMU answers nothing.
  var stuck: Set<Int> = []
  var listError: LibvirtError?
  var isListStuck = false
  var connections: Result<[TCPConnection], InetDiagError> = .success([])
  var owners = ConnectionBook.Owners()
  var hasSSH = false
  var rates: [Int: BytesPerSecond] = [:]
  /// A QEMU hangs that is asked for its dirty rate.
  var areRatesStuck = false

  func job(_ n: Int, at now: Moment) -> Result<JobStatistics, LibvirtError> {
    if let answer = answers[n] { return answer }
    guard states[n] != nil else { return .failure(.notRunning) }
    return .success(jobs[n].map { .copying((now - $0).milliseconds) } ?? .idle)
  }

  func look(_ n: Int, begun: Moment, at now: Moment) -> DomainLook {
    DomainLook(
      uuid: domainID(n), begunAt: begun, takenAt: now, job: job(n, at: now),
      state: .success(states[n] ?? .shutOff(.destroyed)))
  }
}

/// The watch of a host, the host, and one clock for both.
struct Drive {
  var watch: HostWatch
  var host = FakeHost()
  var now = ms(0)

  var messages: [BackendMessage] = []
  var logs: [(level: Logger.Level, text: String)] = []
  var opens: [Moment] = []
  var closes = 0
  var lists: [Moment] = []
  var looks: [(at: Moment, n: Int, wish: LookWish)] = []
  var sweeps: [(at: Moment, domains: [Int])] = []
  var reads: [Moment] = []
  var polls: [Moment] = []
  var dirtyRounds: [(at: Moment, domains: [Int])] = []

  /// Looks that have not come back, by domain, and when they were begun.
  var outstanding: [Int: Moment] = [:]
  private var listBegan: Moment?
  private var stuckSweep: (at: Int, since: Moment, rest: [String])?

  init(_ change: (inout LibvirtConfiguration) -> Void = { _ in }, uri: String = "qemu:///system") {
    var configuration = LibvirtConfiguration(name: lab, uri: uri)
    change(&configuration)
    watch = HostWatch(configuration, at: now)
  }

  /// A watch that has just begun to open its connection.
  static func opening(_ how: FakeHost.Opening) -> Drive {
    var drive = Drive()
    drive.host.opening = how
    drive.feed(.tick)
    return drive
  }

  /// A watch that has just begun to go round domains that rest, one of which does not answer.
  static func sweeping(_ domains: ClosedRange<Int>, stuckAt stuck: Int) -> Drive {
    var drive = Drive()
    for n in domains { drive.host.states[n] = .running }
    drive.host.stuck = [stuck]
    drive.feed(.tick)
    return drive
  }

  /// A watch of a host with domains that rest.
  static func connected(
    _ domains: Int..., uri: String = "qemu:///system",
    _ change: (inout LibvirtConfiguration) -> Void = { _ in }
  ) -> Drive {
    var drive = Drive(change, uri: uri)
    for n in domains { drive.host.states[n] = .running }
    drive.feed(.tick)
    drive.advance(100)
    return drive
  }

  mutating func feed(_ input: HostInput) {
    var inputs = [input]
    while !inputs.isEmpty { for action in step(inputs.removeFirst()) { inputs += answer(action) } }
    // As the loop does behind each batch.
    inputs = [.tick]
    while !inputs.isEmpty { for action in step(inputs.removeFirst()) { inputs += answer(action) } }
  }

  /// Lets time pass, with a tick whenever the watch wants one.
  mutating func advance(_ milliseconds: Int64) {
    let end = now + .milliseconds(milliseconds)
    var ticks = 0
    while let next = watch.nextDeadline, next <= end {
      ticks = next <= now ? ticks + 1 : 0
      guard ticks < 20 else {
        Issue.record("the watch wants to be woken at \(now.milliseconds) again and again: \(watch.link)")
        break
      }
      now = max(now, next)
      feed(.tick)
    }
    now = end
  }

  private mutating func step(_ input: HostInput) -> [HostAction] {
    watch.handle(input, at: now, epoch: epoch)
  }

  private mutating func answer(_ action: HostAction) -> [HostInput] {
    switch action {
    case .tell(let message): messages.append(message)
    case .log(let level, let text): logs.append((level, text))
    case .open:
      opens.append(now)
      switch host.opening {
      case .letsIn:
        stuckSweep = nil
        return [.opened(host.facts, conf: host.conf)]
      case .fails(let error): return [.openFailed(error)]
      case .hangs: break
      }
    case .close: closes += 1
    case .list:
      lists.append(now)
      guard host.isListStuck else { return [listed(begun: now)] }
      listBegan = now
    case .look(let uuid, let wish): return look(number(uuid), wish)
    case .sweep(let uuids): return sweep(uuids)
    case .splitSweep:
      guard let stuck = stuckSweep else { return [] }
      stuckSweep = nil
      outstanding[stuck.at] = now
      return [.sweepSplit(at: (domainID(stuck.at), stuck.since), rest: stuck.rest)]
    case .readNetwork:
      reads.append(now)
      return [
        .network(
          host.connections.map {
            NetworkLook(takenAt: now, connections: $0, owners: host.owners, hasSSH: host.hasSSH)
          })
      ]
    case .pollConnections(let connections):
      polls.append(now)
      let present = (try? host.connections.get()) ?? []
      var polled: [UInt64: TCPConnection?] = [:]
      for one in connections {
        polled.updateValue(present.first { $0.cookie == one.cookie }, forKey: one.cookie)
      }
      return [.polled(ConnectionPoll(connections: polled))]
    case .measureDirtyRates(let uuids, let round):
      dirtyRounds.append((now, uuids.map(number)))
      guard !host.areRatesStuck else { break }
      let rates = uuids.compactMap { uuid in host.rates[number(uuid)].map { HostInput.dirtyRate(uuid, $0) } }
      return rates + [.dirtyRatesDone(round, nil)]
    }
    return []
  }

  private func number(_ uuid: String) -> Int { Int(uuid.suffix(12)) ?? 0 }

  private func listed(begun: Moment) -> HostInput {
    if let error = host.listError { return .listed(.failure(error), begunAt: begun) }
    let running = host.states.keys.sorted().map { n in
      RunningDomain(name: named(n), state: host.states[n] ?? .running)
    }
    return .listed(.success(running), begunAt: begun)
  }

  private mutating func look(_ n: Int, _ wish: LookWish) -> [HostInput] {
    if outstanding[n] != nil { Issue.record("vm\(n) is looked at while a look at it is under way") }
    looks.append((now, n, wish))
    guard !host.stuck.contains(n) else {
      outstanding[n] = now
      return []
    }
    return [.looked(host.look(n, begun: now, at: now))]
  }

  private mutating func sweep(_ uuids: [String]) -> [HostInput] {
    let domains = uuids.map(number)
    if let n = domains.first(where: { outstanding[$0] != nil }) {
      Issue.record("vm\(n) is swept while a look at it is under way")
    }
    sweeps.append((now, domains))
    let end = domains.firstIndex { host.stuck.contains($0) } ?? domains.count
    var inputs: [HostInput] = []
    for n in domains[..<end] {
      let look = host.look(n, begun: now, at: now)
      if (try? look.job.get())?.kind != JobStatistics.Kind.none { inputs.append(.looked(look)) }
    }
    guard end < domains.count else { return inputs + [.swept] }
    stuckSweep = (domains[end], now, Array(uuids[(end + 1)...]))
    return inputs
  }
}

// MARK: - What happens to the host

extension Drive {
  /// A domain of a round that takes long has only just been come to.
  mutating func moveSweep() { stuckSweep?.since = now }

  /// A QEMU that hung answers again.
  mutating func release(_ n: Int) {
    host.stuck.remove(n)
    if let began = outstanding.removeValue(forKey: n) { feed(.looked(host.look(n, begun: began, at: now))) }
  }

  mutating func releaseSweep() {
    guard let stuck = stuckSweep else { return }
    stuckSweep = nil
    host.stuck.remove(stuck.at)
    feed(.looked(host.look(stuck.at, begun: now, at: now)))
    for uuid in stuck.rest {
      let look = host.look(number(uuid), begun: now, at: now)
      if (try? look.job.get())?.kind != JobStatistics.Kind.none { feed(.looked(look)) }
    }
    feed(.swept)
  }

  mutating func releaseList(_ error: LibvirtError? = nil) {
    host.isListStuck = false
    guard let began = listBegan else { return }
    listBegan = nil
    feed(error.map { .listed(.failure($0), begunAt: began) } ?? listed(begun: began))
  }

  /// The daemon closes the connection; every call that is under way fails.
  mutating func lose(_ how: CloseReason = .byDaemon) {
    feed(.closed(how))
    releaseList(.lost)
    for n in outstanding.keys.sorted() {
      let began = outstanding.removeValue(forKey: n) ?? now
      feed(
        .looked(
          DomainLook(
            uuid: domainID(n), begunAt: began, takenAt: now, job: .failure(.lost), state: .failure(.lost))))
    }
    if stuckSweep != nil {
      stuckSweep = nil
      feed(.swept)
    }
  }

  mutating func hear(_ n: Int, _ event: Int32, _ detail: Int32) {
    feed(.event(named(n), .lifecycle(Lifecycle(event: event, detail: detail))))
  }

  mutating func beginMigration(_ n: Int) { host.jobs[n] = now }

  /// A migration ends and its guest runs on.
  mutating func fail(_ n: Int) { host.jobs[n] = nil }

  mutating func succeed(_ n: Int) {
    guard let began = host.jobs.removeValue(forKey: n) else { return }
    host.states[n] = nil
    hear(n, 3, 1)
    hear(n, 5, 3)
    feed(.event(named(n), .completed(.done((now - began).milliseconds))))
  }

  var told: [String] { messages.map(words) }
  var warnings: [String] { logs.filter { $0.level >= .warning }.map(\.text) }
  func looks(at n: Int) -> [Moment] { looks.filter { $0.n == n }.map(\.at) }
}
