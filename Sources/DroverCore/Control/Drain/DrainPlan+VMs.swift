/// What becomes of each VM.
extension DrainPlan {
  // MARK: Seen

  /// Takes in how the migrations of one VM are.
  mutating func observe(_ index: Int, _ views: [MigrationView], _ situation: Situation) {
    let vm = record.vms[index].vm
    let open = views.first { !$0.isOver }
    memory[vm, default: Memory()].isOpen = open != nil
    if let open {
      take(open, index, situation)
    } else if let ended = lastEnd(of: index, views, situation) {
      memory[vm, default: Memory()].taken.formUnion(views.filter(\.isOver).map(\.identity.id))
      take(ended: ended, index, situation)
    } else {
      miss(index, situation)
    }
    if record.vms[index].state == .done { returned(index, situation) }
  }

  /// Whether this drain began a migration.
  func isOwn(_ view: MigrationView, _ vm: DrainVM, _ epoch: EpochOffset) -> Bool {
    guard vm.isOwn else { return false }
    if let known = vm.migration { return known == view.identity.id }
    guard let sent = sent(vm, epoch) else { return false }
    // The answer tells no identity where nobody watches; clocks of two machines may differ.
    let began = view.createdAt ?? view.startedAt
    let delay = began - sent
    return delay >= .seconds(-5) && delay <= DrainSettings.longestStart
  }

  /// When the migration that is under way was asked for; nil where none is.
  private func sent(_ vm: DrainVM, _ epoch: EpochOffset) -> Moment? {
    guard let unix = vm.sentAt else { return nil }
    if let sent = memory[vm.vm]?.sent, sent.unix == unix { return sent.at }
    return epoch.moment(unixMilliseconds: unix)
  }

  private mutating func take(_ open: MigrationView, _ index: Int, _ situation: Situation) {
    let isMine = isOwn(open, record.vms[index], situation.epoch)
    let isNew = record.vms[index].migration != open.identity.id || record.vms[index].state != .migrating
    record.vms[index].state = .migrating
    memory[record.vms[index].vm]?.waitingSince = nil
    if isMine {
      record.vms[index].migration = open.identity.id
      record.vms[index].sentAt =
        record.vms[index].sentAt ?? situation.epoch.unixMilliseconds(open.startedAt)
    } else if !(memory[record.vms[index].vm]?.isAsking ?? false) {
      record.vms[index].migration = open.identity.id
      record.vms[index].isOwn = false
      record.vms[index].sentAt = nil
      if isNew { record.vms[index].text = "somebody else began its migration" }
    }
  }

  /// The end that was not taken in yet; nil where there is none.
  private func lastEnd(of index: Int, _ views: [MigrationView], _ situation: Situation) -> MigrationView? {
    let vm = record.vms[index]
    let begin = situation.epoch.moment(unixMilliseconds: record.startedAt)
    return views.filter { view in
      guard let ending = view.ending, !(memory[vm.vm]?.taken.contains(view.identity.id) ?? false) else {
        return false
      }
      return ending.endedAt >= begin || vm.migration == view.identity.id
    }.max { ($0.ending?.endedAt ?? begin) < ($1.ending?.endedAt ?? begin) }
  }

  private mutating func take(ended: MigrationView, _ index: Int, _ situation: Situation) {
    guard let ending = ended.ending else { return }
    let vm = record.vms[index]
    let isMine = isOwn(ended, vm, situation.epoch)
    // One that somebody else began, and that ended while this drain's own is being asked for, says nothing of that.
    if vm.sentAt != nil, !isMine { return }
    record.vms[index].sentAt = nil
    record.vms[index].migration = ended.identity.id
    let said = ending.text.isEmpty ? "" : ": \(ending.text)"
    let cause = ending.cause?.rawValue ?? "unknown"
    switch ending.outcome {
    case .succeeded:
      settle(index, .done, "")
      memory[vm.vm]?.leftAt = ending.endedAt
    case .aborted where isMine && vm.timeout != nil, .failed where isMine && vm.timeout != nil:
      settle(index, .timedOut, Self.timedOut(vm))
    case .failed where ending.cause == .completionTimeout || ending.cause == .progressTimeout:
      settle(index, .timedOut, "its migration ran into a time-out (\(cause))\(said)")
    case .aborted:
      settle(
        index, .blocked,
        "its migration was aborted (\(cause)), so it is not tried again: drain the node anew, or migrate it by itself"
      )
    case .failed:
      fail(index, "its migration failed (\(cause))\(said)", isMine: isMine, at: situation.now)
    }
  }

