public import DroverCore
public import Logging
internal import Synchronization

/// Lets policies and alerts end migrations: it feeds ``AutomaticAborts``, records what that decides, and has the control
/// module carry out what is to be done.
public final class AutomaticControl: Sendable {
  struct State {
    var aborts = AutomaticAborts()
    /// The records of holds that have not ended.
    var holds: [HoldReason: DecisionID] = [:]
    /// Whether it was said that nothing is known of earlier decisions.
    var isRestoreTold = false
    /// Whether what the leader before did cannot be read.
    var isTakeoverOpen = false
    /// For which of its terms as the leader earlier decisions were taken up.
    var restoredTerm: UInt64 = 0
    /// What other Drovers know of holds.
    var sharing = HoldSharing()
    /// When a drain last asked for the partition hold.
    var askedAt: Moment?
  }

  /// How often everything is looked at while there is a migration that a rule, an alert or a drain may end.
  static let interval = Duration.milliseconds(200)
  /// How often otherwise.
  static let restInterval = Duration.seconds(1)
  /// How far back decisions bound what is done now; beyond the longest limit that can be configured.
  static let memory = Duration.seconds(8 * 86_400)

  let control: MigrationControl
  let journal: (any AutomaticJournal)?
  private let isRecording: @Sendable () -> Bool
  let log: Logger
  let state = Mutex(State())

  /// Makes a module that acts through `control`.
  ///
  /// - Parameters:
  ///   - journal: Where decisions are; nil where there is none: then nothing is ended by itself.
  ///   - isRecording: Whether the journal takes anything at this moment.
  public init(
    _ control: MigrationControl, journal: (any AutomaticJournal)?, log: Logger,
    isRecording: @escaping @Sendable () -> Bool = { true }
  ) {
    self.control = control
    self.journal = journal
    self.isRecording = isRecording
    self.log = log
  }

  /// Puts rules and bounds into force.
  public func apply(_ settings: AutomaticSettings) { state.withLock { $0.aborts.apply(settings) } }

  /// What is in force.
  public var settings: AutomaticSettings { state.withLock(\.aborts.settings) }

  /// Why automatic aborts wait now.
  public var holds: Set<HoldReason> {
    var holds = state.withLock(\.aborts.holds)
    if state.withLock(\.isTakeoverOpen) { holds.insert(.takeover) }
    return journal != nil && isRecording() ? holds : holds.union([.journal])
  }

  /// Whether many migrations have lost their network at once; whoever asks again and again is told soon.
  public var isPartitioned: Bool {
    let now = control.clock.now()
    state.withLock { $0.askedAt = now }
    return holds.contains(.partition)
  }

  /// What the rule that governs a migration comes to for it from now on.
  public func outlook(of view: MigrationView) -> [AutomaticOutlook] {
    let now = control.clock.now()
    return state.withLock { $0.aborts.outlook(of: view, at: now) }
  }

  /// What was decided since the start, whoever asked, and why automatic aborts wait.
  public var totals: ControlTotals {
    var totals = control.totals
    totals.holds = holds
    return totals
  }

  /// Looks at everything again and again, until cancelled.
  public func run() async {
    await withDiscardingTaskGroup { group in
      while !Task.isCancelled {
        for decision in await look() { group.addTask { await self.carryOut(decision) } }
        if isSharingDue() { group.addTask { await self.share() } }
        try? await Task.sleep(for: pause)
      }
    }
  }

  /// How long it may rest now.
  var pause: Duration {
    let settings = settings
    let isAsked = state.withLock(\.askedAt).map { control.clock.now() - $0 < .seconds(5) } ?? false
    guard isAsked || max(settings.policies, settings.alerts ?? .observe) > .observe else {
      return Self.restInterval
    }
    let isBusy = control.fleet.snapshot().groups.contains { $0.views.contains { !$0.isOver } }
    return isBusy ? Self.interval : Self.restInterval
  }

  /// Looks once.
  ///
  /// - Returns: What is to be carried out or recorded, each on its own: one that hangs keeps no other waiting.
  func look() async -> [AutomaticDecision] {
    await restore()
    let (now, snapshot) = (control.clock.now(), control.fleet.snapshot())
    let isRecording = isRecording()
    let steps = state.withLock { state in
      if isRecording { state.aborts.forgetUnrecorded(at: now) }
      return state.aborts.step(snapshot, at: now)
    }
    var decisions: [AutomaticDecision] = []
    for step in steps {
      switch step {
      case .decision(let decision): decisions.append(decision)
      case .holdBegan(let reason, let trigger, let words): await tell(reason, trigger, words)
      case .holdEnded(let reason, let words): await end(reason, words)
      }
    }
    return decisions
  }

