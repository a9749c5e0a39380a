import DroverCore
import QEMUBackend
import QEMURig
import Testing

@testable import ScenarioSupport

extension Scenarios {
  @Suite("Migrations in trouble")
  struct Trouble {
    @Test("a guest that dirties as fast as is sent does not converge; once it rests, the migration ends")
    func notConverging() async throws {
      try await Watcher.with(.dirtying(200)) { pair, watcher in
        try await pair.migrate(MigrationOptions(bandwidth: 16 << 20, downtimeLimit: .milliseconds(50)))
        let view = try await watcher.until("not_converging") { record in
          record.views.first { $0.verdict.kind == .notConverging }
        }
        guard case .passesDoNotShrink(let passes, let best, let dirty, let transfer) = view.verdict.evidence
        else {
          Issue.record("the evidence is \(view.verdict.evidence)")
          return
        }
        #expect(passes == VerdictSettings().passes)
        // Passes of a second, of which some are looked at together: one to measure, one to compare with, three in vain.
        #expect(try #require(view.sample.iterations) <= 24)
        #expect(best.count > 8 << 20 && best.count <= 24 << 20)
        let ratio = Double(dirty.value) / Double(transfer.value)
        #expect(ratio >= 0.9 && ratio < 2)
        #expect(view.verdict.expectedEnd == nil)

        try await pair.source.console.set(.idle)
        let answer = try await pair.waitForStatus("completed")
        let end = try await untilOver(watcher)
        expectSuccess(end, as: answer)
        let record = watcher.record
        #expect(record.verdicts(on: view.identity.id).contains(.notConverging))
        #expect(record.trail(of: view.identity.id).allSatisfy { $0.verdict.kind != .stalled })
        #expect(record.counts == Counts(started: 1, succeeded: 1))
        #expect(end.interruptions.count == 0)
      }
    }

    @Test("a wire that is silent stalls the migration; healed, it goes on, and one interruption is counted")
    func stalled() async throws {
      var settings = MigrationTracker.Settings()
      settings.verdict.stalledAfter = .seconds(3)
      try await Watcher.with(.dirtying(100), isRelayed: true, settings: settings) { pair, watcher in
        try await pair.migrate(MigrationOptions(bandwidth: 8 << 20, downtimeLimit: .milliseconds(50)))
        let running = try await watcher.until("a dirty rate") { $0.views.last { $0.sample.dirtyRate != nil } }
        let relay = try #require(await pair.relay)
        relay.cut()
        let cut = watcher.clock.now()
        let stalled = try await watcher.until("stalled") { $0.views.first { $0.verdict.kind == .stalled } }
        #expect(stalled.phase == .precopy)
        guard case .still(let sent, let drop, let remaining) = stalled.verdict.evidence else {
          Issue.record("the evidence is \(stalled.verdict.evidence)")
          return
        }
        #expect(sent >= .seconds(3) && drop >= .seconds(3) && remaining == stalled.sample.remaining)

        try await watcher.until("12 s of silence") { $0.now - cut >= .seconds(12) ? true : nil }
        let silent = watcher.record.trail(of: running.identity.id).drop { $0.verdict.kind != .stalled }
        #expect(silent.count > 10)
        #expect(silent.allSatisfy { $0.verdict.kind == .stalled })
        // The window of the rate is 3 s, as is the verdict's patience: one of them may be a sample late.
        #expect(silent.dropFirst(4).allSatisfy { $0.transferRate == 0 })
        #expect(silent.allSatisfy { $0.sample.dirtyRate == nil })
        #expect(silent.map(\.progressDeadline).withoutRepeats.count == 1)
        #expect(silent.last?.progressDeadline != nil)
        #expect(silent.map(\.completionDeadline).withoutRepeats == [running.completionDeadline])
        #expect(Set(silent.map(\.sample.transferred)).count == 1)
        #expect(silent.last?.interruptions.count == 0)

        relay.heal()
        let healed = watcher.clock.now()
        let moving = try await watcher.until("one interruption") { record in
          record.views.last { $0.interruptions.count > 0 }
        }
        // QEMU goes on until the sockets are full, and each end is known to a sample.
        let length = moving.interruptions.total
        #expect(length > healed - cut - .seconds(2) && length < healed - cut + .seconds(2))
        try await watcher.until("another verdict") { record in
          record.last(running.identity.id).flatMap { $0.verdict.kind == .stalled ? nil : true }
        }
        try await pair.hurry()
        let answer = try await pair.waitForStatus("completed")
        let end = try await untilOver(watcher)
        expectSuccess(end, as: answer)
        #expect(end.interruptions == moving.interruptions && end.interruptions.count == 1)
        let record = watcher.record
        #expect(record.interruptions == [length])
        #expect(record.counts == Counts(started: 1, succeeded: 1))
      }
    }

