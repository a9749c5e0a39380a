/// That a migration is about to be ended by one of several Drovers.
///
/// It outlives the process and is seen by the next leader: it neither repeats what was done, nor forgets how much was.
public struct AbortClaim: Hashable, Sendable {
  /// Which migration.
  public var migration: MigrationID
  /// Its VM.
  public var vm: VMRef
  /// Who or what asked.
  public var trigger: Trigger
  /// When, in Unix milliseconds.
  public var claimedAt: Int64
  /// Which process claims; empty where that is not known.
  public var claimant = ""
  /// Whether the same process claims again what it claimed before, and surely did not send; never stored.
  public var isRepeat = false

  /// Makes a claim.
  public init(migration: MigrationID, vm: VMRef, trigger: Trigger, claimedAt: Int64) {
    self.migration = migration
    self.vm = vm
    self.trigger = trigger
    self.claimedAt = claimedAt
  }
}

/// What Drovers of one election share.
public struct ClaimBook: Hashable, Sendable {
  /// Claims, the oldest first.
  public private(set) var claims: [AbortClaim]
  /// Why automatic aborts wait.
  public var holds: SharedHolds

  /// As long as anything may ask for them: no limit between two aborts of one VM is longer.
  static let longestKept: Int64 = 7 * 24 * 3_600_000
  /// A ConfigMap takes a MiB; a claim is some hundred bytes.
  static let mostKept = 2000

  /// Nothing claimed, or what was read.
  public init(_ claims: [AbortClaim] = [], holds: SharedHolds = SharedHolds()) {
    self.claims = claims.sorted { $0.claimedAt < $1.claimedAt }
    self.holds = holds
  }

  /// The claim of a migration; nil where there is none.
  public func claim(of migration: MigrationID) -> AbortClaim? { claims.last { $0.migration == migration } }

  /// Adds a claim, and lets go of what nobody asks for any more.
  ///
  /// - Returns: False where an automatic abort of this migration was claimed already: it is not done twice.
  public mutating func add(_ claim: AbortClaim) -> Bool {
    if claim.trigger != .person {
      func isSame(_ earlier: AbortClaim) -> Bool {
        earlier.trigger != .person
          && (earlier.migration == claim.migration
            || earlier.vm == claim.vm && earlier.migration.isSameJob(as: claim.migration))
      }
      func isOwn(_ earlier: AbortClaim) -> Bool {
        claim.isRepeat && !claim.claimant.isEmpty && earlier.claimant == claim.claimant
      }
      if claims.contains(where: { isSame($0) && !isOwn($0) }) { return false }
      claims.removeAll(where: isSame)
    }
    claims.removeAll { claim.claimedAt - $0.claimedAt > Self.longestKept }
    var stored = claim
    stored.isRepeat = false
    claims.append(stored)
    if claims.count > Self.mostKept { claims.removeFirst(claims.count - Self.mostKept) }
    return true
  }
}

/// Where Drovers of one election write what they are about to do, and what keeps them from it.
public protocol ClaimStore: Sendable {
  /// Reads what was claimed, and why automatic aborts wait.
  func claims() async throws(ControlError) -> ClaimBook

  /// Writes a claim; when this returns, the next leader sees it.
  ///
  /// Throws `.refused` where the migration was claimed already, and `.replaced` where somebody else keeps writing.
  func claim(_ claim: AbortClaim) async throws(ControlError)

  /// Adds why automatic aborts wait; when this returns, the next leader sees it.
  ///
  /// Throws `.replaced` where somebody else keeps writing.
  func share(_ holds: SharedHolds) async throws(ControlError)
}
