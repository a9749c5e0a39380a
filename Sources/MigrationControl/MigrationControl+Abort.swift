public import DroverCore
internal import Logging

/// What came of a wish to end a migration.
public struct AbortAnswer: Sendable {
  /// What was decided; its result is an error where it could not be sent, and not there yet otherwise.
  public var decision: Decision
  /// What an abort does at this moment, in words.
  public var consequence: String
  /// Whether nothing was sent because only a question was asked.
  public var isDryRun: Bool
}

extension MigrationControl {
  /// Ends a migration, or says why not; returns once that is sent.
  ///
  /// - Parameter isDryRun: Looks at everything, records and sends nothing.
  public func abort(_ order: AbortOrder, isDryRun: Bool = false) async -> AbortAnswer {
    guard let view = view(of: order.migration) else {
      return await refuse(
        order, nil, Refusal(.unknown, "no migration is called \(order.migration)"), isDryRun)
    }
    if view.isOver {
      return await refuse(
        order, view, Refusal(.finished, "it is over already: \(view.phase.rawValue)"), isDryRun)
    }
    guard let backend = backend(view.identity.vm.backend) else {
      return await refuse(
        order, view,
        Refusal(.unsupported, "back end \(view.identity.vm.backend.rawValue) cannot end migrations"), isDryRun
      )
    }
    guard isDryRun || withState({ $0.sending.insert(order.migration).inserted }) else {
      return await refuse(order, view, Refusal(.aborting, "somebody else ends it at this moment"), isDryRun)
    }
    defer { if !isDryRun { withState { _ = $0.sending.remove(order.migration) } } }
    return await abort(order, view, backend, isDryRun)
  }

  private func abort(
    _ order: AbortOrder, _ view: MigrationView, _ backend: any ControllableBackend, _ isDryRun: Bool
  ) async -> AbortAnswer {
    let target = MigrationTarget(view)
    let live: LiveMigration
    do {
      live = try await backend.live(target)
    } catch {
      return await refuse(
        order, view, Refusal(.unreadable, "how it is at its source cannot be read: \(error)"), isDryRun)
    }
    if let refusal = AbortGuard.refusal(of: order, live) {
      return await refuse(order, view, refusal, isDryRun, live)
    }
    var decision = decision(order, view, .acted, live)
    decision.text = "\(order.requester) ends it in phase \(view.phase.rawValue) (\(live.word))"
    guard !isDryRun else {
      return AbortAnswer(decision: decision, consequence: live.consequence, isDryRun: true)
    }
    let recorded = await record(decision)
    decision = recorded.decision
    if let problem = recorded.problem, !(order.withoutJournal && order.trigger == .person) {
      decision.kind = .refused
      decision.refusal = .journal
      decision.text =
        "it cannot be recorded, so it is not done: \(problem); a person may say --without-journal"
      announce(decision)
      return AbortAnswer(decision: decision, consequence: "", isDryRun: false)
    }
    announce(decision)
    return await send(decision, order, target, live, backend)
  }

  private func send(
    _ decision: Decision, _ order: AbortOrder, _ target: MigrationTarget, _ live: LiveMigration,
    _ backend: any ControllableBackend
  ) async -> AbortAnswer {
    fleet.announceAbort(of: target.id, cause: order.trigger.cause)
    let sentAt = clock.now()
    do {
      if let cause = live.comesBack { try await backend.endCause(cause, of: target) }
      try await backend.abort(target)
    } catch  where error.kind == .timeout {
      // It may have been done: what the migration comes to tells.
      withState { $0.followed[target.id] = FollowedAbort(decision: decision, sentAt: sentAt) }
      var decision = decision
      decision.resultText = "\(error)"
      log.error("abort unanswered", metadata: ["migration": "\(target.id)", "error": "\(error)"])
      return AbortAnswer(decision: decision, consequence: live.consequence, isDryRun: false)
    } catch {
      let failed = await finish(decision, .error, "\(error)")
      return AbortAnswer(decision: failed, consequence: "", isDryRun: false)
    }
    withState { $0.followed[target.id] = FollowedAbort(decision: decision, sentAt: sentAt) }
    return AbortAnswer(decision: decision, consequence: live.consequence, isDryRun: false)
  }

  private func refuse(
    _ order: AbortOrder, _ view: MigrationView?, _ refusal: Refusal, _ isDryRun: Bool,
    _ live: LiveMigration? = nil
  ) async -> AbortAnswer {
    var decision = decision(order, view, .refused, live)
    decision.refusal = refusal.reason
    decision.text = refusal.text
    if !isDryRun {
      decision = await record(decision).decision
      announce(decision)
    }
    return AbortAnswer(decision: decision, consequence: "", isDryRun: isDryRun)
  }

