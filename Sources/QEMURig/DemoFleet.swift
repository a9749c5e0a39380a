/// A guest of the demo, as the one who watches it knows it.
public struct DemoGuest: Hashable, Sendable {
  /// The guest's name.
  public let name: String
  /// The guest's UUID.
  public let uuid: String
  /// The monitor's QMP socket of the QEMU that the guest is in.
  public let monitorSocket: String
}

/// Something that happened in the demo.
public struct DemoEvent: Hashable, Sendable, CustomStringConvertible {
  /// What happened; open, as the demo may learn more.
  public struct Kind: RawRepresentable, Hashable, Sendable {
    /// The kind as a short word.
    public let rawValue: String

    /// A kind from its short word.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Both QEMUs of the guest run.
    public static let ready = Kind(rawValue: "ready")
    /// A migration began.
    public static let started = Kind(rawValue: "started")
    /// The wire of the migration was cut.
    public static let wireCut = Kind(rawValue: "wire cut")
    /// The wire works again.
    public static let wireHealed = Kind(rawValue: "wire healed")
    /// The guest has arrived.
    public static let completed = Kind(rawValue: "completed")
    /// The migration was given up; the guest runs on where it was.
    public static let cancelled = Kind(rawValue: "cancelled")
    /// A QEMU ended, or refused; the pair is started anew.
    public static let failed = Kind(rawValue: "failed")
  }

  /// The name of the guest.
  public let guest: String
  /// What happened.
  public let kind: Kind
  /// More about it; empty where there is nothing to add.
  public let detail: String

  /// The event in one line.
  public var description: String { "\(guest) \(kind.rawValue)" + (detail.isEmpty ? "" : ": \(detail)") }
}

/// The times of the demo.
public struct DemoSchedule: Hashable, Sendable {
  /// Between two migrations of a guest.
  public var pause = Duration.seconds(5)
  /// How long a finished migration can still be seen at its source.
  public var afterglow = Duration.seconds(3)
  /// How long the migration that cannot converge runs until it is cancelled here, if nobody has done so before.
  public var nonConvergingRunsFor = Duration.seconds(90)
  /// When the wire is cut, after the start of the migration.
  public var cutAfter = Duration.seconds(3)
  /// How long the wire stays cut.
  public var cutFor = Duration.seconds(15)
  /// Before a pair that failed is started anew.
  public var restartAfter = Duration.seconds(1)

  /// The schedule for people who watch.
  public init() {}
}

/// Three guests that migrate over and over on this machine: one converges, one cannot, one stalls.
public final class DemoFleet: Sendable {
  /// Is told what happens; called from any task.
  public typealias Reporter = @Sendable (DemoEvent) -> Void

  /// The glob of the QMP sockets that the monitor may use.
  public var monitorSocketGlob: String { "\(directory.path)/*.qmp" }

  private let directory: RigDirectory
  private let environment: RigEnvironment
  private let schedule: DemoSchedule
  private let willCancel: @Sendable (DemoGuest) async -> Void
  private let report: Reporter

  /// Prepares the demo; nothing runs before ``run()``.
  ///
  /// - Parameters:
  ///   - environment: Which QEMU, on which leash.
  ///   - schedule: The times.
  ///   - willCancel: Awaited right before a migration is cancelled, so that the monitor can say who did it.
  ///   - report: Is told what happens.
  /// - Throws: ``RigError`` when QEMU is not installed, or there is no place for the sockets.
  public init(
    environment: RigEnvironment, schedule: DemoSchedule = DemoSchedule(),
    willCancel: @escaping @Sendable (DemoGuest) async -> Void = { _ in },
    report: @escaping Reporter
  ) throws(RigError) {
    try environment.check()
    directory = try RigDirectory()
    self.environment = environment
    self.schedule = schedule
    self.willCancel = willCancel
    self.report = report
  }

  /// Runs the demo, once, until it is cancelled; all its QEMUs have ended and its directory is gone on return.
  public func run() async {
    await withTaskGroup(of: Void.self) { group in
      for part in DemoPart.all { group.addTask { await self.repeatUntilCancelled(part) } }
    }
    directory.remove()
  }

  private func repeatUntilCancelled(_ part: DemoPart) async {
    while !Task.isCancelled {
      do {
        let pair = try await GuestPair.start(
          part.spec, in: directory, isRelayed: part.course == .stalls, environment: environment)
        do {
          try await conduct(part, with: pair)
          await pair.close()
        } catch {
          // An end that somebody else brought about must be seen before its QEMUs go.
          try? await Task.sleep(for: schedule.afterglow)
          await pair.close()
          throw error
        }
      } catch {
        guard !Task.isCancelled else { return }
        tell(part, .failed, "\(error)")
        try? await Task.sleep(for: schedule.restartAfter)
      }
    }
  }

