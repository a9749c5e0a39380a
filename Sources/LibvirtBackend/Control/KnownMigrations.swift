internal import DroverCore
internal import Synchronization

/// What the watch of a host has told of migrations, for those who start and end them; and what these know that the watch
/// cannot.
final class KnownMigrations: Sendable {
  private struct State {
    /// The last migration of each domain, by its key.
    var seen: [String: MigrationID] = [:]
    /// The last of each domain that was over; it may be the one before.
    var ended: [String: (id: MigrationID, ending: Ending)] = [:]
    /// Aborts that were sent.
    var aborts: [MigrationID: Moment] = [:]
    /// What libvirt said of migrations that Drover started and that failed, by the domain's key.
    var failures: [String: (text: String, startedAt: Moment, endedAt: Moment)] = [:]

    mutating func endedByAbort(_ domain: String) {
      if ended[domain]?.ending.isExplainedByAbort ?? false { ended[domain]?.ending.outcome = .aborted }
    }
  }

  /// More ends than this are not remembered.
  private static let most = 5000
  /// A job that is still there so long after its abort may be aborted again.
  static let abortPatience = Duration.seconds(30)

  private let state = Mutex(State())

  /// Takes what the watch tells; returns it with what it cannot know: that an abort was sent, and what libvirt said of its
  /// end.
  func hear(_ message: BackendMessage) -> BackendMessage {
    guard case .migration(var observation) = message else { return message }
    let key = observation.domain.text
    return state.withLock { state in
      if state.seen.count >= Self.most {
        state.seen = state.seen.filter { state.ended[$0.key]?.id != $0.value }
        state.ended = [:]
      }
      state.seen[key] = observation.id
      guard let ending = observation.ending else {
        guard let sent = state.aborts[observation.id], observation.takenAt >= sent,
          observation.takenAt - sent < Self.abortPatience,
          observation.phase == .precopy || observation.phase == .preparing
        else { return message }
        observation.phase = .aborting
        return .migration(observation)
      }
      state.ended[key] = (observation.id, ending)
      if state.aborts.removeValue(forKey: observation.id) != nil { state.endedByAbort(key) }
      guard ending.outcome != .succeeded, let failure = state.failures.removeValue(forKey: key),
        observation.startedAt + MigrationTarget.sameStart >= failure.startedAt,
        observation.startedAt <= failure.endedAt
      else { return message }
      observation.ending?.text =
        ending.text.isEmpty ? failure.text : "\(ending.text); libvirt says: \(failure.text)"
      return .migration(observation)
    }
  }

  /// What is known of a migration.
  func known(_ target: MigrationTarget, at now: Moment) -> KnownMigration {
    state.withLock { state in
      let ended = state.ended[target.domain.text]
      return KnownMigration(
        outcome: ended?.id == target.sourceID ? ended?.ending.outcome : nil,
        isAbortSent: state.aborts[target.sourceID].map { now - $0 < Self.abortPatience } ?? false)
    }
  }

  /// An abort has been sent.
  func abortSent(_ target: MigrationTarget, at now: Moment) {
    state.withLock { state in
      state.aborts = state.aborts.filter { now - $0.value < Self.abortPatience }
      // The end that it brings about may be seen before libvirt has answered.
      if state.ended[target.domain.text]?.id == target.sourceID {
        state.endedByAbort(target.domain.text)
      } else {
        state.aborts[target.sourceID] = now
      }
    }
  }

  /// The migration of a domain that was seen last.
  func last(_ domain: DomainKey) -> MigrationID? { state.withLock { $0.seen[domain.text] } }

  /// What libvirt said of a migration that failed.
  func failed(_ domain: DomainKey, startedAt: Moment, at now: Moment, _ text: String) {
    state.withLock { $0.failures[domain.text] = (text, startedAt, now) }
  }
}
