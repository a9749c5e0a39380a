import DroverService
import Foundation
import QEMURig
import Synchronization
import Testing

@testable import ProgramSupport

extension Soak {
  @Suite("Migrations that need nobody", .serialized, .enabled(if: Soak.wants("healthy")))
  struct Healthy {
    /// One of the pairs, and how its guest behaves while it migrates.
    private struct Course: Sendable {
      let name: String
      let isSteady: Bool
    }

    private static let courses = [
      Course(name: "steady-1", isSteady: true), Course(name: "steady-2", isSteady: true),
      Course(name: "swings-1", isSteady: false), Course(name: "swings-2", isSteady: false),
    ]

    /// What was seen while they ran.
    private final class Seen: Sendable {
      struct State {
        var done = 0
        var verdicts: [String: Int] = [:]
        var shortest = (completion: Double.infinity, progress: Double.infinity)
        var time = Times()
        var swings = 0
      }

      let state = Mutex(State())
    }

    @Test("two hundred, a half of which swing around the bandwidth: an armed default policy ends none")
    func healthy() async throws {
      let each = Soak.count(200) / Self.courses.count
      Soak.tell("healthy: seed \(Soak.seed)")
      var pairs: [(Course, GuestPair)] = []
      for course in Self.courses {
        let spec = GuestSpec(
          name: course.name, uuid: UUID().uuidString.lowercased(), memoryMebibytes: 32,
          software: DirtierGuest(
            rate: DirtyRate(atLeastMebibytesPerSecond: 100), workingSet: WorkingSet(atLeastMebibytes: 8)))
        pairs.append((course, try await GuestPair.start(spec)))
      }
      var sockets: [String] = []
      for (_, pair) in pairs {
        sockets.append(URL(filePath: await pair.source.monitorSocket).deletingLastPathComponent().path)
      }
      let directory = try TemporaryDirectory()
      let list = sockets.map { "\"\($0)/*.qmp\"" }.joined(separator: ", ")
      // The documented time-outs; the trigger that has none has the patience that the documentation shows.
      let file = try directory.write(
        """
        backends: [{qemu: {name: rack1, host: here, sockets: [\(list)]}}]
        control:
          switches: {policies: enabled}
          limits: {aborts: 1000, perVM: 0s}
          rules:
            - name: default
              when: {completion_timeout: abort, progress_timeout: abort,
                     not_converging: {for: 60s, do: abort}}
        """, to: "drover.yaml")
      let serving = try await Serving(["--config.file", file], in: directory)
      let seen = Seen()
      let watching = Task { await Self.watch(serving.web, seen) }
      try await withThrowingTaskGroup { group in
        for (number, (course, pair)) in pairs.enumerated() {
          group.addTask {
            var dice = Dice(Soak.seed &+ UInt64(number))
            for _ in 0..<each {
              try await Self.migrate(course, pair, &dice, seen)
              let done = seen.state.withLock { state in
                state.done += 1
                return state.done
              }
              if done.isMultiple(of: 25) { Soak.tell("\(done) migrations") }
            }
          }
        }
        try await group.waitForAll()
      }
      watching.cancel()
      await watching.value
      // The last of each is seen at the next look.
      try await eventually("all of them counted") {
        try await Self.sum(serving.web, "drover_migrations_succeeded_total") >= Double(each * pairs.count)
      }
      let (aborted, failed) = (
        try await Self.sum(serving.web, "drover_migrations_aborted_total"),
        try await Self.sum(serving.web, "drover_migrations_failed_total")
      )
      let decisions = try await serving.web.decisions()
      #expect(aborted == 0 && failed == 0 && decisions.isEmpty, "\(decisions)")
      let state = seen.state.withLock(\.self)
      Soak.tell(
        """
        healthy: \(state.done) migrations, seed \(Soak.seed): 0 aborts, 0 decisions; of \(state.time); \
        \(state.swings) swings; looks by verdict \(state.verdicts); nearest to a deadline: \
        completion \(state.shortest.completion) s, progress \(state.shortest.progress) s
        """)
      #expect(state.done == each * pairs.count)
      for (_, pair) in pairs { await pair.close() }
    }

    private static func migrate(
      _ course: Course, _ pair: GuestPair, _ dice: inout Dice, _ seen: Seen
    ) async throws {
      // A steady guest dirties less than is sent, so that each pass leaves less.
      let bandwidth =
        course.isSteady ? Int.random(in: 8...24, using: &dice) : Int.random(in: 4...8, using: &dice)
      let steady = DirtyRate(
        atLeastMebibytesPerSecond: Double(bandwidth) * Double.random(in: 0...0.3, using: &dice))
      try await pair.source.console.set(course.isSteady ? steady : DirtyRate(atLeastMebibytesPerSecond: 100))
      let begun = ContinuousClock.now
      try await pair.migrate(MigrationOptions(bandwidth: bandwidth << 20, downtimeLimit: .milliseconds(300)))
      let source = await pair.source
      if !course.isSteady {
        let swings = Int.random(in: 1...3, using: &dice)
        for swing in 1...swings {
          try await Task.sleep(for: .milliseconds(Int.random(in: 500...2500, using: &dice)))
          // It may be over before it has understood.
          guard (try? await source.console.set(.idle, within: .seconds(2))) != nil else { break }
          guard swing < swings else { break }
          try await Task.sleep(for: .milliseconds(Int.random(in: 0...700, using: &dice)))
          guard
            (try? await source.console.set(DirtyRate(atLeastMebibytesPerSecond: 100), within: .seconds(2)))
              != nil
          else { break }
          seen.state.withLock { $0.swings += 1 }
        }
      }
      try await pair.waitForStatus("completed", within: .seconds(120))
      let took = ContinuousClock.now - begun
      seen.state.withLock {
        $0.time.add(Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18)
      }
      // An end that is gone before it is seen is not counted as one.
      try await Task.sleep(for: .milliseconds(1200))
      try await pair.swapAfterSuccess()
    }

    private static func watch(_ web: Web, _ seen: Seen) async {
      while !Task.isCancelled {
        let items = (try? await web.migrations()) ?? []
        seen.state.withLock { state in
          for item in items where item.ending == nil {
            state.verdicts[item.verdict, default: 0] += 1
            func left(_ budget: MigrationItem.Budget?) -> Double {
              budget?.deadlineAt?.seconds(since: item.asOf) ?? .infinity
            }
            state.shortest.completion = min(state.shortest.completion, left(item.completion))
            state.shortest.progress = min(state.shortest.progress, left(item.progress))
          }
        }
        try? await Task.sleep(for: .milliseconds(250))
      }
    }

    private static func sum(_ web: Web, _ family: String) async throws -> Double {
      try await web.metrics()[family].values.reduce(0, +)
    }
  }
}
