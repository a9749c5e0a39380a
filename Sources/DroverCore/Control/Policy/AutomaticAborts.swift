/// Decides what is ended without a person: what is known and the time in, decisions with their evidence out.
///
/// Pure: nothing here waits, sends, records or reads a clock. Whoever carries a decision out says with
/// ``settle(_:_:at:)`` what became of it; until then nothing else is decided about the same.
public struct AutomaticAborts: Sendable {
  /// What was said about one thing last.
  struct Standing: Sendable {
    var kind: DecisionKind
    var refusal: Refusal?
    var record: DecisionID?
    /// Whether it is being recorded or carried out.
    var isUnderWay = false
    /// Nothing is looked at again before that.
    var lookAgainAt: Moment?
    var isShadow = false
    /// Which rules it was decided by.
    var configuration: UInt64 = 0
    /// How often it was recorded as acted upon, and surely not sent.
    var unsent = 0
    /// When what the journal did not take is decided again; nil where it took it.
    var forgetAt: Moment?

    /// The record that the next decision about it goes on with: what was shadowed stays as it was shown.
    var continuedRecord: DecisionID? { kind == .shadowed ? nil : record }
  }

  /// After something that may pass, such as a journal that is full.
  static let pause = Duration.seconds(1)
  /// After as many as nine attempts that were not sent: each has a record of its own.
  private static let longestPause = Duration.seconds(300)

  /// What may be ended.
  public private(set) var settings = AutomaticSettings()
  /// Whether what was decided before the start is known; until then nothing is decided.
  public internal(set) var isRestored = false
  /// Counts the configurations, so that what one refused may be asked for under the next.
  var configuration: UInt64 = 0
  /// What was really sent.
  var ledger = AbortLedger()
  /// That, and what would have been sent.
  var shadowLedger = AbortLedger()
  var networks = NetworkHold()
  var standings: [AutomaticKey: Standing] = [:]
  /// Since when a condition holds that tells no time itself.
  var since: [AutomaticKey: Moment] = [:]
  /// What the source's state was refused for last, by what it was about.
  var said: [AutomaticKey: RefusalReason] = [:]
  var told: Set<HoldReason> = []
  private var seen: [Int: UInt64] = [:]
  var due: [Int: Moment] = [:]
  /// Alerts that were resolved: when each began.
  var resolved: [ResolutionKey: Int64] = [:]
  var sweptAt: Moment?

  /// Nothing is armed, nothing known.
  public init() {}

  /// Puts rules and bounds into force.
  public mutating func apply(_ settings: AutomaticSettings) {
    guard settings != self.settings else { return }
    self.settings = settings
    configuration += 1
    lookAtAll()
  }

  /// Why automatic aborts wait, as of the last look.
  public var holds: Set<HoldReason> {
    var holds: Set<HoldReason> = []
    if ledger.breaker != nil { holds.insert(.breaker) }
    if networks.hold != nil { holds.insert(.partition) }
    if !isRestored { holds.insert(.journal) }
    return holds
  }

  /// A person ends holds, those that were shown and no others.
  ///
  /// - Returns: Those that there were.
  public mutating func reset(
    _ reasons: Set<HoldReason> = Set(HoldReason.allCases), at now: Moment
  ) -> [HoldReason] {
    let ended = HoldReason.allCases.filter {
      $0 != .journal && reasons.contains($0) && holds.contains($0)
    }
    if reasons.contains(.breaker) {
      ledger.reset(at: now)
      shadowLedger.reset(at: now)
    }
    if reasons.contains(.partition) { networks.reset(at: now) }
    told.subtract(ended)
    lookAtAll()
    return ended
  }

  // MARK: Looking

  /// Looks at everything of which something may have changed.
  public mutating func step(_ snapshot: FleetSnapshot, at now: Moment) -> [AutomaticStep] {
    var steps: [AutomaticStep] = []
    var changed: Set<Int> = []
    for (index, group) in snapshot.groups.enumerated() where seen[index] != group.revision {
      changed.insert(index)
      seen[index] = group.revision
      networks.look(index, group.views, limit: settings.limits.partition, at: now)
    }
    guard isRestored else {
      // Everything is new once they are known.
      seen = [:]
      return []
    }
    advance(to: now)
    steps += holdSteps()
    for (index, group) in snapshot.groups.enumerated() {
      guard changed.contains(index) || due[index].map({ $0 <= now }) ?? false else { continue }
      var next: Moment?
      for view in group.views where !view.isOver {
        let (decisions, moment) = look(at: view, at: now)
        steps += decisions.map(AutomaticStep.decision)
        next = [next, moment].compactMap(\.self).min()
      }
      due[index] = next
    }
    sweep(snapshot, at: now)
    return steps + holdSteps()
  }

