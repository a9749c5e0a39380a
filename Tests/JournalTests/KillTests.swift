import DroverCore
import Foundation
import GRDB
import Testing

@testable import Journal

/// Repeatable where DROVER_SEED says how.
private struct Dice: RandomNumberGenerator {
  private(set) var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

@Suite("A journal whose process is killed")
struct KillTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let seed =
    environment["DROVER_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0..<1_000_000)
  private static let kills = environment["DROVER_KILLS"].flatMap { Int($0) } ?? 20

  @Test("opens intact, with all that was acknowledged and nothing half written")
  func killed() async throws {
    let scratch = try Scratch()
    var dice = Dice(state: Self.seed)
    var acknowledged: [(what: Substring, number: Int, id: Int64)] = []
    for kill in 0..<Self.kills {
      let child = try Child([Child.writer, "loop", scratch.journal], in: scratch)
      let wanted = Int.random(in: 1...40, using: &dice)
      try await eventually("\(wanted) things are recorded") { child.lines.count > wanted }
      usleep(UInt32.random(in: 0..<3000, using: &dice))
      child.stop()
      acknowledged += child.lines.compactMap { line in
        let words = line.split(separator: " ")
        guard words.count == 3, let number = Int(words[1]), let id = Int64(words[2]) else { return nil }
        return (words[0], number, id)
      }
      try await check(scratch, acknowledged, "seed \(Self.seed), kill \(kill)")
    }
    #expect(acknowledged.count > Self.kills)
  }

  private func check(
    _ scratch: Scratch, _ acknowledged: [(what: Substring, number: Int, id: Int64)], _ place: Comment
  ) async throws {
    let journal = try scratch.open()
    #expect(journal.refusal == nil, place)
    let check = try await journal.writer?.read { db in try String.fetchAll(db, sql: "PRAGMA integrity_check")
    }
    #expect(check == ["ok"], place)

    var decisions: [Int64: Decision] = [:]
    var before: DecisionID?
    while case let page = try await journal.decisions(limit: 1000, before: before), !page.isEmpty {
      for one in page { decisions[one.id?.rawValue ?? 0] = one }
      before = page.last?.id
    }
    for one in decisions.values {
      let number = Int(one.madeAt)
      #expect(one.text == "decision \(number)" && one.requester == "uid \(number)", place)
      #expect(
        one.evidence.map(\.value) == ["\(number)", String(repeating: "x", count: number % 3000)], place)
      let isWhole =
        one.result == .aborted && one.resultText == "result \(number)" && one.resultAt == Int64(number)
      #expect(isWhole || one.result == nil && one.resultText.isEmpty && one.resultAt == nil, place)
    }

    var migrations: [String: PastMigration] = [:]
    var last: MigrationID?
    while case let page = try await journal.history(limit: 1000, before: last), !page.isEmpty {
      for one in page { migrations[one.id.description] = one }
      last = page.last?.id
    }
    for one in migrations.values {
      let name = one.vm.name
      #expect(one.text == String(repeating: name, count: Int(one.startedAt) % 2000), place)
      // The two of a number were written together.
      #expect(migrations["\(name == "a" ? "b" : "a")-\(one.startedAt)"] != nil, place)
    }

    for (what, number, id) in acknowledged {
      switch what {
      case "decided": #expect(decisions[id]?.madeAt == Int64(number), place)
      case "finished": #expect(decisions[id]?.result == .aborted, place)
      default: #expect(migrations["a-\(number)"] != nil && migrations["b-\(number)"] != nil, place)
      }
    }
    let open = Set(try await journal.unfinishedDecisions().map(\.id?.rawValue))
    #expect(open == Set(decisions.values.filter { $0.result == nil }.map(\.id?.rawValue)), place)
  }
}
