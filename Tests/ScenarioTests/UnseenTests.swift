import DroverCore
import QEMUBackend
import QEMURig
import Testing

@testable import ScenarioSupport

extension Scenarios {
  @Suite("Migrations between two looks")
  struct Unseen {
    enum End: CaseIterable { case succeeds, fails, isCancelled }

    @Test(
      "a migration that began and ended between two looks counts once, with its outcome",
      arguments: End.allCases)
    func unseen(end: End) async throws {
      try await GuestPair.with(.dirtying(1)) { pair in
        try await pair.warmUp()
        try await withBlinkingMonitor(of: pair) { watcher, wire in
          wire.cut()
          let answer = try await run(pair, until: end)
          #expect(watcher.record.observations.isEmpty)
          wire.heal()
          let view = try await untilOver(watcher)
          // A question that was under way when the wire was cut may have been answered after the job began.
          let durations = watcher.record.counts.durations
          switch end {
          case .succeeds:
            expectSuccess(view, as: answer)
            #expect(view.guest == .target)
            #expect(watcher.record.counts == Counts(started: 1, succeeded: 1))
          case .fails:
            #expect(view.ending?.cause == .targetRefused)
            #expect(view.ending?.text == QEMUStatement(answer).error)
            #expect(view.guest == .source)
            #expect(watcher.record.counts == Counts(failed: [.targetRefused: 1], durations: durations))
          case .isCancelled:
            #expect(view.ending?.cause == .userAbort)
            #expect(view.guest == .source)
            #expect(watcher.record.counts == Counts(aborted: [.userAbort: 1], durations: durations))
          }
          #expect(watcher.record.phases(of: view.identity.id).last == view.phase)
          #expect(watcher.record.ids.count == 1)
        }
      }
    }

    @Test("two failures in a row with the same words are two, where QEMU tells events")
    func equalFailures() async throws {
      try await GuestPair.with(.dirtying(1)) { pair in
        try await pair.warmUp()
        try await withBlinkingMonitor(of: pair, events: true) { watcher, wire in
          for turn in 1...2 {
            wire.cut()
            _ = try await run(pair, until: .fails)
            wire.heal()
            try await watcher.until("failure \(turn)") { $0.ends.count == turn ? true : nil }
          }
          #expect(watcher.record.ids.count == 2)
          // When each began is told only where its events did not come together.
          let durations = watcher.record.counts.durations
          #expect(watcher.record.counts == Counts(failed: [.targetRefused: 2], durations: durations))
        }
      }
    }

    @Test("a migration without a limit is seen with the default intervals: once, with bytes and downtime")
    func fast() async throws {
      try await GuestPair.with(.dirtying(1)) { pair in
        try await pair.warmUp()
        var configuration = await QEMUConfiguration.watching(pair)
        let defaults = QEMUConfiguration(name: configuration.name, sockets: [], host: "")
        configuration.activeInterval = defaults.activeInterval
        configuration.idleInterval = defaults.idleInterval
        try await Watcher.with(configuration) { watcher in
          try await watcher.untilBothEnds()
          try await pair.migrate()
          let answer = try await pair.waitForStatus("completed")
          expectSuccess(try await untilOver(watcher), as: answer)
          #expect(watcher.record.counts == Counts(started: 1, succeeded: 1))
        }
      }
    }

    @Test("an end that was there before the monitor counts nothing")
    func before() async throws {
      try await GuestPair.with(.dirtying(1)) { pair in
        try await pair.warmUp()
        try await pair.migrate()
        try await pair.waitForStatus("completed")
        try await Watcher.with(await .watching(pair)) { watcher in
          try await untilLookedAgain(watcher)
          #expect(watcher.record.counts == Counts())
          #expect(watcher.record.ids == [] && watcher.record.observations.isEmpty)
        }
      }
    }

    /// Watches the source through a wire that can be cut, so that the monitor misses what happens meanwhile.
    private func withBlinkingMonitor(
      of pair: GuestPair, events: Bool = false, _ body: (Watcher, StreamRelay) async throws -> Void
    ) async throws {
      let path = await pair.socketDirectory + "/blinking.relay"
      let wire = try StreamRelay(listeningAt: path, forwardingTo: await pair.source.monitorSocket)
      defer { wire.close() }
      var configuration = QEMUConfiguration.watching(sockets: [path])
      configuration.requestDeadline = .seconds(120)
      configuration.events = events
      try await Watcher.with(configuration) { watcher in
        try await untilLookedAgain(watcher)
        try await body(watcher, wire)
      }
    }

    /// Waits for an answer that was asked for after now.
    private func untilLookedAgain(_ watcher: Watcher) async throws {
      let now = watcher.clock.now()
      try await watcher.until("an answer") { record in
        record.backend?.lastSuccess.map { $0 > now + .milliseconds(500) } == true ? true : nil
      }
    }

    private func run(_ pair: GuestPair, until end: End) async throws -> JSONValue {
      switch end {
      case .succeeds:
        try await pair.migrate()
        return try await pair.waitForStatus("completed")
      case .fails:
        let nobody = await pair.socketDirectory + "/nobody"
        _ = try? await pair.source.conductor.execute("migrate", ["uri": .string("unix:\(nobody)")])
        return try await pair.waitForMigration("a failure") { $0["status"] == "failed" }
      case .isCancelled:
        try await pair.migrate(.slow)
        try await pair.waitForMigration("the first bytes") { ($0["ram"]?["transferred"]?.int ?? 0) > 0 }
        try await pair.cancel()
        return try await pair.waitForStatus("cancelled")
      }
    }
  }
}
