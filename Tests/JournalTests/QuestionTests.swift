import DroverCore
import Testing

@testable import Journal

@Suite("Questions to the journal")
struct QuestionTests {
  private let scratch: Scratch
  private let journal: Journal

  init() throws {
    scratch = try Scratch()
    journal = try scratch.open()
  }

  private func names(_ filter: HistoryFilter = HistoryFilter(), limit: Int = 100, before: String? = nil)
    async throws
    -> [String]
  {
    try await journal.history(matching: filter, limit: limit, before: before.map(id)).map(\.id.description)
  }

  @Test("about migrations are answered page by page, the latest first, none twice and none left out")
  func pages() async throws {
    // Three started in each millisecond: their ids decide.
    try await journal.upsert((0..<30).map { migration("m-\($0 + 10)", startedAt: Int64($0 / 3)) })
    var seen: [String] = []
    while true {
      let page = try await names(limit: 7, before: seen.last)
      if page.isEmpty { break }
      seen += page
    }
    #expect(seen == (10..<40).reversed().map { "m-\($0)" })
    #expect(try await names(limit: 0).isEmpty)
    #expect(try await names(before: "nobody").isEmpty)
  }

  @Test("about migrations name back end, place, VM and outcome")
  func historyFilters() async throws {
    let elsewhere = VMRef(backend: BackendName(rawValue: "prod"), scope: .namespace("rack1"), name: "web")
    try await journal.upsert([
      migration("open"), migration("good", vm: host("db"), endedAt: 5, .succeeded),
      migration("bad", vm: elsewhere, endedAt: 5, .failed), migration("lost", endedAt: 5),
      migration("ended", vm: host(on: "rack2"), endedAt: 5, .aborted),
    ])
    func filter(_ change: (inout HistoryFilter) -> Void) -> HistoryFilter {
      var filter = HistoryFilter()
      change(&filter)
      return filter
    }
    #expect(try await names(filter { $0.vm = "db" }) == ["good"])
    #expect(try await names(filter { $0.backend = elsewhere.backend }) == ["bad"])
    #expect(try await names(filter { $0.scope = .namespace("rack1") }) == ["bad"])
    #expect(try await names(filter { $0.scope = .host("rack1") }) == ["open", "lost", "good"])
    #expect(try await names(filter { $0.ending = .open }) == ["open"])
    #expect(try await names(filter { $0.ending = .unseen }) == ["lost"])
    #expect(try await names(filter { $0.ending = .outcome(.aborted) }) == ["ended"])
    #expect(
      try await names(
        filter {
          $0.vm = "web"
          $0.scope = .host("rack2")
          $0.ending = .outcome(.failed)
        }
      ).isEmpty)
    #expect(try await journal.openMigrations().map(\.id.description) == ["open"])
    #expect(try await journal.contains(id("bad")))
    #expect(try await !journal.contains(id("nobody")))
  }

  @Test("about decisions name migration, VM, kind and action")
  func decisionFilters() async throws {
    let all = [
      decision("0", kind: .acted, migration: "m-1"), decision("1", kind: .refused, migration: "m-2"),
      decision("2", kind: .shadowed, action: .drain, migration: nil, vm: nil),
      decision("3", kind: .acted, action: .migrate, vm: host("db", on: "rack2", backend: "b")),
    ]
    for one in all { _ = try await journal.record(one) }
    func texts(_ change: (inout DecisionFilter) -> Void) async throws -> [String] {
      var filter = DecisionFilter()
      change(&filter)
      return try await journal.decisions(matching: filter).map(\.text)
    }
    #expect(try await texts { _ in } == ["3", "2", "1", "0"])
    #expect(try await texts { $0.migration = id("m-2") } == ["1"])
    #expect(try await texts { $0.vm = "web" } == ["1", "0"])
    #expect(try await texts { $0.backend = BackendName(rawValue: "b") } == ["3"])
    #expect(try await texts { $0.scope = .host("rack2") } == ["3"])
    #expect(try await texts { $0.kind = .acted } == ["3", "0"])
    #expect(try await texts { $0.action = .drain } == ["2"])
    let page = try await journal.decisions(limit: 2)
    #expect(page.map(\.text) == ["3", "2"])
    #expect(try await journal.decisions(limit: 2, before: page.last?.id).map(\.text) == ["1", "0"])
  }

  @Test("name a place without saying whether it is a namespace or a host")
  func place() async throws {
    let elsewhere = VMRef(backend: BackendName(rawValue: "prod"), scope: .namespace("rack1"), name: "web")
    try await journal.upsert([
      migration("a", vm: host()), migration("b", vm: elsewhere), migration("c", vm: host(on: "rack2")),
    ])
    var filter = HistoryFilter()
    (filter.scopeName, filter.vm) = ("rack1", "web")
    #expect(try await Set(names(filter)) == ["a", "b"])
    filter.vm = "db"
    #expect(try await names(filter).isEmpty)
  }

  @Test("are never answered with more than a thousand rows")
  func mostRows() async throws {
    try await journal.upsert((0..<1001).map { migration("m-\($0)") })
    #expect(try await names(limit: .max).count == 1000)
  }
}
