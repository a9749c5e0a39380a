import DroverCore
import QEMUBackend
import QEMURig
import Testing

@testable import ScenarioSupport

extension Scenarios {
  @Suite("Which migration it is")
  struct Identity {
    @Test("two QEMUs without name and UUID are two migrations, each named after its socket's file")
    func nameless() async throws {
      let spec = GuestSpec.dirtying(100, name: nil, uuid: nil)
      try await GuestPair.with(spec) { one in
        try await GuestPair.with(spec) { two in
          try await one.warmUp()
          try await two.warmUp()
          let sockets = [await one.source.monitorSocket, await two.source.monitorSocket]
          try await Watcher.with(.watching(sockets: sockets)) { watcher in
            for pair in [one, two] { try await pair.migrate(.slow) }
            let both = try await watcher.until("both under way at once") { record in
              let running = record.snapshot.migrations.filter { $0.phase == .precopy }
              return running.count == 2 ? running : nil
            }
            #expect(Set(both.map(\.identity.id)).count == 2)
            #expect(Set(both.map(\.identity.domain)).count == 2)
            #expect(both.map(\.identity.vm.name) == ["guest-a.qmp", "guest-a.qmp"])
            #expect(
              both.allSatisfy { view in
                view.identity.id.description.allSatisfy {
                  $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-")
                }
              })
            for pair in [one, two] {
              try await pair.hurry()
              try await pair.waitForStatus("completed")
            }
            try await watcher.until("two successes") { $0.ends.count == 2 ? true : nil }
            #expect(watcher.record.counts == Counts(started: 2, succeeded: 2))
            #expect(watcher.record.snapshot.migrations.allSatisfy { $0.guest == .target })
          }
        }
      }
    }

    @Test("a guest that goes there and back is two migrations; the second source was a destination before")
    func thereAndBack() async throws {
      try await Watcher.with(.dirtying(1)) { pair, watcher in
        var ended: [MigrationView] = []
        for _ in 1...2 {
          try await watcher.untilBothEnds()
          try await pair.migrate(.slow)
          let running = try await untilCopying(watcher, pair)
          #expect(running.guest == .source)
          try await pair.hurry()
          let answer = try await pair.waitForStatus("completed")
          let view = try await untilOver(watcher, running.identity.id)
          expectSuccess(view, as: answer)
          #expect(view.guest == .target)
          ended.append(view)
          try await pair.swapAfterSuccess()
        }
        #expect(ended[0].identity.id != ended[1].identity.id)
        #expect(ended[0].identity.domain == ended[1].identity.domain)
        let record = watcher.record
        #expect(record.ids == ended.map(\.identity.id))
        #expect(record.counts == Counts(started: 2, succeeded: 2))
        #expect(record.trail(of: ended[0].identity.id).last?.guest == .target)
        #expect(record.trail(of: ended[1].identity.id).allSatisfy { !$0.guest.isAlarming })
      }
    }

    @Test("a monitor that starts in mid-migration follows it, and counts its end but not its start")
    func restart() async throws {
      try await GuestPair.with(.dirtying(100)) { pair in
        try await pair.warmUp()
        let configuration = await QEMUConfiguration.watching(pair)
        try await pair.migrate(.slow)
        let before = try await Watcher.with(configuration) { try await untilCopying($0, pair) }
        try await Watcher.with(configuration) { watcher in
          let after = try await untilCopying(watcher, pair)
          #expect(after.identity.domain == before.identity.domain)
          #expect((after.startedAt - before.startedAt).milliseconds.magnitude <= 2000)
          #expect(after.sample.transferred ?? 0 >= before.sample.transferred ?? 1)
          try await pair.hurry()
          let answer = try await pair.waitForStatus("completed")
          expectSuccess(try await untilOver(watcher), as: answer)
          #expect(watcher.record.counts == Counts(started: 0, succeeded: 1))
          #expect(watcher.record.ids.count == 1)
        }
      }
    }
  }
}
