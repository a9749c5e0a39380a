internal import DroverCore
internal import Kubernetes

/// What the target's pod would take of a node, against what is free there.
enum ResourceRules {
  /// Resources that a node does not have enough of.
  static func obstacles(_ needs: PlacementNeeds, _ node: PlacementNode, _ pods: [PlacementPod]) -> [Obstacle]
  {
    let running = pods.filter { !$0.isOver }
    var obstacles = needs.requests.sorted { $0.key < $1.key }.compactMap { resource, amount -> Obstacle? in
      let wanted = amount.counted(as: resource)
      guard wanted > .zero else { return nil }
      let all = node.allocatable[resource] ?? .zero
      let used = running.reduce(Amount.zero) { $0 + ($1.requests[resource] ?? .zero).counted(as: resource) }
      guard used + wanted > all else { return nil }
      let free = max(.zero, all - used)
      let text =
        node.allocatable[resource] == nil
        ? "it has no \(resource)"
        : "it has \(free.words(of: resource)) of \(name(resource)) free, and the VM needs "
          + "\(wanted.words(of: resource))"
      return Obstacle(.noResources, text, remedy: remedy(resource, node))
    }
    if let slots = node.allocatable["pods"], Amount(Int64(running.count) + 1) > slots {
      obstacles.append(
        Obstacle(
          .noResources, "it takes no more than \(slots.words(of: "pods")) pods, and has them",
          remedy: "move pods away from \(node.name)"))
    }
    return obstacles
  }

  private static func name(_ resource: String) -> String {
    switch resource {
    case "cpu": "CPU"
    case "ephemeral-storage": "ephemeral storage"
    default: resource
    }
  }

  private static func remedy(_ resource: String, _ node: PlacementNode) -> String {
    switch resource {
    case "cpu", "memory", "ephemeral-storage": "move other VMs or pods away from \(node.name), or add a node"
    case _ where resource.hasPrefix("hugepages-"): "set more huge pages aside on \(node.name)"
    default: "look at the device plugin of \(resource) on \(node.name)"
    }
  }

  /// Rules about other pods of one node; what is decided by whole zones is not looked at.
  static func neighbours(
    _ needs: PlacementNeeds, _ node: PlacementNode, _ pods: [PlacementPod], namespace: String
  ) -> [Obstacle] {
    func isThere(_ rule: PlacementPod.PodRule) -> Bool {
      let namespaces = rule.namespaces.isEmpty ? [namespace] : rule.namespaces
      return pods.contains { pod in
        !pod.isOver && namespaces.contains(pod.metadata.namespace)
          && rule.labels?.matches(pod.metadata.labels) == true
      }
    }
    func isLocal(_ rule: PlacementPod.PodRule) -> Bool {
      rule.topologyKey == LabelPrefix.hostname && !rule.hasNamespaceSelector
    }
    let remedy = "change spec.template.spec.affinity and restart the VM, or move the other pods"
    var obstacles = needs.apart.filter { isLocal($0) && isThere($0) }.map { _ in
      Obstacle(
        .singleNodeRule, "a pod is there that the VM must be kept apart from (pod anti-affinity)",
        remedy: remedy)
    }
    obstacles += needs.near.filter { isLocal($0) && !isThere($0) }.map { _ in
      Obstacle(
        .singleNodeRule, "no pod is there that the VM must be near to (pod affinity)", remedy: remedy)
    }
    if let other = (needs.near + needs.apart).first(where: { !isLocal($0) }) {
      obstacles.append(
        Obstacle(
          .unknown, "whether a pod rule over \(other.topologyKey) holds there is not looked at",
          remedy: "compare the rule in spec.template.spec.affinity with the pods of that \(other.topologyKey)"
        ))
    }
    return obstacles
  }
}
