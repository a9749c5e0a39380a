@testable import DroverCore

/// A back end that watches a whole cluster.
let prod = BackendName(rawValue: "prod")

func clusterVM(_ name: String = "db") -> VMRef {
  VMRef(backend: prod, scope: .namespace("shop"), name: name)
}

/// A migration from `node-1` to `node-2` as a cluster tells it, at second 0 where nothing else is said.
func clusterSight(
  at: Double, phase: Phase = .precopy, id: MigrationID = DroverCoreTests.id(1), created: Double = 5,
  started: Double? = 10, target: String = "node-2", _ change: (inout MigrationObservation) -> Void = { _ in }
) -> BackendMessage {
  var facts = MigrationFacts()
  facts.source = "node-1"
  facts.target = target
  facts.object = "db-x7k2p"
  facts.origin = .manual
  facts.size = .gibibytes(8)
  var told = observation(
    id: id, vm: clusterVM(), at: at, startedAt: started ?? created, phase: phase, facts: facts)
  told.createdAt = seconds(created)
  told.hasStarted = started != nil
  change(&told)
  return .migration(told)
}

/// The same with counters that were read at second `read`.
func clusterSample(
  at: Double, read: Double, sent: UInt64, remaining: UInt64, interval: Double = 5, delay: Double = 0,
  _ change: (inout MigrationObservation) -> Void = { _ in }
) -> BackendMessage {
  clusterSight(at: at) { told in
    told.sample.data = StreamCounters(transferred: Bytes(sent), remaining: Bytes(remaining))
    told.sampledAt = seconds(read)
    told.samplingInterval = .milliseconds(Int64(interval * 1000))
    told.sampleDelay = .milliseconds(Int64(delay * 1000))
    change(&told)
  }
}

func clusterEnd(
  _ outcome: Outcome, _ cause: FailureCause? = nil, at: Double, ended: Double? = nil, started: Double? = 10,
  _ change: (inout MigrationObservation) -> Void = { _ in }
) -> BackendMessage {
  clusterSight(at: at, phase: outcome.phase, started: started) { told in
    told.ending = Ending(
      outcome: outcome, cause: cause, certainty: .reported, endedAt: seconds(ended ?? at))
    change(&told)
  }
}

extension MigrationTracker {
  /// A tracker with a cluster in which one VM is known.
  static func withCluster(startedAt: Double = 0, budget: BudgetSettings = BudgetSettings()) -> Self {
    var tracker = MigrationTracker(startedAt: seconds(startedAt))
    tracker.register(descriptor(prod, node: nil, budget: budget))
    tracker.take(
      .vm(
        VMObservation(
          key: VMKey(backend: prod, text: "uid-db"), vm: clusterVM(), node: "node-1", blockers: [])),
      at: startedAt)
    return tracker
  }

  /// What is counted at a node; nil for one that is not there.
  func counts(at node: String) -> [UInt64]? {
    snapshot().nodes.first { $0.node == node }.map {
      [$0.outbound, $0.inbound, $0.pending, $0.failedOutbound, $0.failedInbound]
    }
  }
}
