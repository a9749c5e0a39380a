internal import DroverCore
internal import Kubernetes

/// The state of a node: ready, open to pods, without taints that the VM does not bear.
enum NodeRules {
  /// What keeps a pod with these tolerations off a node.
  static func obstacles(_ tolerations: [PlacementPod.Toleration], _ node: PlacementNode) -> [Obstacle] {
    var obstacles: [Obstacle] = []
    if node.base.isReady != true {
      let status = node.base.conditions["Ready"]
      let cause = status.map { $0.message.isEmpty ? $0.reason : $0.message } ?? "it says nothing of itself"
      obstacles.append(
        Obstacle(
          .noTargetNode, "it is not ready" + (cause.isEmpty ? "" : ": \(cause)"),
          remedy: "look at the kubelet of \(node.name)"))
    }
    let cordon = Node.Taint(key: "node.kubernetes.io/unschedulable", effect: "NoSchedule")
    let isCordoned = node.base.isUnschedulable && !tolerations.contains { $0.tolerates(cordon) }
    if isCordoned {
      obstacles.append(
        Obstacle(.noTargetNode, "it is cordoned", remedy: "kubectl uncordon \(node.name)"))
    }
    if let maintenance = maintenance(node) { obstacles.append(maintenance) }
    // What the cluster adds to a node of such a state says nothing more.
    let said = isCordoned ? [cordon.key] : []
    let unready =
      node.base.isReady == true ? [] : ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
    for taint in node.base.taints
    where ["NoSchedule", "NoExecute"].contains(taint.effect) && !(said + unready).contains(taint.key)
      && !tolerations.contains(where: { $0.tolerates(taint) })
    {
      let name = taint.key + (taint.value.isEmpty ? "" : "=\(taint.value)") + ":\(taint.effect)"
      obstacles.append(
        Obstacle(
          .noTargetNode, "its taint \(name) is not tolerated",
          remedy: "kubectl taint node \(node.name) \(taint.key):\(taint.effect)-, if what set it is over"))
    }
    return obstacles
  }

  /// Harvester's maintenance mode: it also takes the node out of what its menu offers.
  private static func maintenance(_ node: PlacementNode) -> Obstacle? {
    let annotations = node.metadata.annotations
    let status = annotations["harvesterhci.io/maintain-status"]
    guard status != nil || annotations["harvesterhci.io/drain-requested"] != nil else { return nil }
    return Obstacle(
      .noTargetNode, "it is in maintenance mode" + (status.map { " (\($0))" } ?? " (requested)"),
      remedy: "disable maintenance mode of \(node.name) in Harvester")
  }
}

extension Node.Taint {
  init(key: String, value: String = "", effect: String) {
    self.key = key
    self.value = value
    self.effect = effect
    timeAdded = nil
  }
}
