import Foundation
import Testing

@testable import ProgramSupport

extension EndToEnd {
  @Suite("The journal")
  struct JournalTests {
    private func json(_ text: String) throws -> [String: Any] {
      try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    @Test("is made where it is wished, asked over the API, and printed")
    func answers() async throws {
      let directory = try TemporaryDirectory()
      let path = "\(directory.path)/a/b/j.db"
      let serving = try await Serving(["--journal.path", path], in: directory)
      #expect(FileManager.default.fileExists(atPath: path))
      for list in ["history", "decisions"] {
        let answer = try await serving.web.get("/api/v1/\(list)")
        #expect(answer.status == 200 && answer.text == #"{"items":[]}"#)
        #expect(answer["Content-Type"] == "application/json")
        let printed = try await Program.run([list, "--server", serving.web.url], in: directory)
        #expect(printed.ending == .exited(0))
        #expect(printed.output == (list == "history" ? "No migrations.\n" : "No decisions.\n"))
      }
      let server = ["--server", serving.web.url]
      let run = try await Program.run(
        [
          "history", "--output", "json", "--limit", "5", "--vm", "a b&c", "--namespace", "n", "--backend",
          "b",
          "--outcome", "open",
        ] + server, in: directory)
      #expect(run.output == "{\"items\":[]}\n", "\(run.errors)")
      let decisions = try await Program.run(
        [
          "decisions", "--kind", "acted", "--action", "abort", "--migration", "m", "--host", "h", "--before",
          "3",
        ] + server, in: directory)
      #expect(decisions.output == "No decisions.\n", "\(decisions.errors)")
      let named = try await Program.run(["decisions", "--vm", "h/vm"] + server, in: directory)
      #expect(named.output == "No decisions.\n", "\(named.errors)")
      let wrong = try await Program.run(["history", "--outcome", "good"] + server, in: directory)
      #expect(wrong.ending == .exited(1))
      #expect(
        wrong.errors
          == "Error: outcome must be one of succeeded, failed, aborted, open, unseen, not \"good\"\n")
      let limit = try await Program.run(["history", "--limit", "0"] + server, in: directory)
      #expect(limit.ending == .exited(64))
    }

    @Test(
      "answers 400 to a question that means nothing",
      arguments: [
        ("history?limit=0", "limit must be a number from 1 to 1000"), ("history?limit=x", "limit must be"),
        ("history?vm=a&vm=b", "vm stands twice"), ("history?vn=a", "did you mean vm?"),
        ("history?namespace=a&host=b", "never both"), ("history?before=m", "there is no migration m"),
        ("history?before=a/b", "before must be the id of a migration"),
        ("history?outcome=good", "one of succeeded, failed, aborted, open, unseen"),
        ("decisions?kind=good", "one of acted, shadowed, observed, refused, held"),
        ("decisions?action=kick", "one of abort, migrate"), ("decisions?before=x", "the id of a decision"),
        ("decisions?migration=a/b", "the id of a migration"), ("decisions?outcome=failed", "there is no"),
      ])
    func badQueries(query: String, detail: String) async throws {
      let serving = try await Serving()
      let answer = try await serving.web.get("/api/v1/\(query)")
      #expect(answer.status == 400)
      #expect(answer["Content-Type"].hasPrefix("application/problem+json"))
      #expect(try (json(answer.text)["detail"] as? String)?.contains(detail) == true, "\(answer.text)")
    }

    @Test("is used by one drover at a time: another serves without, says so, and takes over")
    func busy() async throws {
      let directory = try TemporaryDirectory()
      let path = "\(directory.path)/j.db"
      let first = try await Serving(["--journal.path", path])
      let second = try await Serving(["--journal.path", path], in: directory)
      let answer = try await second.web.get("/api/v1/history")
      #expect(answer.status == 503)
      #expect(try (json(answer.text)["detail"] as? String)?.contains("another drover uses it") == true)
      #expect(second.program.lines.count { $0.contains("the journal records nothing") } == 1)
      first.program.signal(SIGTERM)
      #expect(try await first.program.end() == .exited(0))
      try await eventually("the journal is free") {
        try await second.web.get("/api/v1/history").status == 200
      }
      try await eventually("it is said") {
        second.program.lines.contains { $0.contains("the journal records again") }
      }
    }

    @Test("may be missing where nobody said where it is, and must not where somebody did")
    func noPlace() async throws {
      let directory = try TemporaryDirectory()
      let port = try freePort()
      let program = try Program(
        ["serve", "--web.listen-address", "127.0.0.1:\(port)"], in: directory,
        variables: ["STATE_DIRECTORY": "/proc/none"])
      let web = try Web("http://127.0.0.1:\(port)")
      try await eventually("an answer") { try await web.get("/api/v1/history").status == 503 }
      #expect(program.errors.contains("no journal"))
      let refused = try await Program.run(
        ["serve", "--web.listen-address", "127.0.0.1:0", "--journal.path", "/proc/none/j.db"], in: directory)
      #expect(refused.ending == .exited(1))
      #expect(refused.errors.contains("/proc/none") && refused.errors.contains("--journal.path"))
      let relative = try await Program.run(
        ["serve", "--web.listen-address", "127.0.0.1:0", "--journal.path", "j.db"], in: directory)
      #expect(relative.errors.contains("no absolute path"))
    }

    @Test("does not stop drover where it is damaged")
    func damaged() async throws {
      let directory = try TemporaryDirectory()
      let path = try directory.write(String(repeating: "no database ", count: 1000), to: "j.db")
      let serving = try await Serving(["--journal.path", path], in: directory)
      #expect(try await serving.web.get("/metrics").status == 200)
      #expect(try await serving.web.get("/api/v1/decisions").status == 503)
      #expect(serving.program.errors.contains("move it and the files beside it away"))
    }

    @Test("takes other limits by a reload, and says that another path needs a restart")
    func reload() async throws {
      let directory = try TemporaryDirectory()
      let file = try directory.write("journal: {path: \(directory.path)/j.db}\n", to: "drover.yaml")
      let serving = try await Serving(["--config.file", file], in: directory)
      #expect(FileManager.default.fileExists(atPath: "\(directory.path)/j.db"))
      try directory.write("journal: {path: \(directory.path)/k.db, maxSize: 20MiB}\n", to: "drover.yaml")
      #expect(try await serving.control.post("/-/reload").status == 200)
      #expect(serving.program.errors.contains("journal.path has changed: that needs a restart"))
      #expect(!FileManager.default.fileExists(atPath: "\(directory.path)/k.db"))
    }
  }
}
