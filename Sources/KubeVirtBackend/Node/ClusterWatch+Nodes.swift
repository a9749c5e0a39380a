internal import DroverCore
internal import Kubernetes

/// What is told of nodes.
extension ClusterWatch {
  /// What is told of a node that is being emptied is renewed so often, since the tracker believes it for 30 s only.
  private static let renewal = Duration.seconds(5)

  /// Tells a node where something of it is new, or has to be said again to be believed.
  mutating func tellNode(_ name: String, at instant: Instant, _ messages: inout [BackendMessage]) {
    guard told.hasBegun, let node = nodes[name] else { return }
    var observation = NodeObservation(
      backend: backend, node: name, takenAt: instant.now, isReady: node.isReady)
    observation.heartbeat = heartbeats[name]
    observation.slots = nodeSlots(name)
    observation.drain = drain(of: node, at: instant)
    if var before = told.nodes[name] {
      let isDue = observation.drain.isPerishable && instant.now - before.takenAt >= Self.renewal
      before.takenAt = observation.takenAt
      guard before != observation || isDue else { return }
    }
    told.nodes[name] = observation
    messages.append(.nodeState(observation))
  }

  /// Tells what time alone changes: what is known may have grown old, slots are as of the last look, and what perishes
  /// is renewed.
  mutating func tellNodes(at instant: Instant, _ messages: inout [BackendMessage]) {
    let trust = NodeTrust(self, at: instant.now)
    if told.trust != trust { changedNodes.formUnion(nodes.keys) }
    told.trust = trust
    for (name, node) in told.nodes where node.drain.isPerishable || node.slots != nodeSlots(name) {
      changedNodes.insert(name)
    }
    tellChangedNodes(at: instant, &messages)
  }

  /// Tells the nodes that something has happened to.
  mutating func tellChangedNodes(at instant: Instant, _ messages: inout [BackendMessage]) {
    guard !changedNodes.isEmpty else { return }
    let names = changedNodes
    changedNodes = []
    for name in names { tellNode(name, at: instant, &messages) }
  }

  // MARK: What comes in

  mutating func take(_ node: Node, at instant: Instant, _ messages: inout [BackendMessage]) {
    let name = node.metadata.name
    let rules = drainRules(on: name)
    nodes[name] = node
    heartbeats[name] = node.heartbeat.map(instant.past)
    changedNodes.formUnion(replicas.setReady(name, node.isReady != false))
    if drainRules(on: name) != rules {
      for vm in places.vms(on: name) { if let record = vms[vm] { tellVM(vm, record, &messages) } }
    }
    changedNodes.insert(name)
  }

  mutating func loseNode(_ name: String, _ messages: inout [BackendMessage]) {
    nodes[name] = nil
    heartbeats[name] = nil
    drains.end(name)
    if told.nodes.removeValue(forKey: name) != nil { messages.append(.nodeGone(backend, name)) }
  }

  /// Takes where a VM was and is; nil for one that is gone.
  mutating func place(_ name: VMName, from before: VMRecord?, to after: VMRecord?) {
    changedNodes.formUnion(places.take(name, from: before, to: after))
    for node in (after?.places ?? []).subtracting(before?.places ?? []) { drains.arrived(name, at: node) }
    if after == nil { drains.forget(name) }
  }

  /// Takes where a migration goes from and to.
  mutating func place(_ uid: String) {
    // One that was over at first sight moves nothing; another one may still wait for the cause of its end.
    let move = migrations[uid].flatMap { $0.isHistory ? nil : $0.move }
    changedNodes.formUnion(places.take(uid, move))
  }

  /// Takes the end of a migration into what is remembered of its node and its VM.
  mutating func noteDrain(of record: MigrationRecord, _ ending: Ending, _ messages: inout [BackendMessage]) {
    let name = record.name
    guard record.vmim.role != .receiver, !record.sourceNode.isEmpty else { return }
    // Of one that ended just now the VMI may still name the source.
    let isBack = record.isHistory && vms[name]?.places.contains(record.sourceNode) == true
    let isEvacuation = record.vmim.origin == .evacuation || record.vmim.origin == .drover
    drains.noteEnd(of: name, from: record.sourceNode, ending, isEvacuation: isEvacuation, isBack: isBack)
    changedNodes.insert(record.sourceNode)
    if let vm = vms[name] { tellVM(name, vm, &messages) }
  }

  // MARK: What a drain does

  func drainRules(on node: String) -> DrainRules {
    let signs = nodes[node].map { DrainSigns($0, taintKey: settings.drainTaintKey) }
    let strategy = settings.isKnown ? settings.evictionStrategy ?? "None" : nil
    let stopsFailed = signs?.isUpgrade == true && settings.version.map { $0 >= .stopsFailed } ?? true
    return DrainRules(clusterStrategy: strategy, signs: signs, stopsFailed: stopsFailed)
  }

  func drainOutcome(of name: VMName, _ record: VMRecord) -> DrainOutcome? {
    let start = drains.drain(of: record.node)?.startedAt
    let failure = start.flatMap { drains.failure(of: name, on: record.node, since: $0) }
    return record.drainOutcome(drainRules(on: record.node), hasFailed: failure != nil)
  }

