import DroverCore
import Logging
import MigrationControl
import QEMUBackend
import QEMURig
import Synchronization
import Testing

@testable import ScenarioSupport

extension Scenarios {
  @Suite("Migrations that the control module ends")
  struct Control {
    /// Watches a pair with a back end that can be asked to act.
    private func with(
      _ guest: GuestSpec = .dirtying(100),
      _ body: (GuestPair, Watcher, MigrationControl, QEMUBackend) async throws -> Void
    ) async throws {
      try await GuestPair.with(guest) { pair in
        try await pair.warmUp()
        let configuration = await QEMUConfiguration.watching(pair)
        let made = Mutex<QEMUBackend?>(nil)
        try await Watcher.with(backends: { clock, log in
          let backend = QEMUBackend(configuration: configuration, clock: clock, log: log)
          made.withLock { $0 = backend }
          return [backend]
        }) { watcher in
          try await watcher.untilBothEnds()
          let held = made.withLock { $0 }
          let backend = try #require(held)
          let control = MigrationControl(
            fleet: watcher, journal: nil, clock: watcher.clock, log: Logger(label: "test")
          ) { $0 == configuration.name ? backend : nil }
          try await withThrowingTaskGroup { group in
            defer { group.cancelAll() }
            group.addTask { await control.keepFollowing() }
            try await body(pair, watcher, control, backend)
          }
        }
      }
    }

    private func order(_ view: MigrationView) -> AbortOrder {
      AbortOrder(view.identity.id, trigger: .person, requester: "the test", withoutJournal: true)
    }

    @Test("a copy is ended by migrate_cancel, its guest runs on, and the end is followed")
    func precopy() async throws {
      try await with { pair, watcher, control, _ in
        try await pair.migrate(.slow)
        let running = try await untilCopying(watcher, pair)
        let asked = await control.abort(order(running), isDryRun: true)
        #expect(asked.isDryRun && asked.decision.kind == .acted && asked.consequence.contains("runs on"))
        let answer = await control.abort(order(running))
        #expect(answer.decision.kind == .acted && answer.decision.result == nil, "\(answer.decision.text)")
        try await pair.waitForStatus("cancelled")
        let view = try await untilOver(watcher)
        #expect(view.phase == .aborted && view.ending?.cause == .userAbort && view.guest == .source)
        try await eventually { control.totals.aborts == [.init(.person, .aborted): 1] }
        let again = await control.abort(order(running))
        #expect(again.decision.refusal == .finished)
      }
    }

    @Test("an abort that names an older migration of the guest does not touch the one that runs")
    func replaced() async throws {
      try await with { pair, watcher, control, backend in
        try await pair.migrate(.slow)
        let first = try await untilCopying(watcher, pair)
        try await pair.cancel()
        _ = try await untilOver(watcher)
        try await pair.renewDestination()
        try await pair.migrate(.slow)
        try await watcher.until("the second one") { $0.ids.count == 2 ? true : nil }
        let target = MigrationTarget(
          id: first.identity.id, vm: first.identity.vm, domain: first.identity.domain)
        let live = try await backend.live(target)
        guard case .replaced(let other) = live.state else {
          Issue.record("\(live)")
          return
        }
        #expect(other != first.identity.id)
        let error = await #expect(throws: ControlError.self) { try await backend.abort(target) }
        #expect(error?.kind == .replaced)
        #expect(try await pair.queryMigrate()["status"] == "active")
      }
    }

    @Test("a QEMU that hangs is told so within seconds, and nothing is sent to it later")
    func hangs() async throws {
      try await with { pair, watcher, control, _ in
        try await pair.migrate(.slow)
        let running = try await untilCopying(watcher, pair)
        await pair.source.freeze()
        let began = ContinuousClock.now
        let answer = await control.abort(order(running))
        #expect(answer.decision.refusal == .unreadable, "\(answer.decision.text)")
        #expect(ContinuousClock.now - began < .seconds(7))
        await pair.source.thaw()
        try await watcher.until("its answers again") { record in
          record.backend?.isUp == true && record.looks.last?.views.first?.isOver == false ? true : nil
        }
        #expect(try await pair.queryMigrate()["status"] == "active")
      }
    }

    private func eventually(_ holds: () -> Bool) async throws {
      for _ in 0..<500 where !holds() { try await Task.sleep(for: .milliseconds(20)) }
      #expect(holds())
    }
  }
}
