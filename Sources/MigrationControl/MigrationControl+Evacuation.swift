public import DroverCore

/// What came of a wish to end an evacuation.
public struct StopAnswer: Sendable {
  /// What was decided: `observed` where nothing moves anything away, so that nothing was done.
  public var decision: Decision
  /// Every reason against it.
  public var refusals: [Refusal]
  /// What was found: the taint, the marks, the migrations.
  public var found: [String]
  /// What was done, step by step; what would be, where only a question was asked.
  public var steps: [String]
  /// Why it could not be done, or not all of it; nil where nothing went wrong.
  public var error: ControlError?
  /// Whether nothing was sent because only a question was asked.
  public var isDryRun: Bool
}

extension MigrationControl {
  /// Ends what moves a VM, or the VMs of a node, away by itself; returns once all steps are done, or one is not.
  ///
  /// - Parameters:
  ///   - backend: Whose VM or node it is.
  ///   - isDryRun: Looks at everything, records and sends nothing.
  public func stopEvacuation(
    of subject: EvacuationSubject, at name: BackendName, requester: String, withoutJournal: Bool = false,
    isDryRun: Bool = false
  ) async -> StopAnswer {
    var answer = StopAnswer(
      decision: decision(subject, requester), refusals: [], found: [], steps: [], isDryRun: isDryRun)
    if let refusal = notLeading { return await refuse(answer, refusal) }
    guard let backend = backend(name) else {
      return await refuse(
        answer, Refusal(.unsupported, "back end \(name.rawValue) is not there, or cannot be asked to act"))
    }
    let key = Stopping(backend: name, subject: subject)
    guard isDryRun || withState({ $0.stopping.insert(key).inserted }) else {
      return await refuse(answer, Refusal(.aborting, "somebody else ends it at this moment"))
    }
    defer { if !isDryRun { withState { _ = $0.stopping.remove(key) } } }
    do throws(ControlError) {
      let reading = try await backend.evacuation(of: subject)
      answer.found = reading.found
      answer.steps = reading.steps
      answer.refusals = reading.refusals
    } catch {
      let reason = Self.reason(for: error)
      return await refuse(answer, Refusal(reason, "what moves it away cannot be read: \(error)"))
    }
    answer.decision.evidence = answer.found.map { .init("found", $0) }
    if !answer.refusals.isEmpty { return await refuse(answer) }
    guard !answer.steps.isEmpty else {
      answer.decision.kind = .observed
      answer.decision.text = "nothing moves \(Self.words(subject)) away: there is nothing to end"
      return answer
    }
    if isDryRun { return answer }
    // Reading takes its time, and a process may have been stopped for a while meanwhile.
    if let refusal = notLeading { return await refuse(answer, refusal) }
    let recorded = await record(answer.decision, isWaived: withoutJournal)
    answer.decision = recorded.decision
    if let refusal = refusal(of: recorded.problem, isWaived: withoutJournal) {
      return await refuse(answer, refusal, isRecorded: true)
    }
    announce(answer.decision)
    // Nobody who goes away, and no end of the service, leaves half of it done.
    let act = Task { [answer] in await self.send(answer, subject, backend) }
    return await act.value
  }

  /// Asks a back end what a drain would do; nothing is changed, and nothing recorded.
  ///
  /// - Parameter node: The only node that is asked about; nil for all.
  public func preflight(of name: BackendName, node: String?) async throws(ControlError) -> Preflight {
    guard let backend = backend(name) else {
      throw ControlError(
        .unsupported, call: "a preflight", cause: "this back end cannot be asked to drain anything",
        remedy: "ask another")
    }
    return try await backend.preflight(node: node)
  }

  /// What an order of this kind is about, so that it is not carried out twice at a time.
  struct Stopping: Hashable, Sendable {
    let backend: BackendName
    let subject: EvacuationSubject
  }

  private func send(
    _ answer: StopAnswer, _ subject: EvacuationSubject, _ backend: any ControllableBackend
  ) async -> StopAnswer {
    var answer = answer
    do throws(ControlError) {
      answer.steps = try await backend.stopEvacuation(of: subject)
      answer.decision = await finish(answer.decision, .done, answer.steps.joined(separator: "; "))
    } catch {
      answer.error = error
      answer.steps = []
      answer.decision = await finish(answer.decision, .error, "\(error)")
    }
    return answer
  }

  private func refuse(_ answer: StopAnswer, _ refusal: Refusal, isRecorded: Bool = false) async -> StopAnswer
  {
    var answer = answer
    answer.refusals = [refusal]
    return await refuse(answer, isRecorded: isRecorded)
  }

  private func refuse(_ answer: StopAnswer, isRecorded: Bool = false) async -> StopAnswer {
    var answer = answer
    answer.steps = []
    answer.decision.kind = .refused
    answer.decision.refusal = answer.refusals.first?.reason
    answer.decision.text = answer.refusals.map(\.text).joined(separator: "; ")
    guard !answer.isDryRun else { return answer }
    if !isRecorded { answer.decision = await record(answer.decision).decision }
    announce(answer.decision)
    return answer
  }

  private func decision(_ subject: EvacuationSubject, _ requester: String) -> Decision {
    var decision = Decision(
      madeAt: unixNow, action: .stopEvacuation, trigger: .person, kind: .acted, requester: requester,
      text: "\(requester) ends the evacuation of \(Self.words(subject))")
    switch subject {
    case .vm(let vm): decision.vm = vm
    case .node(let node): decision.node = node
    }
    return decision
  }

  private static func words(_ subject: EvacuationSubject) -> String {
    switch subject {
    case .vm(let vm): "\(vm.scope.name)/\(vm.name)"
    case .node(let node): "node \(node)"
    }
  }

  /// What is not there and what the back end cannot do are no matter of another try.
  private static func reason(for error: ControlError) -> RefusalReason {
    switch error.kind {
    case .gone: .unknown
    case .unsupported: .unsupported
    default: .unreadable
    }
  }
}