  private func decision(
    _ order: AbortOrder, _ view: MigrationView?, _ kind: DecisionKind, _ live: LiveMigration?
  ) -> Decision {
    var decision = Decision(
      madeAt: unixNow, action: .abort, trigger: order.trigger, kind: kind, migration: order.migration,
      vm: view?.identity.vm, requester: order.requester, text: "")
    decision.node = view?.facts.source ?? ""
    decision.evidence = view.map { Self.evidence($0, live, now: clock.now()) } ?? []
    return decision
  }

  /// The facts that were known when it was decided.
  private static func evidence(_ view: MigrationView, _ live: LiveMigration?, now: Moment) -> [Decision.Fact]
  {
    var facts: [Decision.Fact] = [
      .init("phase", view.phase.rawValue), .init("verdict", view.verdict.kind.rawValue),
      .init("sample_age_seconds", "\((now - view.sampledAt).inSeconds)"),
    ]
    if let live { facts.append(.init("live", live.word)) }
    if let remaining = view.sample.remaining { facts.append(.init("remaining_bytes", "\(remaining.count)")) }
    if let sent = view.sample.transferred { facts.append(.init("transferred_bytes", "\(sent.count)")) }
    if let rate = view.transferRate { facts.append(.init("transfer_bytes_per_second", "\(rate.value)")) }
    if let rate = view.sample.dirtyRate { facts.append(.init("dirty_bytes_per_second", "\(rate.value)")) }
    if let deadline = view.completionDeadline {
      facts.append(.init("completion_deadline_in_seconds", "\((deadline - now).inSeconds)"))
    }
    if let deadline = view.progressDeadline {
      facts.append(.init("progress_deadline_in_seconds", "\((deadline - now).inSeconds)"))
    }
    return facts
  }

  // MARK: Following

  /// How often migrations that were aborted are looked at.
  private static let lookInterval = Duration.milliseconds(200)
  /// One that is not seen for so long is over, however it ended.
  private static let longestUnseen = Duration.seconds(60)

  /// Takes up what was decided before a restart, and what became of it is not known: it is followed, never sent again.
  public func resume(_ decisions: [Decision]) async {
    let epoch = clock.epochOffset()
    for decision in decisions where decision.kind == .acted && decision.result == nil {
      guard decision.action == .abort, let id = decision.migration else {
        _ = await finish(decision, .error, "Drover ended before it was known what became of it")
        continue
      }
      let sentAt = epoch.moment(unixMilliseconds: decision.madeAt)
      let now = clock.now()
      withState { $0.followed[id] = FollowedAbort(decision: decision, sentAt: sentAt, unseenSince: now) }
    }
  }

  /// Follows aborts to the ends of their migrations, until cancelled.
  public func keepFollowing() async {
    while !Task.isCancelled {
      await look(at: clock.now())
      try? await Task.sleep(for: Self.lookInterval)
    }
  }

  /// Looks once at every migration that an abort was sent to.
  func look(at now: Moment) async {
    guard withState({ !$0.followed.isEmpty }) else { return }
    let snapshot = fleet.snapshot()
    let wanted = withState(\.followed)
    var seen: [MigrationID: MigrationView] = [:]
    for view in snapshot.migrations where wanted[view.identity.id] != nil { seen[view.identity.id] = view }
    for (id, followed) in wanted {
      if followed.unseenSince != nil, seen[id]?.isOver == false {
        fleet.announceAbort(of: id, cause: followed.decision.trigger.cause)
      }
      guard let end = end(of: followed, seen[id], at: now) else {
        let unseenSince = seen[id] == nil ? followed.unseenSince ?? now : nil
        withState { $0.followed[id]?.unseenSince = unseenSince }
        continue
      }
      withState { $0.followed[id] = nil }
      _ = await finish(followed.decision, end.result, end.text)
    }
  }

  private func end(
    of followed: FollowedAbort, _ view: MigrationView?, at now: Moment
  ) -> (result: DecisionResult, text: String)? {
    guard let view else {
      guard let since = followed.unseenSince, now - since >= Self.longestUnseen else { return nil }
      return (.error, "it is not seen any more: how it ended is not known")
    }
    guard let ending = view.ending else { return nil }
    switch ending.outcome {
    case .aborted:
      return (.aborted, "ended \(Self.seconds(ending.endedAt - followed.sentAt)) after it was sent")
    case .succeeded: return (.endedOtherwise, "it succeeded all the same: the abort came too late")
    case .failed:
      let cause = ending.cause?.rawValue ?? "unknown"
      return (
        .endedOtherwise, "it failed by itself (\(cause))\(ending.text.isEmpty ? "" : ": \(ending.text)")"
      )
    }
  }

  private static func seconds(_ duration: Duration) -> String { "\(max(0, duration.inSeconds)) s" }
}

extension MigrationTarget {
  init(_ view: MigrationView) {
    self.init(
      id: view.identity.id, vm: view.identity.vm, domain: view.identity.domain, object: view.facts.object)
  }
}
