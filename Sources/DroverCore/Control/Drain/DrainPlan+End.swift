/// How it ends, and what has to be so before that.
extension DrainPlan {
  /// How it ended; nil where it goes on.
  mutating func end(_ situation: Situation, _ leaving: [MigrationView]) -> DrainState? {
    if record.state == .cancelling {
      let isBusy = record.vms.contains { vm in
        memory[vm.vm]?.isAsking ?? false || vm.isOwn && vm.sentAt != nil
      }
      return isBusy ? nil : .cancelled
    }
    guard isFresh(situation), situation.isUp, leaving.allSatisfy(\.isOver),
      !record.vms.contains(where: { $0.sentAt != nil }), let reading = situation.reading
    else { return nil }
    let guests = reading.node.guests
    if guests.isEmpty {
      guard isClosed(reading) else { return nil }
      record.text = ""
      return .complete
    }
    if let since = notFollowedSince, situation.now - since >= DrainSettings.followPatience {
      record.text = "whoever emptied the node does so no more, and \(guests.count) VMs are left"
      return .incomplete
    }
    let settled = Set(record.vms.filter { $0.isSettled && $0.state != .done }.map(\.vm))
    guard !record.isFollowing, guests.allSatisfy({ settled.contains($0.vm) }) else { return nil }
    let words = DrainVMState.allCases.compactMap { state -> String? in
      let count = record.vms.count { $0.state == state && $0.state != .done }
      return count > 0 ? "\(count) \(state.rawValue)" : nil
    }
    record.text = "\(guests.count) left: \(words.joined(separator: ", "))"
    return .incomplete
  }

  /// Whether nobody could have been let on the node since it was read; what nobody can close counts as closed.
  private func isClosed(_ reading: Reading) -> Bool {
    if record.isFollowing || reading.node.isCordoned != false { return true }
    return record.isCordoned && closedAt.map { reading.askedAt > $0 } ?? true
  }

  /// Ends one in force for a reason from outside, in words.
  public mutating func giveUp(_ state: DrainState, _ text: String, at unixMilliseconds: Int64) {
    guard record.state.isInForce else { return }
    record.state = state
    record.endedAt = unixMilliseconds
    record.text = text
  }

  /// Whether the node is closed now; in words why not, empty where it is.
  public mutating func cordoned(_ problem: String, at now: Moment) {
    isCordoning = false
    let isTold = record.state == .active && !record.isFollowing
    if problem.isEmpty {
      record.isCordoned = true
      closedAt = now
      if isTold { record.text = "" }
    } else {
      if isTold { record.text = "not begun: the node is not cordoned: \(problem)" }
      cordonNotBefore = now + .seconds(10)
    }
  }
}
