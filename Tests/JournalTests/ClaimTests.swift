import DroverCore
import Foundation
import Testing

@testable import Journal

@Suite("What is ended by itself, over crashes")
struct ClaimTests {
  /// Runs the writer until it is killed, again and again; the ids of what was sent, in order.
  private func sent(_ scratch: Scratch, count: Int, aborts: Int, kills: Int) async throws -> [String] {
    var sent: [String] = []
    for kill in 0..<kills {
      let child = try Child([Child.writer, "claims", scratch.journal, "\(count)", "\(aborts)"], in: scratch)
      try await eventually("it has opened the journal") { !child.lines.isEmpty || !child.errors.isEmpty }
      usleep(UInt32(150_000 + 1000 * ((kill * 97) % 600)))
      child.stop()
      #expect(child.errors.isEmpty, "\(child.errors)")
      sent += child.lines.filter { $0.hasPrefix("sent ") }.map { String($0.dropFirst(5)) }
    }
    return sent
  }

  @Test("each migration is ended once at most, and only after it is on the disk")
  func once() async throws {
    let scratch = try Scratch()
    let sent = try await sent(scratch, count: 60, aborts: 1000, kills: 12)
    #expect(sent.count > 8)
    #expect(Set(sent).count == sent.count, "\(sent)")
    let acted = try await scratch.open().decisions(limit: 1000).filter { $0.kind == .acted }
    // A decision may have been recorded and, because of the kill, never sent; never the other way round.
    #expect(Set(sent).isSubset(of: acted.compactMap(\.migration?.description)))
    #expect(Set(acted.compactMap(\.migration)).count == acted.count)
  }

  @Test("the fleet has as many as it may, however often the process is killed; each wait is recorded once")
  func bounded() async throws {
    let scratch = try Scratch()
    let sent = try await sent(scratch, count: 8, aborts: 3, kills: 8)
    #expect(sent.count <= 3 && Set(sent).count == sent.count, "\(sent)")
    let decisions = try await scratch.open().decisions(limit: 1000)
    #expect(decisions.filter { $0.kind == .acted }.count == 3)
    let held = decisions.filter { $0.kind == .held && $0.migration != nil }
    // A kill between the record and the next start may not double it either: these migrations are not in the journal.
    #expect(Set(held.compactMap(\.migration)).count == held.count, "\(held.map(\.text))")
  }

  @Test("an earlier record is changed into the one that is acted upon, and that never again")
  func revised() async throws {
    let journal = try Scratch().open()
    var decision = Decision(
      madeAt: 1000, action: .abort, trigger: .alert, kind: .held, migration: id("a-1"), vm: host(),
      requester: "alert x", refusal: .oldSample, text: "old")
    let number = try await journal.record(decision)
    decision.kind = .acted
    decision.refusal = nil
    decision.madeAt = 2000
    #expect(try await journal.revise(number, decision) == number)
    let stored = try #require(try await journal.decisions().first)
    #expect(stored.id == number && stored.kind == .acted && stored.madeAt == 2000 && stored.refusal == nil)
    // From then on it stays, and so does what another has this number for: then there is a new one.
    decision.text = "another"
    let second = try await journal.revise(number, decision)
    #expect(second > number)
    let missing = try await journal.revise(DecisionID(rawValue: 99), decision)
    #expect(missing > second)
    decision.kind = .held
    let held = try await journal.record(decision)
    decision.migration = id("b-1")
    #expect(try await journal.revise(held, decision) > held)
    decision.migration = id("a-1")
    decision.trigger = .progressTimeout
    #expect(try await journal.revise(held, decision) > held)
    #expect(
      try await journal.decisions().map(\.text) == [
        "another", "another", "another", "another", "another", "old",
      ])
  }

  @Test(
    "what bounds the next start is read: what was acted upon, shadowed and held lately, alerts, open migrations' all"
  )
  func read() async throws {
    let journal = try Scratch().open()
    func make(
      _ name: String, _ at: Int64, _ kind: DecisionKind, _ trigger: Trigger = .progressTimeout,
      _ action: ControlAction = .abort
    ) async throws {
      _ = try await journal.record(
        Decision(
          madeAt: at, action: action, trigger: trigger, kind: kind, migration: id(name), vm: host(),
          requester: name, text: ""))
    }
    try await journal.upsert([migration("open"), migration("over", endedAt: 2000, .succeeded)])
    try await make("late", 5000, .acted)
    try await make("early", 100, .acted)
    try await make("person", 5000, .acted, .person)
    try await make("seen", 5000, .observed)
    try await make("forged", 5000, .refused, .alert)
    try await make("open", 100, .observed)
    try await make("over", 100, .observed)
    try await make("reset", 5000, .acted, .person, .resetHold)
    try await make("migrate", 5000, .acted, .person, .migrate)
    let read = try await journal.automaticDecisions(since: 1000)
    #expect(read.map(\.requester) == ["open", "late", "forged", "reset"])
    // Where there are too many, what bounds the next is read before what was only said.
    let first = try await journal.read("reading") { db in
      try DecisionRow.automatic(since: 1000, most: 2, db)
    }
    #expect(Set(first.map(\.requester)) == ["late", "reset"])
    #expect(try await journal.migrations([id("over"), id("nothing")]).keys.map(\.description) == ["over"])
  }
}
