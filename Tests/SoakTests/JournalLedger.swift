import DroverCore
import DroverService
import Foundation
import GRDB
import Testing

@testable import Journal
@testable import ProgramSupport

/// What a journal has held so far, and what must therefore be in it for ever.
struct JournalLedger {
  /// Every decision that was read, by its number.
  private(set) var decisions: [Int64: Decision] = [:]

  /// Opens the journal of a process that was killed: it must be intact, and hold all that it held.
  mutating func check(_ path: String, seen: [DecisionItem], _ place: Comment) async throws {
    guard FileManager.default.fileExists(atPath: path) else {
      #expect(decisions.isEmpty && seen.isEmpty, place)
      return
    }
    let journal = try Journal.open(path: path)
    #expect(journal.refusal == nil, place)
    let check = try await journal.writer?.read { db in try String.fetchAll(db, sql: "PRAGMA integrity_check")
    }
    #expect(check == ["ok"], place)
    var found: [Int64: Decision] = [:]
    var before: DecisionID?
    while case let page = try await journal.decisions(limit: 1000, before: before), !page.isEmpty {
      for one in page { found[one.id?.rawValue ?? 0] = one }
      before = page.last?.id
    }
    for (number, old) in decisions {
      let new = found[number]
      #expect(new?.migration == old.migration && new?.trigger == old.trigger, "lost \(number), \(place)")
      // What was acted upon stays so; another may have become that in its own record.
      if old.kind == .acted {
        #expect(new?.kind == .acted && new?.madeAt == old.madeAt, "changed \(number), \(place)")
      }
      if let result = old.result {
        #expect(new?.result == result, "changed the result of \(number), \(place)")
      }
    }
    for item in seen {
      #expect(found[item.id]?.migration?.description == item.migration, "shown and lost \(item.id), \(place)")
      if item.kind == "acted" {
        #expect(found[item.id]?.kind == .acted, "shown as acted upon, \(item.id), \(place)")
      }
    }
    decisions = found
  }

  /// Aborts of a guest that were recorded as to be sent, and not as surely unsent.
  func aborts(of uuid: String) -> [Decision] {
    decisions.values.filter {
      $0.kind == .acted && $0.action == .abort && !$0.isUnsent
        && $0.migration?.description.hasPrefix(uuid) == true
    }
  }
}

extension Decision {
  /// When the migration that it is about began, in milliseconds since 1970.
  var startedAt: Int64? { migration?.description.split(separator: "-").last.flatMap { Int64($0) } }
}
