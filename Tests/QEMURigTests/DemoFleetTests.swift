import Foundation
import Synchronization
import Testing

@testable import QEMURig

extension RigTests {
  @Suite("DemoFleet")
  struct DemoTests {
    @Test("each guest goes its course again and again; a pair that fails is started anew; all ends together")
    func courses() async throws {
      var schedule = DemoSchedule()
      schedule.pause = .seconds(2)
      schedule.afterglow = .milliseconds(500)
      schedule.nonConvergingRunsFor = .seconds(3)
      schedule.cutAfter = .seconds(1)
      schedule.cutFor = .seconds(1)
      schedule.restartAfter = .milliseconds(100)
      let events = Inbox<DemoEvent>(keeping: 1000)
      let cancelled = Inbox<DemoGuest>(keeping: 1000)
      let fleet = try DemoFleet(
        environment: RigEnvironment(), schedule: schedule, willCancel: { cancelled.deliver($0) },
        report: { events.deliver($0) })
      let directory = String(fleet.monitorSocketGlob.dropLast("/*.qmp".count))

      let run = Task { await fleet.run() }
      for (guest, kind) in [
        ("db-1", DemoEvent.Kind.cancelled), ("cache-1", .wireCut), ("cache-1", .wireHealed),
        ("web-1", .completed), ("cache-1", .completed),
      ] {
        try await wait(events) { $0.guest == guest && $0.kind == kind }
      }
      let guest = try #require(cancelled.messages.first)
      #expect(guest.name == "db-1")
      #expect(guest.monitorSocket == "\(directory)/db-1-a.qmp")
      #expect(events.messages.filter { $0.kind == .failed } == [])

      let victim = try #require(processes(with: "\(directory)/web-1-").first)
      kill(victim, SIGKILL)
      try await wait(events) { $0.guest == "web-1" && $0.kind == .failed }
      let seen = events.received
      try await wait(events, after: seen) { $0.guest == "web-1" && $0.kind == .ready }

      run.cancel()
      await run.value
      #expect(processes(with: directory) == [])
      #expect(!FileManager.default.fileExists(atPath: directory))
    }

    @Test("a missing QEMU is said before anything runs")
    func missing() {
      #expect {
        _ = try DemoFleet(environment: RigEnvironment(qemu: "qemu-system-nowhere"), report: { _ in })
      } throws: {
        ($0 as? RigError)?.code == .qemuMissing
      }
    }

    private func wait(
      _ events: Inbox<DemoEvent>, after seen: Int = 0, _ fits: @escaping @Sendable (DemoEvent) -> Bool
    ) async throws {
      try await withDeadline(.seconds(60), "an event of the demo") {
        _ = try await events.first(after: seen, where: fits)
      }
    }
  }
}
