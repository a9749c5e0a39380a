public import DroverCore
internal import FoundationEssentials

extension MigrationItem {
  /// Shows what is known of a migration now.
  public init(_ view: MigrationView, epochOffset: EpochOffset, now: Moment) {
    func time(_ moment: Moment) -> Timestamp { Timestamp(moment, epochOffset) }
    let identity = view.identity
    self.init(
      id: identity.id.description, backend: identity.vm.backend.rawValue,
      namespace: identity.vm.scope.namespace, host: identity.vm.scope.host, vm: identity.vm.name,
      phase: view.phase.rawValue, verdict: view.verdict.kind.rawValue,
      evidence: Words.evidence(view.verdict.evidence, now: now), source: view.facts.source,
      target: view.facts.target,
      origin: view.facts.origin.rawValue, guestRunsOn: view.guest.rawValue, asOf: time(now),
      startedAt: time(view.startedAt),
      phaseEnteredAt: time(view.phaseEnteredAt), sampledAt: time(view.sampledAt),
      sampleAgeSeconds: max(0, (now - view.sampledAt).inSeconds),
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
          timeout: budget.timeout, deadline: view.completionDeadline, uncertainty: .zero, now: now,
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

extension MigrationItem.Budget {
  fileprivate init(
    timeout: Duration, deadline: Moment?, uncertainty: Duration, now: Moment, epochOffset: EpochOffset,
    setBy: TimeoutOrigin, enforcedBy: Enforcer, action: DeadlineAction?
  ) {
    self.init(
      timeoutSeconds: timeout.inSeconds,
      usedSeconds: deadline.map { max(0, (timeout - ($0 - now)).inSeconds) },
      deadlineAt: deadline.map { Timestamp($0, epochOffset) },
      uncertaintySeconds: deadline.map { _ in uncertainty.inSeconds }, setBy: setBy.rawValue,
      enforcedBy: enforcedBy.rawValue, action: action?.rawValue)
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

extension MigrationList {
  /// Shows every migration of a snapshot.
  public init(_ snapshot: FleetSnapshot, epochOffset: EpochOffset, now: Moment) {
    self.init(
      snapshot.migrations.map { MigrationItem($0, epochOffset: epochOffset, now: now) },
      backends: snapshot.backends.map { backend in
        BackendItem(
          name: backend.descriptor.name.rawValue, type: backend.descriptor.type, isUp: backend.isUp,
          lastSuccessAt: backend.lastSuccess.map { Timestamp($0, epochOffset) },
          asOf: Timestamp(now, epochOffset))
      })
  }
}

/// The API's JSON: sorted keys, no blanks.
public enum APICoding {
  /// Encodes an answer.
  public static func encode(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Array(try encoder.encode(value))
  }

  /// Decodes an answer; unknown keys are passed over, so that an older client reads a newer server.
  public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
    try JSONDecoder().decode(type, from: Data(bytes))
  }
}

extension Scope {
  fileprivate var namespace: String? { if case .namespace(let name) = self { name } else { nil } }
  fileprivate var host: String? { if case .host(let name) = self { name } else { nil } }
}
