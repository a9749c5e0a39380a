public import DroverCore
internal import Logging

/// What came of a wish to end a migration.
public struct AbortAnswer: Sendable {
  /// What was decided; its result is an error where it could not be sent, and not there yet otherwise.
  public var decision: Decision
  /// What an abort does at this moment, in words.
  public var consequence: String
  /// Why it could not be sent, or whether that is open; nil where nothing went wrong.
  public var error: ControlError?
  /// Whether nothing was sent because only a question was asked.
  public var isDryRun: Bool
  /// What is worth knowing although it prevents nothing.
  public var warnings: [String] = []
  /// Why it was surely not sent although that was recorded; nil where it was, or nothing was recorded.
  public var unsent: Refusal?
}

extension MigrationControl {
  /// Ends a migration, or says why not; returns once that is sent.
  ///
  /// - Parameters:
  ///   - isDryRun: Looks at everything, records and sends nothing.
  ///   - recheck: Asked once more when the decision is on the disk; why it must not be sent any more, nil where it may.
  public func abort(
    _ order: AbortOrder, isDryRun: Bool = false, recheck: (@Sendable () -> Refusal?)? = nil
  ) async -> AbortAnswer {
    guard let view = view(of: order.migration) else {
      return await refuse(
        order, nil, Refusal(.unknown, "no migration is called \(order.migration)"), isDryRun)
    }
    if let refusal = notLeading { return await refuse(order, view, refusal, isDryRun) }
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
    return await abort(order, view, backend, isDryRun, recheck)
  }

  private func abort(
    _ order: AbortOrder, _ view: MigrationView, _ backend: any ControllableBackend, _ isDryRun: Bool,
    _ recheck: (@Sendable () -> Refusal?)?
  ) async -> AbortAnswer {
    let target = MigrationTarget(view)
    let live: LiveMigration
    switch await look(order, target, backend) {
    case .failure(let refusal): return await refuse(order, view, refusal.refusal, isDryRun, refusal.live)
    case .success(let found): live = found
    }
    var decision = decision(order, view, .acted, live)
    let because = order.because.isEmpty ? "" : " because \(order.because)"
    decision.text = "\(order.requester) ends it (\(live.word))\(because)"
    guard !isDryRun else {
      return AbortAnswer(
        decision: decision, consequence: live.consequence, isDryRun: true,
        warnings: journalWarnings(isWaived: order.withoutJournal))
    }
    // From here on nobody who goes away, and no end of the service, leaves half of it done.
    let act = Task { [decision] in await self.act(decision, order, target, live, backend, recheck) }
    return await act.value
  }

  /// Looks at the live state, and whether that may be ended.
  private func look(
    _ order: AbortOrder, _ target: MigrationTarget, _ backend: any ControllableBackend
  ) async -> Result<LiveMigration, LookRefusal> {
    do throws(ControlError) {
      let live = try await backend.live(target)
      // Reading takes its time, and a process may have been stopped for a while meanwhile.
      if let refusal = notLeading { return .failure(LookRefusal(refusal, live)) }
      if let refusal = AbortGuard.refusal(of: order, live) { return .failure(LookRefusal(refusal, live)) }
      return .success(live)
    } catch {
      let refusal = Refusal(.unreadable, "how it is at its source cannot be read: \(error)")
      return .failure(LookRefusal(refusal, nil))
    }
  }

  private struct LookRefusal: Error {
    let refusal: Refusal
    let live: LiveMigration?

    init(_ refusal: Refusal, _ live: LiveMigration?) {
      self.refusal = refusal
      self.live = live
    }
  }

  private func act(
    _ made: Decision, _ order: AbortOrder, _ target: MigrationTarget, _ live: LiveMigration,
    _ backend: any ControllableBackend, _ recheck: (@Sendable () -> Refusal?)?
  ) async -> AbortAnswer {
    let isWaived = order.withoutJournal && order.trigger == .person
    let recorded = await record(made, inPlaceOf: order.record, isWaived: isWaived)
    var decision = recorded.decision
    if let refusal = refusal(of: recorded.problem, isWaived: isWaived) {
      decision.kind = order.kind(of: refusal)
      decision.refusal = refusal.reason
      decision.text = refusal.text
      if order.notesRefusal { announce(decision) }
      return AbortAnswer(decision: decision, consequence: "", isDryRun: false)
    }
    announce(decision)
    do throws(ControlError) {
      try await claim(order, target, at: made.madeAt)
    } catch {
      var error = error
      // Whether it was claimed may be open; that it was not sent is not.
      error.mayBeDone = false
      let reason: RefusalReason = error.kind == .refused ? .claimed : .unreadable
      return await fail(decision, error, reason, "not sent, since it could not be claimed: \(error)")
    }
    if let cause = live.comesBack {
      do throws(ControlError) {
        try await backend.endCause(cause, of: target)
      } catch {
        let open = error.mayBeDone ? "the eviction may have been taken back, and " : ""
        return await fail(decision, error, error.unsent, "\(open)the migration was not ended: \(error)")
      }
    }
    let done = live.comesBack == nil ? "" : "the eviction was taken back, but "
    // Recording takes its time, and so does ending a cause: what was seen before may hold no more.
    switch await look(order, target, backend) {
    case .failure(let refused):
      return await fail(decision, nil, refused.refusal.reason, "\(done)not sent: \(refused.refusal.text)")
    case .success: break
    }
    if let refusal = recheck?() {
      return await fail(decision, nil, refusal.reason, "\(done)not sent: \(refusal.text)")
    }
    let isFirst = withState { state in
      order.trigger != .person && state.sent.count < Self.mostSent && state.sent.insert(target.id).inserted
    }
    fleet.announceAbort(of: target.id, cause: order.trigger.cause)
    let sentAt = clock.now()
    var failure: ControlError?
    do throws(ControlError) {
      try await backend.abort(target)
    } catch {
      guard error.mayBeDone else {
        if isFirst { withState { _ = $0.sent.remove(target.id) } }
        fleet.announceAbort(of: target.id, cause: nil)
        return await fail(decision, error, error.unsent, "\(done)it was not ended: \(error)")
      }
      // Only what the migration comes to tells.
      failure = error
      log.error("abort unanswered", metadata: ["migration": "\(target.id)", "error": "\(error)"])
    }
    follow(decision, target.id, sentAt: sentAt)
    leave(
      ControlNote(.abortSent, "its migration \(target.object) was asked to end: \(decision.text)"),
      at: target.vm)
    if let failure { decision.resultText = "not confirmed: \(failure)" }
    return AbortAnswer(decision: decision, consequence: live.consequence, error: failure, isDryRun: false)
  }

