import DroverCore
import FoundationEssentials
import QEMURig
import Testing

@testable import ScenarioSupport

/// Migrations that need root: QEMU's post-copy uses userfaultfd.
@Suite(
  "Lab", .serialized, .timeLimit(.minutes(5)),
  .enabled(
    if: ProcessInfo.processInfo.environment["DROVER_LAB"] == "1",
    "post-copy needs userfaultfd, and so root: `make lab` runs these"))
struct LabTests {
  enum Break: CaseIterable { case isPaused, isSevered }

  @Test("post-copy goes from precopy over postcopy to success, without deadlines once the guest has moved")
  func success() async throws {
    try await withPostcopy { pair, watcher, running in
      let moved = try await watcher.until("requests of the destination") { record in
        record.views.last { $0.phase == .postcopy && $0.sample.postcopyRequests ?? 0 > 0 }
      }
      #expect(moved.identity.id == running.identity.id)
      #expect(moved.guest == .target)
      #expect(moved.verdict.kind == .unknown && moved.verdict.evidence == .notInPrecopy)
      try await pair.tune(["max-postcopy-bandwidth": 0])
      let answer = try await pair.waitForStatus("completed")
      let view = try await untilOver(watcher)
      #expect(view.phase == .succeeded && view.ending?.certainty == .reported)
      #expect(view.guest == .target)
      let said = QEMUStatement(answer)
      #expect(said.transferred != nil && view.sample.memory?.transferred.count == said.transferred)
      #expect(said.totalTime != nil && view.ending?.duration == said.totalTime)
      #expect(view.sample.downtime == said.downtime)

      let record = watcher.record
      let postcopy = record.trail(of: view.identity.id).filter { $0.phase == .postcopy }
      #expect(postcopy.allSatisfy { $0.completionDeadline == nil && $0.progressDeadline == nil })
      #expect(postcopy.allSatisfy { $0.completion == nil && $0.progressBudget == nil })
      let requests = postcopy.compactMap(\.sample.postcopyRequests)
      #expect(requests == requests.sorted())
      let all = try #require(answer["ram"]?["postcopy-requests"]?.int)
      #expect(try #require(requests.last) <= all)
      #expect(record.essentials(of: view.identity.id) == [.precopy, .postcopy, .succeeded])
      #expect(record.counts == Counts(started: 1, succeeded: 1))
      try await pair.destination.console.heartbeat()
    }
  }

  @Test(
    "a post-copy whose stream breaks is paused, not over, until it is recovered", arguments: Break.allCases)
  func paused(how: Break) async throws {
    try await withPostcopy { pair, watcher, running in
      switch how {
      case .isPaused: try await pair.pausePostcopy()
      case .isSevered: try #require(await pair.relay).sever()
      }
      try await pair.waitForStatus("postcopy-paused")
      let paused = try await watcher.until("postcopy_paused") {
        $0.views.last { $0.phase == .postcopyPaused }
      }
      #expect(paused.completionDeadline == nil && paused.progressDeadline == nil)
      #expect(!paused.isOver)
      // It stays until somebody does something.
      try await watcher.until("5 s of pause") { $0.now - paused.phaseEnteredAt > .seconds(5) ? true : nil }
      let later = try #require(watcher.record.last(running.identity.id))
      #expect(later.phase == .postcopyPaused && !later.isOver)
      #expect(later.guest == .target)
      #expect(later.sampledAt > paused.phaseEnteredAt + .seconds(3))
      #expect(watcher.record.counts == Counts(started: 1))

      try await pair.recoverPostcopy()
      try await watcher.until("post-copy again") { record in
        record.last(running.identity.id)?.phase == .postcopy ? true : nil
      }
      try await pair.tune(["max-postcopy-bandwidth": 0])
      let answer = try await pair.waitForStatus("completed")
      let view = try await untilOver(watcher)
      #expect(view.identity.id == running.identity.id)
      #expect(view.phase == .succeeded && view.guest == .target)
      #expect(view.sample.memory?.transferred.count == QEMUStatement(answer).transferred)
      let record = watcher.record
      #expect(
        record.essentials(of: view.identity.id) == [
          .precopy, .postcopy, .postcopyPaused, .postcopy, .succeeded,
        ])
      #expect(record.counts == Counts(started: 1, succeeded: 1))
    }
  }

  @Test(
    "a source that dies in post-copy breaks it: postcopy_broken, inferred; the guest is what the target says")
  func sourceKilled() async throws {
    try await withPostcopy { pair, watcher, running in
      await pair.killSource()
      let view = try await untilOver(watcher)
      #expect(view.identity.id == running.identity.id)
      #expect(view.phase == .failed)
      #expect(view.ending?.cause == .postcopyBroken)
      #expect(view.ending?.certainty == .inferred)
      let state = try await pair.destination.conductor.execute("query-status")["status"]?.string
      #expect(view.guest == (state == "running" ? .target : GuestLocation.none))
      let record = watcher.record
      #expect(record.essentials(of: view.identity.id) == [.precopy, .postcopy, .failed])
      #expect(record.counts == Counts(started: 1, failed: [.postcopyBroken: 1]))
    }
  }

  /// A pair whose guest has been told to move over in post-copy, slowly, and its watcher.
  private func withPostcopy(
    _ body: (GuestPair, Watcher, MigrationView) async throws -> Void
  ) async throws {
    try await GuestPair.with(.dirtying(50), isRelayed: true) { pair in
      try await pair.warmUp()
      try await Watcher.with(await .watching(pair)) { watcher in
        var options = MigrationOptions.slow
        options.capabilities = ["postcopy-ram"]
        options.parameters = ["max-postcopy-bandwidth": .int(1 << 20)]
        try await pair.migrate(options)
        let running = try await watcher.until("precopy") { $0.views.last { $0.phase == .precopy } }
        #expect(running.completionDeadline != nil)
        try await pair.startPostcopy()
        // A destination whose stream breaks before the guest runs there ends.
        try await watcher.until("the guest on the target") { record in
          record.last(running.identity.id)?.phase == .postcopy && record.arrivals.last?.guestRuns == true
            ? true : nil
        }
        try await body(pair, watcher, running)
      }
    }
  }
}

/// Waits until the migration is over.
private func untilOver(_ watcher: Watcher) async throws -> MigrationView {
  try await watcher.until("the end of the migration") { record in
    guard let ended = record.lastEnded else { return nil }
    let latest = record.last(ended.identity.id) ?? ended
    // The two ends are not asked at the same moment.
    return latest.phase == .succeeded && latest.guest == .unknown ? nil : latest
  }
}
