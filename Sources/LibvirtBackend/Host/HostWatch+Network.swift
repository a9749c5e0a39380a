internal import DroverCore
internal import InetDiag
internal import Logging

/// What the kernel's connections show of migrations.
extension HostWatch {
  mutating func seen(
    _ result: Result<NetworkLook, InetDiagError>, at now: Moment, _ epoch: EpochOffset,
    into actions: inout [HostAction]
  ) {
    let running = busy.compactMap { uuid in
      domains[uuid]?.job.map { ConnectionBook.Migration(uuid: uuid, startedAt: $0.last.startedAt) }
    }
    networkAt = now + (running.isEmpty ? configuration.idleInterval : configuration.activeInterval)
    switch result {
    case .failure(let error):
      if networkError == nil {
        actions.append(
          .log(
            .warning, "the kernel's connections cannot be read, so keepalive deadlines are inferred: \(error)"
          ))
        health.count(.sockets)
      }
      networkError = error
    case .success(let look):
      networkError = nil
      hasSSH = look.hasSSH
      let hasNew = book.take(look.connections, of: running, owners: look.owners, at: look.takenAt)
      // One that has just begun opens its connections now, and may be over before the next look.
      let isYoung = running.contains { migration in
        now - migration.startedAt < Self.youth && !book.sight(of: migration.uuid).hadData
      }
      if isYoung { networkAt = now + Self.youngInterval }
      isNetworkVisible = true
      // A connection to another host's daemon is the first trace of a migration that copies disks.
      if hasNew { sweepAt = now }
    }
    for migration in running {
      guard let watch = domains[migration.uuid], let job = watch.job else { continue }
      if job.vanishedAt != nil, job.stoppedAt == nil {
        let evidence =
          networkError == nil ? book.evidence(of: migration.uuid, keepalive: keepalive) : nil
        conclude(migration.uuid, evidence, at: now, into: &actions)
      } else if let report = report(of: migration, at: now) {
        actions.append(
          .tell(
            .network(
              NetworkObservation(backend: configuration.name, id: job.last.id, takenAt: now, report: report)))
        )
      }
    }
  }

  /// What is told of one migration's network; nil while it is too early to say.
  func report(of migration: ConnectionBook.Migration, at now: Moment) -> NetworkReport? {
    guard configuration.isLocal else { return inferred(.remote) }
    guard networkError == nil else { return inferred(.denied) }
    let seen = book.sight(of: migration.uuid)
    var report = NetworkReport(
      settings: keepalive, keepalive: .measured, control: seen.control, data: seen.data,
      controlSpread: seen.controlSpread, sharesWire: seen.sharesWire)
    if !seen.hadControl {
      // The first connections take a moment.
      guard now - migration.startedAt > .seconds(2) else { return nil }
      report.keepalive =
        hasSSH ? .inferred(.ssh) : seen.hadData ? .none(.notPeerToPeer) : .inferred(.invisible)
    }
    if !keepalive.isEnabled { report.keepalive = .none(.disabled) }
    return report
  }

  func inferred(_ reason: KeepaliveBasis.Inference) -> NetworkReport {
    NetworkReport(
      settings: keepalive, keepalive: keepalive.isEnabled ? .inferred(reason) : .none(.disabled))
  }

  mutating func readNetwork(at now: Moment, into actions: inout [HostAction]) {
    let running = busy.compactMap { domains[$0] }.filter { $0.job != nil }
    networkAt = now + (running.isEmpty ? configuration.idleInterval : configuration.activeInterval)
    if configuration.isLocal {
      actions.append(.readNetwork(domains: running.map(\.name)))
    } else {
      for watch in running {
        guard let job = watch.job else { continue }
        actions.append(
          .tell(
            .network(
              NetworkObservation(
                backend: configuration.name, id: job.last.id, takenAt: now, report: inferred(.remote)))))
      }
    }
  }

  mutating func pollConnections(at now: Moment, into actions: inout [HostAction]) {
    guard networkError == nil, !busy.isEmpty else {
      pollAt = nil
      return
    }
    if let pollAt, now < pollAt { return }
    let polled = book.polled
    pollAt = polled.isEmpty ? nil : now + Self.pollInterval
    if !polled.isEmpty { actions.append(.pollConnections(polled)) }
  }
}
