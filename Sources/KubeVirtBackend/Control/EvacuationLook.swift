internal import DroverCore
internal import Kubernetes

/// What was read of that which moves a VM, or the VMs of a node, away by itself.
struct EvacuationLook: Sendable {
  /// What is asked about.
  var subject: EvacuationSubject
  /// The node, or the VM's; nil where there is none.
  var node: Node?
  /// The VM, or the VMs on the node.
  var vmis: [VMI]
  /// Migrations in their namespaces.
  var vmims: [VMIM]
  /// KubeVirt's own object; nil where there is none.
  var kubeVirt: KubeVirtCR?

  private var nodeName: String { node?.metadata.name ?? "" }
  private var taintKey: String { kubeVirt?.drainTaintKey ?? KubeVirtCR.usualDrainTaintKey }
  private var signs: DrainSigns? { node.map { DrainSigns($0, taintKey: taintKey) } }

  /// The taint that KubeVirt listens to; nil where the node has none.
  var taint: Node.Taint? { signs?.taint }

  /// The VMs that are to leave the node that they are on.
  var marked: [VMI] {
    vmis.filter {
      !$0.evacuationNode.isEmpty && $0.evacuationNode == $0.node && $0.phase != "Succeeded"
        && $0.phase != "Failed"
    }.sorted { VMName($0) < VMName($1) }
  }

  /// The migrations of these VMs that KubeVirt began for it, and that nobody has ended yet.
  var repeated: [VMIM] {
    let names = Set(vmis.map(VMName.init))
    return vmims.filter { vmim in
      guard vmim.origin == .evacuation || vmim.origin == .descheduler, !vmim.isFinal else { return false }
      return vmim.metadata.deletionTimestamp == nil && names.contains(VMName(vmim))
    }.sorted { $0.metadata.name < $1.metadata.name }
  }

  // MARK: In words

  /// What was found.
  var found: [String] {
    var found: [String] = []
    switch signs?.drainedBy {
    case .harvesterUpgrade: found.append("a Harvester upgrade empties node \(nodeName)")
    case .harvesterMaintenance: found.append("Harvester's maintenance mode empties node \(nodeName)")
    case .taint, nil: break
    }
    if let taint { found.append("node \(nodeName) carries the taint \(taint.words)") }
    found += marked.map { "\(VMName($0).text) is marked to leave node \($0.node)" }
    found += repeated.map { vmim in
      "VMIM \(vmim.key) (\(vmim.phase.isEmpty ? "unset" : vmim.phase)) moves \(VMName(vmim).text) away"
    }
    return found
  }

  /// What would be done, in this order.
  var steps: [String] {
    guard refusals.isEmpty else { return [] }
    var steps: [String] = []
    if case .node = subject, let taint {
      steps.append("take the taint \(taint.words) from node \(nodeName)")
    }
    steps += marked.map { "take back that \(VMName($0).text) is to leave node \($0.node)" }
    steps += repeated.map { vmim in
      "delete VMIM \(vmim.key), uid \(vmim.metadata.uid), unless it is in post-copy or in the switchover then"
    }
    return steps
  }

  /// What speaks against it.
  var refusals: [Refusal] {
    if case .vm(let vm) = subject, vmis.isEmpty {
      return [
        Refusal(
          .unknown,
          "there is no VMI \(vm.name) in namespace \(vm.scope.name): the VM does not run, or is "
            + "called otherwise")
      ]
    }
    var refusals: [Refusal] = []
    switch (signs?.drainedBy, subject) {
    case (.harvesterUpgrade, _):
      refusals.append(
        Refusal(
          .harvesterUpgrade,
          "a Harvester upgrade empties node \(nodeName), and shuts a VM down whose migration did not succeed; "
            + "let it go on"))
    case (.harvesterMaintenance, _):
      refusals.append(
        Refusal(
          .harvesterMaintenance,
          "Harvester's maintenance mode empties node \(nodeName), and evicts again what is taken back; end it "
            + "there (Disable Maintenance Mode: that takes the cordon and the taint away, but leaves marks and "
            + "migrations), then do this again"))
    case (.taint, .vm):
      refusals.append(
        Refusal(
          .drainTaint,
          "node \(nodeName) carries the taint \(taintKey), which moves all of its VMs away: KubeVirt takes none "
            + "of them back; end it for the node: drover stop-evacuation \(nodeName)"))
    case (.taint, .node), (nil, _): break
    }
    if refusals.isEmpty, let version = kubeVirt.flatMap({ KubeVirtVersion($0.version) }),
      version < .cancelsEvacuations, !marked.isEmpty
    {
      refusals.append(
        Refusal(
          .unsupported,
          "KubeVirt \(version.major).\(version.minor) cannot take an eviction back (1.7 and later can), and "
            + "\(listed(marked.map { VMName($0).text })) would be moved again at once; let them go"))
    }
    return refusals
  }

  /// The answer to who asks only.
  var reading: EvacuationReading {
    EvacuationReading(found: found, steps: steps, refusals: refusals)
  }
}

extension Node.Taint {
  /// As `kubectl` writes it.
  var words: String { key + (value.isEmpty ? "" : "=\(value)") + ":\(effect)" }
}

extension VMName {
  /// Names the VM of a migration.
  init(_ vmim: VMIM) { self.init(namespace: vmim.metadata.namespace, name: vmim.vmiName) }

  /// As people type it.
  var text: String { "\(namespace)/\(name)" }
}

extension VMIM {
  /// As people type it.
  var key: String { "\(metadata.namespace)/\(metadata.name)" }
}
