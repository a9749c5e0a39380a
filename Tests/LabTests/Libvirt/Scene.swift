import DroverCore
import LibvirtBackend
import LibvirtLab
import QEMURig
import Synchronization
import Testing

@testable import ScenarioSupport

/// Two hosts, and Drover watching them.
struct Scene {
  /// What Drover watches.
  enum Sight {
    /// Both hosts.
    case both
    /// The host that guests leave, and not the other one.
    case source
    /// The host that guests go to, and not the other one.
    case target
    /// That host, but not its network: as if something stood between.
    case blind
  }

  let lab: LabHosts
  let watcher: Watcher
  /// What watches each host, and ends and starts migrations there.
  let backends: [LabHosts.Host: LibvirtBackend]

  /// Brings up both hosts and a watcher that has seen them; everything has ended on return.
  static func with<R: Sendable>(
    keepalive: LabHosts.Keepalive = .fast, sight: Sight = .both,
    settings: MigrationTracker.Settings = MigrationTracker.Settings(),
    configure: (inout LibvirtConfiguration) -> Void = { _ in },
    _ body: (Scene) async throws -> R
  ) async throws -> R {
    try await LabHosts.with(keepalive: keepalive) { lab in
      try await watching(
        lab, keepalive: keepalive, sight: sight, settings: settings, configure: configure, body)
    }
  }

  /// Lends `body` a watcher of hosts that are up, which has seen them; the hosts stay up.
  static func watching<R: Sendable>(
    _ lab: LabHosts, keepalive: LabHosts.Keepalive = .fast, sight: Sight = .both,
    settings: MigrationTracker.Settings = MigrationTracker.Settings(),
    configure: (inout LibvirtConfiguration) -> Void = { _ in },
    _ body: (Scene) async throws -> R
  ) async throws -> R {
    let hosts: [LabHosts.Host] =
      switch sight {
      case .both: [.a, .b]
      case .source, .blind: [.a]
      case .target: [.b]
      }
    let made = Mutex<[LabHosts.Host: LibvirtBackend]>([:])
    return try await Watcher.with(
      backends: { clock, log in
        hosts.map { host in
          var configuration = LibvirtConfiguration(
            name: BackendName(rawValue: host.rawValue), uri: lab.uri(host),
            root: sight == .blind ? "/" : "/proc/\(lab.initProcess(host))/root")
          if sight == .blind {
            configuration.keepalive = KeepaliveSettings(
              interval: .seconds(keepalive.interval), count: keepalive.count)
          }
          configure(&configuration)
          let backend = LibvirtBackend(configuration: configuration, clock: clock, log: log)
          made.withLock { $0[host] = backend }
          return backend
        }
      }, settings: settings
    ) { watcher in
      try await watcher.until("all hosts") { record in
        record.snapshot.backends.allSatisfy(\.isUp) && record.snapshot.nodes.count == hosts.count ? true : nil
      }
      return try await body(Scene(lab: lab, watcher: watcher, backends: made.withLock { $0 }))
    }
  }

  var record: Watcher.Record { watcher.record }
  var now: Moment { watcher.clock.now() }

  // MARK: Guests and migrations

  /// Starts a guest that dirties `rate` MiB/s over `workingSet` MiB, and waits until it has done so and is seen.
  func guest(
    _ name: String = "g", rate: Double = 200, workingSet: UInt32 = 16, memory: Int = 64,
    speed: Int? = nil, isPersistent: Bool = false, disk: Int? = nil
  ) async throws {
    let rate = DirtyRate(atLeastMebibytesPerSecond: rate)
    try await lab.guest(
      name, memoryMebibytes: memory, rate: rate, workingSet: WorkingSet(atLeastMebibytes: workingSet),
      isPersistent: isPersistent, diskMebibytes: disk)
    for _ in 1...2 { try await lab.heartbeat(name) }
    if let speed { try await lab.setSpeed(name, mebibytesPerSecond: speed) }
    guard record.backend(.a) != nil else { return }
    try await watcher.until("the guest \(name)") { record in
      record.snapshot.vms.contains { $0.vm.name == name } ? true : nil
    }
  }

  /// Waits until a migration of the guest copies.
  @discardableResult
  func untilCopying(_ name: String = "g", after: Moment? = nil) async throws -> MigrationView {
    try await watcher.until("\(name) copies") { record in
      record.snapshot.migrations.first { view in
        view.identity.vm.name == name && view.phase == .precopy && view.sample.transferred ?? 0 > 0
          && after.map { view.startedAt > $0 } ?? true
      }
    }
  }

  /// Waits until a migration is over, and, where it succeeded, until it is known where the guest is.
  @discardableResult
  func untilOver(_ id: MigrationID? = nil, within limit: Duration = .seconds(90)) async throws
    -> MigrationView
  {
    try await watcher.until("the end of the migration", within: limit) { record in
      guard let ended = record.views.last(where: { $0.isOver && (id == nil || $0.identity.id == id) }) else {
        return nil
      }
      return ended.phase == .succeeded && ended.guest == .unknown ? nil : ended
    }
  }

