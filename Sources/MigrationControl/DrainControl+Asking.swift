public import DroverCore

/// What came of a wish about a drain.
public struct DrainAnswer: Sendable {
  /// What was decided.
  public var decision: Decision
  /// Every reason against it; empty where it is done.
  public var refusals: [Refusal] = []
  /// The drain as it is now; nil where there is none.
  public var status: DrainStatus?
  /// Whether it was begun by this wish.
  public var isNew = false
  /// Whether nothing was done because only a question was asked.
  public var isDryRun = false
  /// What a drain would do to each VM; for questions only.
  public var forecast: [Forecast] = []
  /// What is worth knowing.
  public var notes: [String] = []

  /// What a drain would do to one VM.
  public struct Forecast: Hashable, Sendable {
    /// The VM.
    public var vm: VMRef
    /// Where it would go; nil where the system chooses, or it goes nowhere.
    public var target: String?
    /// Why it would stay; empty where it would go.
    public var refusals: [Refusal]
    /// What is not known, and may yet keep it where it is; nil where nobody was asked about that.
    public var doubts: [String]?
  }
}

/// What people ask of drains.
extension DrainControl {
  /// Begins to empty a node, or says why not; one that is being emptied already stays as it is.
  ///
  /// - Parameter isDryRun: Looks at everything, and does nothing.
  public func begin(_ node: NodeRef, requester: String, isDryRun: Bool = false) async -> DrainAnswer {
    var decision = Decision(
      madeAt: control.unixNow, action: .drain, trigger: .person, kind: .acted, requester: requester,
      text: "\(requester) drains it")
    decision.node = node.node
    decision.evidence = [.init("backend", node.backend.rawValue)]
    if let refusal = control.notLeading { return await refuse(decision, refusal, isDryRun) }
    // One of an earlier run may be in force.
    await load()
    if !isDryRun, let status = status(node), status.record.state == .active {
      decision.id = status.record.id
      return DrainAnswer(decision: decision, status: status)
    }
    guard isDryRun || withState({ $0.beginning.insert(node).inserted }) else {
      return await refuse(decision, Refusal(.migrating, "somebody else begins it at this moment"), isDryRun)
    }
    defer { if !isDryRun { withState { _ = $0.beginning.remove(node) } } }
    if !isDryRun, status(node)?.record.state == .cancelling {
      return await refuse(
        decision,
        Refusal(.aborting, "its last drain is being ended; wait until what that began is over"), isDryRun)
    }
    guard let backend = control.backend(node.backend) else {
      return await refuse(decision, Refusal(.unsupported, "\(Self.noBackend(node))"), isDryRun)
    }
    let askedAt = clock.now()
    let reading: NodeReading
    do throws(ControlError) {
      reading = try await backend.node(node.node)
    } catch {
      return await refuse(decision, Self.refusal(of: error), isDryRun)
    }
    if isDryRun {
      var answer = DrainAnswer(decision: decision, isDryRun: true)
      answer.status = status(node)
      if let drainedBy = reading.drainedBy {
        answer.notes.append("\(drainedBy.words): Drover would only follow, and move nothing itself")
      }
      if reading.isCordoned == false { answer.notes.append("it would be cordoned first") }
      answer.forecast = await forecast(reading, backend)
      return answer
    }
    decision.evidence += [
      .init("vms", "\(reading.guests.count)"),
      .init("drained_by", reading.drainedBy?.words ?? "nobody"),
    ]
    return await begin(decision, node, DrainPlan.Reading(reading, askedAt: askedAt))
  }

  private func begin(_ wish: Decision, _ node: NodeRef, _ reading: DrainPlan.Reading) async -> DrainAnswer {
    let recorded = await control.record(wish)
    var decision = recorded.decision
    let missing = recorded.problem ?? (store == nil ? MigrationControl.noJournal : nil)
    guard missing == nil, let id = decision.id else {
      let problem = missing ?? MigrationControl.noJournal
      let refusal = Refusal(.journal, "it cannot be recorded, so it is not done: \(problem)")
      return await refuse(decision, refusal, false, isRecorded: true)
    }
    let record = DrainRecord(
      id: id, node: node, requester: decision.requester, startedAt: decision.madeAt)
    withState { state in
      var running = Running(plan: DrainPlan(record, settings: state.settings))
      running.reading = reading
      running.readAt = reading.askedAt
      running.isHeld = true
      state.drains[node] = running
    }
    let isSaved = await save(node)
    withState { state in
      state.drains[node]?.isHeld = false
      // The store may take it later all the same: then it is to take its end, too.
      if !isSaved {
        state.drains[node]?.plan.giveUp(
          .cancelled, "not begun: it could not be stored", at: control.unixNow)
      }
    }
    guard isSaved else {
      decision = await control.finish(decision, .error, "not begun: it could not be stored")
      return DrainAnswer(
        decision: decision, refusals: [Refusal(.journal, "it could not be stored, so it is not done")])
    }
    control.announce(decision)
    return DrainAnswer(decision: decision, status: status(node), isNew: true)
  }

