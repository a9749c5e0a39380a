@testable import DroverCore

/// What happened, in words that compare.
func names(_ events: [LifecycleEvent]) -> [String] {
  events.compactMap { event in
    switch event {
    // Says nothing that happened.
    case .lastSeen: nil
    case .began: "began"
    case .phaseChanged(let view, let from): "\(from.rawValue)>\(view.phase.rawValue)"
    case .verdictChanged(let view, let from): "\(from.rawValue)>\(view.verdict.kind.rawValue)"
    case .interrupted(_, let length): "interrupted \(length.milliseconds)"
    case .ended(let view): "ended \(view.phase.rawValue) \(view.ending?.cause?.rawValue ?? "-")"
    case .foundEnded(let view): "found \(view.phase.rawValue)"
    case .dropped(let id, _): "dropped \(id)"
    }
  }
}

extension FleetTotals {
  /// Started, succeeded, failed, aborted.
  var sums: [UInt64] {
    [
      started.reduce(0) { $0 + $1.count }, succeeded.reduce(0) { $0 + $1.count },
      failed.reduce(0) { $0 + $1.count }, aborted.reduce(0) { $0 + $1.count },
    ]
  }
}

func end(
  _ outcome: Outcome, _ cause: FailureCause? = nil, at: Double, id: MigrationID? = nil,
  startedAt: Double = 10,
  sample: Sample = Sample(), facts: MigrationFacts = .ofHostA, source: Bool? = nil, target: Bool? = nil
) -> BackendMessage {
  var told = observation(
    at: at, startedAt: startedAt, phase: outcome.phase,
    ending: Ending(outcome: outcome, cause: cause, certainty: .reported, endedAt: seconds(at)),
    sample: sample,
    facts: facts, source: source, target: target)
  if let id { told.id = id }
  return .migration(told)
}

func sight(
  at: Double, phase: Phase = .precopy, sent: UInt64 = 1, remaining: UInt64? = 100, pass: UInt64? = 2,
  dirty: UInt64? = 0, startedAt: Double = 10, id: MigrationID? = nil, facts: MigrationFacts = .ofHostA,
  source: Bool? = nil, target: Bool? = nil
) -> BackendMessage {
  var told = observation(
    at: at, startedAt: startedAt, phase: phase,
    sample: DroverCoreTests.sample(sent: sent, remaining: remaining, dirty: dirty, pass: pass), facts: facts,
    source: source, target: target)
  if let id { told.id = id }
  return .migration(told)
}

func id(_ n: Int) -> MigrationID { MigrationID(domain: domain(n), startedUnixMilliseconds: 0) }

extension MigrationTracker {
  @discardableResult
  mutating func take(_ message: BackendMessage, at: Double) -> [String] {
    names(receive(message, at: seconds(at)))
  }

  mutating func look(at: Double) -> [String] { names(tick(at: seconds(at))) }
}

extension MigrationTracker {
  mutating func receiveVM() {
    _ = receive(
      .vm(VMObservation(key: VMKey(backend: home, text: "a"), vm: vmRef(), node: "host-a", blockers: [])),
      at: ms(0))
  }
}
