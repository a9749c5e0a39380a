import DroverService
import Foundation
import LibvirtLab
import QEMURig
import Testing

@testable import ProgramSupport

/// Two hosts, and `drover serve` as its users start it, which watches the one that guests leave.
struct AutomaticScene: Sendable {
  let lab: LabHosts
  let serving: Serving

  /// Brings up both hosts and the program; everything has ended on return.
  ///
  /// - Parameter configuration: All but the back end.
  static func with(
    keepalive: LabHosts.Keepalive = .fast, _ configuration: (TemporaryDirectory) throws -> String,
    _ body: (AutomaticScene) async throws -> Void
  ) async throws {
    try await LabHosts.with(keepalive: keepalive) { lab in
      // A new daemon looks at its QEMUs first, which would count as the time of the first migration to it.
      for host in LabHosts.Host.allCases { try await lab.virsh(host, ["domcapabilities"]) }
      let directory = try TemporaryDirectory()
      let file = try directory.write(
        """
        backends: [{libvirt: {name: a, host: lab-a, uri: "\(lab.uri(.a))"}}]
        \(try configuration(directory))
        """, to: "drover.yaml")
      let serving = try await Serving(
        ["--config.file", file, "--path.rootfs", "/proc/\(lab.initProcess(.a))/root"], in: directory)
      try await eventually("the host") {
        try serving.program.mustRun()
        return try await serving.web.metrics().value("drover_backend_up") == 1
      }
      do {
        try await body(AutomaticScene(lab: lab, serving: serving))
      } catch {
        // Only the program knows why something did not come about.
        tell("the program's log: \(serving.program.errors)")
        throw error
      }
      serving.program.signal(SIGTERM)
      #expect(try await serving.program.end() == .exited(0))
    }
  }

  // MARK: Guests

  /// Starts guests that dirty `rate` MiB/s over `workingSet` MiB of 64, once each has written all of that.
  func guests(_ names: [String], rate: Double, workingSet: UInt32 = 16, speed: Int) async throws {
    try await withThrowingTaskGroup { group in
      for name in names {
        group.addTask {
          try await lab.guest(
            name, rate: DirtyRate(atLeastMebibytesPerSecond: max(rate, 50)),
            workingSet: WorkingSet(atLeastMebibytes: workingSet))
          // A machine that is busy takes its time to boot it.
          for _ in 1...2 { try await eventually("\(name) beats") { try await lab.heartbeat(name) } }
          // Pages that were never written cost nothing to send, and the copy would be over at once.
          if rate < 50 { try await lab.setRate(name, DirtyRate(atLeastMebibytesPerSecond: rate)) }
          try await lab.setSpeed(name, mebibytesPerSecond: speed)
        }
      }
      try await group.waitForAll()
    }
  }

  /// Begins to move guests over the wire for data, and waits until each copies.
  func migrate(_ names: [String]) async throws -> [LabMigration] {
    var migrations: [LabMigration] = []
    for name in names { migrations.append(try await lab.migrate(name, over: .mig)) }
    try await eventually("\(names) copy", within: .seconds(60)) {
      let items = try await serving.web.migrations()
      return names.allSatisfy { name in
        items.contains { $0.vm == name && $0.phase == "precopy" && $0.transferredBytes ?? 0 > 0 }
      }
    }
    return migrations
  }

  /// Waits until a guest has been seen to run at the source, without a pause since it was listened to.
  func expectUndisturbed(
    _ names: [String], _ listener: LabListener, at location: SourceLocation = #_sourceLocation
  ) async throws {
    for name in names {
      try await eventually("\(name) beats at the source") { try await lab.heartbeat(name, on: .a) }
    }
    let pauses = try await listener.stop().filter { $0.name == "lifecycle" && names.contains($0.guest) }
    #expect(pauses.isEmpty, "\(pauses.map(\.text))", sourceLocation: location)
  }

  // MARK: What the program says

  /// What was decided and carried out, the earliest first.
  func acted() async throws -> [DecisionItem] {
    try await serving.web.decisions().filter { $0.kind == "acted" && $0.action == "abort" }.reversed()
  }

  /// The migration of a guest as it was last seen here before its end, if it was, and how it ended.
  func untilOver(_ vm: String, within limit: Duration = .seconds(60)) async throws -> (
    last: MigrationItem?, over: MigrationItem
  ) {
    var last: MigrationItem?
    let over = try await eventually("the end of \(vm)", within: limit) {
      let item = try await serving.web.migrations().first { $0.vm == vm }
      // What is shown of an abort that is under way is its end's, no more its cause.
      if item?.ending == nil, item?.phase != "aborting" { last = item ?? last }
      return item?.ending == nil ? nil : item
    }
    return (last, over)
  }

  /// Lines of the log that say that automatic aborts wait, by their reason.
  var holdsSaid: [String] {
    serving.program.lines.compactMap { line in
      line.contains("automatic aborts hold")
        ? line.firstMatch(of: /reason=([a-z]+)/).map { String($0.1) } : nil
    }
  }

  func holds(_ reason: String) async throws -> Bool {
    try await serving.web.metrics().value("drover_abort_hold", "reason=\"\(reason)\"") == 1
  }
}

/// An end that a rule or an alert has brought about, as libvirt and Drover tell it.
func expectEnded(
  _ over: MigrationItem, cause: String, _ migration: LabMigration,
  at location: SourceLocation = #_sourceLocation
) async {
  #expect(
    over.ending?.outcome == "aborted" && over.ending?.cause == cause && over.guestRunsOn == "source",
    "\(over)", sourceLocation: location)
  await expectCancelled(migration, at: location)
}

/// What whoever waits for it in libvirt is told; over a wire that is dead QEMU may say so before libvirt does.
func expectCancelled(_ migration: LabMigration, at location: SourceLocation = #_sourceLocation) async {
  let said = await migration.result()
  let isTold = ["canceled by client", "Unable to write to socket"].contains {
    said.standardError.contains($0)
  }
  #expect(!said.hasSucceeded && isTold, "\(said.standardError)", sourceLocation: location)
}
