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

  /// As long as anything may ask for them: a migration has its identity no longer than that.
  static let longestKept: Int64 = 24 * 3_600_000
  /// A ConfigMap takes a MiB; a claim is some hundred bytes.
  static let mostKept = 2000

  /// Nothing claimed, or what was read.
  public init(_ claims: [AbortClaim] = []) { self.claims = claims.sorted { $0.claimedAt < $1.claimedAt } }

  /// The claim of a migration; nil where there is none.
  public func claim(of migration: MigrationID) -> AbortClaim? { claims.last { $0.migration == migration } }

  /// Adds a claim, and lets go of what nobody asks for any more.
  ///
  /// - Returns: False where an automatic abort of this migration was claimed already: it is not done twice.
  public mutating func add(_ claim: AbortClaim) -> Bool {
    if claim.trigger != .person,
      claims.contains(where: { $0.migration == claim.migration && $0.trigger != .person })
    {
      return false
    }
    claims.removeAll { claim.claimedAt - $0.claimedAt > Self.longestKept }
    claims.append(claim)
    if claims.count > Self.mostKept { claims.removeFirst(claims.count - Self.mostKept) }
    return true
  }
}

/// Where Drovers of one election write what they are about to do.
public protocol ClaimStore: Sendable {
  /// Reads what was claimed.
  func claims() async throws(ControlError) -> ClaimBook

  /// Writes a claim; when this returns, the next leader sees it.
  ///
  /// Throws `.refused` where the migration was claimed already, and `.replaced` where somebody else keeps writing.
  func claim(_ claim: AbortClaim) async throws(ControlError)
}
