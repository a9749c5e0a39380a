import DroverService
import Foundation
import QEMURig
import Testing

@testable import ProgramSupport

extension EndToEnd {
  /// Real guests that migrate, a `drover serve` beside them, and nobody who types anything.
  @Suite("Migrations that are ended without a person", .serialized)
  struct AutomaticTests {
    /// Dirties 16 MiB far faster than they can be sent.
    private static let spec = GuestSpec(
      name: "db-1", uuid: UUID().uuidString, memoryMebibytes: 64,
      software: DirtierGuest(
        rate: DirtyRate(atLeastMebibytesPerSecond: 200), workingSet: WorkingSet(atLeastMebibytes: 16)))

    private func with(
      _ configuration: (TemporaryDirectory) throws -> String, isRelayed: Bool = false,
      _ body: (Serving, GuestPair) async throws -> Void
    ) async throws {
      try await GuestPair.with(Self.spec, isRelayed: isRelayed) { pair in
        for _ in 1...2 { try await pair.source.console.heartbeat() }
        let sockets = [await pair.source.monitorSocket, await pair.destination.monitorSocket]
        let directory = try TemporaryDirectory()
        let file = try directory.write(try configuration(directory), to: "drover.yaml")
        let serving = try await Serving(["--config.file", file, "--qemu.socket"] + sockets, in: directory)
        try await body(serving, pair)
        serving.program.signal(SIGTERM)
        #expect(try await serving.program.end() == .exited(0))
      }
    }

    /// Waits for the end of the only migration; what was seen of it last before that, and how it ended.
    private func untilOver(_ serving: Serving, within limit: Duration = .seconds(90)) async throws -> (
      last: MigrationItem, over: MigrationItem
    ) {
      var last: MigrationItem?
      let over = try await eventually("the end", within: limit) {
        let item = try await serving.web.migrations().first
        if item?.ending == nil { last = item ?? last }
        return item?.ending == nil ? nil : item
      }
      return (try #require(last), over)
    }

    private static func armed(_ timeouts: String, _ when: String) -> String {
      """
      timeouts: {\(timeouts)}
      control:
        switches: {policies: enabled}
        rules: [{name: test, reason: a test, when: {\(when)}}]
      """
    }

    struct Case: Sendable, CustomTestStringConvertible {
      var trigger: String
      var timeouts: String
      var when: String
      var bandwidth: Int
      /// Whether the wire is cut, so that nothing goes on.
      var isCut = false
      var testDescription: String { trigger }
    }

    static let cases = [
      // 64 MiB at 80 s for each GiB.
      Case(
        trigger: "completion_timeout", timeouts: "completionPerGiB: 80s, progress: 0s",
        when: "completion_timeout: abort", bandwidth: 2 << 20),
      Case(
        trigger: "progress_timeout", timeouts: "completionPerGiB: 0s, progress: 4s",
        when: "progress_timeout: abort", bandwidth: 2 << 20, isCut: true),
      Case(
        trigger: "not_converging", timeouts: "completionPerGiB: 0s, progress: 0s",
        when: "not_converging: {for: 2s, do: abort}", bandwidth: 11 << 20),
    ]

    @Test("each by its own trigger, within a second of the moment that decides", arguments: cases)
    func policies(one: Case) async throws {
      try await with({ _ in Self.armed(one.timeouts, one.when) }, isRelayed: one.isCut) { serving, pair in
        try await pair.migrate(MigrationOptions(bandwidth: one.bandwidth, downtimeLimit: .milliseconds(50)))
        if one.isCut {
          try await eventually("a copy") {
            try await serving.web.migrations().first?.transferredBytes ?? 0 > 1 << 20
          }
          await pair.relay?.cut()
        }
        let (last, over) = try await untilOver(serving)
        #expect(over.ending?.outcome == "aborted" && over.ending?.cause == "policy_abort", "\(over)")
        #expect(over.guestRunsOn == "source")
        let acted = try #require(try await serving.web.decisions().first { $0.kind == "acted" })
        #expect(acted.trigger == one.trigger && acted.requester == "rule test", "\(acted)")
        #expect(acted.text.contains("(a test)"))
        let deadline: Timestamp?
        switch one.trigger {
        case "completion_timeout":
          deadline = last.completion?.deadlineAt
          #expect(last.completion?.enforcedBy == "drover" && last.completion?.action == "abort")
        case "progress_timeout":
          deadline = last.progress?.deadlineAt
          #expect(last.progress?.enforcedBy == "drover")
        default: deadline = nil
        }
        if let deadline {
          let late = acted.madeAt.seconds(since: deadline)
          tell("\(one.trigger): decided \(late) s after the deadline")
          #expect(late >= 0 && late < 1.3, "\(late)")
        }
        let took = try #require(over.ending).endedAt.seconds(since: acted.madeAt)
        tell("\(one.trigger): over \(took) s after the decision")
        #expect(took < 2)
        // The record, its result, its metrics.
        try await eventually("the result") {
          try await serving.web.decisions().first { $0.id == acted.id }?.result == "aborted"
        }
        #expect(try await serving.web.decisions().filter { $0.trigger == one.trigger }.count == 1)
        let metrics = try await serving.web.metrics()
        #expect(metrics.value("drover_aborts_total", #"trigger="\#(one.trigger)",result="aborted""#) == 1)
        #expect(metrics.value("drover_abort_hold", #"reason="breaker""#) == 0)
        try await pair.source.console.heartbeat()
      }
    }

    @Test("in the shadow nothing is sent, and decisions says how it ended without")
    func shadow() async throws {
      let configuration = Self.armed("completionPerGiB: 16s", "completion_timeout: abort")
        .replacing("policies: enabled", with: "policies: shadow")
      try await with({ _ in configuration }) { serving, pair in
        try await pair.migrate(MigrationOptions(bandwidth: 2 << 20, downtimeLimit: .milliseconds(50)))
        let shadowed = try await eventually("a decision in the shadow") {
          try await serving.web.decisions().first { $0.kind == "shadowed" }
        }
        #expect(shadowed.text.hasPrefix("would have aborted at "), "\(shadowed)")
        #expect(try await pair.queryMigrate()["status"] == "active")
        #expect(try await serving.web.migrations().first?.completion?.enforcedBy == "none")
        // It ends by itself once it is let.
        try await pair.tune(["max-bandwidth": .int(1 << 30), "downtime-limit": .int(5000)])
        try await pair.waitForStatus("completed")
        try await eventually("how it ended") {
          try await serving.web.decisions().first { $0.id == shadowed.id }?.migrationOutcome == "succeeded"
        }
        let table = try await Program.run(
          ["decisions", "--server", serving.control.url], in: serving.directory)
        #expect(
          table.output.contains("it succeeded") && table.output.contains("would have aborted"), "\(table)")
      }
    }

