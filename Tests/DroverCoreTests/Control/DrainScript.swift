import Testing

@testable import DroverCore

/// A drain of host `a`, and everything that it is told.
struct DrainScript {
  static let backend = BackendName(rawValue: "rack1")
  var epoch = EpochOffset(milliseconds: 1_700_000_000_000)
  var now = Moment(milliseconds: 1_000_000)
  var plan: DrainPlan
  var guests: [NodeReading.Guest]
  var drainedBy: NodeReading.DrainedBy?
  var isCordoned: Bool?
  var isUp = true
  var isPartitioned = false
  /// Whether the node is read at each step.
  var isRead = true
  private var reading: DrainPlan.Reading?
  private(set) var views: [MigrationView] = []
  private var begun = 0

  init(_ names: String..., settings: DrainSettings = DrainSettings(), startedAt: Moment? = nil) {
    guests = names.map { Self.guest($0) }
    let record = DrainRecord(
      id: DecisionID(rawValue: 1), node: NodeRef(backend: Self.backend, node: "a"), requester: "uid 0",
      startedAt: epoch.unixMilliseconds(startedAt ?? Moment(milliseconds: 1_000_000)))
    plan = DrainPlan(record, settings: settings)
  }

  static func vm(_ name: String) -> VMRef { VMRef(backend: backend, scope: .host("a"), name: name) }

  static func guest(_ name: String, memory: UInt64 = 64, domain: String? = nil) -> NodeReading.Guest {
    let key = DomainKey(backend: backend, socketPath: domain ?? name)
    return NodeReading.Guest(vm: vm(name), domain: key, memory: .mebibytes(memory))
  }

  mutating func step(after pause: Duration = .milliseconds(500)) -> [DrainCommand] {
    now = now + pause
    if isRead {
      reading = DrainPlan.Reading(
        NodeReading(node: "a", isCordoned: isCordoned, drainedBy: drainedBy, guests: guests), askedAt: now)
    }
    return plan.step(
      DrainPlan.Situation(
        now: now, epoch: epoch, reading: reading, migrations: views, isUp: isUp, isPartitioned: isPartitioned)
    )
  }

  /// The names of the VMs that are to be migrated.
  mutating func migrated(after pause: Duration = .milliseconds(500)) -> [String] {
    step(after: pause).compactMap { if case .migrate(let vm) = $0 { vm.name } else { nil } }
  }

  /// Shows a migration under way.
  @discardableResult
  mutating func begin(_ name: String, _ change: (inout MigrationView) -> Void = { _ in }) -> MigrationID {
    begun += 1
    let domain = DomainKey(backend: Self.backend, socketPath: name)
    let id = MigrationID(domain: domain, startedUnixMilliseconds: epoch.unixMilliseconds(now) + Int64(begun))
    var observation = MigrationObservation(
      id: id, vm: Self.vm(name), domain: domain, takenAt: now, startedAt: now, phase: .precopy,
      sample: Sample())
    observation.facts.source = "a"
    var view = MigrationView(first: observation)
    change(&view)
    views.append(view)
    return id
  }

  /// A migration that this drain asked for, and was told of.
  @discardableResult
  mutating func own(_ name: String, _ change: (inout MigrationView) -> Void = { _ in }) -> MigrationID {
    let id = begin(name, change)
    plan.started(Self.vm(name), .underWay(id), at: now)
    return id
  }

  mutating func end(_ name: String, _ outcome: Outcome, _ cause: FailureCause? = nil, leaves: Bool? = nil) {
    for index in views.indices where views[index].identity.vm.name == name && !views[index].isOver {
      views[index].phase = outcome.phase
      views[index].ending = Ending(outcome: outcome, cause: cause, certainty: .reported, endedAt: now)
    }
    if leaves ?? (outcome == .succeeded) { guests.removeAll { $0.vm.name == name } }
  }

  mutating func change(_ name: String, _ body: (inout MigrationView) -> Void) {
    for index in views.indices where views[index].identity.vm.name == name && !views[index].isOver {
      body(&views[index])
    }
  }

  mutating func refuse(_ name: String, _ reason: RefusalReason) {
    plan.started(Self.vm(name), .refused([Refusal(reason, "because")]), at: now)
  }

  subscript(_ name: String) -> DrainVM? { plan.record.vms.first { $0.vm.name == name } }

  func state(_ name: String) -> DrainVMState? { self[name]?.state }
}
