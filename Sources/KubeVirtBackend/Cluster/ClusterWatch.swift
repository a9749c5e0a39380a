internal import DroverCore
internal import Kubernetes

/// What happens in a cluster, as the watches of its API and virt-handler tell it.
enum ClusterInput: Sendable {
  case vmim(VMIM, isInitial: Bool)
  case vmimGone(uid: String, last: VMIM?)
  case vmi(VMI)
  case vmiGone(VMName, uid: String)
  case node(Node)
  case nodeGone(String)
  case kubeVirt(KubeVirtCR)
  case policy(MigrationPolicy)
  case policyGone(String)
  case namespace(String, labels: [String: String])
  case namespaceGone(String)
  case event(ClusterEvent)
  case replica(LonghornReplica)
  case replicaGone(uid: String)
  /// A list of a resource is begun: until it is whole, what is told is not all there is.
  case listing(ClusterResource)
  /// A whole list of a resource has been told.
  case synced(ClusterResource)
  /// A sign of life of a watch.
  case fresh(ClusterResource)
  /// A resource cannot be read.
  case failed(ClusterResource, ReadFailure)
  /// The target's pod of a migration, as it was asked for; nil where there is none.
  case targetPod(uid: String, Pod?)
  /// What virt-handler says of the copies of a VM.
  case copy(VMName, [CopyPoint])
  /// Since when the virt-handler of a node has not been reached; nil where it answers.
  case handler(node: String, silentSince: Moment?)
  /// Where VMs can go, by uid.
  case judged([String: VMJudgement])
}

extension ClusterInput {
  /// The resource whose watch tells it; nil where that is not the sign of life of one.
  fileprivate var resource: ClusterResource? {
    switch self {
    case .vmim, .vmimGone: .vmims
    case .vmi, .vmiGone: .vmis
    case .node, .nodeGone: .nodes
    case .replica, .replicaGone: .replicas
    default: nil
    }
  }
}

/// The kinds of objects that are watched.
enum ClusterResource: String, CaseIterable, Sendable {
  case vmims = "virtualmachineinstancemigrations"
  case vmis = "virtualmachineinstances"
  case nodes
  case kubeVirts = "kubevirts"
  case policies = "migrationpolicies"
  case namespaces
  case events
  case replicas

  /// Without these nothing can be told.
  static let essential: [ClusterResource] = [
    .vmims, .vmis, .nodes, .kubeVirts, .policies, .namespaces, .replicas,
  ]
}

/// A question that only one object, or a few, answer; asked when the need is there.
enum ClusterQuestion: Hashable, Sendable {
  /// The pod that a migration waits for.
  case targetPod(uid: String, namespace: String)
}

/// Turns what happens in a cluster into what the tracker is told.
///
/// Pure: time is a parameter, and nothing here waits or asks.
struct ClusterWatch: Sendable {
  let backend: BackendName
  let keepalive: KeepaliveSettings
  /// How often virt-handler measures, and how much later that comes in.
  var sampling = Sampling()

  /// How old the numbers of a copy may be.
  struct Sampling: Hashable, Sendable {
    var interval = Duration.seconds(5)
    var delay = Duration.zero
  }

  var settings = ClusterSettings()
  var policies = PolicyBook()
  var namespaceLabels: [String: [String: String]] = [:]
  var vms: [VMName: VMRecord] = [:]
  var migrations: [String: MigrationRecord] = [:]
  /// Open migrations of each VM: one nearly always.
  var openByVM: [VMName: [String]] = [:]
  /// Migrations whose end has been told, as long as their object is there.
  var ended: Set<String> = []
  var nodes: [String: Node] = [:]
  var silentHandlers: [String: Moment] = [:]
  var resources = ResourceBook()
  /// Whether some namespaces only are watched: there may be VMs that nobody tells of.
  var isRestricted = false
  var drains = DrainBook()
  var places = PlaceBook()
  var replicas = ReplicaBook()
  /// The last sign of life of each node's virt-handler.
  var heartbeats: [String: Moment] = [:]
  /// Nodes that something has happened to since they were looked at.
  var changedNodes: Set<String> = []
  var backoffs: [VMName: Backoff] = [:]
  /// Events of migrations that are not known yet.
  var orphans = OrphanBook()
  var problems = ProblemBook()
  var queue = QueueBook()
  var survey = SurveyBook()

