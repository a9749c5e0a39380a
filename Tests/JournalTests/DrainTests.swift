import DroverCore
import GRDB
import Testing

@testable import Journal

@Suite("Drains in the journal")
struct DrainTests {
  private func drain(_ id: Int64 = 1, node: String = "node-a") -> DrainRecord {
    var drain = DrainRecord(
      id: DecisionID(rawValue: id), node: NodeRef(backend: BackendName(rawValue: "prod"), node: node),
      requester: "uid 0", startedAt: 1000 + id)
    drain.revision = 3
    drain.isCordoned = true
    drain.isFollowing = true
    drain.text = "words"
    var vm = DrainVM(
      vm: VMRef(backend: drain.node.backend, scope: .namespace("shop"), name: "db"), domain: "d-1",
      memory: .gibibytes(8))
    vm.attempts = 2
    vm.migration = MigrationID("m-1")
    vm.isOwn = true
    vm.sentAt = 1234
    vm.target = "node-b"
    vm.timeout = .progressTimeout
    vm.text = "so it is"
    vm.isSettled = true
    drain.vms = [
      vm, DrainVM(vm: VMRef(backend: drain.node.backend, scope: .host("h"), name: "bare"), domain: "d-2"),
    ]
    return drain
  }

  @Test("are as they were, every field and word, after the file was closed and opened again")
  func whole() async throws {
    let scratch = try Scratch()
    var all: [DrainRecord] = []
    for (number, state) in DrainState.allCases.enumerated() {
      var one = drain(Int64(number + 1), node: "node-\(number)")
      one.state = state
      one.endedAt = state.isInForce ? nil : 5000
      one.vms[0].state = DrainVMState.allCases[number]
      all.append(one)
    }
    do {
      let journal = try scratch.open()
      for one in all { try await journal.save(one) }
    }
    #expect(try await scratch.open().latestDrains() == all)
  }

  @Test("an earlier revision never takes the place of a later one")
  func revisions() async throws {
    let journal = try Scratch().open()
    var later = drain()
    later.revision = 4
    later.text = "later"
    try await journal.save(later)
    try await journal.save(drain())
    #expect(try await journal.latestDrains().map(\.text) == ["later"])
  }

  @Test("of a node the latest counts, but for one that is over and whose node was given free again")
  func latest() async throws {
    let journal = try Scratch().open()
    try await journal.save(drain(1))
    var second = drain(2)
    second.state = .cancelling
    second.isReopened = true
    try await journal.save(second)
    #expect(try await journal.latestDrains().map(\.id.rawValue) == [2])
    second.state = .cancelled
    second.endedAt = 9000
    second.revision += 1
    try await journal.save(second)
    #expect(try await journal.latestDrains().isEmpty)
  }

  @Test("those that are over go with their time, those in force stay")
  func pruned() async throws {
    let journal = try Scratch().open()
    var over = drain(1, node: "x")
    over.state = .complete
    over.endedAt = 5000
    try await journal.save(over)
    try await journal.save(drain(2))
    _ = try await journal.prune(olderThan: 5000, largest: .gibibytes(1))
    #expect(try await journal.latestDrains().count == 2)
    _ = try await journal.prune(olderThan: 5001, largest: .gibibytes(1))
    #expect(try await journal.latestDrains().map(\.id.rawValue) == [2])
  }

  private func fill(_ scratch: Scratch) async throws {
    let journal = try scratch.open()
    _ = try await journal.record(decision())
    // Everything into the file itself.
    _ = try await journal.prune(olderThan: 0, largest: .gibibytes(1))
  }

  private func makeOld(_ scratch: Scratch) throws {
    try DatabaseQueue(path: scratch.journal).writeWithoutTransaction { db in
      try db.execute(
        sql: """
          DROP TABLE drain; DELETE FROM grdb_migrations WHERE identifier LIKE '2:%'; PRAGMA user_version = 1
          """)
    }
  }

  @Test("a journal of version 1 is brought up to date, with everything in it")
  func upgraded() async throws {
    let scratch = try Scratch()
    try await fill(scratch)
    try makeOld(scratch)
    let journal = try scratch.open()
    #expect(journal.refusal == nil)
    #expect(try await journal.decisions().count == 1)
    try await journal.save(drain())
    #expect(try await journal.latestDrains().count == 1)
  }
}
