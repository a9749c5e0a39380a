internal import DroverCore
internal import FoundationEssentials
internal import Kubernetes

/// What was read of a VM that is to be migrated.
struct StartReading: Sendable {
  var name: VMName
  /// Its VMI; nil where there is none.
  var vmi: VMI?
  /// The same with its disks.
  var guest: Guest?
  /// All VMIMs of its namespace.
  var vmims: [VMIM]
  /// All nodes.
  var nodes: [Node]
  /// KubeVirt's version; nil where it is not known.
  var version: KubeVirtVersion?
  /// The taint by which KubeVirt empties a node.
  var taintKey = KubeVirtCR.usualDrainTaintKey
  /// Where it is wished to go; nil for anywhere.
  var target: String?

  /// Everything that speaks against it, as far as these objects tell.
  var refusals: [Refusal] {
    guard let vmi else {
      return [
        Refusal(
          .notRunning, "there is no VMI \(name.name) in namespace \(name.namespace): the VM does not run")
      ]
    }
    var refusals: [Refusal] = []
    if vmi.phase != "Running" || vmi.metadata.deletionTimestamp != nil {
      let phase = vmi.metadata.deletionTimestamp == nil ? vmi.phase : "being shut down"
      refusals.append(Refusal(.notRunning, "the VM does not run (\(phase))"))
    }
    if let condition = vmi.conditions["LiveMigratable"], condition.isFalse {
      refusals.append(
        Refusal(
          .notMigratable,
          "KubeVirt says that it cannot be migrated: \(condition.reason): \(condition.message); "
            + "drover explain \(name.namespace)/\(name.name) says what to do"))
    }
    if let host = vmi.nodeSelector["kubernetes.io/hostname"] {
      refusals.append(
        Refusal(
          .notMigratable, "its node selector binds it to node \(host); take that out of the VM's template"))
    }
    if let open = vmims.first(where: { $0.vmiName == name.name && !$0.isFinal }) {
      let phase = open.phase.isEmpty ? "unset" : open.phase
      refusals.append(
        Refusal(
          .migrating, "it has a migration already: \(open.metadata.name) (\(phase)), uid \(open.metadata.uid)"
        ))
    }
    return refusals + targetRefusals(vmi)
  }

  private func targetRefusals(_ vmi: VMI) -> [Refusal] {
    guard let target else {
      let others = nodes.filter { $0.metadata.name != vmi.node && obstacle($0) == nil }
      return others.isEmpty
        ? [Refusal(.noTarget, "there is no other node that is ready and takes VMs")] : []
    }
    if target == vmi.node { return [Refusal(.sameNode, "the VM is on \(target) already")] }
    guard let node = nodes.first(where: { $0.metadata.name == target }) else {
      let names = nodes.map(\.metadata.name).sorted().joined(separator: ", ")
      return [Refusal(.targetUnfit, "there is no node \(target); there are \(names)")]
    }
    var refusals: [Refusal] = []
    if let obstacle = obstacle(node) {
      refusals.append(Refusal(.targetUnfit, "node \(target) \(obstacle)"))
    }
    guard let version else {
      return refusals + [
        Refusal(.unreadable, "KubeVirt's version is not known, and before 1.6 it ignores a wish for a node")
      ]
    }
    if version < .takesTarget {
      refusals.append(
        Refusal(
          .unsupported,
          "KubeVirt before 1.6 ignores a wish for a node and would send the VM anywhere; leave --to out"))
    }
    return refusals
  }

  /// KubeVirt moves a VM away again at once from a node with this taint, whatever the VM tolerates.
  private func obstacle(_ node: Node) -> String? {
    if let obstacle = node.obstacle { return obstacle }
    guard DrainSigns(node, taintKey: taintKey).taint != nil else { return nil }
    return "is being drained: it carries the taint \(taintKey), by which KubeVirt moves its VMs away"
  }

  /// What is sent to start it.
  var order: MigrationOrder { MigrationOrder(name: name, node: target) }
}

/// A VMIM that is to be made.
struct MigrationOrder: Encodable, Hashable, Sendable {
  struct Metadata: Encodable, Hashable, Sendable {
    let generateName: String
    let namespace: String
    /// What makes its origin `drover` for everybody who sees it.
    let annotations: [String: String]
  }

  struct Spec: Encodable, Hashable, Sendable {
    let vmiName: String
    /// Needs KubeVirt 1.6; never a priority, which only virt-controller may set.
    let addedNodeSelector: [String: String]?
  }

  let apiVersion = "kubevirt.io/v1"
  let kind = "VirtualMachineInstanceMigration"
  let metadata: Metadata
  let spec: Spec

  private enum CodingKeys: String, CodingKey { case apiVersion, kind, metadata, spec }

  /// - Parameter mark: What it is to be found by where its answer is lost; empty for none.
  init(name: VMName, node: String?, mark: String = "") {
    let own = mark.isEmpty ? [:] : [StartTrace.annotation: mark]
    metadata = Metadata(
      generateName: "\(name.name)-", namespace: name.namespace,
      annotations: own.merging(["drover.io/reason": "requested"]) { $1 })
    spec = Spec(
      vmiName: name.name, addedNodeSelector: node.map { ["kubernetes.io/hostname": $0] })
  }

  /// The object as JSON.
  var text: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }
}

extension Node {
  /// Why it takes no VM; nil where it may.
  var obstacle: String? {
    if isReady != true { return "is not ready" }
    if isUnschedulable { return "is cordoned" }
    if metadata.labels["kubevirt.io/schedulable"] == "false" { return "is not schedulable for KubeVirt" }
    let annotations = metadata.annotations
    if annotations["harvesterhci.io/maintain-status"] != nil { return "is in maintenance" }
    if annotations["harvesterhci.io/drain-requested"].map({ $0 != "false" }) ?? false {
      return "is about to be drained"
    }
    return nil
  }
}
