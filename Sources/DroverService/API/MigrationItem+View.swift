public import DroverCore

extension MigrationItem {
  /// Shows what is known of a migration now.
  ///
  /// - Parameters:
  ///   - documented: The figures that its back end is configured with; nil where they are not to be compared with those
  ///     in force.
  ///   - labels: Labels of VMs that are shown.
  public init(
    _ view: MigrationView, epochOffset: EpochOffset, now: Moment, documented: BudgetSettings? = nil,
    labels: Set<String> = []
  ) {
    func time(_ moment: Moment) -> Timestamp { Timestamp(moment, epochOffset) }
    func text(_ text: String) -> String? { text.isEmpty ? nil : text }
    let identity = view.identity
    let readAt = view.countersReadAt
    self.init(
      id: identity.id.description, backend: identity.vm.backend.rawValue,
      namespace: identity.vm.scope.namespace, host: identity.vm.scope.host, vm: identity.vm.name,
      object: text(view.facts.object), phase: view.phase.rawValue, verdict: view.verdict.kind.rawValue,
      evidence: Words.evidence(view.verdict.evidence, now: now), source: view.facts.source,
      target: view.facts.target, requestedTarget: text(view.facts.requestedTarget),
      origin: view.facts.origin.rawValue, network: text(view.facts.network),
      migrationPolicy: text(view.facts.policy),
      labels: labels.isEmpty ? [:] : view.facts.labels.filter { labels.contains($0.key) },
      absentLabels: identity.vm.scope.namespace == nil
        ? [] : labels.filter { view.facts.labels[$0] == nil }.sorted(),
      productStatus: text(view.statusWord),
      pending: view.waiting.map {
        Pending(reason: $0.reason.rawValue, position: $0.position, text: text($0.text))
      },
      guestRunsOn: view.guest.rawValue, asOf: time(now),
      createdAt: (view.createdAt ?? (view.hasStarted ? nil : view.startedAt)).map(time),
      startedAt: view.hasStarted ? time(view.startedAt) : nil,
      watchedSince: view.watchedSince.map(time), phaseEnteredAt: time(view.phaseEnteredAt),
      sampledAt: readAt.map(time),
      sampleAgeSeconds: readAt.map { max(0, (now - $0).inSeconds) },
      sampleAgeLimitSeconds: readAt.map { _ in view.sampleAgeLimit.inSeconds },
      expectedEndAt: view.verdict.expectedEnd.map(time), progressRatio: view.progressRatio,
      sizeBytes: view.facts.size?.count, remainingBytes: view.sample.remaining?.count,
      bestRemainingBytes: view.progress?.best?.count, transferredBytes: view.sample.transferred?.count,
      transferBytesPerSecond: view.transferRate?.value, dirtyBytesPerSecond: view.sample.dirtyRate?.value,
      bandwidthLimitBytesPerSecond: view.sample.bandwidthLimit?.value, iterations: view.sample.iterations,
      cpuThrottleRatio: view.sample.cpuThrottle,
      expectedDowntimeSeconds: view.sample.expectedDowntime?.inSeconds,
      downtimeLimitSeconds: view.sample.downtimeLimit?.inSeconds,
      downtimeSeconds: view.sample.downtime?.inSeconds,
      completion: view.completion.map { budget in
        Budget(
          timeout: budget.timeout, documented: budget.documented(by: documented, for: view.facts),
          deadline: view.completionDeadline, uncertainty: budget.uncertainty, now: now,
          epochOffset: epochOffset, setBy: budget.setBy, enforcedBy: budget.enforcedBy, action: budget.action)
      },
      progress: view.progressBudget.map { budget in
        Budget(
          timeout: budget.timeout, deadline: view.progressDeadline,
          uncertainty: view.progress?.dropUncertainty ?? .zero, now: now, epochOffset: epochOffset,
          setBy: budget.setBy, enforcedBy: budget.enforcedBy, action: nil)
      },
      keepalive: view.network.map { report in
        Keepalive(report, view.keepalive, now: now, epochOffset: epochOffset)
      },
      connections: view.network.flatMap { Connections($0, epochOffset: epochOffset) },
      networkLost: view.networkLosses.map(\.network.rawValue),
      interruptions: Pauses(count: view.interruptions.count, seconds: view.interruptions.total.inSeconds),
      ending: view.ending.map { ending in
        End(
          outcome: ending.outcome.rawValue, cause: ending.cause?.rawValue,
          certainty: ending.certainty.rawValue,
          text: ending.text, endedAt: time(ending.endedAt),
          durationSeconds: view.duration?.inSeconds)
      })
  }
}