  /// Waits until a migration has been shown with a state that `isIt` says is it.
  @discardableResult
  func untilShown(
    _ what: String, _ id: MigrationID, within limit: Duration = .seconds(90),
    _ isIt: @Sendable (MigrationView) -> Bool
  ) async throws -> MigrationView {
    try await watcher.until(what, within: limit) { record in
      record.last(id).flatMap { isIt($0) ? $0 : nil }
    }
  }

  /// Waits until so much time has passed since a moment.
  func wait(_ time: Duration, since start: Moment) async throws {
    try await watcher.until("\(time)", within: time + .seconds(60)) { $0.now - start >= time ? true : nil }
  }

  /// Lets a migration end as fast as it can: the guest rests, and nothing is limited.
  func hurry(_ name: String = "g") async {
    // It may end before it is known that the guest has understood.
    try? await lab.setRate(name, .idle)
    try? await lab.setSpeed(name, mebibytesPerSecond: 1000)
  }

  /// The moment on Drover's clock at which virsh ended.
  func moment(of instant: ContinuousClock.Instant) -> Moment { now - (ContinuousClock.now - instant) }
}

extension Watcher.Record {
  func backend(_ host: LabHosts.Host) -> BackendView? {
    snapshot.backends.first { $0.descriptor.name.rawValue == host.rawValue }
  }

  func node(_ host: LabHosts.Host) -> NodeView? {
    snapshot.nodes.first { $0.backend.rawValue == host.rawValue }
  }

  /// The phases of a migration without those that are too short to be seen each time.
  func essentials(of id: MigrationID) -> [Phase] {
    phases(of: id).filter { $0 != .preparing && $0 != .switchover && $0 != .aborting }.withoutRepeats
  }

  /// What was shown of a migration at each look in a span of time.
  func looks(at id: MigrationID, from: Moment, to: Moment? = nil) -> [(at: Moment, view: MigrationView)] {
    var shown: [(at: Moment, view: MigrationView)] = []
    for look in looks where look.at >= from && look.at <= to ?? look.at {
      for view in look.views where view.identity.id == id { shown.append((look.at, view)) }
    }
    return shown
  }

  /// The longest time between two samples that showed more bytes than the one before.
  func longestStop(of id: MigrationID) -> Duration {
    var last: (sent: Bytes, at: Moment)?
    var longest = Duration.zero
    for view in trail(of: id) {
      guard let sent = view.sample.transferred else { continue }
      if let last, sent <= last.sent { continue }
      if let last { longest = max(longest, view.sampledAt - last.at) }
      last = (sent, view.sampledAt)
    }
    return longest
  }

  /// Everything that was counted, for both hosts together.
  var interruptions: [Duration] {
    events.compactMap { if case .interrupted(_, let length) = $0 { length } else { nil } }
  }
}

extension Duration {
  /// Its length without its sign.
  var magnitude: Duration { self < .zero ? .zero - self : self }
}

/// A figure that is worth reading: of a run that went well, too.
func tell(_ figure: String) { print("lab: \(figure)") }

/// A success is shown as libvirt tells it: bytes, downtime and duration.
func expectSuccess(
  _ view: MigrationView, as figures: [String: UInt64], at location: SourceLocation = #_sourceLocation
) {
  #expect(view.phase == .succeeded, sourceLocation: location)
  #expect(view.ending?.cause == nil, sourceLocation: location)
  #expect(view.ending?.certainty == .reported, sourceLocation: location)
  #expect(view.guest == .target, sourceLocation: location)
  #expect(figures["memory_processed"] ?? 0 > 0, sourceLocation: location)
  #expect(view.sample.memory?.transferred.count == figures["memory_processed"], sourceLocation: location)
  if let disk = view.sample.disk {
    #expect(disk.transferred.count == figures["disk_processed"], sourceLocation: location)
  }
  #expect(
    view.sample.downtime?.milliseconds == figures["downtime"].map { Int64($0) }, sourceLocation: location)
  #expect(
    view.ending?.duration?.milliseconds == figures["time_elapsed"].map { Int64($0) },
    sourceLocation: location)
}

/// Nothing is shown any more that only a running migration has.
func expectNoLongerRunning(_ view: MigrationView, at location: SourceLocation = #_sourceLocation) {
  #expect(view.completionDeadline == nil && view.progressDeadline == nil, sourceLocation: location)
  #expect(view.transferRate == nil && view.sample.dirtyRate == nil, sourceLocation: location)
  #expect(view.sample.remaining == nil && view.progress == nil, sourceLocation: location)
  #expect(
    view.network == nil && view.keepalive == nil && view.networkLosses.isEmpty, sourceLocation: location)
  #expect(view.verdict.kind == .unknown, sourceLocation: location)
}
