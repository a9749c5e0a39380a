internal import DroverCore
internal import Kubernetes

/// Whether a VM can be migrated, and where to: all the rules over what is known.
enum EligibilityRules {
  /// Every reason against, and every node with what speaks against it.
  static func evaluate(_ facts: EligibilityFacts, as vm: VMRef) -> Eligibility {
    let commands = Commands(facts)
    let needs = PlacementNeeds(facts)
    var obstacles =
      DeviceRules.obstacles(facts, commands) + DiskRules.obstacles(facts, commands)
      + StorageRules.obstacles(facts) + NetworkRules.obstacles(facts, commands)
    obstacles += StateRules.obstacles(facts, found: obstacles)
    obstacles += unread(facts, needs)
    let targets = facts.others.map { node in
      Eligibility.Target(node: node.name, obstacles: target(node, facts, needs, commands))
    }
    obstacles += TargetRules.obstacles(targets, facts, needs, commands)
    return Eligibility(
      vm: vm, node: facts.guest.node, obstacles: unique(obstacles), targets: targets,
      notes: notes(facts, needs))
  }

  /// The nodes whose pods decide: those that nothing else speaks against.
  static func candidates(_ facts: EligibilityFacts) -> [String] {
    let (commands, needs) = (Commands(facts), PlacementNeeds(facts))
    return facts.others.filter { node in
      placement(node, facts, needs, commands).allSatisfy { !$0.isEnforced || $0.reason == .unknown }
    }.map(\.name)
  }

  private static func target(
    _ node: PlacementNode, _ facts: EligibilityFacts, _ needs: PlacementNeeds, _ commands: Commands
  ) -> [Obstacle] {
    var obstacles = placement(node, facts, needs, commands)
    switch facts.pods[node.name] {
    case nil:
      let isOpen = obstacles.allSatisfy { !$0.isEnforced || $0.reason == .unknown }
      // Of a node that is out of the question anyway its pods are not asked for.
      if isOpen {
        obstacles.append(
          .unknown("what is free there", "the list of its pods", Fact<Int>.failed("not asked")))
      }
    case .known(let pods):
      if needs.isFromPod { obstacles += ResourceRules.obstacles(needs, node, pods) }
      obstacles += ResourceRules.neighbours(needs, node, pods, namespace: facts.namespace)
    case .some(let fact): obstacles.append(.unknown("what is free there", "the list of its pods", fact))
    }
    return unique(obstacles)
  }

  /// Everything but what its pods take.
  private static func placement(
    _ node: PlacementNode, _ facts: EligibilityFacts, _ needs: PlacementNeeds, _ commands: Commands
  ) -> [Obstacle] {
    unique(
      NodeRules.obstacles(needs.tolerations, node) + SelectorRules.obstacles(needs, node, commands)
        + NetworkRules.obstacles(facts, node) + StorageRules.obstacles(facts, node))
  }

  /// What could not be read, and decides where the VM can go.
  private static func unread(_ facts: EligibilityFacts, _ needs: PlacementNeeds) -> [Obstacle] {
    var obstacles = StorageRules.unread(facts)
    if facts.nodes.value == nil {
      obstacles.append(.unknown("which nodes there are", "the list of nodes", facts.nodes))
    }
    if facts.guest.phase == "Running", facts.pod.value == nil {
      obstacles.append(.unknown("what its pod asks of a node", "its pod", facts.pod))
    }
    if facts.nodes.value != nil, case .unknown = needs.processor.kind, facts.guest.phase == "Running" {
      obstacles.append(
        Obstacle(
          .unknown,
          "which processor it needs is not known: its CPU model is host-model, and node \(facts.guest.node) has no label "
            + "\(LabelPrefix.hostModel)...",
          remedy: "look at virt-handler on \(facts.guest.node), which sets it"))
    }
    if facts.spec.cpuModel.isEmpty, facts.cluster.isUnreadable {
      obstacles.append(.unknown("which CPU model it has", "the KubeVirt object", facts.cluster))
    }
    return obstacles
  }

  private static func notes(_ facts: EligibilityFacts, _ needs: PlacementNeeds) -> [String] {
    var notes = TemplateRules.notes(facts) + ProcessorRules.notes(needs.processor, facts)
    if let count = needs.required?.terms.count, count > 1 {
      notes.append(
        "Its node affinity has \(count) alternatives: Kubernetes wants one of them, Harvester's menu all at once, so that "
          + "it may offer fewer nodes")
    }
    return notes + SlotRules.notes(facts)
  }

