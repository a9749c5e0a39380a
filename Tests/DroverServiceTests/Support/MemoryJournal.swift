import DroverCore
import MigrationControl
import Synchronization

/// A journal in memory that may refuse.
final class MemoryJournal: AutomaticJournal {
  let decisions = Mutex<[Decision]>([])
  let isFull = Mutex(false)

  func record(_ decision: Decision) async throws(JournalError) -> DecisionID {
    guard !isFull.withLock(\.self) else { throw JournalError(.full, call: "c", cause: "full", remedy: "r") }
    return decisions.withLock { all in
      all.append(decision)
      return DecisionID(rawValue: Int64(all.count))
    }
  }

  func revise(_ id: DecisionID, _ decision: Decision) async throws(JournalError) -> DecisionID {
    decisions.withLock { $0[Int(id.rawValue) - 1] = decision }
    return id
  }

  func finish(_ id: DecisionID, _ result: DecisionResult, text: String, at: Int64) async throws(JournalError)
  {}

  func automaticDecisions(since unixMilliseconds: Int64) async throws(JournalError) -> [Decision] { [] }
}
