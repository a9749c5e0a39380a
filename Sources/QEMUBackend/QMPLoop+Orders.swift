internal import DroverCore

/// Orders: one look, or one look and `migrate_cancel` right behind it, on the connection that is there.
extension QMPLoop {
  /// A QEMU that hangs answers nothing; whoever asks is told so.
  private static let longestWait = Duration.seconds(5)

  func take(_ order: QMPOrder) {
    guard let peer = source(of: order.target), peer.session.link == .up else {
      order.fail(
        .unreachable, "no connection to the monitor of \(order.target.vm.name)",
        "see whether its QEMU runs and answers")
      return
    }
    orders[peer.key, default: []].append(order)
    peer.session.wantLook(clock.now())
    arm(peer)
  }

  /// The QEMU that has the migration; its destination, which may be watched too, has the same domain.
  private func source(of target: MigrationTarget) -> Peer? {
    let peers = peers.values.filter { $0.session.subject.domain == target.domain }
    return peers.first { $0.session.watch.currentID == target.sourceID }
      ?? peers.first { $0.session.watch.currentID != nil } ?? peers.first
  }

  /// Answers what waited for a look, and ends what is to be ended where the look still shows it.
  func looked(_ live: QMPLive, _ peer: Peer, _ now: Moment) {
    guard let waiting = orders.removeValue(forKey: peer.key) else { return }
    var left: [QMPOrder] = []
    for var order in waiting {
      guard live.beganAt >= order.takenAt else {
        left.append(order)
        continue
      }
      let migration = live.migration(order.target.sourceID)
      guard order.kind == .cancel else {
        order.reply(.success(migration))
        continue
      }
      switch migration.state {
      case .running(.preparing), .running(.precopy), .running(.guestSuspended):
        if migration.isEnding {
          order.fail(.refused, "its end was asked for already (\(migration.word))", "wait for it")
          continue
        }
        if peer.session.awaited == nil {
          order.isSent = true
          perform(peer.session.cancel(now), of: peer)
        }
        left.append(order)
      case .replaced: order.fail(.replaced, "QEMU has another migration (\(migration.word))", "name that one")
      case .gone, .finished: order.fail(.gone, "it is over (\(migration.word))", "look at how it ended")
      case .running, .unclear:
        order.fail(.refused, "it cannot be ended any more (\(migration.word))", "let it end")
      }
    }
    if !left.isEmpty { orders[peer.key] = left }
  }

  func cancelAnswered(_ refusal: String?, _ peer: Peer) {
    guard var waiting = orders.removeValue(forKey: peer.key) else { return }
    for order in waiting where order.isSent {
      if let refusal {
        order.fail(.refused, "QEMU refuses it: \(refusal)", "do what QEMU says")
      } else {
        order.reply(.success(LiveMigration(.running(.aborting), word: "cancelling")))
      }
    }
    waiting.removeAll(where: \.isSent)
    if !waiting.isEmpty { orders[peer.key] = waiting }
  }

  func failOrders(of peer: Peer) {
    for order in orders.removeValue(forKey: peer.key) ?? [] {
      order.fail(.unreachable, "the connection to its monitor is gone", "see whether its QEMU runs")
    }
  }

  func failOverdue(_ now: Moment) {
    guard !orders.isEmpty else { return }
    for (key, waiting) in orders {
      let late = waiting.filter { now - $0.takenAt >= Self.longestWait }
      for order in late {
        order.fail(
          .timeout, "QEMU does not answer", "see whether it hangs; nothing was sent to it")
      }
      let left = waiting.filter { now - $0.takenAt < Self.longestWait }
      orders[key] = left.isEmpty ? nil : left
    }
  }
}