  /// Why a rule or an alert that is about to end a migration must not any more; nil where all still holds.
  ///
  /// It is asked once more after the decision is on the disk, which takes its time.
  public func recheck(_ decision: AutomaticDecision, _ view: MigrationView?, at now: Moment) -> Refusal? {
    guard let view else { return Refusal(.unknown, "it is not seen any more") }
    if let refusal = AutomaticGate.refusal(of: view, settings.limits, at: now) { return refusal }
    if networks.hold != nil { return Self.partitionRefusal }
    guard decision.key.trigger != .alert else { return recheck(decision.asking, view, at: now) }
    guard settings.enforces(decision.key.trigger, PolicySubject(view)) else {
      return Refusal(.disabled, "meanwhile no rule ends it because of this any more")
    }
    return PolicyCondition.of(decision.key.trigger, view, at: now) == nil
      ? Refusal(.changed, "meanwhile it is no longer so that \(decision.because)") : nil
  }

  private mutating func look(at view: MigrationView, at now: Moment) -> ([AutomaticDecision], Moment?) {
    let subject = PolicySubject(view)
    guard let rule = settings.rule(for: subject) else {
      // What nobody looks at has not held without a break.
      if !since.isEmpty {
        let id = view.identity.id.description
        for trigger in Trigger.ofPolicies { since[AutomaticKey(id, trigger)] = nil }
      }
      return ([], nil)
    }
    var decisions: [AutomaticDecision] = []
    var next: Moment?
    for trigger in Trigger.ofPolicies {
      let key = AutomaticKey(view.identity.id.description, trigger)
      guard let wish = rule.wishes[trigger], let condition = PolicyCondition.of(trigger, view, at: now) else {
        since[key] = nil
        if rule.wishes[trigger] != nil {
          next = [next, PolicyCondition.due(trigger, view).map { max($0, now) }].compactMap(\.self).min()
        }
        continue
      }
      let began = condition.since ?? since[key] ?? now
      since[key] = began
      let acts = began + wish.patience
      guard acts <= now else {
        next = min(next ?? acts, acts)
        continue
      }
      if let decision = decide(key, view, rule, wish, condition, began, at: now) {
        decisions.append(decision)
      }
      if let standing = standings[key], standing.kind == .held || standing.isUnderWay {
        let again = max(standing.lookAgainAt ?? now, now + .milliseconds(200))
        next = min(next ?? again, again)
      }
    }
    return (decisions, next)
  }

  private mutating func decide(
    _ key: AutomaticKey, _ view: MigrationView, _ rule: PolicyRule, _ wish: PolicyWish,
    _ condition: PolicyCondition, _ began: Moment, at now: Moment
  ) -> AutomaticDecision? {
    let (action, cap) = settings.action(wish, key.trigger, PolicySubject(view))
    var because = condition.words
    if wish.patience > .zero { because += ", for \(PolicyCondition.seconds(now - began)) now" }
    if !rule.reason.isEmpty { because += " (\(rule.reason))" }
    switch cap {
    case .policySwitch where action == .observe: because += "; the switch policies arms nothing"
    case .kubevirt: because += "; KubeVirt itself enforces this time-out"
    case .policySwitch, nil: break
    }
    var decision = AutomaticDecision(
      key: key, migration: view.identity.id, kind: .observed, requester: "rule \(rule.name)",
      because: because,
      facts: [
        .init(FactName.rule, rule.name),
        .init("held_for_seconds", "\((now - began).inSeconds)"),
      ])
    return conclude(&decision, action, view, at: now) ? decision : nil
  }

  // MARK: Deciding

  /// Makes of a wish what it comes to now; false where that was said before, or is being done.
  mutating func conclude(
    _ decision: inout AutomaticDecision, _ action: PolicyAction, _ view: MigrationView, at now: Moment
  ) -> Bool {
    let key = decision.key
    let standing = standings[key]
    if let standing {
      if standing.isUnderWay || standing.kind == .acted { return false }
      if let again = standing.lookAgainAt, again > now { return false }
      decision.record = standing.continuedRecord
    }
    if action == .observe {
      guard standing == nil else { return false }
      decision.kind = .observed
      stand(decision)
      return true
    }
    decision.isShadow = action == .shadow
    if decision.isShadow {
      if standing?.kind == .shadowed { return false }
      decision.facts.append(.init(FactName.mode, "shadow"))
    }
    if let refusal = refusal(of: view, isShadow: decision.isShadow, at: now) {
      decision.refusal = refusal
      decision.kind = refusal.reason.isPassing ? .held : .refused
      return refused(decision, standing, at: now)
    }
    decision.kind = decision.isShadow ? .shadowed : .acted
    let id = view.identity.id
    shadowLedger.claim(
      id, view.identity.vm, key.trigger, settings.limits, isShadow: decision.isShadow, at: now)
    if !decision.isShadow { ledger.claim(id, view.identity.vm, key.trigger, settings.limits, at: now) }
    stand(decision)
    return true
  }

