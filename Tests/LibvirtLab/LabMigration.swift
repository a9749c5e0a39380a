public import QEMURig

extension LabHosts {
  /// Starts to move a guest live to the other host; ``untilUnderWay(_:within:)`` waits for libvirt to have a job.
  ///
  /// - Parameters:
  ///   - name: The guest.
  ///   - wire: What the data goes over; the libvirt connection always goes over `ctl`.
  ///   - options: More options of `virsh migrate`.
  ///   - isPeerToPeer: Whether the hosts do it among themselves; otherwise a virsh on the source host does it.
  public func migrate(
    _ name: String, over wire: Wire = .ctl, _ options: [String] = [], isPeerToPeer: Bool = true
  ) async throws -> LabMigration {
    try Task.checkCancellation()
    let command = isPeerToPeer ? "migrate" : "migrate-by-client"
    return LabMigration(try ScriptRun([command, name, wire.rawValue] + options, directory: directory))
  }

  /// Waits until libvirt says that data of the guest have been sent.
  public func untilUnderWay(
    _ name: String, from host: Host = .a, within limit: Duration = .seconds(20)
  ) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !virsh(host, ["domjobinfo", name]).contains("Data processed:") {
      guard ContinuousClock.now < deadline else {
        throw LabError(
          command: ["virsh", host.rawValue, "domjobinfo", name], status: nil,
          standardError: "no migration within \(limit)")
      }
      try await Task.sleep(for: .milliseconds(50))
    }
  }

  /// Aborts the guest's migration.
  public func abort(_ name: String) async throws { try await run(["abort", name]) }

  /// Limits the guest's migrations, the one under way included.
  public func setSpeed(_ name: String, mebibytesPerSecond: Int) async throws {
    try await run(["speed", name, "\(mebibytesPerSecond)"])
  }
}

/// A migration that virsh waits for; it goes on when nobody does.
public final class LabMigration: Sendable {
  /// What virsh said of the end.
  public struct Outcome: Sendable {
    /// How virsh ended.
    public let status: ExitStatus
    /// What it complained of.
    public let standardError: String
    /// When it ended.
    public let endedAt: ContinuousClock.Instant

    /// Whether the guest has moved.
    public var hasSucceeded: Bool { status == .exited(code: 0) }
  }

  /// When it was started.
  public let startedAt = ContinuousClock.now
  private let run: ScriptRun

  init(_ run: ScriptRun) { self.run = run }

  /// How it ended; nil while it runs.
  public var outcome: Outcome? { run.end.map(Outcome.init) }

  /// Waits for the end; where the task is cancelled, virsh is killed, and the migration is left to itself.
  public func result() async -> Outcome { Outcome(await run.waitForEndOrKill()) }
}

extension LabMigration.Outcome {
  fileprivate init(_ end: ScriptRun.End) {
    self.init(status: end.status, standardError: end.standardError, endedAt: end.moment)
  }
}
