import DroverCore
import QEMURig
import Testing

@testable import ScenarioSupport

extension Scenarios {
  @Suite("How migrations end")
  struct Endings {
    @Test("a success is told as QEMU tells it, counted once, and seen from both ends")
    func success() async throws {
      try await Watcher.with(.dirtying(1)) { pair, watcher in
        try await pair.migrate(.slow)
        let running = try await untilCopying(watcher, pair)
        #expect(running.guest == .source)
        #expect(running.verdict.kind == .unknown)
        #expect(running.verdict.evidence == .firstPass || running.verdict.evidence == .tooFewSamples)
        try await watcher.until("a guest on its way in and out") { record in
          record.node?.inbound == 1 && record.node?.outbound == 1 ? true : nil
        }
        try await pair.hurry()
        let answer = try await pair.waitForStatus("completed")
        let view = try await untilOver(watcher)
        expectSuccess(view, as: answer)
        expectNoLongerRunning(view)
        try await watcher.until("the guest on the target only, nothing under way") { record in
          record.lastEnded?.guest == .target && record.node?.inbound == 0 && record.node?.outbound == 0
            && record.node?.vms == 1 ? true : nil
        }

        let record = watcher.record
        #expect(record.ids == [view.identity.id])
        #expect(record.counts == Counts(started: 1, succeeded: 1))
        #expect(record.ends.count == 1)
        let phases = record.phases(of: view.identity.id)
        #expect(phases.filter { $0 != .preparing && $0 != .switchover } == [.precopy, .succeeded])
        #expect(phases == phases.sorted { order($0) < order($1) })
        #expect(record.trail(of: view.identity.id).allSatisfy { !$0.guest.isAlarming })
        #expect(record.arrivals.map(\.isActive).withoutRepeats == [false, true, false])
        #expect(record.arrivals.last?.guestRuns == true)
        #expect(record.arrivals.allSatisfy { $0.domain == view.identity.domain })
        let duration = try #require(view.ending?.duration)
        let ended = try #require(view.ending?.endedAt)
        #expect((ended - view.startedAt - duration).magnitude < .milliseconds(100))
      }
    }

    @Test(
      "a cancelled migration is aborted, by whom it was announced; its guest stays",
      arguments: [nil, FailureCause.policyAbort])
    func cancel(announced: FailureCause?) async throws {
      try await Watcher.with(.dirtying(100)) { pair, watcher in
        try await pair.migrate(.slow)
        let running = try await untilCopying(watcher, pair)
        if let announced { watcher.announceAbort(of: running.identity.id, cause: announced) }
        try await pair.cancel()
        try await pair.waitForStatus("cancelled")
        let view = try await untilOver(watcher)
        let cause = announced ?? .userAbort
        #expect(view.identity.id == running.identity.id)
        #expect(view.phase == .aborted && view.ending?.outcome == .aborted)
        #expect(view.ending?.cause == cause)
        #expect(view.ending?.certainty == .reported)
        #expect(view.guest == .source)
        // QEMU forgets the bytes of a cancelled migration.
        #expect(view.sample.transferred ?? 0 >= running.sample.transferred ?? 1)
        #expect(view.sample.downtime == nil)
        expectNoLongerRunning(view)
        #expect(watcher.record.counts == Counts(started: 1, aborted: [cause: 1]))
        try await watcher.until("nothing on its way in") { $0.node?.inbound == 0 ? true : nil }
        #expect(watcher.record.last(view.identity.id)?.guest == .source)
      }
    }

    @Test("a destination that dies fails the migration: target_lost, inferred; the guest stays")
    func destinationKilled() async throws {
      try await Watcher.with(.dirtying(100)) { pair, watcher in
        try await pair.migrate(.slow)
        let running = try await untilCopying(watcher, pair)
        await pair.killDestination()
        let said = QEMUStatement(try await pair.waitForStatus("failed"))
        let view = try await untilOver(watcher)
        #expect(view.identity.id == running.identity.id)
        #expect(view.phase == .failed)
        #expect(view.ending?.cause == .targetLost)
        #expect(view.ending?.certainty == .inferred)
        #expect(said.error != nil && view.ending?.text == said.error)
        #expect(view.sample.transferred ?? 0 >= running.sample.transferred ?? 1)
        expectNoLongerRunning(view)
        try await watcher.until("the destination's VM gone") { record in
          record.node?.vms == 1 && record.node?.inbound == 0 ? true : nil
        }
        let record = watcher.record
        #expect(record.last(view.identity.id)?.guest == .source)
        #expect(record.counts == Counts(started: 1, failed: [.targetLost: 1]))
        #expect(record.node?.failedOutbound == 1)
        #expect(record.backend?.isUp == true)
        #expect(try await pair.queryStatus() == "running")
      }
    }

    @Test("a source that dies in mid-migration fails it: source_lost, inferred; the guest runs nowhere")
    func sourceKilled() async throws {
      try await Watcher.with(.dirtying(100)) { pair, watcher in
        try await pair.migrate(.slow)
        let running = try await untilCopying(watcher, pair)
        await pair.killSource()
        let view = try await untilOver(watcher)
        #expect(view.identity.id == running.identity.id)
        #expect(view.phase == .failed)
        #expect(view.ending?.cause == .sourceLost)
        #expect(view.ending?.certainty == .inferred)
        #expect(view.ending?.text == "the source's QEMU is gone")
        #expect(view.sample.transferred ?? 0 >= running.sample.transferred ?? 1)
        _ = await pair.destination.waitForExit()
        try await watcher.until("no VM is left") { $0.node?.vms == 0 ? true : nil }
        try await watcher.until("the guest nowhere") { record in
          record.last(view.identity.id)?.guest == GuestLocation.none ? true : nil
        }
        let record = watcher.record
        #expect(record.counts == Counts(started: 1, failed: [.sourceLost: 1]))
        #expect(record.node?.inbound == 0 && record.node?.outbound == 0)
      }
    }

    @Test("a migration to nobody fails at once: target_refused, and never counts as started")
    func refused() async throws {
      try await Watcher.with(.dirtying(1)) { pair, watcher in
        let nobody = await pair.socketDirectory + "/nobody"
        // Some QEMUs refuse the command as well.
        _ = try? await pair.source.conductor.execute("migrate", ["uri": .string("unix:\(nobody)")])
        let said = QEMUStatement(
          try await pair.waitForMigration("a failure") { $0["status"] == "failed" })
        let view = try await untilOver(watcher)
        #expect(view.phase == .failed)
        #expect(view.ending?.cause == .targetRefused)
        #expect(view.ending?.certainty == .reported)
        #expect(said.error?.contains(nobody) == true && view.ending?.text == said.error)
        #expect(view.guest == .source)
        #expect(view.sample.transferred == nil)
        // Whether QEMU's `setup` was seen before is chance, and with it whether the length is known.
        let durations = watcher.record.counts.durations
        #expect(watcher.record.counts == Counts(failed: [.targetRefused: 1], durations: durations))
        #expect(watcher.record.ids.count == 1)
      }
    }
  }
}

/// Where a phase comes in a migration that succeeds.
private func order(_ phase: Phase) -> Int {
  switch phase {
  case .preparing: 0
  case .precopy: 1
  case .switchover: 2
  default: 3
  }
}

extension Duration {
  fileprivate var magnitude: Duration { self < .zero ? .zero - self : self }
}