  private static func unique(_ obstacles: [Obstacle]) -> [Obstacle] {
    var seen = Set<Obstacle>()
    return obstacles.filter { seen.insert($0).inserted }
  }
}

/// What it comes to where no node is left.
enum TargetRules {
  static func obstacles(
    _ targets: [Eligibility.Target], _ facts: EligibilityFacts, _ needs: PlacementNeeds, _ commands: Commands
  ) -> [Obstacle] {
    guard facts.nodes.value != nil else { return [] }
    guard !targets.isEmpty else {
      return [
        Obstacle(
          .noTargetNode, "there is no other node", remedy: "add a node that can run VMs")
      ]
    }
    let possible = targets.filter(\.isPossible)
    guard possible.isEmpty else { return unsure(possible) }
    let counts = targets.map { target in
      Set(target.obstacles.filter { $0.isEnforced && $0.reason != .unknown }.map(\.reason))
    }
    // What keeps every node out is named by itself; else each has its own.
    let common = counts.dropFirst().reduce(counts[0]) { $0.intersection($1) }
    guard !common.isEmpty else {
      return [
        Obstacle(
          .noTargetNode, "no other node can take it, each for its own reason: \(each(targets))",
          remedy: "see the nodes: what speaks against one of them has to go")
      ]
    }
    return NotMigratableReason.allCases.filter(common.contains).map { reason in
      summary(reason, targets, facts, needs, commands)
    }
  }

  /// Nodes are left, but of each something is not known.
  private static func unsure(_ possible: [Eligibility.Target]) -> [Obstacle] {
    let open = possible.map { $0.obstacles.filter { $0.isEnforced && $0.reason == .unknown } }
    guard open.allSatisfy({ !$0.isEmpty }), let first = open.first?.first else { return [] }
    return [
      Obstacle(
        .unknown, "whether any node can take it is not known; of \(possible[0].node): \(first.text)",
        remedy: first.remedy)
    ]
  }

  private static func each(_ targets: [Eligibility.Target]) -> String {
    let lines = targets.map { target in
      let first = target.obstacles.first { $0.isEnforced && $0.reason != .unknown }
      return "\(target.node) (\(first?.text ?? ""))"
    }
    return listed(lines, most: 4)
  }

  private static func summary(
    _ reason: NotMigratableReason, _ targets: [Eligibility.Target], _ facts: EligibilityFacts,
    _ needs: PlacementNeeds, _ commands: Commands
  ) -> Obstacle {
    let of = targets.compactMap { target in
      target.obstacles.first { $0.isEnforced && $0.reason == reason }
    }
    let remedy = of.first?.remedy ?? "see the nodes"
    let only = " only \(facts.guest.node), where it is,"
    switch reason {
    case .cpuModel:
      let needed: String =
        switch needs.processor.kind {
        case .hostModel(let model): "host-model, which is \(model) on \(facts.guest.node)"
        case .inherited(let model):
          "host-model, as of the node that it first ran on" + (model.map { " (\($0))" } ?? "")
        case .named(let model): model
        case .passthrough: "host-passthrough"
        case .unknown: "not known"
        }
      return Obstacle(
        reason, "no other node offers the processor that it needs; its CPU model is \(needed)",
        remedy: ProcessorRules.remedy(facts, commands))
    case .nodeSelector:
      let keys = needs.selector.filter { key, value in
        targets.indices.contains { facts.others[$0].labels[key] != value } && !LabelPrefix.isKubeVirts(key)
      }.map { "\($0.key)=\($0.value)" }.sorted()
      return Obstacle(
        reason, "its node selector (\(listed(keys))) fits\(only) and no other node", remedy: remedy)
    case .singleNodeRule:
      return Obstacle(
        reason, "its scheduling rules fit\(only) and no other node: \(each(of))",
        remedy: remedy)
    case .clusterNetwork:
      return Obstacle(reason, "its cluster network reaches no other node: \(each(of))", remedy: remedy)
    case .cpuManager:
      return Obstacle(
        reason, "it has CPUs of its own, and no other node has the CPU Manager enabled", remedy: remedy)
    case .noResources:
      return Obstacle(reason, "no other node has enough left: \(each(of))", remedy: remedy)
    case .noTargetNode:
      return Obstacle(reason, "no other node takes VMs now: \(each(targets))", remedy: remedy)
    default:
      return Obstacle(reason, "no other node can take it: \(each(of))", remedy: remedy)
    }
  }

  private static func each(_ obstacles: [Obstacle]) -> String {
    var seen = Set<String>()
    return listed(obstacles.map(\.text).filter { seen.insert($0).inserted }, most: 3)
  }
}
