internal import DroverCore
internal import Logging

/// Drains on the disk.
extension DrainControl {
  /// How long the store may take.
  private static let longestSave = Duration.seconds(5)

  /// Brings a drain as it is now to the disk; false where that did not happen in time.
  func save(_ node: NodeRef) async -> Bool {
    guard let store else { return false }
    let record = withState { state -> DrainRecord? in
      guard var record = state.drains[node]?.plan.record else { return nil }
      let revision = (state.drains[node]?.revision ?? 0) + 1
      state.drains[node]?.revision = revision
      record.revision = revision
      return record
    }
    guard let record else { return false }
    let error = await answer(within: Self.longestSave, orElse: Self.lateSave) {
      do throws(JournalError) {
        try await store.save(record)
        return JournalError?.none
      } catch {
        return error
      }
    }
    if let error {
      control.log.error("a drain is not stored", metadata: ["node": "\(node.node)", "error": "\(error)"])
      return false
    }
    withState { state in
      guard let running = state.drains[node], running.plan.record.id == record.id,
        running.savedRevision < record.revision
      else { return }
      var saved = record
      saved.revision = 0
      state.drains[node]?.saved = saved
      state.drains[node]?.savedRevision = record.revision
    }
    return true
  }

  private static let lateSave: JournalError? = JournalError(
    .busy, call: "storing a drain", cause: "the journal did not take it in time",
    remedy: "see whether its disk hangs")
}
