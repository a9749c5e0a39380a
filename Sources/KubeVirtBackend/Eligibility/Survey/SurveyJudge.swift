internal import DroverCore
internal import Kubernetes

/// Applies the rules of `EligibilityRules` to one VM after another, and what many have in common once.
struct SurveyJudge {
  /// All that decides whether a node can take a VM, but for the volumes that it can still attach.
  private struct Demand: Hashable {
    let selector: [String: String]
    let required: NodeSelector?
    let tolerations: [PlacementPod.Toleration]
    let requests: Amounts
    let rules: [PlacementPod.PodRule]
    /// Rules about other pods mean those of one's own namespace.
    let namespace: String
    let isFromPod: Bool
    let networks: Set<String>
    let storage: Set<NodeSelector>
  }

  private let facts: SurveyFacts
  private let nodes: [PlacementNode]
  private var answers: [Demand: [ReasonSet]] = [:]
  /// How often a node was compared with a demand.
  private(set) var comparisons = 0

  init(_ facts: SurveyFacts) {
    self.facts = facts
    nodes = facts.nodes.value ?? []
  }

  /// What the rules come to; nil for a VM that does not run.
  mutating func judge(_ guest: Guest) -> VMJudgement? {
    guard guest.phase == "Running" else { return nil }
    let own = facts.facts(of: guest)
    let commands = Commands(own)
    let needs = PlacementNeeds(own)
    var reasons = ReasonSet(EligibilityRules.ofVM(own, needs, commands))
    guard facts.nodes.value != nil else { return VMJudgement(reasons: reasons, targets: nil) }
    let against = against(own, needs, commands)
    let attachments = volumes(of: own)
    let all = zip(nodes, against).filter { $0.0.name != guest.node }.map { node, against in
      against.union(attachments(node.name))
    }
    let possible = all.filter(\.known.isEmpty)
    let sure = possible.count { $0.isEmpty }
    if all.isEmpty {
      reasons.insert(ReasonSet(.noTargetNode))
    } else if possible.isEmpty {
      let common = all.dropFirst().reduce(all[0]) { $0.intersection($1) }.known
      reasons.formUnion(common.isEmpty ? ReasonSet(.noTargetNode) : common)
    } else if sure == 0 {
      reasons.insert(.unknown)
    }
    // What speaks against the VM itself speaks against every node; of what is not known the number is not, either.
    guard reasons.known.isEmpty else { return VMJudgement(reasons: reasons, targets: 0) }
    return VMJudgement(reasons: reasons, targets: possible.count == sure ? UInt32(sure) : nil)
  }

  /// What speaks against each node.
  private mutating func against(_ own: EligibilityFacts, _ needs: PlacementNeeds, _ commands: Commands)
    -> [ReasonSet]
  {
    let rules = needs.near + needs.apart
    let demand = Demand(
      selector: needs.selector, required: needs.required, tolerations: needs.tolerations,
      requests: needs.requests, rules: rules, namespace: rules.isEmpty ? "" : own.namespace,
      isFromPod: needs.isFromPod, networks: Set(own.networks.values.compactMap { $0.value?.clusterNetwork }),
      storage: Set(own.volumes.values.compactMap { $0.value?.required }))
    if let known = answers[demand] { return known }
    comparisons += nodes.count
    let answer = nodes.map { node in
      let reasons = ReasonSet(EligibilityRules.placement(node, own, needs, commands))
      return reasons.known.isEmpty ? reasons.union(room(at: node, needs, own.namespace)) : reasons
    }
    answers[demand] = answer
    return answer
  }

  /// What its pods leave of a node.
  private func room(at node: PlacementNode, _ needs: PlacementNeeds, _ namespace: String) -> ReasonSet {
    guard case .known(let book) = facts.pods else { return .unknown }
    let load = book.loads[node.name] ?? NodeLoad()
    let resources = needs.isFromPod ? ResourceRules.obstacles(needs, node, load) : []
    let neighbours = ResourceRules.neighbours(needs) { rule in
      book.neighbours.contains(PodBook.Neighbour(rule: rule, namespace: namespace, node: node.name))
    }
    return ReasonSet(resources + neighbours)
  }

  /// What the volumes that a node can still attach say of it, where nothing else keeps the VM off it.
  private func volumes(of own: EligibilityFacts) -> (_ node: String) -> ReasonSet {
    var drivers: [String: Set<String>] = [:]
    for (name, volume) in own.volumes {
      if let driver = volume.value?.driver, !driver.isEmpty { drivers[driver, default: []].insert(name) }
    }
    guard !drivers.isEmpty else { return { _ in [] } }
    switch facts.attachments {
    case .known(let book):
      return { node in
        let isShort = drivers.contains { book.obstacle($0.key, $0.value, on: node) != nil }
        return isShort ? ReasonSet(.noResources) : []
      }
    case .absent, .denied, .failed, .missing: return { _ in .unknown }
    }
  }
}
