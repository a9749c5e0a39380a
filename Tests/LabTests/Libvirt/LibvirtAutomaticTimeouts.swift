import DroverService
import Foundation
import LibvirtLab
import QEMURig
import Testing

@testable import ProgramSupport

extension LabTests {
  @Suite("libvirt: migrations that are ended without a person")
  struct LibvirtAutomaticTimeouts {
    @Test(
      "both documented time-outs, shortened: each ends what it governs, for its own reason and at its moment")
    func timeouts() async throws {
      try await AutomaticScene.with({ _ in
        """
        timeouts: {completionPerGiB: 384s, progress: 6s}
        control:
          switches: {policies: enabled}
          rules:
            - {name: long, match: {vm: long}, when: {completion_timeout: abort, progress_timeout: observe}}
            - {name: still, match: {vm: still}, when: {progress_timeout: abort, completion_timeout: observe}}
        """
      }) { scene in
        try await scene.guests(["long", "still"], rate: 25, speed: 8)
        let listener = try scene.lab.listen(.a)
        let migrations = try await scene.migrate(["long", "still"])
        // Its target takes nothing any more: a time without progress, while both wires work.
        try await scene.lab.hang("still", on: .b)
        for (name, trigger, migration) in zip3(
          ["still", "long"], ["progress_timeout", "completion_timeout"], migrations.reversed())
        {
          let (seen, over) = try await scene.untilOver(name)
          let last = try #require(seen)
          // libvirt ends the other QEMU, too, and waits for that.
          if name == "still" { try await scene.lab.resume("still", on: .b) }
          let acted = try #require(try await scene.acted().first { $0.vm == name })
          await expectEnded(over, cause: "policy_abort", migration)
          #expect(acted.trigger == trigger && acted.requester == "rule \(name)", "\(acted)")
          let budget = trigger == "completion_timeout" ? last.completion : last.progress
          #expect(budget?.enforcedBy == "drover", "\(last)")
          let late = acted.madeAt.seconds(since: try #require(budget?.deadlineAt))
          let took = try #require(over.ending).endedAt.seconds(since: acted.madeAt)
          tell("\(trigger): decided \(late) s after the deadline, and over \(took) s after that")
          // A sample comes each half second, and the deadline shown is that of the last one seen.
          let behindLatest = late - (budget?.uncertaintySeconds ?? 0)
          #expect(late >= 0 && behindLatest > -0.6 && behindLatest < 1.6 && took < 3)
        }
        try await scene.expectUndisturbed(["long", "still"], listener)
        try await eventually("both results") {
          let results = try await scene.acted().map(\.result)
          return results == ["aborted", "aborted"]
        }
        let metrics = try await scene.serving.web.metrics()
        for trigger in ["progress_timeout", "completion_timeout"] {
          #expect(metrics.value("drover_aborts_total", "trigger=\"\(trigger)\",result=\"aborted\"") == 1)
        }
      }
    }

    @Test(
      "a data wire that is cut for good: ended by its progress time-out, and the guest runs on at the source")
    func cut() async throws {
      try await AutomaticScene.with({ _ in
        """
        timeouts: {completionPerGiB: 0s, progress: 8s}
        control:
          switches: {policies: enabled}
          rules: [{name: wire, when: {progress_timeout: abort, network_lost: observe}}]
        """
      }) { scene in
        try await scene.guests(["g"], rate: 25, speed: 4)
        let listener = try scene.lab.listen(.a)
        let migrations = try await scene.migrate(["g"])
        try await scene.lab.cut(.mig)
        let cut = Date()
        let (seen, over) = try await scene.untilOver("g")
        let last = try #require(seen)
        try await scene.lab.heal(.mig)
        tell("a data wire that was cut: over \(-cut.timeIntervalSinceNow) s after that")
        #expect(last.networkLost == ["migration"] && last.progress?.enforcedBy == "drover", "\(last)")
        await expectEnded(over, cause: "policy_abort", try #require(migrations.first))
        #expect(try await scene.acted().map(\.trigger) == ["progress_timeout"])
        let observed = try await scene.serving.web.decisions().filter { $0.kind == "observed" }
        #expect(observed.map(\.trigger) == ["network_lost"])
        try await scene.expectUndisturbed(["g"], listener)
      }
    }

    @Test(
      "the whole way: what never converges, Prometheus and Alertmanager with what is shipped, the receiver, the end"
    )
    func loop() async throws {
      var token = ""
      try await AutomaticScene.with({ directory in
        token = try directory.write("s3cret\n", to: "alerts.token")
        return """
          timeouts: {completionPerGiB: 0s, progress: 0s}
          access: [{tokenFile: \(token), rights: [alerts]}]
          control: {switches: {alerts: enabled}}
          """
      }) { scene in
        let stack = try await AlertingStack(scraping: scene.serving.web, tokenFile: token)
        try await scene.guests(["g"], rate: 25, speed: 8)
        try await stack.untilEvaluated()
        let listener = try scene.lab.listen(.a)
        let migrations = try await scene.migrate(["g"])
        let known = try await eventually("the verdict", within: .seconds(60)) {
          try await scene.serving.web.migrations().first { $0.verdict == "not_converging" }?.sampledAt
        }
        let (_, over) = try await scene.untilOver("g", within: .seconds(30))
        await expectEnded(over, cause: "alert_abort", try #require(migrations.first))
        let acted = try #require(try await scene.acted().first)
        #expect(acted.requester == "alert DroverMigrationNotConverging", "\(acted) \(stack.log)")
        // The request is on its way between the decision and the end.
        let (decided, ended) = (
          acted.madeAt.seconds(since: known), try #require(over.ending).endedAt.seconds(since: known)
        )
        tell("from the sample of the verdict: decided after \(decided) s, over after \(ended) s")
        #expect(ended < 15)
        try await scene.expectUndisturbed(["g"], listener)
      }
    }
  }
}

private func zip3<A, B, C>(_ a: [A], _ b: [B], _ c: [C]) -> [(A, B, C)] {
  zip(a, zip(b, c)).map { ($0, $1.0, $1.1) }
}
