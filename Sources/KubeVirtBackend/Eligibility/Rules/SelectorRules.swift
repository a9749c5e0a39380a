internal import DroverCore
internal import Kubernetes

/// Labels that a node must have: node selector, required affinity, and what KubeVirt adds to both.
enum SelectorRules {
  /// What of them a node does not have, by the reason that it comes to.
  static func obstacles(_ needs: PlacementNeeds, _ node: PlacementNode, _ commands: Commands) -> [Obstacle] {
    let unmet = needs.selector.filter { node.labels[$0.key] != $0.value }.sorted { $0.key < $1.key }
    let processor = unmet.filter { LabelPrefix.isProcessor($0.key) }
    let others = unmet.filter { !LabelPrefix.isProcessor($0.key) }
    return others.map { obstacle($0.key, $0.value, node, commands) }
      + ProcessorRules.obstacles(missing: processor.map(\.key), needs.processor, node)
      + affinity(needs.required, node, commands)
  }

  private static func obstacle(
    _ key: String, _ value: String, _ node: PlacementNode, _ commands: Commands
  ) -> Obstacle {
    let found = node.labels[key].map { "\(key)=\($0)" } ?? "no label \(key)"
    switch key {
    case LabelPrefix.schedulable:
      return Obstacle(
        .noTargetNode, "virt-handler does not call it able to run VMs (\(found))",
        remedy: "look at the virt-handler pod of \(node.name), and whether /dev/kvm is there")
    case LabelPrefix.cpuManager:
      return Obstacle(
        .cpuManager, "the VM has CPUs of its own, and the CPU Manager is not enabled there (\(found))",
        remedy:
          "enable the kubelet's static CPU Manager policy on \(node.name) (in Harvester: Enable CPU Manager)")
    case _ where key.hasPrefix(LabelPrefix.clusterNetwork):
      return network(String(key.dropFirst(LabelPrefix.clusterNetwork.count)), node)
    case _ where LabelPrefix.isKubeVirts(key):
      return Obstacle(
        .other, "the VM needs \(key)=\(value), and the node has \(found)",
        remedy: "choose a node that has it")
    default:
      return Obstacle(
        .nodeSelector, "the node selector asks for \(key)=\(value), and the node has \(found)",
        remedy: key == LabelPrefix.hostname
          ? "take \(key) out of spec.template.spec.nodeSelector (\(commands.edit)) and restart the VM"
          : "label the node (kubectl label node \(node.name) \(key)=\(value)), or take it out of "
            + "spec.template.spec.nodeSelector (\(commands.edit)) and restart the VM")
    }
  }

  /// A cluster network of Harvester that does not reach a node.
  static func network(_ name: String, _ node: PlacementNode) -> Obstacle {
    Obstacle(
      .clusterNetwork,
      "cluster network \(name) does not reach it (no label \(LabelPrefix.clusterNetwork)\(name)=true)",
      remedy: "add \(node.name) to a network configuration of cluster network \(name)")
  }

  /// Terms are alternatives: what is told is what the nearest of them lacks.
  private static func affinity(
    _ required: NodeSelector?, _ node: PlacementNode, _ commands: Commands
  ) -> [Obstacle] {
    guard let required, let missing = required.closestMiss(of: node) else { return [] }
    let networks = missing.filter { $0.key.hasPrefix(LabelPrefix.clusterNetwork) }
    if !missing.isEmpty, networks.count == missing.count {
      return networks.map { network(String($0.key.dropFirst(LabelPrefix.clusterNetwork.count)), node) }
    }
    if !missing.isEmpty, missing.allSatisfy({ $0.key == LabelPrefix.cpuManager }) {
      return [obstacle(LabelPrefix.cpuManager, "true", node, commands)]
    }
    let count = required.terms.count
    let what =
      missing.isEmpty
      ? "the required node affinity has no term that any node can match"
      : "the required node affinity asks for \(missing.map(\.words).joined(separator: " and "))"
        + (count > 1 ? ", in the nearest of its \(count) alternatives" : "")
    return [
      Obstacle(
        .singleNodeRule, what,
        remedy:
          "label \(node.name) so that it matches, or change spec.template.spec.affinity (\(commands.edit)) "
          + "and restart the VM")
    ]
  }
}
