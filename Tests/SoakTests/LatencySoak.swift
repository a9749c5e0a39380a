import DroverService
import Foundation
import QEMURig
import Synchronization
import Testing

@testable import ProgramSupport

extension Soak {
  /// From the moment that decides to the `migrate_cancel` as it comes by on its way to the monitor.
  @Suite("How long it takes", .serialized, .enabled(if: Soak.wants("latency")))
  struct Latency {
    private final class Sums: Sendable {
      private let state = Mutex<[String: Times]>([:])
      var times: [String: Times] { state.withLock(\.self) }
      func add(_ seconds: Double, to name: String) {
        state.withLock { $0[name, default: Times()].add(seconds) }
      }
    }

    private static func with(
      _ configuration: (TemporaryDirectory) throws -> String, _ body: (Serving) async throws -> Void
    ) async throws {
      let directory = try TemporaryDirectory()
      let file = try directory.write(try configuration(directory), to: "drover.yaml")
      let serving = try await Serving(["--config.file", file], in: directory)
      try await body(serving)
      serving.program.signal(SIGTERM)
      #expect(try await serving.program.end() == .exited(0))
    }

    /// Guests of their own for each run: what a cancelled migration leaves in a QEMU changes how the next one goes.
    private static func withPair(
      _ name: String, _ serving: Serving, _ body: (Pair) async throws -> Double
    ) async throws -> Double {
      let pair = try await Pair(name, in: serving.directory.path, isRelayed: true)
      do {
        let took = try await body(pair)
        await pair.close()
        return took
      } catch {
        await pair.close()
        throw error
      }
    }

    /// The first moment, in milliseconds since 1970, that `find` sees in a migration of the guest begun now; until it is over.
    private static func first(
      _ vm: String, since began: Int64, _ web: Web, _ find: (MigrationItem) -> Int64?
    ) async throws -> (moment: Int64?, over: MigrationItem) {
      var moment: Int64?
      let over = try await eventually("the end of \(vm)", within: .seconds(90), every: .milliseconds(25)) {
        let all = try await web.migrations()
        let item = all.first { $0.vm == vm && $0.startedAt?.unixMilliseconds ?? 0 > began - 1000 }
        guard let item else { return MigrationItem?.none }
        if item.ending == nil, let found = find(item) { moment = moment ?? found }
        return item.ending == nil ? nil : item
      }
      return (moment, over)
    }

    @Test("by a rule: a second at most, from the deadline or from the sample that turned the verdict")
    func rules() async throws {
      let rounds = max(1, Soak.count(12) / 3)
      let all = Sums()
      for trigger in ["completion_timeout", "progress_timeout", "not_converging"] {
        let timeouts =
          switch trigger {
          case "completion_timeout": "{completionPerGiB: 160s, progress: 0s}"
          case "progress_timeout": "{completionPerGiB: 0s, progress: 4s}"
          default: "{completionPerGiB: 0s, progress: 0s}"
          }
        try await Self.with(
          { directory in
            """
            backends: [{qemu: {name: rack1, host: here, sockets: ["\(directory.path)/*.qmp"]}}]
            timeouts: \(timeouts)
            control:
              switches: {policies: enabled}
              limits: {aborts: 1000, window: 60s, perVM: 0s, partition: 1000}
              rules: [{name: soak, when: {\(trigger): abort}}]
            """
          }
        ) { serving in
          for round in 1...rounds {
            try await withThrowingTaskGroup { group in
              for name in ["a", "b"] {
                group.addTask {
                  let took = try await Self.withPair("\(name)\(round)", serving) {
                    try await Self.byRule(trigger, $0, serving.web)
                  }
                  all.add(took, to: trigger)
                }
              }
              try await group.waitForAll()
            }
          }
        }
        Soak.tell("latency: by a rule, \(trigger): \(all.times[trigger] ?? Times())")
      }
      for (trigger, times) in all.times {
        // A deadline passes between two samples, half a second apart, and that of the progress needs one behind it.
        #expect(times.shortest > -0.05 && times.longest <= 1, "\(trigger): \(times)")
      }
    }

