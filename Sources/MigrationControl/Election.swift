public import DroverCore

/// Who leads, and where Drovers of one election write what they are about to do.
public struct Election: Sendable {
  /// Whether this process leads, at this moment.
  public var standing: @Sendable () -> Leadership
  /// Where claims are written; nil where there is no election.
  public var claims: @Sendable () -> (any ClaimStore)?

  /// Describes an election.
  public init(
    standing: @escaping @Sendable () -> Leadership,
    claims: @escaping @Sendable () -> (any ClaimStore)?
  ) {
    self.standing = standing
    self.claims = claims
  }

  /// This process is alone.
  public static let none = Election(standing: { Leadership() }, claims: { nil })
}

extension MigrationControl {
  /// Why this process does not act; nil where it leads.
  var notLeading: Refusal? {
    let standing = election.standing()
    guard !standing.isLeader(at: clock.now()) else { return nil }
    return Refusal(
      .notLeader,
      "this Drover does not lead, and only the leader acts: \(standing.leaderInWords)")
  }

  /// With so many nothing is claimed again.
  static let mostSent = 10_000

  /// Tells the next leader of an abort before it is sent.
  func claim(_ order: AbortOrder, _ target: MigrationTarget, at unixMilliseconds: Int64)
    async throws(ControlError)
  {
    guard election.standing().election != nil else { return }
    guard let store = election.claims() else {
      throw ControlError(
        .unreachable, call: "claiming migration \(order.migration)",
        cause: "the back end whose Lease decides does not run", remedy: "see the log for what it lacks")
    }
    var claim = AbortClaim(
      migration: order.migration, vm: target.vm, trigger: order.trigger, claimedAt: unixMilliseconds)
    claim.claimant = claimant
    claim.isRepeat = withState { $0.sent.count < Self.mostSent && !$0.sent.contains(order.migration) }
    try await store.claim(claim)
  }
}
