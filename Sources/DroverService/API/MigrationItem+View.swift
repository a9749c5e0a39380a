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
      evidence: Words.evidence(view.verdict.evidence), source: view.facts.source, target: view.facts.target,
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
          timeout: budget.timeout, deadline: view.completionDeadline, now: now, epochOffset: epochOffset,
          setBy: budget.setBy, enforcedBy: budget.enforcedBy, action: budget.action)
      },
      progress: view.progressBudget.map { budget in
        Budget(
          timeout: budget.timeout, deadline: view.progressDeadline, now: now, epochOffset: epochOffset,
          setBy: budget.setBy, enforcedBy: budget.enforcedBy, action: nil)
      },
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
    timeout: Duration, deadline: Moment?, now: Moment, epochOffset: EpochOffset, setBy: TimeoutOrigin,
    enforcedBy: Enforcer, action: DeadlineAction?
  ) {
    self.init(
      timeoutSeconds: timeout.inSeconds,
      usedSeconds: deadline.map { max(0, (timeout - ($0 - now)).inSeconds) },
      deadlineAt: deadline.map { Timestamp($0, epochOffset) }, setBy: setBy.rawValue,
      enforcedBy: enforcedBy.rawValue, action: action?.rawValue)
  }
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
