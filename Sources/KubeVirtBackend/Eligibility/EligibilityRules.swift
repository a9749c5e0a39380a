internal import DroverCore
internal import Kubernetes

/// Whether a VM can be migrated, and where to: all the rules over what is known.
enum EligibilityRules {
  /// Every reason against, and every node with what speaks against it.
  static func evaluate(_ facts: EligibilityFacts, as vm: VMRef) -> Eligibility {
    let commands = Commands(facts)
    let needs = PlacementNeeds(facts)
    var obstacles = ofVM(facts, needs, commands)
    let targets = facts.others.map { node in
      Eligibility.Target(node: node.name, obstacles: target(node, facts, needs, commands))
    }
    obstacles += TargetRules.obstacles(targets, facts, needs, commands)
    return Eligibility(
      vm: vm, node: facts.guest.node, obstacles: unique(obstacles), targets: targets,
      notes: notes(facts, needs))
  }

  /// What speaks against it wherever it is to go.
  static func ofVM(_ facts: EligibilityFacts, _ needs: PlacementNeeds, _ commands: Commands) -> [Obstacle] {
    var obstacles =
      DeviceRules.obstacles(facts, commands) + DiskRules.obstacles(facts, commands)
      + StorageRules.obstacles(facts) + NetworkRules.obstacles(facts, commands)
    obstacles += StateRules.obstacles(facts, found: obstacles)
    return obstacles + unread(facts, needs)
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
      if needs.isFromPod { obstacles += ResourceRules.obstacles(needs, node, NodeLoad(pods)) }
      obstacles += ResourceRules.neighbours(needs) { rule in
        pods.contains { rule.matches($0, of: facts.namespace) }
      }
    case .some(let fact): obstacles.append(.unknown("what is free there", "the list of its pods", fact))
    }
    return unique(obstacles)
  }

  /// Everything but what its pods take.
  static func placement(
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
          "which processor it needs is not known: its CPU model is host-model, and node "
            + "\(facts.guest.node) has no label "
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
        "Its node affinity has \(count) alternatives: Kubernetes wants one of them, Harvester's menu all "
          + "at once, so that "
          + "it may offer fewer nodes")
    }
    return notes + SlotRules.notes(facts)
  }

  private static func unique(_ obstacles: [Obstacle]) -> [Obstacle] {
    var seen = Set<Obstacle>()
    return obstacles.filter { seen.insert($0).inserted }
  }
}
