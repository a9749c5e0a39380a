import DroverCore
import GRDB
import Testing

@testable import Journal

@Suite("What the journal holds")
struct RoundTripTests {
  @Test("is every field of a migration, as it was, after the file was closed and opened again")
  func migrations() async throws {
    let scratch = try Scratch()
    let bare = migration("bare")
    let large = migration("large") { migration in
      migration.transferred = Bytes(UInt64(Int64.max))
      migration.startedAt = .max
      migration.createdAt = -1
      migration.iterations = 0
      migration.downtime = .zero
    }
    try await scratch.open().upsert([full("full"), bare, large])
    let found = try await scratch.open().history()
    #expect(found == [large, full("full"), bare])
  }

  @Test("keeps every word of every vocabulary")
  func words() async throws {
    let scratch = try Scratch()
    let journal = try scratch.open()
    var all: [PastMigration] = []
    for (number, cause) in FailureCause.allCases.enumerated() {
      var one = full("m-\(number)")
      one.startedAt = Int64(number)
      one.cause = cause
      one.facts.origin = Origin.allCases[number % Origin.allCases.count]
      one.guest = GuestLocation.allCases[number % GuestLocation.allCases.count]
      one.completion?.setBy = TimeoutOrigin.allCases[number % TimeoutOrigin.allCases.count]
      one.completion?.enforcedBy = Enforcer.allCases[number % Enforcer.allCases.count]
      one.completion?.action = DeadlineAction.allCases[number % DeadlineAction.allCases.count]
      all.append(one)
    }
    try await journal.upsert(all)
    #expect(try await journal.history() == all.reversed())

    var decisions: [Decision] = []
    for (number, refusal) in RefusalReason.allCases.enumerated() {
      var one = decision("\(number)")
      one.refusal = refusal
      one.action = ControlAction.allCases[number % ControlAction.allCases.count]
      one.trigger = Trigger.allCases[number % Trigger.allCases.count]
      one.kind = DecisionKind.allCases[number % DecisionKind.allCases.count]
      one.result = DecisionResult.allCases[number % DecisionResult.allCases.count]
      one.id = try await journal.record(one)
      decisions.append(one)
    }
    #expect(try await journal.decisions() == decisions.reversed())
  }

  @Test("is every field of a decision, with its evidence and its result")
  func decisions() async throws {
    let scratch = try Scratch()
    var made = decision("it does not \"converge\"\n\u{1F40F}", at: 1_795_453_200_123)
    made.node = "node-a"
    made.refusal = .drainTaint
    made.evidence = [.init("remaining_bytes", "123"), .init("phase", "pre\"copy"), .init("", "")]
    var aboutNode = decision("n", action: .cordon, migration: nil, vm: nil)
    aboutNode.node = "node-b"
    let journal = try scratch.open()
    made.id = try await journal.record(made)
    aboutNode.id = try await journal.record(aboutNode)
    try await journal.finish(try #require(made.id), .endedOtherwise, text: "it succeeded", at: 77)
    made.result = .endedOtherwise
    made.resultText = "it succeeded"
    made.resultAt = 77
    #expect(try await journal.decisions() == [aboutNode, made])
    #expect(try await journal.unfinishedDecisions() == [aboutNode])
  }

  @Test("takes which migration a decision began once, and nothing that is known already is lost")
  func names() async throws {
    let scratch = try Scratch()
    let journal = try scratch.open()
    var start = Decision(
      madeAt: 1, action: .migrate, trigger: .person, kind: .acted, vm: host(), requester: "x", text: "y")
    let first = try await journal.record(start)
    start.migration = id("m-1")
    let second = try await journal.record(start)
    for decision in [first, second] { try await journal.name(decision, id("m-2")) }
    #expect(try await journal.decisions().map { $0.migration?.description } == ["m-1", "m-2"])
  }

  @Test("gives no number twice, not even that of a decision that was removed")
  func numbers() async throws {
    let scratch = try Scratch()
    let journal = try scratch.open()
    let first = try await journal.record(decision(kind: .refused))
    #expect(try await journal.prune(olderThan: 2000, largest: .gibibytes(1)).decisions == 1)
    #expect(try await journal.record(decision()) > first)
  }

  @Test("says so where a result belongs to no decision")
  func unknownDecision() async throws {
    let journal = try Scratch().open()
    let error = await #expect(throws: JournalError.self) {
      try await journal.finish(DecisionID(rawValue: 9), .done, text: "", at: 0)
    }
    #expect(error?.description.contains("decision 9") == true)
  }

  @Test("is on the disk when a call returns, in a log that is written ahead, in a file that can shrink")
  func durability() async throws {
    let scratch = try Scratch()
    let journal = try scratch.open()
    let pragmas = try await #require(journal.writer).read { db in
      try ["journal_mode", "auto_vacuum", "application_id", "user_version"].map {
        try String.fetchOne(db, sql: "PRAGMA \($0)")
      }
    }
    #expect(pragmas == ["wal", "2", "1148352074", "\(Schema.version)"])
    // The one that writes, not one that reads.
    let synchronous = try await #require(journal.writer).writeWithoutTransaction { db in
      try Int.fetchOne(db, sql: "PRAGMA synchronous")
    }
    #expect(synchronous == 2)
  }

  @Test("can be read by its owner and his group alone")
  func rights() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/a/b/journal.db"
    let journal = try Journal.open(path: path)
    #expect(mode(of: "\(scratch.path)/a") & 0o027 == 0)
    #expect(mode(of: "\(scratch.path)/a/b") & 0o027 == 0)
    for suffix in ["", "-wal", "-shm", ".lock"] { #expect(mode(of: path + suffix) & 0o137 == 0) }
    #expect(journal.refusal == nil)
  }
}
