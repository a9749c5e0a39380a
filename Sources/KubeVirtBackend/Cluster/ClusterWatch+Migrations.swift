internal import DroverCore
internal import Kubernetes

/// What is told of migrations.
extension ClusterWatch {
  /// For so long an end waits for the event that tells its cause.
  private static let eventPatience = Duration.seconds(2)
  /// For so long a VMIM that vanished before it was final waits for what the VMI says of its end.
  private static let vanishPatience = Duration.seconds(5)

  /// Tells what is new of one migration: its points one by one, then how it is now.
  mutating func tell(_ uid: String, at instant: Instant, _ messages: inout [BackendMessage]) {
    place(uid)
    guard told.hasBegun, var record = migrations[uid] else { return }
    let points = record.takeFreshPoints()
    migrations[uid] = record
    if record.clockError > .seconds(5) { problems.note(.clockSkew, uid) }
    guard record.vmim.role != .receiver else {
      tellArrival(record, at: instant, &messages)
      if record.isFinal || record.vanishedAt != nil { forget(uid, record) }
      return
    }
    guard let phase = record.phase else {
      problems.note(.unknownPhase, uid)
      return
    }
    var observation = observation(of: record, phase: phase, at: instant)
    for point in points {
      var sample = observation
      sample.ending = nil
      if sample.phase.isFinal { sample.phase = .precopy }
      sample.sampledAt = point.at
      sample.sample = self.sample(of: point, record)
      messages.append(.migration(sample))
    }
    if let last = points.last ?? record.copy.last {
      observation.sampledAt = last.at
      observation.sample = sample(of: last, record)
    }
    if let ending = ending(of: record, uid: uid, at: instant) {
      observation.end(ending)
      messages.append(.migration(observation))
      noteEnd(of: record, ending, &messages)
      forget(uid, record)
      return
    }
    guard !phase.isFinal else { return }
    let fingerprint = MigrationFingerprint(observation)
    if told.migrations.updateValue(fingerprint, forKey: uid) != fingerprint {
      messages.append(.migration(observation))
    }
  }

  private mutating func forget(_ uid: String, _ record: MigrationRecord) {
    migrations[uid] = nil
    place(uid)
    openByVM[record.name]?.removeAll { $0 == uid }
    if openByVM[record.name]?.isEmpty ?? false { openByVM[record.name] = nil }
    told.migrations[uid] = nil
    told.networks[uid] = nil
    heldEnds[uid] = nil
    // What vanished before its end was told will not be told of again.
    if record.vanishedAt == nil { ended.insert(uid) }
  }

  // MARK: How it is now

  private func observation(of record: MigrationRecord, phase: Phase, at instant: Instant)
    -> MigrationObservation
  {
    let createdAt = record.createdAt
    let vm = record.vm
    let limits = limits(of: record)
    let guest = record.guest(isSourceReachable: isReachable(record.sourceNode))
    var observation = MigrationObservation(
      id: record.id,
      vm: VMRef(backend: backend, scope: .namespace(record.name.namespace), name: record.name.name),
      domain: DomainKey(uuid: vm?.domainUUID ?? "")
        ?? DomainKey(backend: backend, socketPath: record.vmim.metadata.uid),
      takenAt: instant.now, startedAt: record.startedAt ?? createdAt, phase: phase,
      facts: facts(of: record, limits: limits), samplingInterval: sampling.interval,
      guestOnSource: guest.source, guestOnTarget: guest.target)
    observation.hasStarted = record.hasStarted
    observation.createdAt = createdAt
    observation.phaseEnteredAt = record.phaseEntered(at: instant)
    observation.sampledAt = record.startedAt ?? createdAt
    observation.sampleDelay = sampling.delay
    observation.isHistory = record.isHistory
    observation.waiting = waiting(of: record, phase: phase, at: instant)
    observation.budgets = budgets(of: record, limits: limits)
    if let status = vm?.harvesterStatus, status.migration == record.vmim.metadata.uid {
      observation.statusWord = status.word
    }
    return observation
  }

  func limits(of record: MigrationRecord) -> EffectiveLimits {
    let policy = policies.policy(
      vmi: record.vm?.labels ?? [:], namespace: namespaceLabels[record.name.namespace] ?? [:])
    return EffectiveLimits(
      resolved: record.state?.configuration, policyName: record.state?.policyName ?? "", policy: policy,
      cluster: settings)
  }

  private func budgets(of record: MigrationRecord, limits: EffectiveLimits) -> OwnBudgets {
    let size = record.vm.flatMap { vm in
      vm.memory.map {
        EffectiveLimits.Size(
          known: $0 + vm.migratedVolumes, disks: vm.generatedDisks, dataTotal: record.copy.total)
      }
    }
    return limits.budgets(
      of: size, isPaused: record.state?.mode == "Paused", hasVFIO: record.vm?.hasPassthrough ?? false)
  }

  private func facts(of record: MigrationRecord, limits: EffectiveLimits) -> MigrationFacts {
    var facts = MigrationFacts()
    facts.source = record.sourceNode
    facts.target = record.targetNode
    facts.object = record.vmim.metadata.name
    facts.requestedTarget = record.vmim.requestedTarget
    facts.policy = limits.policy
    facts.origin = record.vmim.origin
    facts.memory = record.vm?.memory
    if let memory = record.vm?.memory {
      facts.size = max(memory + (record.vm?.migratedVolumes ?? 0), record.copy.total ?? 0)
    }
    facts.network =
      switch record.state?.networkType {
      case "Pod": "pod"
      case "Migration": settings.limits.network ?? "migration"
      default: settings.isKnown ? settings.limits.network ?? "pod" : ""
      }
    return facts
  }