  /// Migrates until the pair is used up.
  private func conduct(_ part: DemoPart, with pair: GuestPair) async throws {
    try await pair.source.console.heartbeat()
    tell(part, .ready)
    // The guest has to touch its working set once: pages of zeros cost nothing to send.
    try await Task.sleep(for: schedule.pause)
    while true {
      try await pair.source.console.set(part.rate)
      try await pair.migrate(part.options)
      tell(part, .started)
      switch part.course {
      case .converges: try await arrive(part, pair)
      case .stalls: try await stall(part, pair)
      case .cannotConverge:
        // Without KVM a QEMU that begins a third migration misses what its guest dirties (seen with 7.2): that one ends.
        return try await giveUp(part, pair)
      }
      try await Task.sleep(for: schedule.pause)
    }
  }

  private func arrive(_ part: DemoPart, _ pair: GuestPair) async throws {
    let result = try await pair.waitForStatus("completed", within: .seconds(300))
    tell(part, .completed, "after \(result["total-time"]?.int ?? 0) ms")
    try await Task.sleep(for: schedule.afterglow)
    try await pair.swapAfterSuccess()
  }

  private func stall(_ part: DemoPart, _ pair: GuestPair) async throws {
    try await Task.sleep(for: schedule.cutAfter)
    await pair.relay?.cut()
    tell(part, .wireCut)
    try await Task.sleep(for: schedule.cutFor)
    await pair.relay?.heal()
    tell(part, .wireHealed)
    try await arrive(part, pair)
  }

  private func giveUp(_ part: DemoPart, _ pair: GuestPair) async throws {
    if try await !isCancelled(pair, within: schedule.nonConvergingRunsFor) {
      await willCancel(
        DemoGuest(name: part.name, uuid: part.uuid, monitorSocket: await pair.source.monitorSocket))
      try await pair.cancel()
    }
    try await pair.waitForStatus("cancelled")
    tell(part, .cancelled)
    try await Task.sleep(for: schedule.afterglow)
  }

  /// Whether somebody else cancels the migration in that time.
  private func isCancelled(_ pair: GuestPair, within limit: Duration) async throws -> Bool {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
      let status = try await pair.queryMigrate()["status"]
      if status == "cancelling" || status == "cancelled" { return true }
      try await Task.sleep(for: .milliseconds(200))
    }
    return false
  }

  private func tell(_ part: DemoPart, _ kind: DemoEvent.Kind, _ detail: String = "") {
    report(DemoEvent(guest: part.name, kind: kind, detail: detail))
  }
}

/// One guest of the demo and what its migrations are like.
private struct DemoPart: Sendable {
  enum Course {
    case converges
    case cannotConverge
    case stalls
  }

  let name: String
  let uuid: String
  let course: Course
  let memoryMebibytes: Int
  let workingSet: UInt32
  let rate: DirtyRate
  let bandwidth: Int

  var spec: GuestSpec {
    GuestSpec(
      name: name, uuid: uuid, memoryMebibytes: memoryMebibytes,
      software: DirtierGuest(
        // Once round the working set within two seconds, before the first migration.
        rate: DirtyRate(atLeastMebibytesPerSecond: Double(workingSet) / 2),
        workingSet: WorkingSet(atLeastMebibytes: workingSet)))
  }

  var options: MigrationOptions {
    MigrationOptions(bandwidth: bandwidth, downtimeLimit: .milliseconds(300))
  }

  static let all = [
    // 64 MiB at 8 MiB/s, and a quarter of it again: about ten seconds.
    DemoPart(
      name: "web-1", uuid: "6f1c2a52-0c3d-4a7e-9d5b-1d2f6b0a7e01", course: .converges,
      memoryMebibytes: 256, workingSet: 64, rate: DirtyRate(atLeastMebibytesPerSecond: 1.5),
      bandwidth: 8 << 20),
    // Each pass takes three seconds, in which the guest dirties all of its working set again.
    DemoPart(
      name: "db-1", uuid: "6f1c2a52-0c3d-4a7e-9d5b-1d2f6b0a7e02", course: .cannotConverge,
      memoryMebibytes: 256, workingSet: 32, rate: DirtyRate(atLeastMebibytesPerSecond: 200),
      bandwidth: 11 << 20),
    // Eight seconds of copying, with the cut in the midst of it.
    DemoPart(
      name: "cache-1", uuid: "6f1c2a52-0c3d-4a7e-9d5b-1d2f6b0a7e03", course: .stalls,
      memoryMebibytes: 256, workingSet: 32, rate: DirtyRate(atLeastMebibytesPerSecond: 0.7),
      bandwidth: 4 << 20),
  ]
}