  /// Carries one decision out, or records it.
  @discardableResult
  func carryOut(_ decision: AutomaticDecision) async -> (outcome: AutomaticOutcome, decision: Decision) {
    let result =
      decision.kind == .acted ? await act(decision) : (await note(decision, record: decision.record))
    let now = control.clock.now()
    state.withLock { $0.aborts.settle(decision, result.outcome, at: now) }
    return result
  }

  // MARK: Alerts

  /// What came of an alert.
  public struct AlertResult: Sendable {
    /// `acted`, `shadowed`, `refused`, `held`, or `ignored`.
    public var status: String
    /// Why it is not done; nil where it is, or nothing was asked for.
    public var refusal: RefusalReason?
    /// In words; empty where there is nothing to add.
    public var text: String
    /// The record; nil where there is none.
    public var record: DecisionID?
    /// Whether sending it again may help: it could not be stored, or its back end is out of reach.
    public var isWorthRetrying = false
  }

  /// Decides about an alert; what is to be done is recorded and sent on return.
  public func ask(_ alert: AlertWish) async -> AlertResult {
    await restore()
    let (now, snapshot) = (control.clock.now(), control.fleet.snapshot())
    let (answer, isRestored) = state.withLock {
      ($0.aborts.ask(alert, snapshot, at: now), $0.aborts.isRestored)
    }
    switch answer {
    case .ignored(let words):
      if let refusal = control.notLeading {
        return AlertResult(
          status: "held", refusal: refusal.reason, text: refusal.text, isWorthRetrying: true)
      }
      return isRestored || !alert.isFiring
        ? AlertResult(status: "ignored", text: words)
        : AlertResult(
          status: "held", refusal: .journal, text: "what was decided before cannot be read from the journal",
          isWorthRetrying: true)
    case .foreign(let words): return AlertResult(status: "ignored", text: words)
    case .underWay:
      return AlertResult(
        status: "held", text: "the same is being decided at this moment", isWorthRetrying: true)
    case .known(let kind, let refusal, let record):
      return AlertResult(
        status: kind.rawValue, refusal: refusal?.reason, text: refusal?.text ?? "", record: record,
        isWorthRetrying: refusal.map { Self.isWorthRetrying($0.reason) } ?? false)
    case .decision(let decision):
      let (outcome, made) = await carryOut(decision)
      var result = AlertResult(
        status: made.kind.rawValue, refusal: made.refusal, text: made.text, record: made.id)
      switch outcome {
      case .noted(nil): result.isWorthRetrying = true
      case .noted: result.isWorthRetrying = made.refusal == .unreadable
      case .refused(let refusal):
        result.isWorthRetrying = made.id == nil || Self.isWorthRetrying(refusal.reason)
      case .unsent(let refusal):
        result.status = refusal.reason.isPassing ? "held" : "refused"
        result.refusal = refusal.reason
        result.text = refusal.text
        result.isWorthRetrying = refusal.reason.isPassing
      case .acted: break
      }
      return result
    }
  }

  private static func isWorthRetrying(_ reason: RefusalReason) -> Bool {
    [.unreadable, .journal, .notLeader].contains(reason)
  }

  // MARK: Holds

  /// A person ends the holds that there are at this moment.
  ///
  /// - Returns: Which ended, and why they stay; nil where they do not.
  public func resetHold(by requester: String) async -> (ended: [HoldReason], problem: Refusal?) {
    if let refusal = control.notLeading { return ([], refusal) }
    let all = holds
    let standing = all.subtracting([.journal, .takeover])
    guard !standing.isEmpty else { return ([], all.contains(.takeover) ? Self.takeover : nil) }
    let words = standing.map(\.rawValue).sorted().joined(separator: ", ")
    var decision = Decision(
      madeAt: control.unixNow, action: .resetHold, trigger: .person, kind: .acted, requester: requester,
      text: "\(requester) ends the hold of automatic aborts (\(words))")
    decision.evidence = AutomaticAborts.facts(ofEnded: standing)
    let recorded = await control.record(decision)
    if let problem = recorded.problem {
      return ([], Refusal(.journal, "it cannot be recorded, so the hold stays: \(problem)"))
    }
    decision = recorded.decision
    let now = control.clock.now()
    if let refusal = await share(resetting: standing, at: now) {
      _ = await control.finish(decision, .error, refusal.text)
      return ([], refusal)
    }
    let (ended, records) = state.withLock { state in
      let records = state.holds.filter { standing.contains($0.key) }
      state.holds = state.holds.filter { !standing.contains($0.key) }
      return (state.aborts.reset(standing, at: now), records)
    }
    control.announce(decision)
    _ = await control.finish(decision, .done, "automatic aborts go on")
    for reason in HoldReason.allCases {
      if let id = records[reason] { await close(id, "\(requester) ended it") }
    }
    return (ended, all.contains(.takeover) ? Self.takeover : nil)
  }