  private func fail(
    _ decision: Decision, _ error: ControlError?, _ reason: RefusalReason, _ text: String
  ) async -> AbortAnswer {
    let made = await finish(decision, .error, text)
    var answer = AbortAnswer(decision: made, consequence: "", error: error, isDryRun: false)
    if !(error?.mayBeDone ?? false) { answer.unsent = Refusal(reason, text) }
    return answer
  }

  private func refuse(
    _ order: AbortOrder, _ view: MigrationView?, _ refusal: Refusal, _ isDryRun: Bool,
    _ live: LiveMigration? = nil
  ) async -> AbortAnswer {
    var decision = decision(order, view, order.kind(of: refusal), live)
    decision.refusal = refusal.reason
    decision.text = refusal.text
    if !isDryRun, order.notesRefusal {
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
    decision.evidence = order.facts + (view.map { Self.evidence($0, live, now: clock.now()) } ?? [])
    return decision
  }

  /// The facts that were known when it was decided.
  static func evidence(_ view: MigrationView, _ live: LiveMigration?, now: Moment) -> [Decision.Fact] {
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

  /// One that its back end does not show for so long is over, however it ended.
  private static let longestUnseen = Duration.seconds(60)

  private func follow(_ decision: Decision, _ migration: MigrationID, sentAt: Moment, isResumed: Bool = false)
  {
    queue { state in
      state.lastFollowed += 1
      state.followed.append(
        FollowedAbort(
          serial: state.lastFollowed, decision: decision, migration: migration, sentAt: sentAt,
          isResumed: isResumed))
    }
  }

  /// Takes up what was decided before a restart, and what became of it is not known: it is followed, never sent again.
  public func resume(_ decisions: [Decision]) async {
    let epoch = clock.epochOffset()
    // A drain is taken up again by whoever runs it, and its decision ends with it.
    for decision in decisions
    where decision.kind == .acted && decision.result == nil && decision.action != .drain {
      guard decision.action == .abort, let id = decision.migration else {
        _ = await finish(decision, .error, "Drover ended before it was known what became of it")
        continue
      }
      follow(decision, id, sentAt: epoch.moment(unixMilliseconds: decision.madeAt), isResumed: true)
    }
  }

  /// Follows aborts to the ends of their migrations, until cancelled; where nothing is to be looked at it is not woken.
  public func keepFollowing() async {
    let (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    withState { $0.wake = wake }
    // For what came before.
    wake.yield()
    var looks = 0
    for await _ in wakes {
      while withState(\.hasToLook), !Task.isCancelled {
        await look(at: clock.now())
        await nameSeen(at: clock.now())
        looks += 1
        if looks % 25 == 0 { await recordAgain() }
        try? await Task.sleep(for: lookInterval)
      }
    }
  }

  /// Looks once at every migration that an abort was sent to.
  func look(at now: Moment) async {
    let wanted = withState(\.followed)
    guard !wanted.isEmpty else { return }
    let snapshot = fleet.snapshot()
    for followed in wanted {
      let view = snapshot.migrations.first { $0.identity.id == followed.migration }
      if followed.isResumed, let view, !view.isOver {
        fleet.announceAbort(of: view.identity.id, cause: followed.decision.trigger.cause)
      }
      guard let end = end(of: followed, view, at: now) else {
        // One that is not watched any more shows it never again.
        let backend = followed.decision.vm?.backend
        let isUp = snapshot.backends.first { $0.descriptor.name == backend }?.isUp ?? true
        let unseenSince = view == nil && isUp ? followed.unseenSince ?? now : nil
        withState { state in
          guard let index = state.followed.firstIndex(where: { $0.serial == followed.serial }) else { return }
          state.followed[index].unseenSince = unseenSince
          // Said once: from here on the tracker knows whose abort it is.
          if view != nil { state.followed[index].isResumed = false }
        }
        continue
      }
      withState { $0.followed.removeAll { $0.serial == followed.serial } }
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
      id: view.identity.id, sourceID: view.identity.sourceID, vm: view.identity.vm,
      domain: view.identity.domain, object: view.facts.object)
  }
}

extension ControlError {
  /// Why what it prevented was not sent: in most cases that may pass.
  fileprivate var unsent: RefusalReason {
    switch kind {
    case .gone: .finished
    case .unsupported: .unsupported
    default: .unreadable
    }
  }
}

extension AbortOrder {
  /// What a refusal of it is: what acts by itself may ask again.
  fileprivate func kind(of refusal: Refusal) -> DecisionKind {
    trigger != .person && refusal.reason.isPassing ? .held : .refused
  }
}
