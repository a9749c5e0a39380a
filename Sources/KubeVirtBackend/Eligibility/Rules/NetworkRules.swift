internal import DroverCore
internal import Kubernetes

/// Networks of a guest: which nodes they reach, and whether they can be left.
enum NetworkRules {
  static let podBridgeAnnotation = "kubevirt.io/allow-pod-bridge-network-live-migration"

  // MARK: of the VM

  static func obstacles(_ facts: EligibilityFacts, _ commands: Commands) -> [Obstacle] {
    var obstacles: [Obstacle] = []
    let spec = facts.spec
    if let pod = spec.networks.first(where: \.isPod),
      spec.interfaces.contains(where: { $0.name == pod.name && $0.isBridge }),
      facts.guest.metadata.annotations[podBridgeAnnotation] == nil
    {
      obstacles.append(
        Obstacle(
          .networkInterface,
          "interface \(pod.name) is bridged to the network of its pod, whose address it would lose",
          remedy:
            "use masquerade, or a VM network; or set the annotation \(podBridgeAnnotation) in the VM's "
            + "template "
            + "(\(commands.edit)) and restart the VM"))
    }
    for name in attachments(facts) {
      guard let fact = facts.networks[name], fact.value == nil else { continue }
      switch fact {
      case .missing, .absent:
        obstacles.append(
          Obstacle(
            .networkInterface,
            "network \(name) does not exist any more: the target's pod could not be connected",
            remedy:
              "make it again, or take it out of spec.template.spec.networks (\(commands.edit)) and "
              + "restart the VM"
          ))
      default:
        obstacles.append(.unknown("which nodes network \(name) reaches", "the network attachment", fact))
      }
    }
    return obstacles
  }

  private static func attachments(_ facts: EligibilityFacts) -> [String] {
    var seen = Set<String>()
    return facts.spec.networks.filter { !$0.attachment.isEmpty }
      .map { facts.fullName(ofNetwork: $0.attachment) }.filter { seen.insert($0).inserted }
  }

  // MARK: of a node

  /// Cluster networks of Harvester that do not reach a node.
  static func obstacles(_ facts: EligibilityFacts, _ node: PlacementNode) -> [Obstacle] {
    let networks = Set(attachments(facts).compactMap { facts.networks[$0]?.value?.clusterNetwork })
    return networks.sorted().filter { node.labels[LabelPrefix.clusterNetwork + $0] != "true" }
      .map { SelectorRules.network($0, node) }
  }
}
