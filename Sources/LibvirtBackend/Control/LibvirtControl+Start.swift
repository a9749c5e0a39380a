internal import DroverCore
internal import Logging
internal import Posix
internal import Synchronization

/// Starting migrations, and finding out what speaks against them.
extension LibvirtControl {
  func eligibility(of vm: VMRef) async throws(ControlError) -> Eligibility {
    try await survey(vm).eligibility(of: vm)
  }

  func plan(_ order: StartOrder) async throws(ControlError) -> StartPlan {
    try await survey(order.vm).plan(order).plan
  }

  func start(_ order: StartOrder) async throws(ControlError) -> StartReceipt {
    let survey = try await survey(order.vm)
    let (plan, request) = survey.plan(order)
    let (name, uuid) = (survey.domain.name.name, survey.domain.name.uuid)
    guard let request, let domain = DomainKey(uuid: uuid) else {
      throw ControlError(
        .refused, call: "virDomainMigrateToURI3",
        cause: "not sent: \(plan.refusals.map(\.text).joined(separator: "; "))",
        remedy: "mend that first")
    }
    guard beginStart(uuid) else {
      throw ControlError(
        .refused, call: "virDomainMigrateToURI3",
        cause: "not sent: a migration of \(name) has been started already",
        remedy: "wait for its end")
    }
    let before = known.last(domain)
    let end = StartedMigration()
    guard launch(request, domain, end) else {
      endStart(uuid)
      throw ControlError(ErrandFailure.noThread, call: "virDomainMigrateToURI3")
    }
    try await untilUnderWay(uuid, end)
    tell(.lookAgain(uuid))
    return StartReceipt(migration: await identity(of: domain, after: before), warnings: plan.warnings)
  }

  // MARK: - The call that takes as long as the migration

  /// Starts the migration on a thread and a connection of its own; false where there is no thread.
  private func launch(_ request: MigrationRequest, _ domain: DomainKey, _ end: StartedMigration) -> Bool {
    let startedAt = clock.now()
    tell(.called(domain.text))
    let hasThread = startThread("drover-migrate") { [self] in
      var isLost = false
      let result = Result { () throws(LibvirtError) in
        let connection = try HostConnection(to: configuration.effectiveControlURI, canWrite: true)
        defer {
          isLost = !connection.isAlive
          connection.close()
        }
        try connection.migrate(domain.text, by: request)
      }
      let what = "the migration of \(request.domain) to \(request.peer.name)"
      switch result {
      case .success: log.info("\(what) is over, and succeeded")
      // The daemons do it among themselves, and need nobody who waits.
      case .failure(let error) where isLost:
        log.warning("the connection over which \(what) was started broke; it may go on: \(error)")
      case .failure(let error):
        known.failed(domain, startedAt: startedAt, at: clock.now(), error.message)
        log.warning("\(what) failed: \(error)")
      }
      // Before another start may be told.
      tell(.returned(domain.text))
      endStart(domain.text)
      end.finish(result.mapError { ControlError(start: $0, isLost: isLost) })
    }
    if !hasThread { tell(.returned(domain.text)) }
    return hasThread
  }

  /// Waits until libvirt copies, or has prepared for so long that it means it, or the call has ended.
  private func untilUnderWay(_ uuid: String, _ end: StartedMigration) async throws(ControlError) {
    let deadline = ContinuousClock.now + configuration.startDeadline
    var activeSince: ContinuousClock.Instant?
    while ContinuousClock.now < deadline {
      switch end.result {
      case .success?: return
      case .failure(let error)?: throw error
      case nil: break
      }
      let job = try? await ask(uuid, call: "virDomainGetJobStats") {
        [connections, configuration] progress throws(ControlError) in
        do throws(LibvirtError) {
          return try connections.with { connection throws(LibvirtError) in
            _ = progress.enter(.asking, within: configuration.questionDeadline)
            return try connection.jobStatistics(of: uuid)
          }
        } catch {
          throw ControlError(error)
        }
      }
      if let job, job.isMigrating {
        activeSince = activeSince ?? .now
        // A target that refuses does so before anything is copied.
        if !job.isPreparing || activeSince.map({ .now - $0 >= configuration.preparing }) ?? false { return }
      }
      try? await Task.sleep(for: .milliseconds(50))
    }
    if activeSince != nil { return }
    throw ControlError(
      .timeout, call: "virDomainMigrateToURI3",
      cause:
        "the migration has not begun within \(configuration.startDeadline.inSeconds) s; it may begin all the same",
      remedy: "look at the domain's job before trying again")
  }

