import DroverService
import Foundation
import Testing

@testable import ProgramSupport

extension EndToEnd {
  /// The tests share one demo, and what it has told since its start.
  @Suite("A running drover demo", .serialized, .besideADemo)
  struct DemoTests {
    private static let guests = ["web-1", "db-1", "cache-1"]
    private let demo: RunningDemo

    init() throws { demo = try RunningDemo.require() }

    @Test("exports its three guests, in both formats, and all checkers like them")
    func formats() async throws {
      for guest in Self.guests { _ = try await demo.running(guest) }
      let text = try await demo.web.get("/metrics", accept: "*/*")
      #expect(text["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8")
      for guest in Self.guests {
        #expect(text.text.contains("vm=\"\(guest)\""))
      }
      let lint = try await Program.run(
        ["check", "metrics"], executable: try Tool.path("promtool", package: "prometheus"),
        in: demo.directory,
        input: text.text)
      #expect(lint.ending == .exited(0), "\(lint.errors)")
      #expect(lint.errors.isEmpty && lint.output.isEmpty, "\(lint)")

      let open = try await demo.web.get("/metrics", accept: "application/openmetrics-text;version=1.0.0")
      #expect(open["Content-Type"].hasPrefix("application/openmetrics-text; version=1.0.0; charset=utf-8"))
      let parser = """
        import sys
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
        for family in text_string_to_metric_families(sys.stdin.read()):
            for sample in family.samples: print(sample.name)
        """
      let parsed = try await Program.run(
        ["-c", parser], executable: try Tool.path("python3", package: "python3 python3-prometheus-client"),
        in: demo.directory, input: open.text)
      #expect(parsed.ending == .exited(0), "python3-prometheus-client: \(parsed.errors)")
      #expect(parsed.output.contains("drover_migration_transferred_bytes_total\n"))
      #expect(parsed.output.split(separator: "\n").count > 100)
    }

    @Test("compresses a scrape for whoever takes it")
    func gzip() async throws {
      let answer = try await demo.web.get("/metrics")
      #expect(answer["Content-Encoding"] == "gzip")
      #expect(answer["Vary"].contains("Accept-Encoding"))
      let sent = try #require(Int(answer["Content-Length"]))
      #expect(sent < answer.body.count / 4)
      #expect(answer.text.hasSuffix("\n"))
    }

