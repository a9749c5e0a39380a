internal import DroverCore

/// What becomes of drains where another Drover leads.
extension DrainControl {
  /// Another that leads for so long leads for good, also where this process has never led.
  private static let otherPatience = Duration.seconds(60)

  /// Ends what is in force once another leads: it is not to wake up at this process's next term.
  func standDown(_ nodes: [NodeRef], _ now: Moment, _ epoch: EpochOffset) -> [Task<Void, Never>] {
    let standing = control.election.standing()
    let ended = withState { state -> [NodeRef] in
      guard let holder = standing.term?.holder, !holder.isEmpty, standing.term?.heldUntil == nil else {
        state.otherLeadsSince = nil
        return []
      }
      let since = state.otherLeadsSince ?? now
      state.otherLeadsSince = since
      guard state.hasLed || now - since >= Self.otherPatience else { return [] }
      return nodes.filter { node in
        guard state.drains[node]?.plan.record.state.isInForce == true else { return false }
        state.drains[node]?.plan.giveUp(
          .incomplete, "another Drover leads now, \(holder): ask it for the drain",
          at: epoch.unixMilliseconds(now))
        return true
      }
    }
    return ended.map { node in
      Task {
        await self.carryOut(.ended(.incomplete), node)
        _ = await self.save(node)
      }
    }
  }
}
