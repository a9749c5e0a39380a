import DroverCore
import GRDB
import Testing

@testable import Journal

@Suite("The bounds of the journal")
struct PruneTests {
  @Test("of age: what ended, or was decided, earlier goes, and nothing else")
  func age() async throws {
    let journal = try Scratch().open()
    try await journal.upsert([
      migration("open", startedAt: 1), migration("old", endedAt: 99, .succeeded),
      migration("lost", endedAt: 99), migration("young", startedAt: 1, endedAt: 100, .failed),
    ])
    let old = try await journal.record(decision("old", at: 99))
    for (text, kind, at) in [
      ("waits for its result", DecisionKind.acted, 99), ("refused", .refused, 99), ("held", .held, 99),
      ("young", .shadowed, 100),
    ] as [(String, DecisionKind, Int64)] {
      _ = try await journal.record(decision(text, kind: kind, at: at))
    }
    try await journal.finish(old, .done, text: "", at: 99)
    let report = try await journal.prune(olderThan: 100, largest: .gibibytes(1))
    #expect(report.migrations == 2 && report.decisions == 3)
    #expect(try await Set(journal.history().map(\.id.description)) == ["open", "young"])
    #expect(try await journal.decisions().map(\.text) == ["young", "waits for its result"])
  }

  @Test("of age hold for more than one step removes")
  func manySteps() async throws {
    let journal = try Scratch().open()
    try await journal.upsert((0..<1700).map { migration("m-\($0)", endedAt: 5, .succeeded) })
    #expect(try await journal.prune(olderThan: 6, largest: .gibibytes(1)).migrations == 1700)
  }

  @Test("of size: the oldest goes first, what is open stays, and the files shrink")
  func size() async throws {
    let scratch = try Scratch()
    let journal = try scratch.open()
    let largest = JournalLimits.leastSize
    let words = String(repeating: "x", count: 4000)
    let ended = (0..<6000).map { number in
      migration("m-\(number)", endedAt: Int64(1000 + number), .succeeded) { $0.text = words }
    }
    for start in stride(from: 0, to: ended.count, by: 500) {
      try await journal.upsert(Array(ended[start..<(start + 500)]))
    }
    // As old as the oldest, and kept.
    try await journal.upsert((0..<100).map { number in migration("open-\(number)") { $0.text = words } })
    _ = try await journal.record(decision("waits", at: 1000))
    _ = try await journal.record(decision("old", kind: .refused, at: 1000))
    _ = try await journal.record(decision("young", kind: .refused, at: 1_000_000))
    #expect(await journal.size() > largest)

    let report = try await journal.prune(olderThan: 0, largest: largest)
    #expect(report.migrations > 1000 && report.decisions == 1)
    let size = await journal.size()
    #expect(size <= largest, "\(size)")
    #expect(try await journal.openMigrations().count == 100)
    #expect(try await journal.decisions().map(\.text) == ["young", "waits"])
    // Exactly the oldest are gone.
    let left = try await #require(journal.writer).read { db in
      try Int.fetchAll(
        db,
        sql: """
          SELECT count(*) FROM migration WHERE outcome IS NOT NULL UNION ALL SELECT min(ended_at_ms) FROM migration
          """)
    }
    let (count, first) = try (#require(left.first), #require(left.last))
    #expect(count == 6000 - report.migrations && first == 1000 + report.migrations)
    #expect(count > 2000, "no more than necessary")
    #expect(try await journal.prune(olderThan: 0, largest: largest) == PruneReport())
  }

  @Test("of size give up where all that is left must stay")
  func nothingToRemove() async throws {
    let journal = try Scratch().open()
    let words = String(repeating: "x", count: 100_000)
    try await journal.upsert((0..<250).map { number in migration("m-\(number)") { $0.text = words } })
    #expect(try await journal.prune(olderThan: .max, largest: 0) == PruneReport())
    #expect(try await journal.openMigrations().count == 250)
  }

  @Test(
    "are looked for with the help of indexes",
    arguments: [
      "SELECT rowid FROM migration WHERE ended_at_ms < 5 ORDER BY ended_at_ms LIMIT 5",
      "SELECT id FROM decision WHERE made_at_ms <= 5 AND (kind <> 'acted' OR result IS NOT NULL) ORDER BY made_at_ms LIMIT 5",
      "SELECT * FROM decision WHERE kind = 'acted' AND result IS NULL ORDER BY id",
      "SELECT * FROM migration WHERE ended_at_ms IS NULL",
      "SELECT * FROM migration WHERE (started_at_ms, id) < (5, 'm') ORDER BY started_at_ms DESC, id DESC LIMIT 5",
      "SELECT * FROM migration WHERE vm = 'v' ORDER BY started_at_ms DESC, id DESC LIMIT 5",
      "SELECT * FROM decision WHERE migration = 'm' ORDER BY id DESC LIMIT 5",
    ])
  func indexes(sql: String) async throws {
    let journal = try Scratch().open()
    let plan = try await journal.writer?.read { db in
      try Row.fetchAll(db, sql: "EXPLAIN QUERY PLAN \(sql)").compactMap { $0["detail"] as String? }
    }
    #expect(
      try #require(plan).allSatisfy { $0.contains("USING") && !$0.contains("TEMP B-TREE") }, "\(plan ?? [])")
  }
}
