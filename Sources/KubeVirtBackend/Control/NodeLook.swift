internal import DroverCore
internal import Kubernetes

/// What was read of a node, and of what is on it.
struct NodeLook: Sendable {
  var node: Node
  /// The VMIs that say that they are there, and those of its other launchers.
  var vmis: [VMI]
  /// The launchers that are there and not over.
  var pods: [LauncherPod]
  /// The taint by which KubeVirt empties a node.
  var taintKey = KubeVirtCR.usualDrainTaintKey

  /// What was read, by these objects alone.
  ///
  /// - Parameter namespaces: Those that are watched; empty for all.
  func reading(_ backend: BackendName, namespaces: [String] = []) -> NodeReading {
    let guests = vmis.filter(isGuest).sorted { VMName($0) < VMName($1) }.map { vmi in
      NodeReading.Guest(
        vm: VMRef(backend: backend, scope: .namespace(vmi.metadata.namespace), name: vmi.metadata.name),
        domain: DomainKey(uuid: vmi.domainUUID) ?? DomainKey(backend: backend, socketPath: vmi.metadata.uid),
        memory: vmi.memory,
        isWatched: namespaces.isEmpty || namespaces.contains(vmi.metadata.namespace))
    }
    return NodeReading(
      node: node.metadata.name, isCordoned: node.isUnschedulable,
      drainedBy: DrainSigns(node, taintKey: taintKey).drainedBy, guests: guests)
  }

  /// Whether a VM runs there, is being started there, or is on its way there.
  ///
  /// A launcher that a failed migration has left behind is none.
  private func isGuest(_ vmi: VMI) -> Bool {
    guard vmi.phase != "Succeeded", vmi.phase != "Failed" else { return false }
    let name = node.metadata.name
    if vmi.node == name { return true }
    guard let pod = pods.first(where: { $0.vmi == vmi.metadata.uid }) else { return false }
    if vmi.node.isEmpty { return true }
    guard let migration = pod.migration else { return false }
    // Before the hand-over, the VMI's state may still be that of an earlier migration.
    guard let state = vmi.state, state.uid == migration else { return pod.isLasting }
    return !state.hasFailed
  }
}

/// A launcher, as far as it says what is on a node.
struct LauncherPod: KubernetesObject {
  let metadata: ObjectMeta
  let phase: String

  private enum CodingKeys: String, CodingKey { case metadata, status }
  private struct Status: Decodable { var phase: String? }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    phase = values.lenient(.status, as: Status.self)?.phase ?? ""
  }

  /// The uid of its VMI.
  var vmi: String { metadata.labels["kubevirt.io/created-by"] ?? "" }
  /// The name of its VMI.
  var vmiName: String {
    metadata.annotations["kubevirt.io/domain"] ?? metadata.labels["vm.kubevirt.io/name"] ?? ""
  }
  /// The uid of the migration that it is a target of; nil for one that a VM was started in.
  var migration: String? { metadata.labels["kubevirt.io/migrationJobUID"] }
  /// Whether nobody has asked for its end.
  var isLasting: Bool { metadata.deletionTimestamp == nil }
  /// Whether it is over.
  var isOver: Bool { phase == "Succeeded" || phase == "Failed" }
}

extension VMName {
  /// Names a VMI.
  init(_ vmi: VMI) { self.init(namespace: vmi.metadata.namespace, name: vmi.metadata.name) }
}
