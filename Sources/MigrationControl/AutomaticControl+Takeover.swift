internal import DroverCore
internal import Logging
internal import Synchronization

/// What other Drovers of the election were told of holds.
struct HoldSharing: Sendable {
  /// What they know.
  var told = HoldState()
  var isUnderWay = false
  /// Nothing is told before.
  var notBefore: Moment?
  /// Whether it was said that they cannot be told.
  var isTroubleTold = false
}

extension AutomaticControl {
  // MARK: Restart

  /// Reads what was decided before, once in each term as the leader; until then nothing is decided.
  func restore() async {
    let standing = control.election.standing()
    let isLeader = standing.isLeader(at: control.clock.now())
    state.withLock { state in
      if !isLeader || standing.election == nil { state.isTakeoverOpen = false }
      guard state.aborts.isRestored, !isLeader || state.restoredTerm != standing.number else { return }
      // What a standby knows says nothing of what the leader does meanwhile.
      let settings = state.aborts.settings
      state.aborts = AutomaticAborts()
      state.aborts.apply(settings)
      state.holds = [:]
      state.sharing = HoldSharing()
    }
    guard isLeader else { return }
    guard !state.withLock(\.aborts.isRestored) else { return }
    var decisions: [Decision] = []
    if let journal {
      do throws(JournalError) {
        decisions = try await journal.automaticDecisions(since: control.unixNow - Self.memory.milliseconds)
      } catch {
        // Without a journal nothing was ended by itself, and nothing will be.
        guard error.kind == .absent else {
          let isFirst = state.withLock { state in
            defer { state.isRestoreTold = true }
            return !state.isRestoreTold
          }
          if isFirst {
            log.error(
              "automatic aborts hold: earlier decisions are not known", metadata: ["error": "\(error)"])
          }
          return
        }
      }
    }
    var holds = SharedHolds()
    if standing.election != nil, await !takeOver(&decisions, &holds) { return }
    let (epoch, now) = (control.clock.epochOffset(), control.clock.now())
    let over = state.withLock { state -> [DecisionID] in
      guard !state.aborts.isRestored else { return [] }
      state.aborts.restore(decisions, sharing: holds, epoch, at: now)
      state.restoredTerm = standing.number
      state.sharing.told = state.aborts.holdState
      var over: [DecisionID] = []
      for decision in decisions where decision.result == nil {
        guard let reason = AutomaticAborts.hold(begunBy: decision), let id = decision.id else { continue }
        if state.aborts.holds.contains(reason) { state.holds[reason] = id } else { over.append(id) }
      }
      return over
    }
    for id in over { await close(id, "it ended while this Drover did not look") }
    let waits = self.holds.subtracting([.journal, .takeover])
    guard standing.election != nil, !waits.isEmpty else { return }
    log.warning(
      "automatic aborts hold since another Drover led",
      metadata: ["reason": "\(waits.map(\.rawValue).sorted().joined(separator: ", "))"])
  }

  /// Adds what other leaders claimed, and what waits since; false where that cannot be read.
  private func takeOver(_ decisions: inout [Decision], _ holds: inout SharedHolds) async -> Bool {
    var book: ClaimBook?
    do throws(ControlError) {
      book = try await control.election.claims()?.claims()
    } catch {
      log.warning("what other leaders aborted is not known yet", metadata: ["error": "\(error)"])
    }
    let isOpen = book == nil
    holds = book?.holds ?? holds
    state.withLock { $0.isTakeoverOpen = isOpen }
    let acted = decisions.filter { $0.kind == .acted }
    let known = Set(acted.filter { !$0.isUnsent }.compactMap(\.migration))
    let unsent = Set(acted.filter(\.isUnsent).compactMap(\.migration))
    for claim in book?.claims ?? [] where claim.trigger != .person && !known.contains(claim.migration) {
      // Its own of what was not sent is no reason against another try.
      if claim.claimant == control.claimant, unsent.contains(claim.migration) { continue }
      decisions.append(
        Decision(
          madeAt: claim.claimedAt, action: .abort, trigger: claim.trigger, kind: .acted,
          migration: claim.migration, vm: claim.vm, requester: "another leader", text: ""))
    }
    return !isOpen
  }

  // MARK: What the next leader must know

  /// After others could not be told.
  private static let sharingPause = Duration.seconds(2)
  /// Between two tellings: each is a write into etcd.
  private static let sharingInterval = Duration.seconds(1)

  /// Whether other Drovers have to be told something now; then ``share()`` does.
  func isSharingDue() -> Bool {
    guard control.election.standing().election != nil else { return false }
    let now = control.clock.now()
    return state.withLock { state in
      guard state.aborts.isRestored, !state.sharing.isUnderWay, state.aborts.holdState != state.sharing.told,
        state.sharing.notBefore.map({ $0 <= now }) ?? true
      else { return false }
      state.sharing.isUnderWay = true
      return true
    }
  }

  /// Tells other Drovers what changed of holds.
  ///
  /// - Returns: Why they could not be told; nil where they know, or there are none.
  @discardableResult
  func share() async -> Refusal? {
    guard control.election.standing().election != nil else { return nil }
    let wanted = state.withLock { $0.aborts.isRestored ? $0.aborts.holdState : $0.sharing.told }
    if wanted == state.withLock(\.sharing.told) {
      state.withLock { $0.sharing.isUnderWay = false }
      return nil
    }
    return await share(wanted)
  }

  /// Tells them of a person's word before it holds here.
  func share(resetting reasons: Set<HoldReason>, at now: Moment) async -> Refusal? {
    guard control.election.standing().election != nil else { return nil }
    var aborts = state.withLock(\.aborts)
    _ = aborts.reset(reasons, at: now)
    if let refusal = await share(aborts.holdState) { return refusal }
    // Whoever leads by now may have read it before that was written.
    return control.notLeading
  }

  private func share(_ wanted: HoldState) async -> Refusal? {
    var trouble = "the back end whose Lease decides does not run"
    if let store = control.election.claims() {
      do throws(ControlError) {
        try await store.share(wanted.shared(control.clock.epochOffset(), at: control.clock.now()))
        trouble = ""
      } catch { trouble = "\(error)" }
    }
    let now = control.clock.now()
    let isFirst = state.withLock { state in
      state.sharing.isUnderWay = false
      state.sharing.notBefore = now + (trouble.isEmpty ? Self.sharingInterval : Self.sharingPause)
      if trouble.isEmpty { state.sharing.told = wanted }
      defer { state.sharing.isTroubleTold = !trouble.isEmpty }
      return !state.sharing.isTroubleTold
    }
    guard !trouble.isEmpty else { return nil }
    if isFirst {
      log.warning("other Drovers cannot be told of holds", metadata: ["error": "\(trouble)"])
    }
    return Refusal(
      .unreadable, "the next leader could not know why automatic aborts wait, or do not: \(trouble)")
  }
}
