/// Which migrations were ended by themselves, and when: what bounds the next.
public struct AbortLedger: Sendable {
  /// One migration that nobody ends by itself again.
  struct Claim: Hashable, Sendable {
    var migration: MigrationID
    var vm: VMRef
    var at: Moment
    /// Whether nothing was sent.
    var isShadow = false
  }

  /// The hold after as many as are allowed.
  struct Breaker: Hashable, Sendable {
    var since: Moment
    /// When the last one was sent or wished for.
    var lastWish: Moment
    /// What asked for the last that was sent before it.
    var trigger: Trigger
  }

  /// Claims that are kept; no fleet has so many at a time.
  private static let mostClaims = 10_000

  private var claims: [Claim] = []
  /// What was sent before does not count against the fleet.
  private(set) var resetAt: Moment?
  private(set) var breaker: Breaker?

  /// Why this one has to wait, or is never ended; nil where nothing bounds it.
  func refusal(of id: MigrationID, _ vm: VMRef, _ limits: AutomaticLimits, at now: Moment) -> Refusal? {
    // A restart may find the same job under an id that differs by a moment.
    let own = claims.filter { $0.migration == id || $0.vm == vm && $0.migration.isSameJob(as: id) }
    if own.contains(where: { !$0.isShadow }) {
      return Refusal(.claimed, "an abort of it was decided before; there is never a second one")
    }
    // What was only shown is shown for each that asks, and counts once.
    if !own.isEmpty { return nil }
    if breaker != nil || count(limits, at: now) >= limits.aborts {
      return Refusal(
        .hold,
        "there were \(limits.aborts) automatic aborts within \(PolicyCondition.seconds(limits.window)): the next "
          + "waits until none is wished for during as long, or somebody says drover decisions --reset-hold")
    }
    if limits.perVM > .zero, let last = claims.last(where: { $0.vm == vm }), now - last.at < limits.perVM {
      return Refusal(
        .perVM,
        "a migration of this VM was ended \(PolicyCondition.seconds(now - last.at)) ago: not again within "
          + PolicyCondition.seconds(limits.perVM))
    }
    return nil
  }

  /// When a refusal ends by itself, if nobody wishes for another abort until then; nil where time does not end it.
  func end(of refusal: Refusal, _ vm: VMRef, _ limits: AutomaticLimits) -> Moment? {
    switch refusal.reason {
    case .hold: breaker.map { $0.lastWish + limits.window }
    case .perVM: claims.last { $0.vm == vm }.map { $0.at + limits.perVM }
    default: nil
    }
  }

  /// Counts one that is about to be ended, or would be.
  mutating func claim(
    _ id: MigrationID, _ vm: VMRef, _ trigger: Trigger, _ limits: AutomaticLimits, isShadow: Bool = false,
    at moment: Moment
  ) {
    advance(limits, to: moment)
    claims.append(Claim(migration: id, vm: vm, at: moment, isShadow: isShadow))
    if claims.count > Self.mostClaims { claims.removeFirst() }
    if breaker != nil {
      breaker?.lastWish = moment
    } else if count(limits, at: moment) >= limits.aborts {
      breaker = Breaker(since: moment, lastWish: moment, trigger: trigger)
    }
  }

  /// Takes a claim back: it was neither recorded nor sent.
  mutating func release(_ id: MigrationID, _ limits: AutomaticLimits, at now: Moment) {
    guard let index = claims.lastIndex(where: { $0.migration == id }) else { return }
    claims.remove(at: index)
    if count(limits, at: now) < limits.aborts { breaker = nil }
  }

  /// Somebody wishes for one more while they wait: so long it is not quiet.
  mutating func noteWish(at moment: Moment) {
    guard let held = breaker else { return }
    breaker?.lastWish = max(held.lastWish, moment)
  }

  /// Ends the hold once it has been quiet for long enough.
  mutating func advance(_ limits: AutomaticLimits, to now: Moment) {
    if let held = breaker, now - held.lastWish >= limits.window { breaker = nil }
  }

  /// A person ends the hold; what each VM and migration had, stays.
  mutating func reset(at moment: Moment) {
    breaker = nil
    resetAt = moment
  }

  /// Goes on with a hold that another Drover began, unless a person has ended it.
  mutating func take(_ former: Breaker) {
    guard resetAt.map({ former.since > $0 }) ?? true else { return }
    let lastWish = max(breaker?.lastWish ?? former.lastWish, former.lastWish)
    if breaker == nil { breaker = former }
    breaker?.lastWish = lastWish
  }

  private func count(_ limits: AutomaticLimits, at now: Moment) -> Int {
    let lately = claims.filter { claim in
      now - claim.at < limits.window && resetAt.map { claim.at > $0 } ?? true
    }
    return Set(lately.map(\.migration)).count
  }
}