  /// What has been told, so that nothing is told twice.
  var told = ToldBook()
  /// Ends that wait a moment for an event that may tell their cause.
  var heldEnds: [String: Moment] = [:]

  init(backend: BackendName, keepalive: KeepaliveSettings) {
    self.backend = backend
    self.keepalive = keepalive
  }

  /// Failed migrations of one VM in a row, as far as virt-controller's back-off counts them.
  struct Backoff: Sendable {
    var failures: Int
    var lastFailure: Moment
  }

  // MARK: What comes in

  /// Takes one thing that happened; returns what it changes.
  mutating func take(_ input: ClusterInput, at instant: Instant) -> [BackendMessage] {
    var messages: [BackendMessage] = []
    // Before what comes in is counted as news: until then nothing was known beyond that.
    var instant = instant
    instant.knownAt = resources.oldest(of: [.vmims, .vmis])
    if let resource = input.resource { resources.heard(resource, at: instant.now) }
    switch input {
    case .vmim(let vmim, let isInitial): take(vmim, isInitial: isInitial, at: instant, &messages)
    case .vmimGone(let uid, let last): lose(uid, last: last, at: instant, &messages)
    case .vmi(let vmi): take(vmi, at: instant, &messages)
    case .vmiGone(let name, let uid): lose(name, uid: uid, at: instant, &messages)
    case .node(let node):
      let before = nodes[node.metadata.name]
      take(node, at: instant, &messages)
      if before?.decidesLike(node) != true { survey.isOutdated = true }
      // Where the guest runs is not known of a node that nobody hears.
      if before?.isSilent != node.isSilent {
        tellAll(at: instant, &messages) { $0.sourceNode == node.metadata.name }
      }
    case .nodeGone(let name):
      loseNode(name, &messages)
      survey.isOutdated = true
    case .kubeVirt(let object):
      let changed = ClusterSettings(object)
      guard changed != settings else { break }
      settings = changed
      for (name, record) in vms { tellVM(name, record, &messages) }
      tellAll(at: instant, &messages)
      changedNodes.formUnion(nodes.keys)
      tellSlots(&messages)
    case .policy(let policy):
      policies.set(policy)
      tellAll(at: instant, &messages)
    case .policyGone(let name):
      policies.remove(name)
      tellAll(at: instant, &messages)
    case .namespace(let name, let labels):
      // They choose the policy.
      if namespaceLabels.updateValue(labels, forKey: name) != labels {
        tellAll(at: instant, &messages) { $0.name.namespace == name }
      }
    case .namespaceGone(let name): namespaceLabels[name] = nil
    case .event(let event): take(event, at: instant, &messages)
    case .replica(let replica): changedNodes.formUnion(replicas.set(replica))
    case .replicaGone(let uid): changedNodes.formUnion(replicas.remove(uid))
    case .listing(let resource): resources.listing(resource)
    case .synced(let resource):
      resources.synced(resource, at: instant.now)
      begin(at: instant, &messages)
    case .fresh(let resource): resources.fresh(resource, at: instant.now)
    case .failed(let resource, let failure):
      resources.failed(resource, failure, at: instant.now)
      begin(at: instant, &messages)
    case .targetPod(let uid, let pod):
      migrations[uid]?.take(pod)
      tell(uid, at: instant, &messages)
    case .copy(let name, let points):
      let points = bounded(points, of: name, at: instant.now)
      for uid in openByVM[name] ?? [] {
        migrations[uid]?.take(points, at: instant)
        tell(uid, at: instant, &messages)
      }
    case .handler(let node, let silentSince): silentHandlers[node] = silentSince
    case .judged(let judgements):
      let changed = survey.take(judgements)
      for (name, record) in vms where changed.contains(record.uid) { tellVM(name, record, &messages) }
    }
    tellChangedNodes(at: instant, &messages)
    queue.isOutdated = true
    return messages
  }

