import DroverCore

@testable import Journal

func host(_ name: String = "web", on host: String = "rack1", backend: String = "qemu") -> VMRef {
  VMRef(backend: BackendName(rawValue: backend), scope: .host(host), name: name)
}

func id(_ text: String) -> MigrationID {
  MigrationID(text)
    ?? MigrationID(
      domain: DomainKey(backend: BackendName(rawValue: "none"), socketPath: text), startedUnixMilliseconds: 0)
}

func migration(
  _ name: String, vm: VMRef = host(), startedAt: Int64 = 1000, endedAt: Int64? = nil,
  _ outcome: Outcome? = nil,
  _ change: (inout PastMigration) -> Void = { _ in }
) -> PastMigration {
  var migration = PastMigration(id: id(name), vm: vm, domain: "d", startedAt: startedAt)
  migration.endedAt = endedAt
  migration.outcome = outcome
  if let outcome, outcome != .succeeded { migration.cause = outcome == .aborted ? .userAbort : .unknown }
  if outcome != nil { migration.certainty = .reported }
  change(&migration)
  return migration
}

/// A migration that has everything.
func full(_ name: String) -> PastMigration {
  migration(
    name, vm: VMRef(backend: BackendName(rawValue: "prod"), scope: .namespace("shop"), name: "db"),
    startedAt: 1_795_453_200_123, endedAt: 1_795_453_300_456, .aborted
  ) { migration in
    migration.facts.source = "node-a"
    migration.facts.target = "node-b"
    migration.facts.object = "kubevirt-evacuation-x7k2p"
    migration.facts.requestedTarget = "node-c"
    migration.facts.network = "harvester-system/vm-migration"
    migration.facts.policy = "slow-ones"
    migration.facts.origin = .evacuation
    migration.facts.size = .gibibytes(9)
    migration.facts.memory = .gibibytes(8)
    migration.createdAt = 1_795_453_100_000
    migration.cause = .policyAbort
    migration.certainty = .inferred
    migration.text = "Live migration \u{1F40F} 'aborted'; -- \"done\"\n\\0"
    migration.duration = .milliseconds(100_333)
    migration.downtime = .milliseconds(41)
    migration.transferred = Bytes(12_345_678_901)
    migration.bestRemaining = Bytes(1)
    migration.iterations = 17
    migration.usedPostcopy = true
    migration.completion = CompletionBudget(
      timeout: .seconds(1350), setBy: .versionDefault, enforcedBy: .kubevirt, action: .postcopy,
      uncertainty: .seconds(150))
    migration.progress = ProgressBudget(
      timeout: .seconds(150), setBy: .policy, enforcedBy: .kubevirt, countsSent: true)
    migration.guest = .source
  }
}

func decision(
  _ text: String = "why not", kind: DecisionKind = .acted, action: ControlAction = .abort,
  at madeAt: Int64 = 1000,
  migration: String? = "m-1", vm: VMRef? = host()
) -> Decision {
  Decision(
    madeAt: madeAt, action: action, trigger: .person, kind: kind, migration: migration.map(id), vm: vm,
    requester: "uid 1000", text: text)
}
