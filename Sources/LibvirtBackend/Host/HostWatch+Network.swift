internal import DroverCore
internal import InetDiag
internal import Logging

/// What the kernel's connections show of migrations.
extension HostWatch {
  /// The first connections of a migration are there after so long.
  static let dialling = Duration.seconds(2)

  /// Migrations under way from here.
  var migrations: [ConnectionBook.Migration] {
    busy.compactMap { uuid in
      domains[uuid]?.job.map { ConnectionBook.Migration(uuid: uuid, startedAt: $0.last.startedAt) }
    }
  }

  mutating func seen(
    _ result: Result<NetworkLook?, InetDiagError>, at now: Moment, _ epoch: EpochOffset,
    into actions: inout [HostAction]
  ) {
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
    case .success(nil): break
    case .success(let look?):
      networkError = nil
      hasSSH = look.hasSSH ?? hasSSH
      let hasNew = book.take(look.connections, of: migrations, owners: look.owners, at: look.takenAt)
      book.take(ended: look.ended)
      isNetworkVisible = true
      // A connection to another host's daemon is the first trace of a migration that copies disks.
      if hasNew { sweepAt = now }
    }
    planNetwork(at: now)
    for migration in migrations {
      guard let job = domains[migration.uuid]?.job, job.vanishedAt != nil, job.stoppedAt == nil else {
        continue
      }
      let evidence = networkError == nil ? book.evidence(of: migration.uuid, keepalive: keepalive) : nil
      conclude(migration.uuid, evidence, at: now, into: &actions)
    }
    reportAt = now
  }

  /// Decides when all connections are read next: at once for a migration that still lacks one, seldom otherwise.
  mutating func planNetwork(at now: Moment) {
    let incomplete = migrations.filter { !book.isComplete(for: $0.uuid) }
    // One that has just begun opens its connections now, and may be over before the next look.
    let isYoung = incomplete.contains { migration in
      now - migration.startedAt < Self.youth && !book.sight(of: migration.uuid).hadData
    }
    networkAt =
      now
      + (isYoung
        ? Self.youngInterval
        : incomplete.isEmpty ? configuration.idleInterval : configuration.activeInterval)
  }

  /// Tells what is seen of each migration's network.
  mutating func report(at now: Moment, into actions: inout [HostAction]) {
    let migrations = migrations
    reportAt = migrations.isEmpty ? nil : now + configuration.activeInterval
    for migration in migrations {
      guard let job = domains[migration.uuid]?.job, job.vanishedAt == nil, job.stoppedAt == nil,
        let report = report(of: migration, at: now)
      else { continue }
      actions.append(
        .tell(
          .network(
            NetworkObservation(backend: configuration.name, id: job.last.id, takenAt: now, report: report))))
    }
  }

  /// What is told of one migration's network; nil while it is too early to say.
  func report(of migration: ConnectionBook.Migration, at now: Moment) -> NetworkReport? {
    guard configuration.isLocal else { return inferred(.remote) }
    guard networkError == nil else { return inferred(.denied) }
    let seen = book.sight(of: migration.uuid)
    var report = NetworkReport(
      settings: keepalive, keepalive: .measured, control: seen.control, data: seen.data,
      controlSpread: seen.controlSpread, sharesWire: seen.sharesWire, peer: seen.peer)
    if !seen.hadControl {
      // The first connections take a moment.
      guard now - migration.startedAt > Self.dialling else { return nil }
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
    guard configuration.isLocal else {
      networkAt = nil
      reportAt = reportAt ?? now
      return
    }
    planNetwork(at: now)
    let migrations = migrations
    let asksSSH = migrations.contains {
      now - $0.startedAt > Self.dialling && !book.sight(of: $0.uuid).hadControl
    }
    actions.append(.readNetwork(domains: migrations.compactMap { domains[$0.uuid]?.name }, asksSSH: asksSSH))
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