  /// Looks at everything that time alone may change; once a second.
  mutating func tick(at instant: Instant) -> [BackendMessage] {
    guard told.hasBegun else { return [] }
    var messages: [BackendMessage] = []
    orphans.forget(before: instant.now - .seconds(60))
    if queue.isOutdated { lookAtQueue(at: instant) }
    var (timely, unseen): ([String], [String]) = ([], [])
    let renewal = networkRenewal()
    // Looked at in place: of a thousand records, a copy each second costs more than all the rest.
    for index in migrations.indices {
      let uid = migrations.keys[index]
      // Time alone changes what is told of these: everything else is told when it happens.
      if migrations.values[index].isWaiting || heldEnds[uid] != nil { timely.append(uid) }
      guard migrations.values[index].showsNetwork else { continue }
      if told.networks[uid].map({ instant.now - $0 >= renewal }) ?? true { unseen.append(uid) }
    }
    for uid in timely { tell(uid, at: instant, &messages) }
    for uid in unseen { tellNetwork(of: uid, at: instant, &messages) }
    tellNodes(at: instant, &messages)
    tellSlots(&messages)
    return messages
  }

  /// What has to be asked now.
  mutating func questions(at now: Moment) -> [ClusterQuestion] {
    guard told.hasBegun else { return [] }
    var questions: [ClusterQuestion] = []
    for (uid, record) in migrations where record.vmim.phase == "Scheduling" {
      // A pod that is only being started needs no look.
      guard now - record.firstSeen > .seconds(2),
        record.targetPodAskedAt.map({ now - $0 > .seconds(10) }) ?? true
      else { continue }
      migrations[uid]?.targetPodAskedAt = now
      questions.append(.targetPod(uid: uid, namespace: record.vmim.metadata.namespace))
    }
    return questions
  }

  /// VMs whose counters are wanted now, by the node that the guest leaves.
  var activeCopies: [String: [VMName]] {
    var active: [String: [VMName]] = [:]
    for record in migrations.values where record.vmim.role != .receiver && !record.sourceNode.isEmpty {
      if record.hasStarted, record.state?.isCompleted != true {
        active[record.sourceNode, default: []].append(record.name)
      }
    }
    return active
  }

  // MARK: VMs

  private mutating func take(_ vmi: VMI, at instant: Instant, _ messages: inout [BackendMessage]) {
    let name = VMName(namespace: vmi.metadata.namespace, name: vmi.metadata.name)
    if vmi.hasAbsurdMemory { problems.note(.quantity, vmi.metadata.uid) }
    let record = VMRecord(vmi)
    let before = vms[name]
    if let before, before.uid != record.uid { tellVMGone(before.uid, &messages) }
    vms[name] = record
    if before?.decidesLike(record) != true { survey.isOutdated = true }
    place(name, from: before, to: record)
    for uid in openByVM[name] ?? [] {
      migrations[uid]?.take(record, at: instant)
      tell(uid, at: instant, &messages)
    }
    tellVM(name, record, &messages)
  }

  private mutating func lose(
    _ name: VMName, uid: String, at instant: Instant, _ messages: inout [BackendMessage]
  ) {
    // Another VMI of the same name may be there already.
    if let last = vms[name], last.uid == uid {
      vms[name] = nil
      survey.isOutdated = true
      place(name, from: last, to: nil)
    }
    if vms[name] == nil { backoffs[name] = nil }
    tellVMGone(uid, &messages)
    for migration in openByVM[name] ?? [] {
      migrations[migration]?.loseVMI(uid)
      tell(migration, at: instant, &messages)
    }
  }

  mutating func tellVM(_ name: VMName, _ record: VMRecord, _ messages: inout [BackendMessage]) {
    guard told.hasBegun else { return }
    guard !record.isFinal, !record.phase.isEmpty else {
      tellVMGone(record.uid, &messages)
      return
    }
    let observation = VMObservation(
      key: VMKey(backend: backend, text: record.uid),
      vm: VMRef(backend: backend, scope: .namespace(name.namespace), name: name.name), node: record.node,
      blockers: survey.blockers(record), targets: survey.targets(record),
      drainOutcome: drainOutcome(of: name, record))
    if told.changes(record.uid, observation) { messages.append(.vm(observation)) }
  }

