internal import DroverCore
internal import Logging

/// A migration that was asked for, until it is seen.
struct UnseenStart: Sendable {
  let decision: DecisionID
  let vm: VMRef
  let sentAt: Moment
}

extension MigrationControl {
  /// A start that has not been seen for so long never will.
  private static let longestWait = Duration.seconds(300)
  /// What a source tells of its start may be earlier by so much than the answer to who asked for it.
  private static let earlier = Duration.seconds(2)

  /// Has the journal know which migration a decision began: at once where it has an identity, else once it is seen.
  func name(_ decision: Decision, sentAt: Moment) async {
    guard let id = decision.id, let vm = decision.vm else { return }
    if let migration = decision.migration {
      await name(id, migration)
    } else {
      queue { $0.unseen.append(UnseenStart(decision: id, vm: vm, sentAt: sentAt)) }
    }
  }

  /// Looks whether migrations that were asked for are there now.
  func nameSeen(at now: Moment) async {
    let waiting = withState(\.unseen)
    guard !waiting.isEmpty else { return }
    let snapshot = fleet.snapshot()
    for start in waiting {
      let seen = snapshot.migrations.first {
        $0.identity.vm == start.vm && $0.startedAt >= start.sentAt - Self.earlier
      }
      guard seen != nil || now - start.sentAt > Self.longestWait else { continue }
      withState { $0.unseen.removeAll { $0.decision == start.decision } }
      if let seen { await name(start.decision, seen.identity.id) }
    }
  }

  private func name(_ decision: DecisionID, _ migration: MigrationID) async {
    do throws(JournalError) {
      try await journal?.name(decision, migration)
    } catch {
      log.warning(
        "which migration a decision began is not recorded",
        metadata: ["decision": "\(decision.rawValue)", "migration": "\(migration)", "error": "\(error)"])
    }
  }
}
