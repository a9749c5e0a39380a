import DroverCore
import Synchronization

/// Decisions and drains in memory.
final class Notes: DecisionJournal, DrainStore {
  private struct State {
    var decisions: [Decision] = []
    var drains: [DecisionID: DrainRecord] = [:]
  }

  private let state = Mutex(State())

  var decisions: [Decision] { state.withLock(\.decisions) }

  func record(_ decision: Decision) async throws(JournalError) -> DecisionID {
    state.withLock { state in
      state.decisions.append(decision)
      return DecisionID(rawValue: Int64(state.decisions.count))
    }
  }

  func finish(_ id: DecisionID, _ result: DecisionResult, text: String, at unixMilliseconds: Int64)
    async throws(JournalError)
  {
    state.withLock { state in
      state.decisions[Int(id.rawValue) - 1].result = result
      state.decisions[Int(id.rawValue) - 1].resultText = text
    }
  }

  func save(_ drain: DrainRecord) async throws(JournalError) {
    state.withLock { $0.drains[drain.id] = drain }
  }

  func latestDrains() async throws(JournalError) -> [DrainRecord] {
    state.withLock { $0.drains.values.sorted { $0.id < $1.id } }
  }
}
