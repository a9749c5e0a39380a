import DroverService
import Foundation
import LibvirtLab
import QEMURig
import Testing

@testable import ProgramSupport

extension LabTests {
  @Suite("libvirt: automatic aborts while a network is lost")
  struct LibvirtAutomaticPartitions {
    private static let names = (1...5).map { "g\($0)" }

    @Test(
      "a data wire that is cut for good under five: none ends while that is new, said once; then as many as the fleet may"
    )
    func data() async throws {
      try await AutomaticScene.with({ _ in
        """
        timeouts: {completionPerGiB: 0s, progress: 10s}
        control:
          switches: {policies: enabled}
          rules: [{name: wire, when: {progress_timeout: abort}}]
        """
      }) { scene in
        try await scene.guests(Self.names, rate: 1, speed: 1)
        let listener = try scene.lab.listen(.a)
        let migrations = try await scene.migrate(Self.names)
        try await scene.lab.cut(.mig)
        try await eventually("the hold") { try await scene.holds("partition") }
        // Each has had its time, and waits.
        try await eventually("all of them wait") {
          let held = try await scene.serving.web.decisions().filter {
            $0.kind == "held" && $0.migration != nil
          }
          return Set(held.compactMap(\.vm)) == Set(Self.names)
        }
        #expect(try await scene.acted().isEmpty)
        try await eventually("the end of the hold") { try await !scene.holds("partition") }
        let ended = try await eventually("three ends") {
          let acted = try await scene.acted()
          return acted.count == 3 && acted.allSatisfy { $0.result == "aborted" } ? acted : nil
        }
        try await eventually("the fleet has had its share") { try await scene.holds("breaker") }
        // A hold is in the metrics at once, and in the journal when that is written.
        let said = try await eventually("both holds in the journal") {
          let said = try await scene.serving.web.decisions().filter { $0.requester == "drover" }
          return said.count > 1 ? said : nil
        }
        #expect(said.map(\.trigger).sorted() == ["network_lost", "progress_timeout"], "\(said)")
        #expect(scene.holdsSaid == ["partition", "breaker"])
        let hold = try #require(said.first { $0.trigger == "network_lost" })
        let waited = ended.map { $0.madeAt.seconds(since: hold.madeAt) }
        tell("five on a dead wire: a hold, and the first ends \(waited) s after it began")
        #expect(waited.allSatisfy { $0 >= 10 } && waited.allSatisfy { $0 < 16 })
        // The others wait, however long: what is wished for keeps the hold.
        let rest = Self.names.filter { name in !ended.contains { $0.vm == name } }
        let begun = ContinuousClock.now
        try await eventually("5 s more") { ContinuousClock.now - begun > .seconds(5) }
        #expect(try await scene.acted().count == 3)
        let waiting = try await scene.serving.web.decisions().filter { rest.contains($0.vm ?? "") }
        #expect(waiting.count == 2 && waiting.allSatisfy { $0.refusal == "hold" }, "\(waiting)")

        let reset = try await Program.run(
          ["decisions", "--reset-hold", "--server", scene.serving.control.url], in: scene.serving.directory)
        #expect(reset.ending == .exited(0) && reset.output.contains("ended: breaker"), "\(reset)")
        for name in rest { _ = try await scene.untilOver(name, within: .seconds(10)) }
        let acted = try await scene.acted()
        #expect(Set(acted.compactMap(\.vm)) == Set(Self.names) && acted.count == 5)
        #expect(acted.allSatisfy { $0.trigger == "progress_timeout" })
        try await eventually("five results") { try await scene.acted().allSatisfy { $0.result == "aborted" } }
        for migration in migrations { await expectCancelled(migration) }
        try await scene.lab.heal(.mig)
        try await scene.expectUndisturbed(Self.names, listener)
      }
    }

    @Test("a control wire that is cut for 20 s under five: nothing ends, and it is said once")
    func control() async throws {
      try await AutomaticScene.with(
        // libvirt's own would end them itself: after a cut of 20 s TCP tries again only some 30 s after the last byte.
        keepalive: LabHosts.Keepalive(interval: 5, count: 10),
        { _ in
          """
          timeouts: {completionPerGiB: 3200s, progress: 8s}
          control:
            switches: {policies: enabled}
            rules:
              - name: all
                when: {completion_timeout: abort, progress_timeout: abort, not_converging: abort,
                       keepalive: shadow, network_lost: shadow}
          """
        }
      ) { scene in
        try await scene.guests(Self.names, rate: 1, workingSet: 32, speed: 1)
        let migrations = try await scene.migrate(Self.names)
        try await scene.lab.cut(.ctl)
        let cut = ContinuousClock.now
        try await eventually("the hold") { try await scene.holds("partition") }
        let lost = try await scene.serving.web.migrations().filter { $0.networkLost == ["management"] }
        #expect(lost.count >= 3)
        try await eventually("20 s") { ContinuousClock.now - cut >= .seconds(20) }
        try await scene.lab.heal(.ctl)
        try await eventually("the network again") {
          try await scene.serving.web.migrations().allSatisfy { $0.networkLost.isEmpty }
        }
        for name in Self.names {
          try? await scene.lab.setRate(name, .idle)
          try? await scene.lab.setSpeed(name, mebibytesPerSecond: 1000)
        }
        for migration in migrations {
          let said = await migration.result()
          #expect(said.hasSucceeded, "\(said.standardError)")
        }
        for name in Self.names {
          try await eventually("\(name) beats at the target") { try await scene.lab.heartbeat(name, on: .b) }
        }
        #expect(try await scene.acted().isEmpty)
        let said = try await scene.serving.web.decisions().filter { $0.requester == "drover" }
        #expect(said.map(\.trigger) == ["network_lost"], "\(said)")
        #expect(scene.holdsSaid == ["partition"])
        tell("a control wire cut for 20 s under five: \(said.map(\.text))")
      }
    }
  }
}
