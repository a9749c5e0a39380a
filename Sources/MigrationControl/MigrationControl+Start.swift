public import DroverCore

/// What came of a wish to migrate a VM.
public struct StartAnswer: Sendable {
  /// What was decided; its result is an error where it could not be sent.
  public var decision: Decision
  /// Every reason against it.
  public var refusals: [Refusal]
  /// What is worth knowing.
  public var warnings: [String]
  /// What was sent, or would be.
  public var request: String
  /// The VMIM's name; empty where there is none.
  public var object: String
  /// Why it could not be sent; nil where nothing went wrong.
  public var error: ControlError?
  /// Whether nothing was sent because only a question was asked.
  public var isDryRun: Bool
}

extension MigrationControl {
  /// Starts a migration, or says everything that speaks against it; returns once that is sent.
  ///
  /// - Parameter isDryRun: Looks at everything, records and sends nothing.
  public func migrate(
    _ order: StartOrder, requester: String, withoutJournal: Bool = false, isDryRun: Bool = false
  ) async -> StartAnswer {
    var decision = Decision(
      madeAt: unixNow, action: .migrate, trigger: .person, kind: .acted, vm: order.vm, requester: requester,
      text: "\(requester) migrates it to \(order.node ?? "any node")")
    decision.node = order.node ?? ""
    if let refusal = notLeading { return await refuse(decision, [refusal], isDryRun: isDryRun) }
    guard let backend = backend(order.vm.backend) else {
      return await refuse(
        decision, [Refusal(.unsupported, "back end \(order.vm.backend.rawValue) cannot start migrations")],
        isDryRun: isDryRun)
    }
    guard isDryRun || withState({ $0.starting.insert(order.vm).inserted }) else {
      return await refuse(
        decision, [Refusal(.migrating, "somebody else starts a migration of it at this moment")],
        isDryRun: isDryRun)
    }
    defer { if !isDryRun { withState { _ = $0.starting.remove(order.vm) } } }
    var plan: StartPlan
    do {
      plan = try await backend.plan(order)
    } catch {
      return await refuse(
        decision, [Refusal(.unreadable, "what speaks against it cannot be read: \(error)")],
        isDryRun: isDryRun)
    }
    if let open = openMigration(of: order.vm), !plan.refusals.contains(where: { $0.reason == .migrating }) {
      plan.refusals.append(
        Refusal(.migrating, "it has a migration already: \(open.identity.id) (\(open.phase.rawValue))"))
    }
    decision.evidence = [.init("source", plan.source), .init("request", plan.request)]
    guard plan.refusals.isEmpty else {
      return await refuse(decision, plan.refusals, plan, isDryRun: isDryRun)
    }
    guard !isDryRun else {
      return StartAnswer(
        decision: decision, refusals: [],
        warnings: plan.warnings + journalWarnings(isWaived: withoutJournal), request: plan.request,
        object: "",
        isDryRun: true)
    }
    let recorded = await record(decision, isWaived: withoutJournal)
    decision = recorded.decision
    if let refusal = refusal(of: recorded.problem, isWaived: withoutJournal) {
      return await refuse(decision, [refusal], plan, isDryRun: isDryRun, isRecorded: true)
    }
    announce(decision)
    var marked = order
    marked.mark = decision.id.map { "\($0.rawValue)-\(decision.madeAt)" } ?? ""
    // Nobody who goes away, and no end of the service, leaves half of it done.
    let act = Task { [decision, plan, marked] in await self.send(decision, marked, plan, backend) }
    return await act.value
  }

  private func openMigration(of vm: VMRef) -> MigrationView? {
    fleet.snapshot().migrations.first { $0.identity.vm == vm && !$0.isOver }
  }

  private func send(
    _ decision: Decision, _ order: StartOrder, _ plan: StartPlan, _ backend: any ControllableBackend
  ) async -> StartAnswer {
    var answer = StartAnswer(
      decision: decision, refusals: [], warnings: plan.warnings, request: plan.request, object: "",
      isDryRun: false)
    let sentAt = clock.now()
    do {
      let receipt = try await backend.start(order)
      answer.decision.migration = receipt.migration
      answer.object = receipt.object
      answer.warnings += receipt.warnings
      let name = receipt.object.isEmpty ? receipt.migration?.description ?? "" : receipt.object
      answer.decision = await finish(
        answer.decision, .done, name.isEmpty ? "asked for" : "asked for as \(name)")
      await self.name(answer.decision, sentAt: sentAt)
    } catch {
      answer.error = error
      answer.decision = await finish(decision, .error, "\(error)")
    }
    return answer
  }

  private func refuse(
    _ decision: Decision, _ refusals: [Refusal], _ plan: StartPlan = StartPlan(), isDryRun: Bool,
    isRecorded: Bool = false
  ) async -> StartAnswer {
    var decision = decision
    decision.kind = .refused
    decision.refusal = refusals.first?.reason
    decision.text = refusals.map(\.text).joined(separator: "; ")
    if !isDryRun {
      if !isRecorded { decision = await record(decision).decision }
      announce(decision)
    }
    return StartAnswer(
      decision: decision, refusals: refusals, warnings: plan.warnings, request: plan.request, object: "",
      isDryRun: isDryRun)
  }
}
