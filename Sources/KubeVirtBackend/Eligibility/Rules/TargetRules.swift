internal import DroverCore
internal import Kubernetes

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