  /// No migration of it is seen that was not taken in.
  private mutating func miss(_ index: Int, _ situation: Situation) {
    let vm = record.vms[index]
    guard !(memory[vm.vm]?.isAsking ?? false) else { return }
    guard let sent = sent(vm, situation.epoch) else {
      if vm.state == .migrating { record.vms[index].state = .pending }
      return
    }
    guard situation.isUp, isFresh(situation), let reading = situation.reading,
      reading.askedAt - sent > DrainSettings.longestUnseen
    else { return }
    record.vms[index].sentAt = nil
    if reading.node.guests.contains(where: { $0.vm == vm.vm }) {
      if vm.timeout != nil { return settle(index, .timedOut, Self.timedOut(vm)) }
      // It may be here because somebody ended its migration.
      if vm.migration != nil, memory[vm.vm]?.isResumed ?? false {
        return settle(
          index, .blocked,
          "the end of its migration was not seen, so it is not tried again: drain the node anew, or migrate it by itself"
        )
      }
      fail(index, "its migration was asked for and is not seen", isMine: true, at: situation.now)
    } else {
      settle(index, .done, "it is not here any more; the end of its migration was not seen")
      memory[vm.vm, default: Memory()].leftAt = reading.askedAt
    }
  }

  /// Takes up one that had left and is here again.
  private mutating func returned(_ index: Int, _ situation: Situation) {
    let vm = record.vms[index].vm
    guard let reading = situation.reading, reading.node.guests.contains(where: { $0.vm == vm }),
      reading.askedAt - (memory[vm]?.leftAt ?? reading.askedAt - .seconds(3600)) > DrainSettings.farewell
    else { return }
    let before = record.vms[index]
    record.vms[index] = DrainVM(vm: before.vm, domain: before.domain, memory: before.memory)
    record.vms[index].text = "it had left, and came back"
  }

  /// Forgets those that went by another way than a migration.
  mutating func leave(_ situation: Situation) {
    guard let reading = situation.reading, isFresh(situation) else { return }
    let here = Set(reading.node.guests.map(\.vm))
    record.vms.removeAll { vm in
      vm.state != .done && vm.sentAt == nil && !here.contains(vm.vm) && memory[vm.vm]?.isOpen != true
    }
  }

  private static func timedOut(_ vm: DrainVM) -> String {
    "Drover ended its migration: \(vm.timeout?.rawValue ?? "")\(vm.text.isEmpty ? "" : ": \(vm.text)")"
  }

  private mutating func settle(_ index: Int, _ state: DrainVMState, _ text: String) {
    record.vms[index].state = state
    record.vms[index].isSettled = true
    record.vms[index].text = text
  }

  private mutating func fail(
    _ index: Int, _ text: String, isMine: Bool, at now: Moment, as state: DrainVMState = .failed
  ) {
    record.vms[index].state = .failed
    record.vms[index].text = text
    record.vms[index].sentAt = nil
    let (vm, attempts) = (record.vms[index].vm, record.vms[index].attempts)
    if isMine, attempts >= settings.attempts {
      settle(index, state, "\(text); tried \(attempts) times")
    } else {
      memory[vm, default: Memory()].notBefore =
        now + DrainSettings.pauses.pause(after: max(0, attempts - 1), name: vm.name)
    }
  }

  // MARK: Time-outs

  /// Why a migration that is past its time-out goes on.
  public static let heldByPartition =
    "past its time-out, and held: many migrations lost their network at once, and until that is over, or somebody says "
    + "drover decisions --reset-hold, none is ended by itself"

