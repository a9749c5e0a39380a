internal import DroverCore
internal import Kubernetes

/// What is told of migrations.
extension ClusterWatch {
  /// For so long an end waits for the event that tells its cause.
  private static let eventPatience = Duration.seconds(2)
  /// For so long a VMIM that vanished before it was final waits for what the VMI says of its end, or longer where VMIs
  /// cannot be read for the time being.
  private static let vanishPatience = (usual: Duration.seconds(5), longest: Duration.seconds(60))
  /// A clock that is less wrong than this is told nothing of.
  private static let tolerableSkew = Duration.seconds(5)

  /// Tells what is new of one migration: its points one by one, then how it is now.
  mutating func tell(_ uid: String, at instant: Instant, _ messages: inout [BackendMessage]) {
    place(uid)
    guard told.hasBegun, var record = migrations[uid] else { return }
    let points = record.takeFreshPoints()
    migrations[uid] = record
    guard record.vmim.role != .receiver else {
      tellArrival(record, at: instant, &messages)
      if record.isFinal || record.isGone { forget(uid, record) }
      return
    }
    if record.phase == nil { problems.note(.unknownPhase, uid) }
    guard let phase = record.phase ?? (record.isGone ? told.migrations[uid]?.phase ?? .preparing : nil) else {
      return
    }
    let limits = limits(of: record)
    var observation = observation(of: record, phase: phase, limits: limits, at: instant)
    for point in points {
      var sample = observation
      if phase.isFinal { sample.phase = told.migrations[uid]?.phase ?? .precopy }
      sample.sampledAt = point.at
      sample.sample = self.sample(of: point, record, limits: limits)
      messages.append(.migration(sample))
    }
    if let last = points.last ?? record.copy.last {
      observation.sampledAt = last.at
      observation.sample = sample(of: last, record, limits: limits)
    }
    var ending = ending(of: &record, uid: uid, limits: limits, at: instant)
    // Both times are told, so that what began and ended within the same second is known to have taken less than one.
    if let over = ending?.endedAt {
      ending?.duration = record.times.startedAt.map { max(.zero, over - $0) }
    }
    if record.times.clockError > Self.tolerableSkew { problems.note(.clockSkew, uid) }
    if let ending {
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
    // What is gone will not be told of again.
    if !record.isGone { ended.insert(uid) }
  }

  // MARK: How it is now

  private func observation(
    of record: MigrationRecord, phase: Phase, limits: EffectiveLimits, at instant: Instant
  ) -> MigrationObservation {
    let createdAt = record.times.createdAt
    let startedAt = record.times.startedAt
    let vm = record.vm
    let guest = record.guest(isSourceReachable: isReachable(record.sourceNode))
    var observation = MigrationObservation(
      id: record.id,
      vm: VMRef(backend: backend, scope: .namespace(record.name.namespace), name: record.name.name),
      domain: DomainKey(uuid: vm?.domainUUID ?? "")
        ?? DomainKey(backend: backend, socketPath: record.vmim.metadata.uid),
      takenAt: instant.now, startedAt: startedAt ?? createdAt, phase: phase,
      facts: facts(of: record, limits: limits), samplingInterval: sampling.interval,
      guestOnSource: guest.source, guestOnTarget: guest.target)
    observation.hasStarted = record.hasStarted
    observation.createdAt = createdAt
    observation.phaseEnteredAt = record.phaseEnteredAt
    observation.sampledAt = startedAt ?? createdAt
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
    // The same storage as the VM's: of ten thousand VMs this takes nothing.
    facts.labels = record.vm?.labels ?? [:]
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

  private func sample(of point: CopyPoint, _ record: MigrationRecord, limits: EffectiveLimits) -> Sample {
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
    sample.bandwidthLimit = limits.bandwidth
    sample.downtimeLimit = limits.downtime
    sample.clockError = point.clockError
    return sample
  }

  /// Whether a node can be asked at all, as far as anybody knows.
  func isReachable(_ node: String) -> Bool { nodes[node]?.isSilent != true }

  // MARK: How it ended

  private mutating func ending(
    of record: inout MigrationRecord, uid: String, limits: EffectiveLimits, at instant: Instant
  ) -> Ending? {
    guard record.isFinal || record.vanishedAt != nil else { return nil }
    let isToldByVMI = record.state?.isCompleted == true
    if let since = record.vanishedAt, !isToldByVMI, !isOver(since, at: instant) { return nil }
    let endedAt = record.endedAt(at: instant)
    if record.vmim.phase == "Succeeded" {
      return Ending(outcome: .succeeded, certainty: .reported, endedAt: endedAt)
    }
    if record.vanishedAt != nil, isToldByVMI, record.state?.hasFailed != true {
      return Ending(outcome: .succeeded, certainty: .inferred, endedAt: endedAt)
    }
    let analysis = analysis(of: record, limits: limits, endedAt: endedAt)
    var answer = analysis.answer
    if record.vanishedAt != nil {
      if !isToldByVMI { answer.certainty = .inferred }
    } else if answer.certainty == .inferred, analysis.text.isEmpty, !record.isHistory {
      // An event may tell what is only guessed here.
      let since = heldEnds[uid] ?? instant.now
      heldEnds[uid] = since
      if instant.now - since < Self.eventPatience { return nil }
    }
    return Ending(
      outcome: .failed, cause: answer.cause, certainty: answer.certainty,
      text: analysis.text.isEmpty && record.vanishedAt != nil
        ? "its object vanished before it was final" : analysis.text, endedAt: endedAt)
  }

  /// Whether a VMIM that vanished has waited for long enough.
  private func isOver(_ since: Moment, at instant: Instant) -> Bool {
    guard instant.now - since >= Self.vanishPatience.usual else { return false }
    let isRead = resources.oldest(of: [.vmis]).map { $0 >= since } ?? false
    return isRead || instant.now - since >= Self.vanishPatience.longest
  }

  private func analysis(of record: MigrationRecord, limits: EffectiveLimits, endedAt: Moment)
    -> FailureAnalysis
  {
    var analysis = FailureAnalysis()
    analysis.state = record.state
    analysis.isAbortRequested = record.isAbortRequested
    analysis.hasQuotaCondition = record.vmim.conditions.isTrue("migrationRejectedByResourceQuota")
    analysis.isUnschedulable = record.isUnschedulable
    analysis.podTimeouts = record.vmim.podTimeouts
    analysis.podTimeoutText = record.podTimeoutText
    analysis.events = record.events
    analysis.vmiPhase = record.vm?.phase ?? ""
    analysis.hasVMIGone = record.isVMIGone
    analysis.isSourceReady = nodes[record.sourceNode].flatMap(\.isReady)
    analysis.isTargetReady = nodes[record.targetNode].flatMap(\.isReady)
    if !record.hasStarted, let over = record.vmim.entered("Failed") {
      analysis.waited = record.vmim.entered("Scheduling").map { over - $0 }
    }
    analysis.elapsed = record.times.startedAt.map { endedAt - $0 }
    analysis.stillness = record.copy.stillSince.map { endedAt - $0 }
    analysis.hasSeenBytes = record.copy.last != nil
    analysis.samplingInterval = sampling.interval
    analysis.budgets = budgets(of: record, limits: limits)
    analysis.hasStallDetector = limits.stallTimeoutFactor != nil
    analysis.keepalive = keepalive
    return analysis
  }

  private mutating func noteEnd(
    of record: MigrationRecord, _ ending: Ending, _ messages: inout [BackendMessage]
  ) {
    noteDrain(of: record, ending, &messages)
    // virt-controller waits longer with each failure of one that it made itself.
    guard record.vmim.isRepeated else { return }
    switch ending.outcome {
    case .succeeded: backoffs[record.name] = nil
    case .failed:
      // Only objects that are there are counted.
      guard !record.isGone, record.vmim.metadata.deletionTimestamp == nil else { return }
      let failures = (backoffs[record.name]?.failures ?? 0) + 1
      backoffs[record.name] = Backoff(failures: failures, lastFailure: ending.endedAt)
    case .aborted: break
    }
  }

  // MARK: A VM that comes from elsewhere

  /// The target of a migration between namespaces or clusters: its source tells the rest.
  private func tellArrival(_ record: MigrationRecord, at instant: Instant, _ messages: inout [BackendMessage])
  {
    let node = record.targetNode.isEmpty ? record.vm?.node ?? "" : record.targetNode
    guard !node.isEmpty, let domain = DomainKey(uuid: record.vm?.domainUUID ?? "") else { return }
    let isOver = record.isFinal || record.isGone
    let vm = VMRef(backend: backend, scope: .namespace(record.name.namespace), name: record.name.name)
    let runs: Bool? = record.vmim.phase == "Succeeded" ? true : isOver ? nil : false
    messages.append(
      .inbound(InboundObservation(vm: vm, host: node, domain: domain, isActive: !isOver, guestRuns: runs)))
  }
}