  private static let takeover = Refusal(
    .hold,
    "what another Drover did until now cannot be read: automatic aborts go on by themselves once it can; "
      + "the log tells what is in the way")

  private func tell(_ reason: HoldReason, _ trigger: Trigger, _ words: String) async {
    log.warning("automatic aborts hold", metadata: ["reason": "\(reason.rawValue)", "text": "\(words)"])
    var decision = Decision(
      madeAt: control.unixNow, action: .abort, trigger: trigger, kind: .held, requester: "drover",
      refusal: .hold, text: words)
    decision.evidence = [AutomaticAborts.fact(ofHold: reason)]
    if let id = await control.record(decision).decision.id { state.withLock { $0.holds[reason] = id } }
  }

  private func end(_ reason: HoldReason, _ words: String) async {
    log.notice("automatic aborts go on", metadata: ["reason": "\(reason.rawValue)", "text": "\(words)"])
    if let id = state.withLock({ $0.holds.removeValue(forKey: reason) }) { await close(id, words) }
  }

  func close(_ id: DecisionID, _ words: String) async {
    await control.close(id, .done, words, at: control.unixNow)
  }

  // MARK: Carrying out

  private func act(_ decision: AutomaticDecision) async -> (outcome: AutomaticOutcome, decision: Decision) {
    guard let id = decision.migration else { return await note(decision, record: decision.record) }
    // What the next leader must know is written before anything is sent.
    if let refusal = await share() { return await refuse(decision, .held, refusal) }
    var order = AbortOrder(id, trigger: decision.key.trigger, requester: decision.requester)
    order.record = decision.record
    order.notesRefusal = false
    order.because = decision.because
    order.facts = decision.facts
    let answer = await control.abort(order) { [self] in
      let (view, now) = (control.view(of: id), control.clock.now())
      return state.withLock { $0.aborts.recheck(decision, view, at: now) }
    }
    if let unsent = answer.unsent { return (.unsent(unsent), answer.decision) }
    guard answer.decision.kind != .acted, let reason = answer.decision.refusal else {
      return (.acted(answer.decision.id), answer.decision)
    }
    return await refuse(decision, answer.decision.kind, Refusal(reason, answer.decision.text))
  }

  private func refuse(_ decision: AutomaticDecision, _ kind: DecisionKind, _ refusal: Refusal) async -> (
    outcome: AutomaticOutcome, decision: Decision
  ) {
    var refused = decision
    refused.kind = kind
    refused.refusal = refusal
    // The same refusal of the same thing is said once.
    if state.withLock({ $0.aborts.hasSaid(refused) }) { return (.refused(refusal), made(of: refused)) }
    let noted = await note(refused, record: decision.record)
    state.withLock { $0.aborts.say(refused, noted.decision.id) }
    return (.refused(refusal), noted.decision)
  }

  private func note(_ decision: AutomaticDecision, record earlier: DecisionID?) async -> (
    outcome: AutomaticOutcome, decision: Decision
  ) {
    let recorded = await control.record(made(of: decision), inPlaceOf: earlier)
    control.announce(recorded.decision)
    return (.noted(recorded.decision.id), recorded.decision)
  }

  private func made(of decision: AutomaticDecision) -> Decision {
    let view = decision.migration.flatMap { control.view(of: $0) }
    let now = control.unixNow
    var made = Decision(
      madeAt: now, action: .abort, trigger: decision.key.trigger, kind: decision.kind,
      migration: decision.migration, vm: view?.identity.vm, requester: decision.requester,
      refusal: decision.refusal?.reason, text: decision.text(at: now))
    made.node = view?.facts.source ?? ""
    made.evidence =
      decision.facts + AutomaticAborts.facts(of: decision)
      + (view.map { MigrationControl.evidence($0, nil, now: control.clock.now()) } ?? [])
    return made
  }
}
