extension AutomaticAborts {
  // MARK: Holds

  mutating func advance(to now: Moment) {
    let before = holds
    ledger.advance(settings.limits, to: now)
    shadowLedger.advance(settings.limits, to: now)
    networks.advance(to: now)
    if holds != before { due = due.mapValues { _ in now } }
  }

  mutating func holdSteps() -> [AutomaticStep] {
    var steps: [AutomaticStep] = []
    let now = holds.subtracting([.journal])
    for reason in HoldReason.allCases where now.contains(reason) != told.contains(reason) {
      // What is not recorded yet may come to nothing, and then there is no hold.
      if reason == .breaker, standings.values.contains(where: { $0.isUnderWay && $0.kind == .acted }) {
        continue
      }
      if now.contains(reason) { told.insert(reason) } else { told.remove(reason) }
      let trigger = reason == .partition ? Trigger.networkLost : ledger.breaker?.trigger ?? .alert
      steps.append(
        now.contains(reason)
          ? .holdBegan(reason, trigger, words(reason)) : .holdEnded(reason, Self.over(reason)))
    }
    return steps
  }

  private func words(_ reason: HoldReason) -> String {
    switch reason {
    case .partition:
      let names = networks.hold?.names ?? []
      let some = names.prefix(5).joined(separator: ", ") + (names.count > 5 ? ", …" : "")
      return
        "\(names.count) migrations lost their network within a minute (\(some)): automatic aborts wait until "
        + "that has not changed for \(PolicyCondition.seconds(networks.hold?.quiet ?? .zero)), or somebody says "
        + "drover decisions --reset-hold"
    case .breaker, .journal, .takeover:
      return "\(settings.limits.aborts) automatic aborts within "
        + "\(PolicyCondition.seconds(settings.limits.window)): the next wait until none is wished for during as "
        + "long, or somebody says drover decisions --reset-hold"
    }
  }

  private static func over(_ reason: HoldReason) -> String {
    reason == .partition
      ? "nothing changed for a progress time-out: automatic aborts go on, as many as the fleet may have"
      : "it has been quiet for long enough: automatic aborts go on"
  }

  // MARK: Restart

  /// Takes up what was decided before the start, the earliest first; only then is anything decided.
  ///
  /// - Parameter holds: What the leader before has told.
  public mutating func restore(
    _ decisions: [Decision], sharing holds: SharedHolds = SharedHolds(), _ epoch: EpochOffset, at now: Moment
  ) {
    // What was seen since the start is newer than every row.
    var former = NetworkHold()
    for decision in (decisions + Self.resets(in: holds)).sorted(by: {
      ($0.madeAt, $0.id?.rawValue ?? 0) < ($1.madeAt, $1.id?.rawValue ?? 0)
    }) {
      // A wall clock that was set back must not put a claim into the future.
      let at = min(epoch.moment(unixMilliseconds: decision.madeAt), now)
      ledger.advance(settings.limits, to: at)
      shadowLedger.advance(settings.limits, to: at)
      restore(decision, epoch, at, now, &former)
    }
    take(holds, &former, epoch, at: now)
    ledger.advance(settings.limits, to: now)
    shadowLedger.advance(settings.limits, to: now)
    isRestored = true
    told = self.holds.subtracting([.journal, .partition])
    if former.hold != nil { told.insert(.partition) }
    networks.take(former)
    sweptAt = now
    lookAtAll()
  }

  /// A person's word to another Drover, as if it was in the journal here.
  private static func resets(in holds: SharedHolds) -> [Decision] {
    guard let at = holds.breakerResetAt else { return [] }
    var reset = Decision(
      madeAt: at, action: .resetHold, trigger: .person, kind: .acted, requester: "another leader", text: "")
    reset.evidence = facts(ofEnded: [.breaker])
    return [reset]
  }

  private mutating func take(
    _ holds: SharedHolds, _ former: inout NetworkHold, _ epoch: EpochOffset, at now: Moment
  ) {
    func moment(_ unix: Int64) -> Moment { min(epoch.moment(unixMilliseconds: unix), now) }
    if let breaker = holds.breaker {
      let held = AbortLedger.Breaker(
        since: moment(breaker.since), lastWish: moment(breaker.lastWish), trigger: breaker.trigger)
      ledger.take(held)
      shadowLedger.take(held)
    }
    if let ended = holds.partitionEndedAt.map(moment) {
      var over = NetworkHold()
      over.reset(at: ended)
      former.take(over)
    }
    if let partition = holds.partition {
      former.restore(
        since: moment(partition.since), quiet: .milliseconds(max(0, partition.quiet)),
        names: partition.names, at: now)
    }
    let losses = holds.losses.map { ($0.migration, moment($0.at)) }
    networks.take(Dictionary(losses) { max($0, $1) }, at: now)
  }

  /// What other Drovers have to know of that, should they take over.
  public var holdState: HoldState {
    var state = HoldState()
    // Until it is told it may come to nothing.
    if told.contains(.breaker) { state.breaker = ledger.breaker }
    state.breakerResetAt = ledger.resetAt
    state.partition = networks.hold
    // Whoever takes over lets everything stay the same anew.
    if let since = state.partition?.since { state.partition?.lastChange = since }
    state.partitionEndedAt = networks.endedAt
    state.losses = networks.lossTimes
    return state
  }

