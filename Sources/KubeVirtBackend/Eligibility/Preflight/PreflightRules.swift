internal import DroverCore
internal import Kubernetes

/// What a drain of its node does to each VM, and whether the other nodes have room: rules over what was read.
struct PreflightRules: Sendable {
  let index: PreflightIndex
  let backend: BackendName
  private let settings: ClusterSettings

  init(_ index: PreflightIndex, backend: BackendName) {
    self.index = index
    self.backend = backend
    settings = index.facts.cluster.value.map { ClusterSettings($0.base) } ?? ClusterSettings()
  }

  /// The answer for one node, or for all.
  func preflight(node: String?) -> Preflight {
    let guests = index.facts.guests.filter { !["Succeeded", "Failed"].contains($0.vmi.phase) }
    let here = guests.filter { !$0.vmi.node.isEmpty && (node == nil || $0.vmi.node == node) }
    let judged = here.map(judge).sorted { a, b in
      (a.vm.node, a.vm.vm.scope.name, a.vm.vm.name) < (b.vm.node, b.vm.vm.scope.name, b.vm.vm.name)
    }
    let byNode = Dictionary(grouping: judged, by: \.vm.node)
    var nodes = byNode.sorted { $0.key < $1.key }.map { room(of: $0.key, $0.value) }
    if let node, byNode[node] == nil {
      nodes = [Preflight.Node(node: node, guests: 0, withoutRoom: [], text: "nothing is on it")]
    }
    if !index.facts.namespaces.isEmpty {
      for place in nodes.indices { nodes[place].doubt(of: index.facts.namespaces) }
    }
    return Preflight(
      vms: judged.map(\.vm), nodes: nodes,
      notes: PreflightNotes(index: index, judged: judged, unplaced: guests.count { $0.vmi.node.isEmpty }).all)
  }

  // MARK: One VM

  /// A VM, with what its room is found by.
  struct Judged: Sendable {
    var vm: Preflight.VM
    /// nil where it does not leave.
    var mover: RoomRules.Mover?
    /// Whether a node's processor speaks against it.
    var lacksProcessor = false
    /// Volumes with one copy.
    var copies: [Obstacle] = []
    var hasSelector = false
  }

  private func judge(_ guest: PreflightGuest) -> Judged {
    let ref = VMRef(
      backend: backend, scope: .namespace(guest.metadata.namespace), name: guest.metadata.name)
    let record = VMRecord(guest.vmi)
    let facts = index.facts(of: guest.guest, countsPods: false)
    let needs = PlacementNeeds(facts)
    var eligibility = EligibilityRules.evaluate(facts, as: ref)
    let rules = rules(of: guest.vmi.node)
    let strategy = DrainStrategy(record, rules, settings: settings)
    let drained = record.drainOutcome(rules)
    var mover: RoomRules.Mover?
    if drained == .migrates || drained == nil, eligibility.isMigratable != false {
      let open = self.mover(ref, needs, eligibility)
      mover = open
      // Where not even it alone finds room, what is missing is told node by node.
      if index.free != nil, RoomRules.verdict([open], free: index.free).withoutRoom?.isEmpty == false {
        eligibility = EligibilityRules.evaluate(
          index.facts(of: guest.guest, countsPods: true), as: ref)
      }
    }
    let obstacles = eligibility.obstacles.filter(\.isEnforced)
    let isStuck = obstacles.contains { $0.reason != .unknown }
    var vm = Preflight.VM(vm: ref, node: guest.vmi.node, outcome: .migrates, causes: obstacles)
    switch drained {
    case nil:
      vm.causes.append(.unknown("what a drain does to it", "the KubeVirt object", index.facts.cluster))
      if isStuck { vm.outcome = .blocks }
    case .migrates: if isStuck { vm.outcome = .blocks }
    case .blocks, .willBeShutDown:
      vm.outcome = drained ?? .blocks
      vm.causes = strategy.causes + obstacles
    }
    return Judged(
      vm: vm, mover: mover,
      lacksProcessor: (eligibility.obstacles + eligibility.targets.flatMap(\.obstacles))
        .contains { $0.isEnforced && $0.reason == .cpuModel },
      copies: eligibility.obstacles.filter { $0.reason == .singleReplica },
      hasSelector: !facts.spec.nodeSelector.isEmpty)
  }

  private func rules(of node: String) -> DrainRules {
    let signs = index.nodes[node].map { DrainSigns($0.base, taintKey: settings.drainTaintKey) }
    let strategy = settings.isKnown ? settings.evictionStrategy ?? "None" : nil
    return DrainRules(clusterStrategy: strategy, signs: signs)
  }

