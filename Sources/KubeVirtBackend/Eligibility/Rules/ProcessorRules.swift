internal import DroverCore
internal import Kubernetes

/// The guest's CPU model and features, against what a node's labels offer.
enum ProcessorRules {
  /// What a node lacks of the processor that the guest needs.
  static func obstacles(
    missing keys: [String], _ needs: ProcessorNeeds, _ node: PlacementNode
  ) -> [Obstacle] {
    guard !keys.isEmpty else { return stricterRule(needs, node) }
    func names(_ prefix: String) -> [String] {
      keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
    }
    let features = names(LabelPrefix.feature)
    var parts = names(LabelPrefix.migrationModel).map { model in
      "a host-model guest of \(model) cannot go there (no label \(LabelPrefix.migrationModel)\(model))"
    }
    parts += names(LabelPrefix.model).map {
      "CPU model \($0) is not offered (no label \(LabelPrefix.model)\($0))"
    }
    if !features.isEmpty { parts.append("CPU features are missing: \(listed(features))") }
    parts += names(LabelPrefix.vendor).map { "its processor is not of \($0), as KubeVirt demands since 1.7" }
    let rest = keys.filter { key in
      ![LabelPrefix.feature, LabelPrefix.migrationModel, LabelPrefix.model, LabelPrefix.vendor]
        .contains { key.hasPrefix($0) }
    }
    if !rest.isEmpty { parts.append("labels are missing: \(listed(rest))") }
    return [
      Obstacle(
        .cpuModel, parts.joined(separator: "; "),
        remedy: "give the VM a CPU model that both nodes offer, and restart it")
    ]
  }

  /// Harvester's page lets a host-model guest go to nodes with the same primary model only; KubeVirt does
  /// not ask for that.
  private static func stricterRule(_ needs: ProcessorNeeds, _ node: PlacementNode) -> [Obstacle] {
    guard let model = needs.model else { return [] }
    let primary = node.labels(after: LabelPrefix.hostModel)
    guard !primary.isEmpty, !primary.contains(model) else { return [] }
    return [
      Obstacle(
        .cpuModel,
        "its primary CPU model is \(listed(primary.sorted())), not \(model): by Harvester's page a "
          + "host-model VM does not "
          + "go there, but KubeVirt lets it, since the node has \(LabelPrefix.migrationModel)\(model) and "
          + "every "
          + "feature that is needed",
        remedy: "nothing has to be done", isEnforced: false)
    ]
  }

  /// Models that every node which runs VMs offers by name.
  static func commonModels(_ nodes: [PlacementNode]) -> [String] {
    let offers = nodes.filter { node in
      node.labels.keys.contains {
        $0.hasPrefix(LabelPrefix.model) || $0.hasPrefix(LabelPrefix.hostModel)
      }
    }.map { $0.labels(after: LabelPrefix.model) }
    guard let first = offers.first else { return [] }
    return offers.dropFirst().reduce(first) { $0.intersection($1) }.sorted()
  }

  /// Names of processors, older ones first: of several common ones the newest loses the guest the least.
  private static let generations = [
    "Penryn", "Nehalem", "Westmere", "SandyBridge", "IvyBridge", "Haswell", "Broadwell", "Skylake",
    "Cascadelake", "Cooperlake", "Icelake", "SapphireRapids", "SierraForest", "GraniteRapids", "Opteron_G",
    "EPYC", "EPYC-Rome", "EPYC-Milan", "EPYC-Genoa", "EPYC-Turin",
  ]

  static func newest(_ models: [String]) -> String? {
    func rank(_ model: String) -> Int { generations.lastIndex { model.hasPrefix($0) } ?? -1 }
    return models.max { (rank($0), $0) < (rank($1), $1) }
  }

  /// How to make a VM fit every node, with the commands and what they bring with them.
  static func remedy(_ facts: EligibilityFacts, _ commands: Commands) -> String {
    let models = commonModels(facts.nodes.value ?? [])
    guard let model = newest(models) else {
      return "no CPU model is offered by every node (labels \(LabelPrefix.model)...): "
        + "migrate between nodes of one kind, or add a node like \(facts.guest.node)"
    }
    return "every node offers \(listed(models)). For this VM alone: \(commands.setModel(model)), then "
      + "\(commands.restart). For the whole cluster: \(commands.setClusterModel(model)), then restart the "
      + "VM; that "
      + "changes every VM without a model of its own at its next start, new ones too. Both take effect "
      + "only after a "
      + "restart of the VM, and the guest then sees another processor"
  }

  /// What is worth knowing of the processor although it prevents nothing.
  static func notes(_ needs: ProcessorNeeds, _ facts: EligibilityFacts) -> [String] {
    switch needs.kind {
    case .inherited(let model):
      let features = needs.labels.keys.filter { $0.hasPrefix(LabelPrefix.feature) }
        .map { String($0.dropFirst(LabelPrefix.feature.count)) }.sorted()
      let primary = facts.source?.labels(after: LabelPrefix.hostModel) ?? []
      let elsewhere = model.map { !primary.isEmpty && !primary.contains($0) } ?? false
      let what = [
        model.map { "CPU model \($0)" },
        features.isEmpty ? nil : "\(features.count) CPU feature\(features.count == 1 ? "" : "s")",
      ].compactMap(\.self).joined(separator: " and ")
      return [
        "It was migrated before, and still needs what the node had that it first ran on: \(what)"
          + (elsewhere ? ", although \(facts.guest.node) is \(listed(primary.sorted()))" : "")
          + "; a restart takes the needs of the node where it then starts"
      ]
    case .passthrough:
      let own = facts.source?.labels(after: LabelPrefix.hostModel) ?? []
      let unlike = facts.others.filter { node in
        let primary = node.labels(after: LabelPrefix.hostModel)
        return !primary.isEmpty && primary != own
      }.map(\.name)
      return [
        "Its CPU model is host-passthrough: KubeVirt does not compare processors, and a guest on an "
          + "unlike one may crash"
          + (unlike.isEmpty ? "" : " (unlike: \(listed(unlike)))")
      ]
    default: return []
    }
  }
}