    @Test("a QEMU that hangs hides itself only, and comes back as the same migration")
    func hung() async throws {
      try await GuestPair.with(.dirtying(100, name: "hung")) { hung in
        try await GuestPair.with(.dirtying(100, name: "fine")) { fine in
          try await hung.warmUp()
          try await fine.warmUp()
          var settings = MigrationTracker.Settings()
          settings.verdict.stalledAfter = .seconds(3)
          settings.verdict.sampleAge = .seconds(2)
          try await Watcher.with(await .watching(hung, fine), settings: settings) { watcher in
            for pair in [hung, fine] { try await pair.migrate(.slow) }
            let ids = try await watcher.until("both migrations") { record -> [String: MigrationID]? in
              let running = record.views.filter { $0.phase == .precopy }
              let ids = Dictionary(running.map { ($0.identity.vm.name, $0.identity.id) }) { a, _ in a }
              return ids.count == 2 ? ids : nil
            }
            let hungID = try #require(ids["hung"])
            let fineID = try #require(ids["fine"])

            await hung.source.freeze()
            let frozen = watcher.clock.now()
            let old = try await watcher.until("a sample too old, a back end that is down") { record in
              record.backend?.isUp == false
                ? record.last(hungID).flatMap { $0.isTooOld ? $0 : nil } : nil
            }
            #expect(old.verdict.kind == .unknown)
            try await watcher.until("6 s of freezing") { $0.now - frozen >= .seconds(6) ? true : nil }
            var record = watcher.record
            #expect(record.backend?.isUp == false)
            let success = try #require(record.backend?.lastSuccess)
            #expect(success <= frozen + .milliseconds(500))
            #expect(record.backend?.errors.first { $0.kind == "timeout" }?.count ?? 0 > 0)
            #expect(record.trail(of: hungID).allSatisfy { $0.verdict.kind != .stalled && !$0.isOver })
            #expect(record.last(hungID)?.phase == .precopy)

            await hung.source.thaw()
            try await watcher.until("new samples of the one that hung") { record in
              record.backend?.isUp == true
                && record.last(hungID).map { $0.sampledAt > frozen + .seconds(6) } == true ? true : nil
            }
            record = watcher.record
            #expect(Set(record.ids) == Set(ids.values))
            let samples = record.trail(of: fineID).map(\.sampledAt)
            let gaps = zip(samples, samples.dropFirst()).map { $1 - $0 }
            #expect(try #require(gaps.max()) < .seconds(2))
            #expect(!record.trail(of: fineID).contains { $0.isTooOld })

            for (pair, id) in [(hung, hungID), (fine, fineID)] {
              try await pair.hurry()
              let answer = try await pair.waitForStatus("completed")
              expectSuccess(try await untilOver(watcher, id), as: answer)
            }
            #expect(watcher.record.counts == Counts(started: 2, succeeded: 2))
          }
        }
      }
    }

    @Test("a guest paused by its monitor in mid-migration is shown so, and is still at the source")
    func paused() async throws {
      try await Watcher.with(.dirtying(100)) { pair, watcher in
        try await pair.migrate(.slow)
        let running = try await untilCopying(watcher, pair)
        try await pair.source.conductor.execute("stop")
        let paused = try await watcher.until("guest_suspended") { record in
          record.views.last { $0.phase == .guestSuspended }
        }
        #expect(paused.identity.id == running.identity.id)
        #expect(paused.guest == .source)
        #expect(paused.verdict.kind == .unknown)
        #expect(paused.completionDeadline == running.completionDeadline)
        try await pair.source.conductor.execute("cont")
        try await watcher.until("precopy again") { record in
          record.last(paused.identity.id)?.phase == .precopy ? true : nil
        }
        try await pair.cancel()
        let view = try await untilOver(watcher)
        #expect(view.guest == .source)
        let phases = watcher.record.phases(of: view.identity.id).filter {
          $0 != .preparing && $0 != .aborting
        }
        #expect(phases == [.precopy, .guestSuspended, .precopy, .aborted])
      }
    }
  }
}

extension Watcher.Record {
  /// Lengths of the interruptions that the tracker told.
  fileprivate var interruptions: [Duration] {
    events.compactMap { if case .interrupted(_, let length) = $0 { length } else { nil } }
  }
}

extension MigrationView {
  /// Whether nothing is said of it because its source has not answered for too long.
  fileprivate var isTooOld: Bool { if case .sampleTooOld = verdict.evidence { true } else { false } }
}