    @Test(
      "a real Prometheus and a real Alertmanager, with the rules and routes that are shipped, end what does not converge"
    )
    func loop() async throws {
      var token = ""
      try await with({ directory in
        token = try directory.write("s3cret\n", to: "alerts.token")
        return """
          timeouts: {completionPerGiB: 0s, progress: 0s}
          access: [{tokenFile: \(token), rights: [alerts]}]
          control: {switches: {alerts: enabled}, limits: {aborts: 1}}
          """
      }) { serving, pair in
        let stack = try await AlertingStack(scraping: serving.web, tokenFile: token)
        try await stack.untilEvaluated()
        try await pair.migrate(MigrationOptions(bandwidth: 11 << 20, downtimeLimit: .milliseconds(50)))
        let known = try await eventually("the verdict", within: .seconds(60)) {
          try await serving.web.migrations().first?.verdict == "not_converging" ? ContinuousClock.now : nil
        }
        let (_, over) = try await untilOver(serving, within: .seconds(30))
        let took = ContinuousClock.now - known
        tell("from the verdict to the end, through Prometheus and Alertmanager: \(took)")
        #expect(took < .seconds(15))
        #expect(
          over.ending?.outcome == "aborted" && over.ending?.cause == "alert_abort", "\(over) \(stack.log)")
        let acted = try #require(try await serving.web.decisions().first { $0.kind == "acted" })
        #expect(acted.requester == "alert DroverMigrationNotConverging" && acted.trigger == "alert")
        // One was all that it may: said once, and a person ends that.
        try await eventually("the hold") {
          try await serving.web.metrics().value("drover_abort_hold", #"reason="breaker""#) == 1
        }
        let stranger = try await serving.web.post("/api/v1/decisions/reset-hold")
        #expect(stranger.status == 401)
        let reset = try await Program.run(
          ["decisions", "--reset-hold", "--server", serving.control.url], in: serving.directory)
        #expect(reset.ending == .exited(0) && reset.output.contains("ended: breaker"), "\(reset)")
        #expect(try await serving.web.metrics().value("drover_abort_hold", #"reason="breaker""#) == 0)
      }
    }

    private func tell(_ words: String) {
      FileHandle.standardError.write(Data("automatic: \(words)\n".utf8))
    }
  }
}
