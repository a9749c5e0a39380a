internal import DroverCore
internal import Logging

/// What is to be asked now.
extension HostWatch {
  mutating func proceed(at now: Moment, into actions: inout [HostAction]) {
    leftAlone = leftAlone.filter { now < $0.value }
    proceedWithConnection(at: now, into: &actions)
    for (uuid, began) in looks where now - began >= configuration.callDeadline && !hanging.contains(uuid) {
      hang(uuid, into: &actions)
    }
    for uuid in busy where domains[uuid]?.settlesAt.map({ now >= $0 }) ?? false {
      conclude(uuid, nil, at: now, into: &actions)
      forgetIfGone(uuid, at: now)
    }
    for (uuid, hold) in held {
      if domains[uuid]?.job?.vanishedAt == nil {
        // It was not the end.
        held[uuid] = nil
      } else if now >= hold.until || !calls.contains(uuid) {
        conclude(uuid, hold.evidence, at: now, into: &actions)
        forgetIfGone(uuid, at: now)
      }
    }
    if link == .up || !busy.isEmpty {
      if let networkAt, now >= networkAt { readNetwork(at: now, into: &actions) }
      pollConnections(at: now, into: &actions)
      if let reportAt, now >= reportAt { report(at: now, into: &actions) }
    }
    guard link == .up else { return }
    // A question whose connection was never opened never ends, either; one that a QEMU has not answered for so long is put
    // once more over the connection that is new since.
    for uuid in looks.filter({ $0.value < openedAt && now - $0.value >= Self.longestOpening }).keys {
      looks[uuid] = nil
      hanging.remove(uuid)
      lookAt[uuid] = now
    }
    if let listBegan {
      if !isListLate, now - listBegan >= configuration.callDeadline {
        isListLate = true
        let problem = "libvirt does not answer"
        if health.failed(.timeout, what: problem) {
          actions.append(.log(.warning, "\(problem); waiting for it"))
        }
      }
    } else if let listAt, now >= listAt {
      listBegan = now
      actions.append(.list)
    }
    lookAround(at: now, into: &actions)
    sweep(at: now, into: &actions)
    measureDirtyRates(at: now, into: &actions)
  }

  mutating func proceedWithConnection(at now: Moment, into actions: inout [HostAction]) {
    switch link {
    case .down:
      if let retryAt, now >= retryAt {
        self.retryAt = nil
        link = .opening(since: now)
        health.openingBegan()
        actions.append(.open)
      }
    case .opening(let since):
      if now - since >= Self.longestOpening, lateOpenings < Self.mostLateOpenings {
        lateOpenings += 1
        link = .down
        retryAt = now
        return proceedWithConnection(at: now, into: &actions)
      }
      guard !health.isOpeningLate, now - since >= configuration.openDeadline else { return }
      health.isOpeningLate = true
      let patience = configuration.openDeadline.inSeconds
      let problem = "libvirt takes longer than \(patience) s to let Drover in"
      if health.failed(.timeout, what: problem) {
        actions.append(.log(.warning, "\(problem); waiting for it"))
      }
    case .up: break
    }
  }

  mutating func hang(_ uuid: String, into actions: inout [HostAction]) {
    guard hanging.insert(uuid).inserted else { return }
    health.count(.timeout)
    let name = domains[uuid]?.name.name ?? uuid
    actions.append(.log(.warning, "\(name) does not answer: its QEMU hangs, or another client waits for it"))
  }

  mutating func lookAround(at now: Moment, into actions: inout [HostAction]) {
    for (uuid, due) in lookAt where now >= due && looks[uuid] == nil && !sweeping.contains(uuid) {
      if leftAlone[uuid] != nil { continue }
      guard let watch = domains[uuid] else {
        lookAt[uuid] = nil
        continue
      }
      looks[uuid] = now
      lookAt[uuid] = nil
      actions.append(
        .look(
          uuid,
          LookWish(
            state: true, limits: watch.wantsLimits(at: now), memory: watch.wantsMemory,
            disks: watch.wantsDisks(at: now))))
    }
  }

  mutating func sweep(at now: Moment, into actions: inout [HostAction]) {
    if let sweepBegan {
      if now - sweepBegan >= configuration.callDeadline { actions.append(.splitSweep) }
      return
    }
    // Before the first list there is nothing to go round.
    guard knowsJobs, !domains.isEmpty else { return }
    if unswept.isEmpty, sweepAt.map({ now >= $0 }) ?? true {
      unswept = domains.filter { uuid, watch in
        watch.isActive && !watch.isBusy && looks[uuid] == nil && lookAt[uuid] == nil
          && leftAlone[uuid] == nil
      }.keys.sorted()
      sweepAt =
        now
        + (configuration.isLocal && isNetworkVisible && networkError == nil
          ? Self.slowSweep : configuration.idleInterval)
    }
    guard !unswept.isEmpty else { return }
    let uuids = unswept.filter { domains[$0] != nil && looks[$0] == nil && leftAlone[$0] == nil }
    unswept = []
    guard !uuids.isEmpty else { return }
    sweepBegan = now
    sweeping = Set(uuids)
    actions.append(.sweep(uuids))
  }

  mutating func measureDirtyRates(at now: Moment, into actions: inout [HostAction]) {
    if let dirtyRound, now >= dirtyRound.until {
      giveUpDirtyRates(of: dirtyRound.domains, at: now, into: &actions)
    }
    guard configuration.dirtyRate, knowsJobs, dirtyRound == nil, let dirtyRatesAt, now >= dirtyRatesAt else {
      return
    }
    let resting = domains.filter { uuid, watch in
      watch.isActive && !watch.isBusy && !watch.isArriving && looks[uuid] == nil && leftAlone[uuid] == nil
    }.keys.sorted()
    dirtyRounds += 1
    // QEMU takes a second, and each domain is asked three things, perhaps over a long wire.
    dirtyRound = (resting, now + .seconds(10) + .milliseconds(500 * Int64(resting.count)))
    actions.append(.measureDirtyRates(resting, round: dirtyRounds))
  }

  /// Ends a round that hangs at one of its domains: what was measured before does not hold any more.
  private mutating func giveUpDirtyRates(
    of uuids: [String], at now: Moment, into actions: inout [HostAction]
  ) {
    dirtyRound = nil
    dirtyRounds += 1
    dirtyRatesAt = now + configuration.dirtyRateInterval
    for uuid in uuids { if let watch = domains[uuid] { actions.append(.tell(.dirtyRate(watch.key, nil))) } }
    let problem = "dirty rates cannot be measured in time"
    if health.failed(.timeout, isHost: false, what: problem) {
      actions.append(.log(.warning, "\(problem): see whether all guests answer virsh domjobinfo"))
    }
  }
}
