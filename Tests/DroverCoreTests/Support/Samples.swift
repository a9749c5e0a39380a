@testable import DroverCore

let home = BackendName(rawValue: "rack1")

func ms(_ n: Int64) -> Moment { Moment(milliseconds: n) }

func seconds(_ n: Double) -> Moment { Moment(milliseconds: Int64((n * 1000).rounded())) }

func descriptor(
  _ name: BackendName = home, node: String? = "host-a", budget: BudgetSettings = BudgetSettings()
) -> BackendDescriptor {
  BackendDescriptor(
    name: name, type: "qemu", endpoint: "/run/*.qmp", node: node, origins: [.unknown],
    causes: [.userAbort, .other], errorKinds: ["timeout"], budget: budget)
}

func vmRef(_ name: String = "vm1", host: String = "host-a", backend: BackendName = home) -> VMRef {
  VMRef(backend: backend, scope: .host(host), name: name)
}

/// The key of the n-th domain.
func domain(_ n: Int = 1) -> DomainKey {
  let digits = String(n)
  let text = "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits
  return DomainKey(uuid: text) ?? DomainKey(backend: home, socketPath: text)
}

func sample(
  sent: UInt64, remaining: UInt64?, dirty: UInt64? = 0, pass: UInt64? = 2
) -> Sample {
  var sample = Sample()
  sample.memory = StreamCounters(transferred: Bytes(sent), remaining: remaining.map { Bytes($0) })
  sample.dirtyRate = dirty.map { BytesPerSecond($0) }
  sample.iterations = pass
  return sample
}

extension MigrationTracker {
  /// A tracker that one back end is registered with.
  static func withHome(
    settings: Settings = Settings(), startedAt: Moment = ms(0), budget: BudgetSettings = BudgetSettings()
  ) -> MigrationTracker {
    var tracker = MigrationTracker(settings: settings, startedAt: startedAt)
    tracker.register(descriptor(budget: budget))
    return tracker
  }
}

/// One sight of a migration, taken at second 0 where nothing else is said.
func observation(
  id: MigrationID = MigrationID(domain: domain(), startedUnixMilliseconds: 0), vm: VMRef = vmRef(),
  domain key: DomainKey = domain(), at: Double = 0, startedAt: Double = 0, phase: Phase = .precopy,
  ending: Ending? = nil, sample: Sample = Sample(), facts: MigrationFacts = .ofHostA,
  source: Bool? = nil, target: Bool? = nil
) -> MigrationObservation {
  MigrationObservation(
    id: id, vm: vm, domain: key, takenAt: seconds(at), startedAt: seconds(startedAt), phase: phase,
    ending: ending, sample: sample, facts: facts, guestOnSource: source, guestOnTarget: target)
}

extension MigrationFacts {
  /// Eight GiB that leave `host-a`.
  static let ofHostA: MigrationFacts = {
    var facts = MigrationFacts()
    facts.source = "host-a"
    facts.target = "host-b"
    facts.size = .gibibytes(8)
    return facts
  }()
}

extension FleetSnapshot {
  /// The only migration, or the first.
  var first: MigrationView? { groups.lazy.flatMap(\.views).first }
}
