import DroverCore
import QEMUBackend
import QEMURig
import Testing

@testable import ScenarioSupport

extension Scenarios {
  @Suite("Kinds of migrations")
  struct Variety {
    @Test("size, budget, limits and deadlines of a running migration are those that were set")
    func limits() async throws {
      try await Watcher.with(.dirtying(100, memory: 256)) { pair, watcher in
        try await pair.migrate(
          MigrationOptions(bandwidth: 3 << 20, downtimeLimit: .milliseconds(70)))
        let view = try await untilCopying(watcher, pair)
        #expect(view.facts.size == .mebibytes(256))
        let budget = try #require(view.completion)
        #expect(budget.timeout == .seconds(200))
        #expect(budget.setBy == .config && budget.enforcedBy == .none && budget.action == .none)
        #expect(view.completionDeadline == view.startedAt + .seconds(200))
        #expect(view.progressBudget?.timeout == .seconds(150))
        #expect(view.progressDeadline == view.progress.map { $0.lastDrop + .seconds(150) })
        #expect(view.sample.bandwidthLimit?.value == 3 << 20)
        #expect(view.sample.downtimeLimit == .milliseconds(70))
        #expect(view.facts.source == "here" && view.facts.origin == .unknown)
        let rate = try await watcher.until("a rate") { record in
          record.trail(of: view.identity.id).last.flatMap { last in
            last.sampledAt - view.startedAt > .seconds(3) ? last.transferRate : nil
          }
        }
        #expect(rate.value > 1 << 20 && rate.value < 5 << 20)

        try await pair.tune(["max-bandwidth": .int(5 << 20), "downtime-limit": 90])
        try await watcher.until("the new limits") { record in
          record.last(view.identity.id).flatMap { last in
            last.sample.bandwidthLimit?.value == 5 << 20 && last.sample.downtimeLimit == .milliseconds(90)
              ? true : nil
          }
        }
        try await pair.cancel()
        let end = try await untilOver(watcher)
        #expect(end.sample.downtimeLimit == .milliseconds(90))
        expectNoLongerRunning(end)
      }
    }

    @Test("with multifd the bytes of all channels count, and once")
    func multifd() async throws {
      try await Watcher.with(.dirtying(1)) { pair, watcher in
        var options = MigrationOptions.slow
        options.capabilities = ["multifd"]
        try await pair.migrate(options)
        let running = try await untilCopying(watcher, pair)
        try await pair.hurry()
        let answer = try await pair.waitForStatus("completed")
        #expect(answer["ram"]?["multifd-bytes"]?.int ?? 0 > 1 << 20)
        let view = try await untilOver(watcher)
        expectSuccess(view, as: answer)
        #expect(view.identity.id == running.identity.id)
        #expect(watcher.record.counts == Counts(started: 1, succeeded: 1))
      }
    }

    @Test("with auto-converge the guest's throttle is shown as QEMU tells it, and not after the end")
    func autoConverge() async throws {
      try await Watcher.with(.dirtying(200)) { pair, watcher in
        try await pair.migrate(
          MigrationOptions(
            capabilities: ["auto-converge"], bandwidth: 16 << 20, downtimeLimit: .milliseconds(20),
            parameters: ["cpu-throttle-initial": 33, "cpu-throttle-increment": 11]))
        let view = try await watcher.until("a throttled guest") { record in
          record.views.first { $0.sample.cpuThrottle != nil }
        }
        let throttle = try #require(view.sample.cpuThrottle)
        // QEMU begins with the initial one and adds increments.
        #expect([0.33, 0.44, 0.55].contains(throttle))
        try await pair.cancel()
        let end = try await untilOver(watcher)
        #expect(end.sample.cpuThrottle == nil)
        #expect(end.phase == .aborted)
      }
    }

    @Test("with block migration the disk counts: in the size, in the budget and in the bytes")
    func blockMigration() async throws {
      var spec = GuestSpec.dirtying(1)
      spec.diskMebibytes = 64
      try await Watcher.with(spec) { pair, watcher in
        var options = MigrationOptions.slow
        options.bandwidth = 8 << 20
        options.capabilities = ["block"]
        try await pair.migrate(options)
        let running = try await watcher.until("bytes of the disk") { record in
          record.views.last { !$0.isOver && $0.sample.disk?.transferred ?? 0 > 0 }
        }
        #expect(running.phase == .precopy)
        #expect(running.facts.size == .mebibytes(128))
        #expect(running.completion?.timeout == .seconds(100))
        #expect(running.sample.disk?.remaining != nil)
        try await pair.hurry()
        let answer = try await pair.waitForStatus("completed")
        let view = try await untilOver(watcher)
        expectSuccess(view, as: answer)
        // QEMU forgets the disk at the end: the last that was seen of it stands.
        #expect(answer["disk"] == nil)
        let disk = try #require(view.sample.disk)
        let seen = watcher.record.trail(of: view.identity.id).compactMap { $0.sample.disk?.transferred }
        #expect(disk.transferred == seen.max() && disk.transferred >= running.sample.disk?.transferred ?? 0)
        #expect(view.sample.transferred == view.sample.memory.map { $0.transferred + disk.transferred })
      }
    }
  }
}
