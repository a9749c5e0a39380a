internal import DroverCore
internal import Logging

/// What drains decide, done through the control module.
extension DrainControl {
  func carryOut(_ command: DrainCommand, _ node: NodeRef) async {
    switch command {
    case .cordon: await cordon(node)
    case .migrate(let vm): await migrate(vm, node)
    case .abort(let vm, let migration, let trigger): await abort(vm, migration, trigger, node)
    case .ended(let state): await finish(state, node)
    }
  }

  private func change(_ node: NodeRef, _ body: (inout DrainPlan) -> Void) {
    withState { state in
      guard var plan = state.drains[node]?.plan else { return }
      body(&plan)
      state.drains[node]?.plan = plan
    }
  }

  /// Who asks, as the decisions tell it.
  private func requester(_ node: NodeRef) -> String {
    let who = withState { $0.drains[node]?.plan.record.requester } ?? ""
    return "the drain of \(node.node), for \(who)"
  }

  // MARK: Migrations

  private func migrate(_ vm: VMRef, _ node: NodeRef) async {
    let result = await start(vm, node)
    change(node) { $0.started(vm, result, at: clock.now()) }
  }

  private func start(_ vm: VMRef, _ node: NodeRef) async -> DrainStart {
    guard let backend = control.backend(node.backend) else {
      return .refused([Refusal(.unreadable, "\(Self.noBackend(node))")])
    }
    var order = StartOrder(vm: vm)
    do throws(ControlError) {
      if let choices = try await backend.choices(for: vm) {
        switch place(vm, choices, node) {
        case .target(let target): order.node = target.node
        case .blocked(let refusals): return .blocked(refusals)
        case .noRoom(let refusals): return .refused(refusals)
        case nil: return .refused([Refusal(.disabled, "the drain was ended")])
        }
      }
    } catch {
      return .refused([Refusal(.unreadable, "where it could go cannot be read: \(error)")])
    }
    // After a crash it is known that a migration may have been asked for: it is looked for, and not begun again.
    guard await save(node) else {
      return .refused([Refusal(.journal, "it cannot be recorded that a migration of it is begun")])
    }
    guard withState({ $0.drains[node]?.plan.wants(vm) ?? false }) else {
      return .refused([Refusal(.disabled, "the drain was ended")])
    }
    let answer = await control.migrate(order, requester: requester(node))
    if answer.decision.kind != .acted { return .refused(answer.refusals) }
    if let error = answer.error, !error.mayBeDone { return .failed("\(error)") }
    return .underWay(answer.decision.migration)
  }

  /// Chooses where to, and sets the room aside at once, so that two who choose see each other.
  private func place(_ vm: VMRef, _ choices: MoveChoices, _ node: NodeRef) -> MoveChoices.Choice? {
    let views = control.fleet.snapshot().migrations.filter { !$0.isOver && !$0.facts.target.isEmpty }
    return withState { state in
      guard var plan = state.drains[node]?.plan, plan.wants(vm) else { return nil }
      var reserved: [String: MoveChoices.Reserved] = [:]
      var own: Set<VMRef> = []
      for (other, running) in state.drains where running.plan.record.state.isInForce {
        own.formUnion(running.plan.record.vms.filter { $0.sentAt != nil }.map(\.vm))
        guard other != node else { continue }
        for (host, part) in running.plan.reserved() {
          reserved[host, default: MoveChoices.Reserved()].memory =
            (reserved[host]?.memory ?? 0) + part.memory
          reserved[host, default: MoveChoices.Reserved()].guests += part.guests
        }
      }
      for view in views where !own.contains(view.identity.vm) {
        let host = view.facts.target
        reserved[host, default: MoveChoices.Reserved()].memory =
          (reserved[host]?.memory ?? 0) + (view.facts.memory ?? 0)
        reserved[host, default: MoveChoices.Reserved()].guests += 1
      }
      let choice = plan.place(vm, choices, reserved: reserved)
      state.drains[node]?.plan = plan
      return choice
    }
  }

  private func abort(_ vm: VMRef, _ migration: MigrationID, _ trigger: Trigger, _ node: NodeRef) async {
    // For an end that is seen only after a crash.
    _ = await save(node)
    let answer = await control.abort(
      AbortOrder(migration, trigger: trigger, requester: requester(node))
    ) { [isPartitioned] in
      isPartitioned() ? Refusal(.hold, DrainPlan.heldByPartition) : nil
    }
    let isSent =
      answer.decision.kind == .acted && (answer.decision.result != .error || answer.error?.mayBeDone ?? false)
    let text = answer.decision.resultText.isEmpty ? answer.decision.text : answer.decision.resultText
    change(node) { $0.aborted(vm, migration, isSent: isSent, text, at: clock.now()) }
  }

  // MARK: Nodes

  private func cordon(_ node: NodeRef) async {
    let problem = await setCordon(node, true, requester: requester(node)) {
      self.withState { $0.drains[node]?.plan.record.state == .active }
    }
    change(node) { $0.cordoned(problem?.text ?? "", at: clock.now()) }
  }

  /// Closes or opens a node; the reason where it is not done.
  ///
  /// - Parameter isWanted: Asked right before it is done.
  func setCordon(
    _ node: NodeRef, _ isCordoned: Bool, requester: String, isWanted: () -> Bool = { true }
  ) async -> Refusal? {
    guard let backend = control.backend(node.backend) else {
      return Refusal(.unsupported, "\(Self.noBackend(node))")
    }
    var decision = Decision(
      madeAt: control.unixNow, action: isCordoned ? .cordon : .uncordon, trigger: .person, kind: .acted,
      requester: requester,
      text: "\(requester) \(isCordoned ? "keeps new VMs off it" : "gives it free for VMs again")")
    decision.node = node.node
    decision.evidence = [.init("backend", node.backend.rawValue)]
    if let refusal = control.notLeading { return refusal }
    let recorded = await control.record(decision)
    decision = recorded.decision
    if let refusal = control.refusal(of: recorded.problem, isWaived: false) {
      decision.kind = .refused
      decision.refusal = refusal.reason
      decision.text = refusal.text
      control.announce(decision)
      return refusal
    }
    control.announce(decision)
    guard isWanted() else {
      let refusal = Refusal(.disabled, "the drain was ended")
      _ = await control.finish(decision, .endedOtherwise, refusal.text)
      return refusal
    }
    do throws(ControlError) {
      try await backend.cordon(node.node, isCordoned: isCordoned)
    } catch {
      _ = await control.finish(decision, .error, "\(error)")
      return Refusal(error.kind == .unsupported ? .unsupported : .system, "\(error)")
    }
    _ = await control.finish(decision, .done, isCordoned ? "cordoned" : "uncordoned")
    return nil
  }

  private func finish(_ state: DrainState, _ node: NodeRef) async {
    guard let record = withState({ $0.drains[node]?.plan.record }) else { return }
    var decision = Decision(
      madeAt: record.startedAt, action: .drain, trigger: .person, kind: .acted, requester: record.requester,
      text: "\(record.requester) drains it")
    decision.id = record.id
    decision.node = node.node
    let moved = record.counts[.done] ?? 0
    let text =
      state == .complete ? "no VM runs on it; \(moved) moved" : "\(record.text); \(moved) moved"
    _ = await control.finish(decision, state == .complete ? .done : .endedOtherwise, text)
  }
}
