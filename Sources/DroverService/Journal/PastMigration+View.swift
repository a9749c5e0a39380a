internal import DroverCore

extension PastMigration {
  /// What an event says that the journal keeps; nil where that is nothing.
  ///
  /// - Parameter notBefore: What was found ended, and ended before that, is not kept.
  init?(_ event: LifecycleEvent, epochOffset: EpochOffset, notBefore: Int64) {
    switch event {
    case .began(let view), .phaseChanged(let view, _), .lastSeen(let view), .ended(let view):
      self.init(view, epochOffset: epochOffset)
    case .foundEnded(let view):
      self.init(view, epochOffset: epochOffset)
      guard let endedAt, endedAt >= notBefore else { return nil }
    case .verdictChanged, .interrupted, .dropped: return nil
    }
  }

  init(_ view: MigrationView, epochOffset: EpochOffset) {
    self.init(
      id: view.identity.id, vm: view.identity.vm, domain: view.identity.domain.text, facts: view.facts,
      startedAt: epochOffset.unixMilliseconds(view.startedAt))
    createdAt = view.createdAt.map(epochOffset.unixMilliseconds)
    endedAt = view.ending.map { epochOffset.unixMilliseconds($0.endedAt) }
    outcome = view.ending?.outcome
    cause = view.ending?.cause
    certainty = view.ending?.certainty
    text = view.ending?.text ?? ""
    duration = view.duration
    downtime = view.sample.downtime
    transferred = view.sample.transferred
    bestRemaining = view.progress?.best
    iterations = view.sample.iterations
    usedPostcopy = view.phase.isPostcopy
    completion = view.completion
    progress = view.progressBudget
    guest = view.guest
  }
}