  private func mover(_ vm: VMRef, _ needs: PlacementNeeds, _ eligibility: Eligibility) -> RoomRules.Mover {
    var mover = RoomRules.Mover(vm: vm, needs: needs.isFromPod ? needs.requests : nil, targets: [])
    for target in eligibility.targets where target.isPossible {
      if target.obstacles.contains(where: { $0.isEnforced && $0.reason == .unknown }) {
        mover.unsure.append(target.node)
      } else {
        mover.targets.append(target.node)
      }
    }
    return mover
  }

  // MARK: One node

  private func room(of node: String, _ judged: [Judged]) -> Preflight.Node {
    if index.facts.nodes.value != nil, !index.nodes.keys.contains(where: { $0 != node }) {
      return Preflight.Node(
        node: node, guests: UInt64(judged.count), withoutRoom: judged.map(\.vm.vm),
        text: "there is no other node")
    }
    let verdict = RoomRules.verdict(judged.compactMap(\.mover), free: index.free)
    var text = verdict.text
    if index.free == nil, !judged.allSatisfy({ $0.mover == nil }) {
      text +=
        index.facts.nodes.value == nil
        ? ": the list of nodes \(index.facts.nodes.problem ?? "says nothing") (\(index.facts.nodes.remedy))"
        : ": the list of pods \(index.facts.pods.problem ?? "says nothing") (\(index.facts.pods.remedy))"
    }
    let staying = judged.count { $0.mover == nil }
    if staying > 0 { text += "; \(staying) of its guests would not migrate" }
    return Preflight.Node(
      node: node, guests: UInt64(judged.count), withoutRoom: verdict.withoutRoom, text: text)
  }
}

extension Preflight.Node {
  /// What is in other namespaces may be on it, too.
  fileprivate mutating func doubt(of namespaces: [String]) {
    guard withoutRoom?.isEmpty == true else { return }
    withoutRoom = nil
    text += "; guests of namespaces other than \(listed(namespaces)) are not known"
  }
}

/// Why a drain does not simply migrate a VM, as far as that is a matter of what it was told to do.
struct DrainStrategy: Sendable {
  /// With the remedy of each.
  var causes: [Obstacle] = []

  init(_ record: VMRecord, _ rules: DrainRules, settings: ClusterSettings) {
    if record.isShuttingDown {
      causes.append(Obstacle(.other, "it is being shut down", remedy: "wait for its end"))
      return
    }
    if let label = record.maintenanceStrategy, label.hasPrefix("Shutdown") {
      causes.append(
        Obstacle(
          .other,
          "Harvester's maintenance mode shuts it down: its label harvesterhci.io/maintain-mode-strategy is \(label)",
          remedy: "set that label of the VM to Migrate"))
    }
    if rules.signs?.isForced == true, record.blockers?.isEmpty != true {
      causes.append(
        Obstacle(
          .other, "Harvester's maintenance mode was forced: it shuts down what cannot migrate",
          remedy: "make it migratable before its turn comes"))
    }
    let own = record.evictionStrategy
    let whose = own == nil ? "the cluster's" : "its"
    let set =
      "set spec.template.spec.evictionStrategy of the VM to LiveMigrate (new ones take it at their start)"
    switch own ?? rules.clusterStrategy {
    case "LiveMigrate" where record.blockers?.isEmpty != true:
      causes.append(
        Obstacle(
          .other,
          "\(whose) evictionStrategy is LiveMigrate: what cannot migrate keeps its node from being drained",
          remedy: "make it migratable, or shut it down for the drain"))
    case "LiveMigrateIfPossible" where record.blockers?.isEmpty != true:
      causes.append(
        Obstacle(
          .other, "\(whose) evictionStrategy is LiveMigrateIfPossible: what cannot migrate is shut down",
          remedy: "make it migratable"))
    case "External":
      causes.append(
        Obstacle(
          .other, "\(whose) evictionStrategy is External: something else than KubeVirt has to move it",
          remedy: "ask who runs that, or \(set)"))
    case "LiveMigrate", "LiveMigrateIfPossible", nil: break
    default:
      causes.append(
        Obstacle(
          .other,
          own == nil
            ? "neither the VM nor the cluster has an evictionStrategy: a drain shuts it down"
            : "its evictionStrategy is None: a drain shuts it down", remedy: set))
    }
  }
}
