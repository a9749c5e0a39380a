public import DroverCore

extension PastMigration {
  /// This record, and what an earlier one of the same migration knew and this one does not.
  ///
  /// The first outcome stays, and then the earlier record is the one that is completed: after a restart a source tells of
  /// old migrations again, and less than was seen while they ran. An end that nobody saw is none once the migration is seen
  /// again.
  public func completed(by earlier: PastMigration) -> PastMigration {
    if earlier.outcome != nil { return earlier.filled(from: self) }
    var result = filled(from: earlier)
    result.endedAt = endedAt
    result.text = text.isEmpty && endedAt != nil ? earlier.text : text
    // Where the guest ran before an end says nothing of where it runs behind it.
    if outcome != nil { result.guest = guest }
    return result
  }

  private func filled(from other: PastMigration) -> PastMigration {
    var result = self
    result.facts = facts.completed(by: other.facts)
    result.createdAt = createdAt ?? other.createdAt
    result.endedAt = endedAt ?? other.endedAt
    result.outcome = outcome ?? other.outcome
    result.cause = outcome == nil ? other.cause : cause
    result.certainty = outcome == nil ? other.certainty : certainty
    result.duration = duration ?? other.duration
    result.downtime = downtime ?? other.downtime
    result.transferred = transferred ?? other.transferred
    result.bestRemaining = [bestRemaining, other.bestRemaining].compactMap(\.self).min()
    result.iterations = iterations ?? other.iterations
    result.usedPostcopy = usedPostcopy || other.usedPostcopy
    result.completion = completion ?? other.completion
    result.progress = progress ?? other.progress
    if guest == .unknown { result.guest = other.guest }
    return result
  }
}