  /// Ends migrations of its own that are past a deadline which nobody else enforces.
  mutating func timeouts(_ byVM: [VMRef: [MigrationView]], _ situation: Situation) -> [DrainCommand] {
    let now = situation.now
    var commands: [DrainCommand] = []
    for index in record.vms.indices where record.vms[index].isOwn && record.vms[index].sentAt != nil {
      let vm = record.vms[index].vm
      if !situation.isPartitioned, record.vms[index].text == Self.heldByPartition {
        record.vms[index].text = ""
      }
      guard let view = byVM[vm]?.first(where: { !$0.isOver }),
        record.vms[index].migration == view.identity.id,
        let trigger = Self.timeout(of: view, at: now) ?? waitedTooLong(view, record.vms[index], situation)
      else { continue }
      guard !situation.isPartitioned else {
        record.vms[index].text = Self.heldByPartition
        continue
      }
      let memory = memory[vm] ?? Memory()
      guard !memory.isAborting, memory.abortNotBefore.map({ now >= $0 }) ?? true else { continue }
      self.memory[vm, default: Memory()].isAborting = true
      record.vms[index].timeout = trigger
      commands.append(.abort(vm, view.identity.id, trigger))
    }
    return commands
  }

  /// The time-out of one that never began to copy; nil where it is not past that.
  ///
  /// In a queue it waits for others, which come to an end.
  private func waitedTooLong(_ view: MigrationView, _ vm: DrainVM, _ situation: Situation) -> Trigger? {
    guard view.phase == .pending || view.phase == .scheduling, let sent = sent(vm, situation.epoch),
      view.waiting?.reason != .queueCluster, view.waiting?.reason != .queueNode,
      situation.now - sent >= DrainSettings.longestWait
    else { return nil }
    return .completionTimeout
  }

  /// The time-out that a migration is past, and that is Drover's to enforce; nil where there is none.
  static func timeout(of view: MigrationView, at now: Moment) -> Trigger? {
    guard view.phase == .precopy || view.phase == .preparing,
      now - view.sampledAt <= DrainSettings.longestSample
    else { return nil }
    if let end = view.verdict.expectedEnd, end - now <= DrainSettings.guardTime { return nil }
    if let deadline = view.completionDeadline, now >= deadline, view.completion?.enforcedBy != .kubevirt {
      return .completionTimeout
    }
    if let deadline = view.progressDeadline, now >= deadline, view.progressBudget?.enforcedBy != .kubevirt {
      return .progressTimeout
    }
    return nil
  }

  // MARK: What became of commands

  /// Says what came of an abort.
  public mutating func aborted(
    _ vm: VMRef, _ migration: MigrationID, isSent: Bool, _ text: String, at now: Moment
  ) {
    memory[vm]?.isAborting = false
    memory[vm]?.abortNotBefore = now + (isSent ? DrainSettings.abortPatience : .seconds(10))
    guard !isSent, let index = record.vms.firstIndex(where: { $0.vm == vm }), record.vms[index].sentAt != nil,
      record.vms[index].migration == migration
    else { return }
    record.vms[index].timeout = nil
    record.vms[index].text = "not ended at its time-out: \(text)"
  }

  /// Whether a migration that was ordered is still wished for.
  public func wants(_ vm: VMRef) -> Bool {
    record.state == .active && !record.isFollowing && settings.isArmed
      && record.vms.contains { $0.vm == vm && $0.sentAt != nil }
  }

  /// Sends a VM somewhere, or says why it goes nowhere.
  ///
  /// - Parameter reserved: What others send to each host, by the host's own name.
  public mutating func place(
    _ vm: VMRef, _ choices: MoveChoices, reserved: [String: MoveChoices.Reserved]
  ) -> MoveChoices.Choice {
    let all = reserved.merging(self.reserved(but: vm)) { a, b in
      MoveChoices.Reserved(memory: a.memory + b.memory, guests: a.guests + b.guests)
    }
    let choice = choices.choice(reserved: all)
    if case .target(let target) = choice, let index = record.vms.firstIndex(where: { $0.vm == vm }) {
      record.vms[index].target = target.node
      memory[vm, default: Memory()].host = target.host
    }
    return choice
  }