  /// The migration that was started, as the watch calls it; nil where nothing watches.
  private func identity(of domain: DomainKey, after before: MigrationID?) async -> MigrationID? {
    let deadline = ContinuousClock.now + .seconds(2)
    while ContinuousClock.now < deadline {
      if let id = known.last(domain), id != before { return id }
      guard isWatched else { return nil }
      try? await Task.sleep(for: .milliseconds(20))
    }
    return nil
  }

  // MARK: - Questions

  /// Finds out all that bears upon a move.
  func survey(_ vm: VMRef) async throws(ControlError) -> MoveSurvey {
    var domain = try await ask(vm.name, call: "virDomainLookupByName") {
      [connections, configuration] progress throws(ControlError) in
      do throws(LibvirtError) {
        return try connections.with { connection throws(LibvirtError) in
          _ = progress.enter(.asking, within: configuration.surveyDeadline)
          return try connection.surveyed(vm.name)
        }
      } catch {
        throw ControlError(error)
      }
    }
    if configuration.isLocal {
      for disk in domain.xml.disks where disk.type == "file" && !disk.source.isEmpty {
        domain.shared[disk.source] = isOnSharedStorage(disk.source, root: configuration.root)
      }
    }
    let asked = domain
    let targets = await withTaskGroup(of: (Int, MoveSurvey.Target).self) { group in
      for (number, peer) in configuration.peers.enumerated() {
        group.addTask { [self] in
          (number, MoveSurvey.Target(peer: peer, facts: await facts(of: peer, for: asked)))
        }
      }
      return await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
    }
    return MoveSurvey(domain: domain, targets: targets)
  }

  private func facts(of peer: LibvirtPeer, for domain: MoveSurvey.Domain) async -> Result<
    MoveSurvey.Facts, ControlError
  > {
    let uri = peer.checkURI.isEmpty ? peer.uri : peer.checkURI
    do throws(ControlError) {
      return .success(
        try await ask(
          uri, call: "virConnectOpen", whereStuck: "its libvirt daemon hangs",
          remedy: "see whether virsh -c \(uri) list answers", patience: HostWatch.longestOpening
        ) { [configuration] progress throws(ControlError) in
          do throws(LibvirtError) {
            let connection = try HostConnection(reading: uri)
            defer { connection.close() }
            _ = progress.enter(.asking, within: configuration.surveyDeadline)
            return try connection.facts(for: domain)
          } catch {
            throw ControlError(error)
          }
        })
    } catch {
      return .failure(error)
    }
  }
}

/// How a call that starts a migration ended, once it has.
private final class StartedMigration: Sendable {
  private let state = Mutex<Result<Void, ControlError>?>(nil)

  var result: Result<Void, ControlError>? { state.withLock { $0 } }

  func finish(_ result: Result<Void, ControlError>) { state.withLock { $0 = result } }
}

extension HostConnection {
  /// Opens a connection to ask questions over: libvirt compares CPUs only over one that may write.
  fileprivate convenience init(reading uri: String) throws(LibvirtError) {
    do throws(LibvirtError) {
      try self.init(to: uri, canWrite: true)
    } catch {
      try self.init(to: uri, canWrite: false)
    }
  }

  /// A domain, with all that bears upon its move.
  fileprivate func surveyed(_ name: String) throws(LibvirtError) -> MoveSurvey.Domain {
    let uuid = try uuid(named: name)
    let state = try state(of: uuid)
    let facts = try facts()
    return MoveSurvey.Domain(
      name: DomainName(uuid: uuid, name: name), host: facts.hostName, hostUUID: hostUUID(), state: state,
      job: state.isActive ? Result { () throws(LibvirtError) in try jobStatistics(of: uuid) } : nil,
      isPersistent: try isPersistent(uuid), snapshots: try snapshots(of: uuid),
      xml: try description(of: uuid))
  }

  /// What this host, as a target, says of itself.
  fileprivate func facts(for domain: MoveSurvey.Domain) throws(LibvirtError) -> MoveSurvey.Facts {
    let facts = try facts()
    return MoveSurvey.Facts(
      host: facts.hostName, hostUUID: hostUUID(), fitsCPU: fits(domain.xml), memory: availableMemory(),
      missing: Set(domain.xml.networks).sorted().filter { hasNetwork($0) == false },
      conflict: conflict(with: domain.name))
  }
}