  /// Ends the drain of a node: nothing more is begun, and what is under way goes on.
  ///
  /// - Parameter uncordons: Whether the node is given free for VMs again, also where no drain is in force.
  public func end(_ node: NodeRef, requester: String, uncordons: Bool) async -> DrainAnswer {
    var decision = Decision(
      madeAt: control.unixNow, action: .drain, trigger: .person, kind: .acted, requester: requester,
      text: "\(requester) ends the drain")
    decision.node = node.node
    if let refusal = control.notLeading { return await refuse(decision, refusal, false) }
    // One of an earlier run may be in force.
    await load()
    let isInForce = status(node)?.record.state.isInForce ?? false
    guard isInForce || store == nil || withState(\.isLoaded) else {
      return await refuse(
        decision,
        Refusal(.journal, "the journal cannot be read, so it is not known what drain is in force; try again"),
        false)
    }
    guard isInForce || uncordons else {
      return await refuse(decision, Refusal(.unknown, "no drain of \(node.node) is in force"), false)
    }
    var answer = DrainAnswer(decision: decision)
    if isInForce {
      withState { $0.drains[node]?.plan.cancel(by: requester) }
      // To do less needs no record; there is one where that can be.
      decision = await control.record(decision).decision
      control.announce(decision)
      answer.decision = await control.finish(decision, .done, "nothing more is begun")
      _ = await save(node)
    }
    if uncordons {
      answer.refusals = await uncordon(node, requester: requester).map { [$0] } ?? []
      answer.decision.action = .uncordon
    }
    answer.status = status(node)
    return answer
  }

  /// The reason where it is not done.
  private func uncordon(_ node: NodeRef, requester: String) async -> Refusal? {
    guard let backend = control.backend(node.backend) else {
      return Refusal(.unsupported, "\(Self.noBackend(node))")
    }
    // What closes it at this moment would come after what opens it.
    await withState { $0.drains[node]?.cordoning }?.value
    do throws(ControlError) {
      // A host that cannot be closed needs no opening.
      if try await backend.node(node.node).isCordoned == true {
        if let refusal = await setCordon(node, false, requester: requester) { return refusal }
      }
    } catch {
      return Self.refusal(of: error)
    }
    withState { $0.drains[node]?.plan.reopen() }
    _ = await save(node)
    return nil
  }

  private static func refusal(of error: ControlError) -> Refusal {
    let reason: RefusalReason =
      switch error.kind {
      case .unsupported: .unsupported
      case .gone: .unknown
      default: .unreadable
      }
    return Refusal(reason, "\(error)")
  }

  private func refuse(
    _ wish: Decision, _ refusal: Refusal, _ isDryRun: Bool, isRecorded: Bool = false
  ) async -> DrainAnswer {
    var decision = wish
    decision.kind = .refused
    decision.refusal = refusal.reason
    decision.text = refusal.text
    if !isDryRun {
      if !isRecorded { decision = await control.record(decision).decision }
      control.announce(decision)
    }
    return DrainAnswer(decision: decision, refusals: [refusal], isDryRun: isDryRun)
  }

  // MARK: Questions

  /// Guests that are asked about at a time.
  private static let questions = 4
  /// For all of them: what is not known by then is told as not known.
  private static let longestForecast = Duration.seconds(45)

  private func forecast(_ reading: NodeReading, _ backend: any ControllableBackend) async -> [DrainAnswer
    .Forecast]
  {
    // Biggest first, as they are moved.
    let guests = reading.guests.sorted { ($0.memory ?? 0) > ($1.memory ?? 0) }
    var answers: [Int: Question] = [:]
    let end = ContinuousClock.now + Self.longestForecast
    await withTaskGroup(of: (Int, Question).self) { group in
      for (number, guest) in guests.enumerated() {
        if number >= Self.questions, let (done, answer) = await group.next() { answers[done] = answer }
        group.addTask { (number, await Self.question(guest, backend, until: end)) }
      }
      for await (done, answer) in group { answers[done] = answer }
    }
    var reserved: [String: MoveChoices.Reserved] = [:]
    var forecast: [DrainAnswer.Forecast] = []
    for (number, guest) in guests.enumerated() {
      switch answers[number] {
      case .choices(let choices)?:
        switch choices.choice(reserved: reserved) {
        case .target(let target):
          reserved[target.host, default: MoveChoices.Reserved()].memory =
            (reserved[target.host]?.memory ?? 0) + (choices.memory ?? guest.memory ?? 0)
          reserved[target.host, default: MoveChoices.Reserved()].guests += 1
          let doubts = choices.doubts(about: target).map { "\($0.text); \($0.remedy)" }
          forecast.append(.init(vm: guest.vm, target: target.node, refusals: [], doubts: doubts))
        case .blocked(let refusals), .noRoom(let refusals):
          forecast.append(.init(vm: guest.vm, refusals: refusals))
        }
      case .plan(let refusals)?:
        // What cannot be read speaks neither for it nor against it.
        let isOpen = !refusals.isEmpty && refusals.allSatisfy { $0.reason == .unreadable }
        forecast.append(
          .init(
            vm: guest.vm, refusals: isOpen ? [] : refusals, doubts: isOpen ? refusals.map(\.text) : nil))
      case nil: break
      }
    }
    return forecast.sorted { ($0.vm.scope.name, $0.vm.name) < ($1.vm.scope.name, $1.vm.name) }
  }

  private enum Question: Sendable {
    case choices(MoveChoices)
    case plan([Refusal])
  }

  private static func question(
    _ guest: NodeReading.Guest, _ backend: any ControllableBackend, until end: ContinuousClock.Instant
  ) async -> Question {
    guard guest.isWatched else { return .plan([Refusal(.unsupported, NodeReading.Guest.notWatched)]) }
    let late = Question.plan([Refusal(.unreadable, "what speaks against it did not come in time; try again")])
    let left = end - .now
    guard left > .zero else { return late }
    return await answer(within: left, orElse: late) { await question(guest.vm, backend) }
  }

  private static func question(_ vm: VMRef, _ backend: any ControllableBackend) async -> Question {
    do throws(ControlError) {
      if let choices = try await backend.choices(for: vm) { return .choices(choices) }
      return .plan(try await backend.plan(StartOrder(vm: vm)).refusals)
    } catch {
      return .plan([Refusal(.unreadable, "what speaks against it cannot be read: \(error)")])
    }
  }
}