  private mutating func refused(
    _ decision: AutomaticDecision, _ standing: Standing?, at now: Moment
  ) -> Bool {
    let isFirst =
      standing.map { before in
        before.kind == .observed || before.isShadow && !decision.isShadow
          || before.kind == .held && decision.kind == .refused
          // Its migration was not shown before.
          || before.refusal?.reason == .unknown
      } ?? true
    if decision.refusal?.reason == .hold, isFirst {
      decision.isShadow ? shadowLedger.noteWish(at: now) : ledger.noteWish(at: now)
    }
    guard isFirst else {
      standings[decision.key]?.refusal = decision.refusal
      standings[decision.key]?.lookAgainAt = now + .milliseconds(500)
      return false
    }
    stand(decision)
    return true
  }

  private mutating func stand(_ decision: AutomaticDecision) {
    standings[decision.key] = Standing(
      kind: decision.kind, refusal: decision.refusal, record: decision.record, isUnderWay: true,
      isShadow: decision.isShadow, configuration: configuration,
      unsent: standings[decision.key]?.unsent ?? 0)
  }

  private func refusal(of view: MigrationView, isShadow: Bool, at now: Moment) -> Refusal? {
    if let refusal = AutomaticGate.refusal(of: view, settings.limits, at: now) { return refusal }
    if networks.hold != nil { return Self.partitionRefusal }
    return (isShadow ? shadowLedger : ledger).refusal(
      of: view.identity.id, view.identity.vm, settings.limits, at: now)
  }

  static let partitionRefusal = Refusal(
    .hold,
    "many migrations lost their network at once: automatic aborts wait until that has not changed for one "
      + "progress time-out, or somebody says drover decisions --reset-hold")

  /// Takes what became of a decision.
  public mutating func settle(_ decision: AutomaticDecision, _ outcome: AutomaticOutcome, at now: Moment) {
    guard var standing = standings[decision.key] else { return }
    standing.isUnderWay = false
    switch outcome {
    case .noted(nil) where decision.key.trigger == .alert:
      // What is not stored is not answered: it is asked again, and decided anew.
      if decision.kind == .shadowed, let id = decision.migration {
        shadowLedger.release(id, settings.limits, at: now)
      }
      standings[decision.key] = nil
      return
    case .noted(let record):
      standing.record = record ?? standing.record
      standing.forgetAt = record == nil ? now + Self.longestUnrecorded : nil
    case .acted(let record):
      standing.kind = .acted
      standing.record = record ?? standing.record
    case .unsent(let refusal):
      // What somebody else has claimed counts as if it was done here.
      if refusal.reason != .claimed, let id = decision.migration {
        ledger.release(id, settings.limits, at: now)
        shadowLedger.release(id, settings.limits, at: now)
      }
      standing.kind = refusal.reason.isPassing ? .held : .refused
      standing.refusal = refusal
      standing.record = nil
      standing.lookAgainAt = now + min(Self.pause * (1 << min(standing.unsent, 10)), Self.longestPause)
      standing.unsent += 1
      said[decision.key] = nil
    case .refused(let refusal):
      if let id = decision.migration {
        ledger.release(id, settings.limits, at: now)
        shadowLedger.release(id, settings.limits, at: now)
      }
      standing.kind = refusal.reason.isPassing ? .held : .refused
      standing.refusal = refusal
      standing.lookAgainAt = now + Self.pause
    }
    standings[decision.key] = standing
    lookAtAll()
  }

  /// Everything is looked at again with the next step.
  mutating func lookAtAll() { seen = [:] }

  /// Forgets what is about migrations that are not shown any more.
  private mutating func sweep(_ snapshot: FleetSnapshot, at now: Moment) {
    guard now - (sweptAt ?? now) >= .seconds(60) || sweptAt == nil else { return }
    sweptAt = now
    // What a back end shows that does not answer is not known; it may show the same again.
    let isComplete = snapshot.backends.allSatisfy { $0.hasAttempted && $0.isUp }
    let count = standings.count + since.count + said.count
    guard isComplete && count > 0 || max(count, resolved.count) > Self.mostStandings else { return }
    let known = Set(snapshot.migrations.map(\.identity.id.description))
    if resolved.count > Self.mostStandings {
      resolved = resolved.filter { known.contains($0.key.about.migration) }
    }
    guard isComplete || count > Self.mostStandings else { return }
    since = since.filter { known.contains($0.key.migration) }
    said = said.filter { known.contains($0.key.migration) }
    standings = standings.filter { key, standing in
      known.contains(key.migration) || standing.isUnderWay || key.trigger == .alert
    }
    if standings.count > Self.mostStandings {
      standings = standings.filter { known.contains($0.key.migration) || $0.value.isUnderWay }
    }
  }

  static let mostStandings = 10_000
}