    private static func byRule(_ trigger: String, _ pair: Pair, _ web: Web) async throws -> Double {
      let (began, before) = (unixNow(), pair.relay.cancels.count)
      let bandwidth = trigger == "not_converging" ? 5 << 20 : 2 << 20
      try await pair.guests.migrate(MigrationOptions(bandwidth: bandwidth, downtimeLimit: .milliseconds(50)))
      if trigger == "progress_timeout" {
        try await eventually("a copy") {
          try await web.migrations().contains {
            $0.vm == pair.name && $0.ending == nil && $0.transferredBytes ?? 0 > 1 << 20
          }
        }
        await pair.guests.relay?.cut()
      }
      let deadline = Mutex<Int64?>(nil)
      let (moment, over) = try await first(pair.name, since: began, web) { item in
        switch trigger {
        case "completion_timeout": return item.completion?.deadlineAt?.unixMilliseconds
        case "progress_timeout":
          // The last that is told: it moves on with each fall.
          deadline.withLock { $0 = item.progress?.deadlineAt?.unixMilliseconds ?? $0 }
          return nil
        default: return item.verdict == "not_converging" ? item.sampledAt?.unixMilliseconds : nil
        }
      }
      #expect(over.ending?.cause == "policy_abort", "\(over)")
      let cancels = pair.relay.cancels.dropFirst(before)
      #expect(cancels.count == 1)
      // A verdict may be acted upon before anybody who looks has seen it.
      let decided = trigger == "not_converging" ? try await sample(of: over.id, web) : nil
      let from = try #require([moment, deadline.withLock(\.self), decided].compactMap(\.self).min())
      try await pair.guests.waitForStatus("cancelled")
      return Double(try #require(cancels.first) - from) / 1000
    }

    /// When the sample was taken that a decision rests on.
    private static func sample(of migration: String, _ web: Web) async throws -> Int64? {
      let acted = try await web.decisions().first { $0.kind == "acted" && $0.migration == migration }
      let age = acted?.evidence.first { $0.name == "sample_age_seconds" }.flatMap { Double($0.value) }
      return acted.flatMap { acted in age.map { acted.madeAt.unixMilliseconds - Int64($0 * 1000) } }
    }

    @Test("by an alert, with what is shipped: 15 s at most, from the sample of the verdict or the deadline")
    func alerts() async throws {
      let rounds = max(1, Soak.count(12) / 3)
      var token = ""
      try await Self.with(
        { directory in
          token = try directory.write("s3cret\n", to: "alerts.token")
          return """
            backends: [{qemu: {name: rack1, host: here, sockets: ["\(directory.path)/*.qmp"]}}]
            timeouts: {completionPerGiB: 0s, progress: 6s}
            access: [{tokenFile: \(token), rights: [alerts]}]
            control:
              switches: {alerts: enabled}
              limits: {aborts: 1000, window: 60s, perVM: 0s, partition: 1000}
            """
        }
      ) { serving in
        let stack = try await AlertingStack(scraping: serving.web, tokenFile: token)
        try await stack.untilEvaluated()
        let all = Sums()
        for round in 1...rounds {
          try await withThrowingTaskGroup { group in
            for number in 0..<3 {
              group.addTask {
                // At another place between two scrapes each.
                try await Task.sleep(for: .milliseconds(1700 * number + 600 * round))
                let name = number == 2 ? "DroverMigrationStalled" : "DroverMigrationNotConverging"
                let took = try await Self.withPair("\(number)-\(round)", serving) {
                  try await Self.byAlert(name, $0, serving.web)
                }
                all.add(took, to: name)
              }
            }
            try await group.waitForAll()
          }
          Soak.tell("latency: \(round) of \(rounds) rounds by alerts: \(all.times)")
        }
        for (name, times) in all.times {
          Soak.tell("latency: by \(name): \(times)")
          #expect(times.longest <= 15 && times.shortest > -0.05, "\(name): \(times) \(stack.log)")
        }
      }
    }

    private static func byAlert(_ name: String, _ pair: Pair, _ web: Web) async throws -> Double {
      let (began, before) = (unixNow(), pair.relay.cancels.count)
      let isCut = name == "DroverMigrationStalled"
      try await pair.guests.migrate(
        MigrationOptions(bandwidth: isCut ? 2 << 20 : 5 << 20, downtimeLimit: .milliseconds(50)))
      if isCut {
        try await eventually("a copy") {
          try await web.migrations().contains {
            $0.vm == pair.name && $0.ending == nil && $0.transferredBytes ?? 0 > 1 << 20
          }
        }
        await pair.guests.relay?.cut()
      }
      let last = Mutex<Int64?>(nil)
      let (moment, over) = try await first(pair.name, since: began, web) { item in
        if isCut { last.withLock { $0 = item.progress?.deadlineAt?.unixMilliseconds ?? $0 } }
        return !isCut && item.verdict == "not_converging" ? item.sampledAt?.unixMilliseconds : nil
      }
      #expect(over.ending?.cause == "alert_abort", "\(over)")
      let acted = try await web.decisions().first { $0.kind == "acted" && $0.migration == over.id }
      #expect(acted?.requester == "alert \(name)", "\(String(describing: acted))")
      let cancels = pair.relay.cancels.dropFirst(before)
      #expect(cancels.count == 1)
      try await pair.guests.waitForStatus("cancelled")
      return Double(try #require(cancels.first) - (try #require(moment ?? last.withLock(\.self)))) / 1000
    }
  }
}