extension MigrationItem {
  /// Labels of which it is known whether the VM has them.
  var toldLabels: Set<String> { Set(labels.keys).union(absentLabels) }
}

extension MigrationItem.Budget {
  fileprivate init(
    timeout: Duration, documented: Duration? = nil, deadline: Moment?, uncertainty: Duration, now: Moment,
    epochOffset: EpochOffset, setBy: TimeoutOrigin, enforcedBy: Enforcer, action: DeadlineAction?
  ) {
    self.init(
      timeoutSeconds: timeout.inSeconds, documentedSeconds: documented?.inSeconds,
      usedSeconds: deadline.map { max(0, (timeout - ($0 - now)).inSeconds) },
      deadlineAt: deadline.map { Timestamp($0, epochOffset) },
      uncertaintySeconds: deadline.map { _ in uncertainty.inSeconds }, setBy: setBy.rawValue,
      enforcedBy: enforcedBy.rawValue, action: action?.rawValue)
  }
}

extension CompletionBudget {
  /// What the configured figure comes to for the guest's memory; nil where it is the one in force.
  fileprivate func documented(by settings: BudgetSettings?, for facts: MigrationFacts) -> Duration? {
    guard setBy != .config, let settings else { return nil }
    let size = facts.memory ?? facts.size
    let documented = CompletionBudget(perGiB: settings.completionPerGiB, size: size)?.timeout
    return documented == timeout ? nil : documented
  }
}

extension MigrationItem.Keepalive {
  fileprivate init(
    _ report: NetworkReport, _ budget: KeepaliveBudget?, now: Moment, epochOffset: EpochOffset
  ) {
    let method: KeepaliveMethod? =
      switch report.keepalive {
      case .measured: .measured
      case .inferred: .inferred
      case .none: nil
      }
    let settings = method == nil ? nil : report.settings
    self.init(
      basis: report.keepalive.name, method: method?.rawValue, timeoutSeconds: settings?.timeout.inSeconds,
      intervalSeconds: settings?.interval.inSeconds, usedSeconds: budget.map { $0.used(at: now).inSeconds },
      deadlineAt: budget.map { Timestamp($0.deadline, epochOffset) },
      uncertaintySeconds: budget?.uncertainty.inSeconds)
  }
}

extension MigrationItem.Connections {
  fileprivate init?(_ report: NetworkReport, epochOffset: EpochOffset) {
    guard report.control != nil || report.data != nil else { return nil }
    func connection(_ health: ConnectionHealth) -> MigrationItem.Connection {
      MigrationItem.Connection(
        lastHeardAt: Timestamp(health.lastHeard, epochOffset), isAwaited: health.isAwaited,
        unackedBytes: health.unacked?.count, retransmits: health.retransmits)
    }
    self.init(control: report.control.map(connection), data: report.data.map(connection))
  }
}

extension KeepaliveBasis {
  /// The API's name for it.
  var name: String {
    switch self {
    case .measured: "measured"
    case .inferred(let reason): reason.rawValue
    case .none(let reason): reason.rawValue
    }
  }
}

extension KeepaliveBudget {
  /// Part of the time-out that is used.
  func used(at now: Moment) -> Duration { max(.zero, timeout - (deadline - now)) }
}

extension Scope {
  var namespace: String? { if case .namespace(let name) = self { name } else { nil } }
  var host: String? { if case .host(let name) = self { name } else { nil } }
}
