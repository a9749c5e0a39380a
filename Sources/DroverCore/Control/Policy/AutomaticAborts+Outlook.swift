/// What a rule's wish comes to for a migration if it goes on as it does.
public struct AutomaticOutlook: Hashable, Sendable {
  /// What is looked out for.
  public var trigger: Trigger
  /// The rule that governs, by its name.
  public var rule: String
  /// How far it goes.
  public var action: PolicyAction
  /// How long the trigger must hold before.
  public var patience: Duration
  /// When it has held for so long; nil where time alone does not bring that about.
  public var at: Moment?
  /// Whether it holds now.
  public var holds: Bool
  /// Whether it was shown already what it would have done.
  public var isShown = false
  /// Why it would not be done then; nil where nothing is in the way.
  public var obstacle: Refusal?
  /// Until when that is in the way at least; nil where time does not end it.
  public var obstacleEnds: Moment?
}

extension AutomaticAborts {
  /// What the rule that governs a migration comes to from now on; empty where none does.
  ///
  /// What KubeVirt enforces itself is left out: there the rule ends nothing.
  public func outlook(of view: MigrationView, at now: Moment) -> [AutomaticOutlook] {
    let subject = PolicySubject(view)
    guard !view.isOver, let rule = settings.rule(for: subject) else { return [] }
    return Trigger.ofPolicies.compactMap { trigger in
      guard let wish = rule.wishes[trigger] else { return nil }
      let (action, cap) = settings.action(wish, trigger, subject)
      guard cap != .kubevirt else { return nil }
      let key = AutomaticKey(view.identity.id.description, trigger)
      let condition = PolicyCondition.of(trigger, view, at: now)
      let began =
        condition.map { $0.since ?? since[key] ?? now } ?? PolicyCondition.due(trigger, view)
        ?? (trigger == .progressTimeout ? view.progressDeadline : nil)
      var outlook = AutomaticOutlook(
        trigger: trigger, rule: rule.name, action: action, patience: wish.patience,
        at: began.map { $0 + wish.patience }, holds: condition != nil)
      outlook.isShown = action == .shadow && standings[key]?.kind == .shadowed
      if action > .observe, !outlook.isShown {
        (outlook.obstacle, outlook.obstacleEnds) = obstacle(
          key, view, isShadow: action == .shadow, since: outlook.at ?? now, at: now)
      }
      return outlook
    }
  }

  private func obstacle(
    _ key: AutomaticKey, _ view: MigrationView, isShadow: Bool, since acts: Moment, at now: Moment
  ) -> (Refusal?, Moment?) {
    if let refusal = AutomaticGate.refusal(of: view, settings.limits, at: now),
      acts <= now || !refusal.reason.isPassing
    {
      return (refusal, nil)
    }
    if let hold = networks.hold, hold.lastChange + hold.quiet > acts {
      return (Self.partitionRefusal, hold.lastChange + hold.quiet)
    }
    let ledger = isShadow ? shadowLedger : ledger
    let (vm, limits) = (view.identity.vm, settings.limits)
    if let refusal = ledger.refusal(of: view.identity.id, vm, limits, at: now) {
      let end = ledger.end(of: refusal, vm, limits)
      if end.map({ $0 > acts }) ?? true { return (refusal, end) }
    }
    guard let standing = standings[key], standing.kind == .held, let refusal = standing.refusal,
      let again = standing.lookAgainAt, again > now + .seconds(1)
    else { return (nil, nil) }
    // It was tried, and is tried again then.
    return (refusal, again)
  }
}
