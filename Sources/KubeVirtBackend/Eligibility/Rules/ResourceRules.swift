internal import DroverCore
internal import Kubernetes

/// What the target's pod would take of a node, against what is free there.
enum ResourceRules {
  /// Resources that a node does not have enough of.
  static func obstacles(_ needs: PlacementNeeds, _ node: PlacementNode, _ load: NodeLoad) -> [Obstacle] {
    var obstacles = needs.requests.sorted { $0.key < $1.key }.compactMap { resource, amount -> Obstacle? in
      let wanted = amount.counted(as: resource)
      guard wanted > .zero else { return nil }
      let all = node.allocatable[resource] ?? .zero
      let used = load.taken[resource] ?? .zero
      guard used + wanted > all else { return nil }
      let free = max(.zero, all - used)
      let text =
        node.allocatable[resource] == nil
        ? "it has no \(resource)"
        : "it has \(free.words(of: resource)) of \(name(resource)) free, and the VM needs "
          + "\(wanted.words(of: resource))"
      return Obstacle(.noResources, text, remedy: remedy(resource, node))
    }
    if let slots = node.allocatable["pods"], Amount(Int64(load.pods) + 1) > slots {
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
  ///
  /// - Parameter isThere: Whether a pod that a rule means is on the node.
  static func neighbours(
    _ needs: PlacementNeeds, isThere: (PlacementPod.PodRule) -> Bool
  ) -> [Obstacle] {
    let remedy = "change spec.template.spec.affinity and restart the VM, or move the other pods"
    var obstacles = needs.apart.filter { $0.isLocal && isThere($0) }.map { _ in
      Obstacle(
        .singleNodeRule, "a pod is there that the VM must be kept apart from (pod anti-affinity)",
        remedy: remedy)
    }
    obstacles += needs.near.filter { $0.isLocal && !isThere($0) }.map { _ in
      Obstacle(
        .singleNodeRule, "no pod is there that the VM must be near to (pod affinity)", remedy: remedy)
    }
    if let other = (needs.near + needs.apart).first(where: { !$0.isLocal }) {
      obstacles.append(
        Obstacle(
          .unknown, "whether a pod rule over \(other.topologyKey) holds there is not looked at",
          remedy: "compare the rule in spec.template.spec.affinity with the pods of that \(other.topologyKey)"
        ))
    }
    return obstacles
  }
}

/// What the pods of a node take together.
struct NodeLoad: Sendable {
  /// As the scheduler counts each pod's.
  private(set) var taken: Amounts = [:]
  /// How many pods.
  private(set) var pods = 0

  /// The load of no pod.
  init() {}

  init(_ pods: [PlacementPod]) {
    for pod in pods { add(pod) }
  }

  /// Adds a pod, unless it is over.
  mutating func add(_ pod: PlacementPod) {
    guard !pod.isOver else { return }
    pods += 1
    for (resource, amount) in pod.requests {
      taken[resource, default: .zero] = (taken[resource] ?? .zero) + amount.counted(as: resource)
    }
  }
}

extension PlacementPod.PodRule {
  /// Whether it is about the pods of one node.
  var isLocal: Bool { topologyKey == LabelPrefix.hostname && !hasNamespaceSelector }

  /// Whether it means a pod, where it is a rule of a pod in `namespace`.
  func matches(_ pod: PlacementPod, of namespace: String) -> Bool {
    let meant =
      namespaces.isEmpty ? pod.metadata.namespace == namespace : namespaces.contains(pod.metadata.namespace)
    return meant && !pod.isOver && labels?.matches(pod.metadata.labels) == true
  }
}