    @Test("shows its page")
    func page() async throws {
      let answer = try await demo.web.get("/", accept: "text/html")
      #expect(answer["Content-Type"].hasPrefix("text/html"))
      for guest in Self.guests { #expect(answer.text.contains(guest)) }
    }

    @Test("keeps its migrations in a journal, with how they ended")
    func journal() async throws {
      let open = try await eventually("an open migration in the journal", within: .seconds(90)) {
        try await history("?outcome=open&limit=1").first
      }
      #expect(open.endedAt == nil && open.backend == "demo" && open.completion?.timeoutSeconds == 30)
      let over = try await eventually("a migration that succeeded", within: .seconds(180)) {
        try await history("?outcome=succeeded&vm=web-1&limit=1").first
      }
      #expect(try #require(over.endedAt) > over.startedAt)
      #expect(try #require(over.transferredBytes) > 0)
      #expect(try #require(over.iterations) > 0)
      #expect(try #require(over.sizeBytes) > 0)
      #expect(try #require(over.durationSeconds) > 0)
      #expect(over.bestRemainingBytes != nil && over.downtimeSeconds != nil)
      #expect(over.progress?.timeoutSeconds == 20)
      let printed = try await drover("history", "--vm", "web-1", "--server", demo.web.url)
      #expect(printed.output.contains(over.id), "\(printed.errors)")
    }

    private func history(_ query: String) async throws -> [HistoryItem] {
      let answer = try await demo.web.get("/api/v1/history\(query)")
      return try APICoding.decode(HistoryList.self, from: answer.body).items
    }

    @Test("answers as its OpenAPI document says, member by member")
    func documented() async throws {
      let running = try await demo.running("db-1")
      let api = try await DocumentedAPI(of: demo.web)
      for (pattern, path) in [
        ("migrations", "migrations"), ("migrations/{id}", "migrations/\(running.id)"),
        ("migrations/{id}", "migrations/nobody"), ("vms", "vms"), ("nodes", "nodes"),
        ("history", "history"), ("history", "history?limit=0"), ("decisions", "decisions"),
        ("why/{name}", "why/\(running.id)"), ("why/{name}", "why/nobody"), ("openapi.json", "openapi.json"),
        (
          "vms/{backend}/{scope}/{name}/eligibility",
          "vms/demo/\(try #require(running.host))/db-1/eligibility"
        ),
      ] {
        let answer = try await demo.web.get("/api/v1/\(path)", accept: "application/json")
        #expect(try api.faults(answer, of: pattern) == [], "\(path): \(answer.text)")
      }
    }

    @Test("is asked by list and show, over TCP and its socket, as table and JSON")
    func listAndShow() async throws {
      let running = try await demo.running("db-1")
      for server in [demo.web.url, demo.control.url] {
        let list = try await drover("list", "--server", server)
        #expect(list.ending == .exited(0))
        let lines = list.output.split(separator: "\n")
        #expect(lines.first?.hasPrefix("VM ") == true)
        #expect(lines.contains { $0.contains("/db-1 ") && $0.hasSuffix(running.id) })
        #expect(!list.output.contains("\u{1B}"))

        let json = try await drover("list", "--server", server, "--output", "json")
        let items = try APICoding.decode(MigrationList.self, from: Array(json.output.utf8)).items
        #expect(items.contains { $0.id == running.id && $0.backend == "demo" && $0.host == running.host })

        let show = try await drover("show", running.id, "--server", server)
        #expect(show.ending == .exited(0))
        #expect(show.output.contains(running.id))
        #expect(show.output.contains("completion"))
        let item = try await drover("show", running.id, "--server", server, "--output", "json")
        #expect(try APICoding.decode(MigrationItem.self, from: Array(item.output.utf8)).vm == "db-1")
      }
      let named = try await drover("show", "\(try #require(running.host))/db-1", "--server", demo.web.url)
      #expect(named.output.contains(running.id))
      let none = try await drover("show", "no/such vm", "--server", demo.web.url)
      #expect(none.ending == .exited(1))
      #expect(none.output.isEmpty)
      #expect(none.errors.hasPrefix("Error: no migration is called no/such vm; "))
    }

    @Test("ends a command quietly whose reader has gone")
    func closedPipe() async throws {
      for command in ["list", "watch --interval 0.1", "watch --interval 0.1 --output json"] {
        let shell = try await Program.run(
          [
            "-c", #""$0" \#(command) --server "$1" | head -3; echo "${PIPESTATUS[0]}""#, Program.drover,
            demo.web.url,
          ],
          executable: "/bin/bash", in: demo.directory)
        #expect(shell.errors.isEmpty)
        let code = try #require(shell.output.split(separator: "\n").last)
        #expect(["0", "141"].contains(code), "\(command): \(code)")
      }
    }

    @Test(
      "is watched on a terminal without a line too long or too many",
      arguments: [(80, 24), (120, 40), (60, 8)])
    func watchOnTerminal(columns: UInt16, rows: UInt16) async throws {
      _ = try await demo.running("db-1")
      let terminal = try Terminal(columns: columns, rows: rows)
      let program = try Program(
        ["watch", "--interval", "0.1", "--server", demo.control.url], in: demo.directory,
        variables: ["TERM": "xterm-256color"], terminal: terminal)
      try await eventually("five frames") { terminal.text.matches(of: /\u{1B}\[H/).count > 5 }
      program.signal(SIGINT)
      #expect(try await program.end() == .exited(0))
      let text = terminal.text
      #expect(text.hasPrefix("\u{1B}[?1049h\u{1B}[?25l"))
      let last = try #require(text.firstRange(of: "\u{1B}[?25h\u{1B}[?1049l"))
      // The last table stays.
      #expect(text[last.upperBound...].contains("db-1"))
      for frame in text[..<last.lowerBound].split(separator: "\u{1B}[H").dropFirst() {
        let lines = frame.replacing(/\u{1B}\[[?0-9;]*[A-Za-z]/, with: "").split(separator: "\r\n")
        #expect(lines.count <= rows)
        for line in lines { #expect(line.count <= columns, "\(line)") }
        // After a full line the cursor stands on its last character, which this would erase.
        #expect(!frame.contains("\u{1B}[K\r\n"))
      }
    }

    @Test("is watched no longer than its terminal is there", arguments: [SIGHUP, SIGTERM])
    func watchEnds(signal: Int32) async throws {
      let program = try Program(["watch", "--server", demo.web.url], in: demo.directory)
      try await eventually("a table") { program.output.contains("UTC") }
      program.signal(signal)
      #expect(try await program.end(within: .seconds(5)) == .exited(0))
    }

    @Test("is watched beyond its terminal where nohup says so")
    func nohup() async throws {
      let program = try Program(
        [Program.drover, "watch", "--interval", "0.1", "--server", demo.web.url],
        executable: "/usr/bin/nohup",
        in: demo.directory)
      try await eventually("a table") { program.output.contains("UTC") }
      program.signal(SIGHUP)
      let before = program.output.count
      try await eventually("another table") {
        try program.mustRun()
        return program.output.count > before + 200
      }
      program.signal(SIGTERM)
      #expect(try await program.end() == .exited(0))
    }

    @Test("tells three stories: one succeeds, one cannot converge and is aborted, one stalls and goes on")
    func stories() async throws {
      let patience = Duration.seconds(150)
      try await eventually("web-1 succeeds", within: patience) {
        demo.notes.of("web-1").contains { $0.ending?.outcome == "succeeded" }
      }
      #expect(demo.notes.of("web-1").contains { $0.verdict == "converging" })

      try await eventually("cache-1 succeeds after its stall", within: patience) {
        demo.notes.of("cache-1").contains { $0.ending?.outcome == "succeeded" }
      }
      let cache = try #require(demo.notes.of("cache-1").first { $0.ending?.outcome == "succeeded" })
      #expect(demo.notes.of("cache-1").contains { $0.id == cache.id && $0.verdict == "stalled" })
      #expect(cache.interruptions.count >= 1)
      #expect(cache.interruptions.seconds > 10)

      try await eventually("db-1 is aborted", within: patience) {
        demo.notes.of("db-1").contains { $0.ending?.outcome == "aborted" }
      }
      let database = demo.notes.of("db-1")
      let ended = try #require(database.first { $0.ending?.outcome == "aborted" })
      let looks = database.filter { $0.id == ended.id }
      #expect(ended.ending?.cause == "policy_abort")
      #expect(looks.contains { $0.verdict == "not_converging" })
      let decisions = try await drover("decisions", "--migration", ended.id, "--server", demo.web.url)
      #expect(decisions.output.contains("rule demo ends it"), "\(decisions)")
      #expect(decisions.output.contains("(db-1 never converges)"), "\(decisions)")
    }

    @Test("ends `watch ID` by how that migration ended")
    func watchOne() async throws {
      let aborted = try await eventually("an aborted migration", within: .seconds(150)) {
        demo.notes.of("db-1").last { $0.ending != nil }
      }
      let succeeded = try await demo.running("web-1")
      let good = try await drover("watch", succeeded.id, "--server", demo.control.url)
      #expect(good.ending == .exited(0))
      #expect(good.output.contains("succeeded"))
      let bad = try await drover("watch", aborted.id, "--output", "json", "--server", demo.control.url)
      #expect(bad.ending == .exited(1))
      #expect(bad.errors.isEmpty)
      let lines = bad.output.split(separator: "\n")
      #expect(lines.allSatisfy { (try? APICoding.decode(MigrationList.self, from: Array($0.utf8))) != nil })
    }

    @Test("refuses a name that means several migrations, and says which")
    func ambiguous() async throws {
      let ids = try await eventually(
        "two ended migrations of web-1 and none that runs", within: .seconds(120)
      ) {
        let items = try await demo.web.migrations().filter { $0.vm == "web-1" }
        return items.count >= 2 && items.allSatisfy { $0.ending != nil } ? items : nil
      }
      let name = "\(ids[0].host ?? "")/web-1"
      let run = try await drover("show", name, "--server", demo.web.url)
      #expect(run.ending == .exited(1))
      for item in ids { #expect(run.errors.contains(item.id)) }
    }

    @Test("is read by a real Prometheus, in both formats")
    func prometheus() async throws {
      let prometheus = try await Prometheus(scraping: demo.web)
      try await eventually("both jobs have histograms", within: .seconds(120)) {
        try await prometheus.query(
          #"count by (job) (drover_migration_duration_seconds_count{outcome="succeeded"} > 0)"#
        )
        .count == 2
      }
      let targets = try await prometheus.targets()
      #expect(Set(targets.map(\.scrapePool)) == Set(Prometheus.jobs))
      for target in targets { #expect(target.health == "up" && target.lastError.isEmpty, "\(target)") }
      #expect(try await prometheus.query("min_over_time(up[1m]) == 1").count == 2)

      // Only OpenMetrics knows units and info families: each job got its own format.
      #expect(prometheus.typesOfText == ["text/plain; version=0.0.4; charset=utf-8"])
      let openBuild = try #require(try await prometheus.metadata("drover_build", job: "openmetrics"))
      #expect(openBuild.type == "info")
      let textBuild = try #require(try await prometheus.metadata("drover_build_info", job: "text"))
      #expect(textBuild.type == "gauge")
      let open = try #require(
        try await prometheus.metadata("drover_migration_transferred_bytes", job: "openmetrics"))
      #expect(open.type == "counter" && open.unit == "bytes")
      let text = try #require(
        try await prometheus.metadata("drover_migration_transferred_bytes_total", job: "text"))
      #expect(text.type == "counter" && text.unit.isEmpty)

      for job in Prometheus.jobs {
        let up = try await prometheus.query("drover_backend_up{job=\"\(job)\", backend=\"demo\"}")
        #expect(up.map(\.value.number) == [1])
        let infos = try await prometheus.query("drover_migration_info{job=\"\(job)\"}")
        #expect(Set(infos.compactMap { $0.metric["vm"] }).isSubset(of: Set(Self.guests)))
        #expect(infos.count >= 2)
        let phases = try await prometheus.query("sum by (migration) (drover_migration_phase{job=\"\(job)\"})")
        #expect(phases.count >= 2)
        #expect(phases.allSatisfy { $0.value.number == 1 })
        let sent = try await prometheus.query("drover_migration_transferred_bytes_total{job=\"\(job)\"} > 0")
        #expect(sent.count >= 2)
        let median = try await prometheus.query(
          "histogram_quantile(0.5, sum by (le) (drover_migration_duration_seconds_bucket{job=\"\(job)\", outcome=\"succeeded\"}))"
        )
        #expect(median.count == 1)
        #expect(median.allSatisfy { $0.value.number > 1 && $0.value.number < 120 })
        // The families of counters are the same word in both formats once they are stored.
        let stored = try await prometheus.query(
          "count(count by (__name__) ({job=\"\(job)\", __name__=~\"(drover|process)_.*\"}))")
        #expect(try #require(stored.first).value.number > 40)
      }
      try await eventually("both jobs read as many samples") {
        let counts = try await prometheus.query("scrape_samples_scraped").map(\.value.number)
        return counts.count == 2 && Set(counts).count == 1
      }
    }

    private func drover(_ arguments: String...) async throws -> (
      ending: Ending, output: String, errors: String
    ) {
      let program = try Program(arguments, in: demo.directory)
      return (try await program.end(within: .seconds(60)), program.output, program.errors)
    }
  }
}