  /// What this drain has under way to each host, by the host's own name.
  public func reserved(but other: VMRef? = nil) -> [String: MoveChoices.Reserved] {
    var reserved: [String: MoveChoices.Reserved] = [:]
    for vm in record.vms where vm.sentAt != nil && vm.vm != other && !vm.target.isEmpty {
      let host = memory[vm.vm].map { $0.host.isEmpty ? vm.target : $0.host } ?? vm.target
      reserved[host, default: MoveChoices.Reserved()].memory =
        (reserved[host]?.memory ?? 0) + (vm.memory ?? 0)
      reserved[host, default: MoveChoices.Reserved()].guests += 1
    }
    return reserved
  }

  /// Says what came of asking for a migration.
  public mutating func started(_ vm: VMRef, _ result: DrainStart, at now: Moment) {
    memory[vm]?.isAsking = false
    guard let index = record.vms.firstIndex(where: { $0.vm == vm }) else { return }
    switch result {
    case .underWay(let id):
      memory[vm]?.waitingSince = nil
      // The fleet may have shown it, and its end, before the answer came.
      if let id, record.vms[index].sentAt != nil { record.vms[index].migration = id }
    case .refused(let refusals): refused(index, refusals, at: now)
    case .blocked(let refusals): block(index, refusals)
    case .failed(let text): fail(index, "it could not be begun: \(text)", isMine: true, at: now)
    }
  }

  private mutating func refused(_ index: Int, _ refusals: [Refusal], at now: Moment) {
    let text = refusals.map(\.text).joined(separator: "; ")
    let vm = record.vms[index].vm
    let reasons = Set(refusals.map(\.reason))
    func isOneOf(_ some: RefusalReason...) -> Bool { !reasons.isDisjoint(with: some) }
    if isOneOf(.notMigratable, .unsupported, .sameNode) { return block(index, refusals) }
    unsend(index)
    if isOneOf(.journal, .hold, .disabled, .notLeader) {
      wait(index, text, at: now)
    } else if isOneOf(.migrating, .notRunning) {
      let since = memory[vm]?.waitingSince ?? now
      memory[vm, default: Memory()].waitingSince = since
      wait(index, text, at: now)
      if now - since >= DrainSettings.longestWait {
        settle(index, .blocked, "\(text); waited for long enough")
      }
    } else if isOneOf(.unreadable), memory[vm]?.unreadable ?? 0 < DrainSettings.mostUnreadable {
      memory[vm, default: Memory()].unreadable += 1
      wait(index, text, at: now)
    } else if isOneOf(.noTarget, .targetUnfit) {
      // What is under way may turn out to need less than was set aside for it.
      if record.vms.contains(where: { $0.vm != vm && $0.sentAt != nil }) { return wait(index, text, at: now) }
      fail(index, text, isMine: true, at: now, as: .blocked)
    } else {
      fail(index, text, isMine: true, at: now)
    }
  }

  private mutating func unsend(_ index: Int) {
    record.vms[index].sentAt = nil
    record.vms[index].target = ""
    record.vms[index].isOwn = false
  }

  /// It cannot move; that was no attempt.
  private mutating func block(_ index: Int, _ refusals: [Refusal]) {
    unsend(index)
    record.vms[index].attempts -= 1
    settle(index, .blocked, refusals.map(\.text).joined(separator: "; "))
  }

  /// Lets it wait for something that passes; that was no attempt.
  private mutating func wait(_ index: Int, _ text: String, at now: Moment) {
    record.vms[index].attempts -= 1
    record.vms[index].state = .pending
    record.vms[index].text = text
    memory[record.vms[index].vm, default: Memory()].notBefore = now + .seconds(5)
  }
}

extension MigrationView {
  /// Whether it waits for something else than other migrations, so that it takes the place of none.
  var isHeldUp: Bool {
    phase == .pending && (waiting?.reason == .quota || waiting?.reason == .backup)
  }
}
