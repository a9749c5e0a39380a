internal import DroverCore
internal import Kubernetes

/// What is worth knowing of a cluster before a drain or an upgrade.
struct PreflightNotes: Sendable {
  let index: PreflightIndex
  let judged: [PreflightRules.Judged]
  /// VMs that have no node yet.
  let unplaced: Int

  var all: [String] {
    [scope, starting, processors].compactMap(\.self) + harvester + [copies].compactMap(\.self)
  }

  private var scope: String? {
    let namespaces = index.facts.namespaces
    guard !namespaces.isEmpty else { return nil }
    return "Only the VMs of \(listed(namespaces)) are looked at: Drover watches these namespaces"
  }

  private var starting: String? {
    unplaced == 0
      ? nil : "\(unplaced) \(unplaced == 1 ? "VM has" : "VMs have") no node yet, and may come to any"
  }

  /// A model that is set before VMs exist spares each of them a restart.
  private var processors: String? {
    guard let nodes = index.facts.nodes.value, let rules = index.facts.cluster.value else { return nil }
    guard rules.cpuModel.isEmpty || rules.cpuModel == "host-model" else { return nil }
    let models = nodes.map {
      ($0.name, $0.labels(after: LabelPrefix.hostModel).sorted().joined(separator: "+"))
    }
    .filter { !$0.1.isEmpty }
    guard Set(models.map(\.1)).count > 1 else { return nil }
    let kinds = Dictionary(grouping: models, by: \.1).sorted { $0.key < $1.key }
      .map { "\($0.key) on \(listed($0.value.map(\.0).sorted(), most: 3))" }
    let unlike = "The nodes have unlike processors (\(listed(kinds, most: 4)))"
    guard let model = ProcessorRules.newest(ProcessorRules.commonModels(nodes)) else {
      return unlike + ", and no CPU model that all of them offer: VMs migrate among nodes of one kind only"
    }
    let metadata = rules.metadata
    let command = Commands.setClusterModel(model, of: (metadata.name, metadata.namespace))
    let held = judged.filter(\.lacksProcessor).map { "\($0.vm.vm.scope.name)/\($0.vm.vm.name)" }
    return unlike
      + ". A CPU model that all offer, set before VMs exist, spares each of them a restart: \(command)"
      + (held.isEmpty
        ? "" : "; those that run take it at a restart only: \(listed(held, most: 5))")
  }

  private var harvester: [String] {
    guard index.nodes.values.contains(where: { $0.labels["harvesterhci.io/managed"] == "true" }) else {
      return []
    }
    var notes: [String] = []
    let bound = judged.filter { $0.hasSelector && $0.vm.outcome == .migrates }.map(name)
    if !bound.isEmpty {
      notes.append(
        "A Harvester upgrade shuts down what has a node selector, though it could migrate: \(listed(bound, most: 5))"
      )
    }
    let blocking = judged.filter { $0.vm.outcome == .blocks }.map(name)
    if !blocking.isEmpty {
      notes.append(
        "Harvester refuses maintenance mode over what blocks, and shuts it down where that is forced, as its "
          + "upgrade does: \(listed(blocking, most: 5))")
    }
    return notes
  }

  private var copies: String? {
    let single = judged.filter { !$0.copies.isEmpty }.map(name)
    guard !single.isEmpty else { return nil }
    return "Volumes with one copy keep the node with that copy from being drained, wherever the VM is: "
      + listed(single, most: 5)
  }

  private func name(_ judged: PreflightRules.Judged) -> String {
    "\(judged.vm.vm.scope.name)/\(judged.vm.vm.name)"
  }
}