  private mutating func tellVMGone(_ uid: String, _ messages: inout [BackendMessage]) {
    if told.forgetVM(uid) { messages.append(.vmGone(VMKey(backend: backend, text: uid))) }
  }

  // MARK: Migrations

  private mutating func take(
    _ vmim: VMIM, isInitial: Bool, at instant: Instant, _ messages: inout [BackendMessage]
  ) {
    let uid = vmim.metadata.uid
    guard !ended.contains(uid) else { return }
    if migrations[uid] != nil {
      migrations[uid]?.take(vmim, at: instant)
    } else {
      guard var record = MigrationRecord(vmim, isInitial: isInitial, at: instant) else {
        problems.note(.malformed, uid)
        return
      }
      if let vm = vms[record.name] { record.take(vm, at: instant) }
      for event in orphans.take(namespace: record.name.namespace, name: vmim.metadata.name, uid: uid) {
        record.take(event)
      }
      migrations[uid] = record
      openByVM[record.name, default: []].append(uid)
    }
    tell(uid, at: instant, &messages)
  }

  private mutating func lose(
    _ uid: String, last: VMIM?, at instant: Instant, _ messages: inout [BackendMessage]
  ) {
    // An end that was told needs no memory once its object is gone.
    if ended.remove(uid) != nil { return }
    if migrations[uid] == nil, let last { take(last, isInitial: false, at: instant, &messages) }
    migrations[uid]?.vanish(last: last, at: instant)
    tell(uid, at: instant, &messages)
    ended.remove(uid)
  }

  private mutating func take(_ event: ClusterEvent, at instant: Instant, _ messages: inout [BackendMessage]) {
    guard event.kind == "VirtualMachineInstanceMigration" else { return }
    // Older recorders leave the uid out; a name is enough while the object is open.
    let uid =
      migrations[event.uid] != nil
      ? event.uid
      : migrations.first {
        $0.value.vmim.metadata.name == event.name
          && $0.value.vmim.metadata.namespace == event.metadata.namespace
      }?.key
    guard let uid else {
      // Of one that is over, or that its own watch has not told yet.
      if !ended.contains(event.uid) { orphans.keep(event, at: instant.now) }
      return
    }
    migrations[uid]?.take(event)
    tell(uid, at: instant, &messages)
  }

  /// Points as they are, or moved back by as much as the newest is in the future.
  private mutating func bounded(_ points: [CopyPoint], of name: VMName, at now: Moment) -> [CopyPoint] {
    guard let newest = points.map(\.at).max(), newest > now else { return points }
    let error = newest - now
    if error > .seconds(5) { problems.note(.clockSkew, vms[name]?.uid ?? name.name) }
    return points.map { point in
      var point = point
      point.at = point.at - error
      return point
    }
  }

  /// Tells everything for the first time, once everything has been read that can be.
  private mutating func begin(at instant: Instant, _ messages: inout [BackendMessage]) {
    guard !told.hasBegun, resources.areRead else { return }
    told.hasBegun = true
    lookAtQueue(at: instant)
    // In the order that the inventory keeps, which then need not move what comes after.
    for (name, record) in vms.sorted(by: { $0.key < $1.key }) { tellVM(name, record, &messages) }
    for node in nodes.keys { tellNode(node, at: instant, &messages) }
    // In the order of their ends: what failed in a row is counted by it.
    let order = migrations.values.map { record in
      var record = record
      return (record.isFinal ? 0 : 1, record.endedAt(at: instant), record.vmim.metadata.uid)
    }.sorted { $0 < $1 }
    for (_, _, uid) in order { tell(uid, at: instant, &messages) }
    tellSlots(&messages)
  }

  /// Tells migrations again that something else than they themselves may have changed.
  private mutating func tellAll(
    at instant: Instant, _ messages: inout [BackendMessage],
    where isConcerned: (MigrationRecord) -> Bool = { _ in true }
  ) {
    guard told.hasBegun else { return }
    for uid in migrations.filter({ isConcerned($0.value) }).keys.sorted() {
      tell(uid, at: instant, &messages)
    }
  }
}