  private mutating func restore(
    _ decision: Decision, _ epoch: EpochOffset, _ at: Moment, _ now: Moment, _ former: inout NetworkHold
  ) {
    if decision.action == .resetHold {
      let ended = Self.holds(endedBy: decision)
      if ended.contains(.breaker) {
        ledger.reset(at: at)
        shadowLedger.reset(at: at)
      }
      if ended.contains(.partition) { former.reset(at: at) }
      return
    }
    func fact(_ name: String) -> String? { decision.evidence.first { $0.name == name }?.value }
    guard decision.action == .abort, decision.trigger != .person, !decision.isOfDrain else { return }
    if fact(FactName.holdBegan) == HoldReason.partition.rawValue {
      if decision.result == nil {
        former.restore(since: at, at: now)
      } else {
        former.reset(at: decision.resultAt.map { min(epoch.moment(unixMilliseconds: $0), now) } ?? at)
      }
      return
    }
    let isUnsent = decision.kind == .acted && decision.isUnsent
    if !isUnsent, let id = decision.migration, let vm = decision.vm,
      decision.kind == .acted || decision.kind == .shadowed
    {
      shadowLedger.claim(
        id, vm, decision.trigger, settings.limits, isShadow: decision.kind == .shadowed, at: at)
      if decision.kind == .acted { ledger.claim(id, vm, decision.trigger, settings.limits, at: at) }
    }
    let isShadow = fact(FactName.mode) == "shadow"
    if decision.kind == .held, fact(FactName.hold) == HoldReason.breaker.rawValue {
      isShadow ? shadowLedger.noteWish(at: at) : ledger.noteWish(at: at)
    }
    guard fact(FactName.holdBegan) == nil else { return }
    var key = AutomaticKey(
      decision.migration?.description ?? "", decision.trigger, alert: fact(FactName.alert) ?? "")
    key.isMislabelled = decision.trigger == .alert && decision.refusal?.isAboutLabels ?? false
    if isUnsent {
      // It may be tried again; a record that was acted upon is never changed.
      standings[key] = Standing(
        kind: .held, refusal: Refusal(.unreadable, decision.resultText), configuration: configuration,
        unsent: (standings[key]?.unsent ?? 0) + 1)
      return
    }
    standings[key] = Standing(
      kind: decision.kind, refusal: decision.refusal.map { Refusal($0, decision.text) }, record: decision.id,
      isShadow: isShadow, configuration: configuration)
  }

  /// The facts that tell which holds a person ended.
  public static func facts(ofEnded reasons: Set<HoldReason>) -> [Decision.Fact] {
    HoldReason.allCases.filter(reasons.contains).map { .init(FactName.hold, $0.rawValue) }
  }

  /// A record that names none ended all.
  private static func holds(endedBy decision: Decision) -> [HoldReason] {
    let told = decision.evidence.filter { $0.name == FactName.hold }
    return told.isEmpty ? HoldReason.allCases : told.compactMap { HoldReason(rawValue: $0.value) }
  }

  // MARK: A journal that takes nothing

  /// After so long what was not recorded is decided again.
  static let longestUnrecorded = Duration.seconds(60)

  /// Forgets what rules decided and the journal did not take, so that it is decided again and comes into it.
  public mutating func forgetUnrecorded(at now: Moment) {
    // Looked at in place: twice a second, of thousands.
    let old = standings.indices.filter { index in
      !standings.values[index].isUnderWay && standings.values[index].forgetAt.map { $0 <= now } ?? false
    }
    guard !old.isEmpty else { return }
    for (key, standing) in old.map({ standings[$0] }) {
      standings[key] = nil
      guard standing.kind == .shadowed, let id = MigrationID(key.migration) else { continue }
      shadowLedger.release(id, settings.limits, at: now)
    }
    lookAtAll()
  }

  /// The fact that makes a record one of a hold.
  public static func fact(ofHold reason: HoldReason) -> Decision.Fact {
    .init(FactName.holdBegan, reason.rawValue)
  }

  /// The hold that a record is about; nil where it is about something else.
  public static func hold(begunBy decision: Decision) -> HoldReason? {
    decision.evidence.first { $0.name == FactName.holdBegan }.flatMap { HoldReason(rawValue: $0.value) }
  }

  /// What a record needs so that the decision is known again after a restart.
  public static func facts(of decision: AutomaticDecision) -> [Decision.Fact] {
    guard decision.refusal?.reason == .hold else { return [] }
    let isPartition = decision.refusal == partitionRefusal
    return [.init(FactName.hold, (isPartition ? HoldReason.partition : .breaker).rawValue)]
  }

  // MARK: Refusals at the source

  /// Whether the same was said of this before.
  public func hasSaid(_ decision: AutomaticDecision) -> Bool {
    said[decision.key] == decision.refusal?.reason
  }

  /// Remembers what was said, and its record.
  public mutating func say(_ decision: AutomaticDecision, _ record: DecisionID?) {
    said[decision.key] = decision.refusal?.reason
    if let record { standings[decision.key]?.record = record }
  }
}
