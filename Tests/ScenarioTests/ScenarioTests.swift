import DroverCore
import QEMURig
import Testing

@testable import ScenarioSupport

/// Real migrations, one at a time, as each wants the CPU; checked against what QEMU itself says of them.
@Suite("Scenarios", .serialized, .timeLimit(.minutes(5)))
struct Scenarios {}

/// Waits until the copy is under way: until the monitor has seen some of it that QEMU itself had spoken of before.
@discardableResult
func untilCopying(_ watcher: Watcher, _ pair: GuestPair) async throws -> MigrationView {
  let answer = try await pair.waitForMigration("the first bytes") {
    ($0["ram"]?["transferred"]?.int ?? 0) > 0
  }
  let sent = Bytes(QEMUStatement(answer).transferred ?? 0)
  return try await watcher.until("precopy with at least \(sent.count) bytes sent") { record in
    record.snapshot.migrations.first { $0.phase == .precopy && ($0.sample.transferred ?? 0) >= sent }
  }
}

/// Waits until the migration is over, and, where it succeeded, until both ends agree on where the guest is.
@discardableResult
func untilOver(_ watcher: Watcher, _ id: MigrationID? = nil) async throws -> MigrationView {
  try await watcher.until("the end of the migration") { record in
    guard let ended = record.lastEnded, id == nil || ended.identity.id == id else { return nil }
    let latest = record.last(ended.identity.id) ?? ended
    // The two ends are not asked at the same moment.
    return latest.phase == .succeeded && latest.guest == .unknown ? nil : latest
  }
}

/// A success is shown as QEMU tells it: bytes, downtime and duration.
func expectSuccess(
  _ view: MigrationView, as answer: JSONValue, at location: SourceLocation = #_sourceLocation
) {
  let said = QEMUStatement(answer)
  #expect(said.status == "completed", sourceLocation: location)
  #expect(view.phase == .succeeded, sourceLocation: location)
  #expect(view.ending?.outcome == .succeeded, sourceLocation: location)
  #expect(view.ending?.cause == nil, sourceLocation: location)
  #expect(view.ending?.certainty == .reported, sourceLocation: location)
  #expect(said.transferred ?? 0 > 0, sourceLocation: location)
  #expect(view.sample.memory?.transferred.count == said.transferred, sourceLocation: location)
  #expect(said.downtime != nil && view.sample.downtime == said.downtime, sourceLocation: location)
  #expect(said.totalTime != nil && view.ending?.duration == said.totalTime, sourceLocation: location)
}

/// An end that left no trace but its cause: nothing is shown any more that only a running migration has.
func expectNoLongerRunning(_ view: MigrationView, at location: SourceLocation = #_sourceLocation) {
  #expect(view.completionDeadline == nil && view.progressDeadline == nil, sourceLocation: location)
  #expect(view.transferRate == nil && view.sample.dirtyRate == nil, sourceLocation: location)
  #expect(view.sample.remaining == nil && view.progress == nil, sourceLocation: location)
  #expect(view.verdict.kind == .unknown, sourceLocation: location)
}