  private func sample(of point: CopyPoint, _ record: MigrationRecord) -> Sample {
    var sample = Sample()
    let stream = point.processed.map {
      StreamCounters(transferred: $0, remaining: point.remaining, total: point.total)
    }
    // libvirt's counters are of memory and disks together: told apart only where no disk goes along.
    let hasDisks = (record.vm?.generatedDisks ?? 1) > 0 || (record.vm?.migratedVolumes ?? 0) > 0
    if hasDisks { sample.data = stream } else { sample.memory = stream }
    // It stays 0 until QEMU has been through the memory once.
    if let rate = point.dirtyRate, rate > 0 || (point.processed ?? 0) > (record.vm?.memory ?? 0) {
      sample.dirtyRate = rate
    }
    let limits = limits(of: record)
    sample.bandwidthLimit = limits.bandwidth
    sample.downtimeLimit = limits.downtime
    return sample
  }

  /// Whether a node can be asked at all, as far as anybody knows.
  func isReachable(_ node: String) -> Bool { nodes[node]?.isReady != false }

  // MARK: How it ended

  private mutating func ending(of record: MigrationRecord, uid: String, at instant: Instant) -> Ending? {
    let endedAt = record.endedAt(instant)
    if record.vmim.phase == "Succeeded" {
      return Ending(outcome: .succeeded, certainty: .reported, endedAt: endedAt)
    }
    let hasVanished = record.vanishedAt != nil && !record.isFinal
    guard record.isFinal || hasVanished else { return nil }
    if hasVanished {
      let isToldByVMI = record.state?.isCompleted == true
      if isToldByVMI, record.state?.hasFailed != true {
        return Ending(outcome: .succeeded, certainty: .inferred, endedAt: endedAt)
      }
      if !isToldByVMI, let since = record.vanishedAt, instant.now - since < Self.vanishPatience { return nil }
    }
    let analysis = analysis(of: record, endedAt: endedAt)
    var answer = analysis.answer
    if hasVanished { answer.certainty = .inferred }
    if answer.cause == .unknown, !record.isInitial {
      let since = heldEnds[uid] ?? instant.now
      heldEnds[uid] = since
      if instant.now - since < Self.eventPatience { return nil }
    }
    return Ending(
      outcome: .failed, cause: answer.cause, certainty: answer.certainty, text: analysis.text,
      endedAt: endedAt)
  }

  private func analysis(of record: MigrationRecord, endedAt: Moment) -> FailureAnalysis {
    var analysis = FailureAnalysis()
    analysis.state = record.state
    analysis.isAbortRequested = record.isAbortRequested
    analysis.hasQuotaCondition = record.vmim.conditions.isTrue("migrationRejectedByResourceQuota")
    analysis.isUnschedulable = record.isUnschedulable
    analysis.events = record.events
    analysis.vmiPhase = record.vm?.phase ?? ""
    analysis.hasVMIGone = record.isVMIGone
    analysis.isSourceReady = nodes[record.sourceNode].flatMap(\.isReady)
    analysis.isTargetReady = record.state.flatMap { nodes[$0.targetNode]?.isReady }
    if !record.hasStarted, let over = record.vmim.entered("Failed") {
      analysis.waited = (record.vmim.entered("Scheduling") ?? record.vmim.entered("Pending")).map {
        over - $0
      }
    }
    analysis.elapsed = record.startedAt.map { endedAt - $0 }
    analysis.silence = record.copy.lastSent.map { endedAt - $0 }
    analysis.silenceUncertainty = sampling.interval
    analysis.budgets = budgets(of: record, limits: limits(of: record))
    analysis.keepalive = keepalive
    return analysis
  }

  private mutating func noteEnd(
    of record: MigrationRecord, _ ending: Ending, _ messages: inout [BackendMessage]
  ) {
    noteDrain(of: record, ending, &messages)
    // virt-controller waits longer with each failure of one that it made itself.
    let origin = record.vmim.origin
    guard origin == .evacuation || origin == .workloadUpdate || origin == .descheduler else { return }
    switch ending.outcome {
    case .succeeded: backoffs[record.name] = nil
    case .failed:
      let failures = (backoffs[record.name]?.failures ?? 0) + 1
      backoffs[record.name] = Backoff(failures: failures, lastFailure: ending.endedAt)
    case .aborted: break
    }
  }

  // MARK: A VM that comes from elsewhere

  /// The target of a migration between namespaces or clusters: its source tells the rest.
  private func tellArrival(_ record: MigrationRecord, at instant: Instant, _ messages: inout [BackendMessage])
  {
    guard let node = record.state?.targetNode ?? record.vm?.node, !node.isEmpty,
      let domain = DomainKey(uuid: record.vm?.domainUUID ?? "")
    else { return }
    let isOver = record.isFinal || record.vanishedAt != nil
    let vm = VMRef(backend: backend, scope: .namespace(record.name.namespace), name: record.name.name)
    let runs: Bool? = record.vmim.phase == "Succeeded" ? true : isOver ? nil : false
    messages.append(
      .inbound(InboundObservation(vm: vm, host: node, domain: domain, isActive: !isOver, guestRuns: runs)))
  }
}

extension MigrationRecord {
  /// The points that have not been told yet.
  fileprivate mutating func takeFreshPoints() -> [CopyPoint] { copy.takeFresh() }
}