  private mutating func drain(of node: Node, at instant: Instant) -> NodeDrain {
    let name = node.metadata.name
    let moves = places.moves(at: name)
    var drain = NodeDrain(blockers: blockers(node, moves: moves.map(\.move), at: instant))
    let rules = drainRules(on: name)
    let evacuated = Set(moves.lazy.filter { $0.move.evacuates == name }.map(\.move.vm))
    let isEmptied =
      rules.signs?.areOfTheNode == true || !evacuated.isEmpty || !places.marked(on: name).isEmpty
    if isEmptied {
      drains.begin(name, at: earliestSign(of: rules.signs?.taint, moves: moves, node: name, at: instant))
    } else if drains.drain(of: name) != nil, !isHeldUp(node, rules, moves: moves.map(\.move)) {
      drains.end(name)
    }
    guard let begun = drains.drain(of: name) else { return drain }
    drain.isDraining = true
    drain.startedAt = begun.startedAt
    drain.vms = Dictionary(uniqueKeysWithValues: DrainVMState.allCases.map { ($0, 0) })
    let isWhole = node.isUnschedulable || rules.signs?.areOfTheNode == true
    let concerned = isWhole ? places.vms(on: name) : places.marked(on: name).union(evacuated)
    for vm in concerned.union(begun.left) {
      drain.vms[state(of: vm, on: name, begun, rules), default: 0] += 1
    }
    return drain
  }

  /// A drain goes on while what it leaves behind is all that is on a node that nothing may be put on: nothing marks
  /// a VM that cannot be moved.
  private func isHeldUp(_ node: Node, _ rules: DrainRules, moves: [PlaceBook.Move]) -> Bool {
    let here = places.vms(on: node.metadata.name)
    return node.isUnschedulable && !here.isEmpty && moves.allSatisfy { !here.contains($0.vm) }
      && here.allSatisfy { vms[$0].map { $0.stays(rules) } ?? false }
  }

  /// Since when it is emptied, as far as anything left of it tells.
  private func earliestSign(
    of taint: Node.Taint?, moves: [(uid: String, move: PlaceBook.Move)], node: String, at instant: Instant
  ) -> Moment {
    let tainted = ClusterTime(taint?.timeAdded).map(instant.past)
    let asked = moves.filter { $0.move.evacuates == node }.compactMap {
      migrations[$0.uid]?.times.createdAt
    }
    return (asked + [tainted].compactMap(\.self)).min() ?? instant.now
  }

  /// What has become of a VM: the first of these that holds.
  ///
  /// A migration of it is under way; it left since the drain began; nothing will migrate it, so that it stays in the way
  /// until it is shut down, if it is; its last evacuation failed, and the next has not got a slot; it waits, with a
  /// migration of its own or without.
  private func state(of vm: VMName, on node: String, _ drain: DrainBook.Drain, _ rules: DrainRules)
    -> DrainVMState
  {
    let open = (openByVM[vm] ?? []).compactMap { places.move($0) }.filter { $0.source == node }
    if open.contains(where: { !$0.isWaiting }) { return .migrating }
    if drain.left.contains(vm) { return .done }
    if open.isEmpty, vms[vm]?.stays(rules) == true { return .blocked }
    guard let failure = drains.failure(of: vm, on: node, since: drain.startedAt) else { return .pending }
    return failure.isTimeOut ? .timedOut : .failed
  }

  // MARK: What speaks against a reboot

  private func blockers(_ node: Node, moves: [PlaceBook.Move], at instant: Instant) -> [RebootBlocker] {
    let name = node.metadata.name
    let trust = NodeTrust(self, at: instant.now)
    return RebootBlocker.allCases.filter { blocker in
      switch blocker {
      case .vm: !places.vms(on: name).isEmpty || moves.contains { $0.source == name && $0.needsSource }
      case .inbound: moves.contains { $0.targets.contains(name) }
      case .notCordoned: !node.isUnschedulable
      // Where there is no Longhorn, nothing is lost; where its replicas cannot be read, nobody can tell.
      case .lastReplica: trust.hasReplicas && (!trust.ofReplicas || replicas.hasLast(on: name))
      case .dataStale: !trust.ofPlaces
      }
    }
  }
}

/// How far what is known holds, for all nodes alike.
struct NodeTrust: Hashable, Sendable {
  /// Whether what is known of nodes, VMs and migrations is new enough, and everything: in some namespaces only, others
  /// may be on any node.
  let ofPlaces: Bool
  /// Whether what is known of Longhorn's replicas is.
  let ofReplicas: Bool
  /// Whether there is Longhorn, or may be.
  let hasReplicas: Bool

  init(_ watch: ClusterWatch, at now: Moment) {
    let resources = watch.resources
    ofPlaces =
      !watch.isRestricted && [.nodes, .vmis, .vmims].allSatisfy { resources.isCurrent($0, at: now) }
    ofReplicas = resources.isCurrent(.replicas, at: now)
    hasReplicas = !resources.isAbsent(.replicas)
  }
}
