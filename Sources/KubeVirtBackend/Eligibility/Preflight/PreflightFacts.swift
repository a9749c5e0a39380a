internal import DroverCore
internal import Kubernetes

/// All that a preflight goes by: each kind of object once, as a list.
struct PreflightFacts: Sendable {
  var guests: [PreflightGuest]
  /// Pods that take something.
  var pods: Fact<[PlacementPod]> = .failed("not asked")
  var cluster: Fact<ClusterRules> = .failed("not asked")
  var nodes: Fact<[PlacementNode]> = .failed("not asked")
  var claims: Fact<[Claim]> = .failed("not asked")
  var volumes: Fact<[PersistentVolume]> = .failed("not asked")
  var classes: Fact<[StorageClass]> = .failed("not asked")
  var longhorn: Fact<[LonghornVolume]> = .failed("not asked")
  var networks: Fact<[NetworkAttachment]> = .failed("not asked")
  var csiNodes: Fact<[CSINode]> = .failed("not asked")
  var attachments: Fact<[VolumeAttachment]> = .failed("not asked")
  /// The only namespaces whose VMs are known; empty for all.
  var namespaces: [String] = []
}

/// A VMI, as its drain and as its placement look at it.
struct PreflightGuest: KubernetesObject {
  let vmi: VMI
  let guest: Guest

  init(from decoder: any Decoder) throws {
    vmi = try VMI(from: decoder)
    guest = try Guest(from: decoder)
  }

  var metadata: ObjectMeta { vmi.metadata }
}

/// The same, so that what concerns one VM or one node is found at once.
struct PreflightIndex: Sendable {
  let facts: PreflightFacts
  /// By name.
  let nodes: [String: PlacementNode]
  /// Pods by their node.
  let podsByNode: [String: [PlacementPod]]
  /// What is left on each node; nil where nodes, or what pods take of them, are not known.
  let free: [String: Amounts]?
  private let launchers: [String: [PlacementPod]]
  private let claims: FactTable<Claim>
  private let volumes: FactTable<PersistentVolume>
  private let classes: FactTable<StorageClass>
  private let longhorn: FactTable<LonghornVolume>
  private let networks: FactTable<NetworkAttachment>
  /// For a VM without rules about other pods: what nodes have left is counted once, not for each VM.
  private let nobody: [String: Fact<[PlacementPod]>]

  init(_ facts: PreflightFacts) {
    self.facts = facts
    let all = facts.nodes.value ?? []
    nodes = Dictionary(all.map { ($0.name, $0) }) { $1 }
    let pods = (facts.pods.value ?? []).filter { !$0.isOver }
    podsByNode = Dictionary(grouping: pods.filter { !$0.node.isEmpty }, by: \.node)
    launchers = Dictionary(grouping: pods) { $0.metadata.labels["kubevirt.io/created-by"] ?? "" }
    let isKnown = facts.pods.value != nil && facts.nodes.value != nil
    free = isKnown ? RoomRules.free(all, podsByNode) : nil
    claims = FactTable(facts.claims) { $0.metadata.key.description }
    volumes = FactTable(facts.volumes, by: \.metadata.name)
    classes = FactTable(facts.classes, by: \.metadata.name)
    longhorn = FactTable(facts.longhorn, by: \.metadata.name)
    networks = FactTable(facts.networks) { $0.metadata.key.description }
    let none: Fact<[PlacementPod]> = facts.pods.map { _ in .known([]) }
    nobody = Dictionary(all.map { ($0.name, none) }) { $1 }
  }

  /// What decides about one VM.
  ///
  /// - Parameter countsPods: Whether what each node has left is looked at, too.
  func facts(of guest: Guest, countsPods: Bool) -> EligibilityFacts {
    var found = EligibilityFacts(guest: guest)
    found.cluster = facts.cluster
    found.nodes = facts.nodes
    found.pod = facts.pods.map { _ in
      EligibilityReader.launcher(of: guest, among: launchers[guest.metadata.uid] ?? [])
    }
    found.csiNodes = facts.csiNodes
    found.attachments = facts.attachments
    for name in found.spec.claims {
      let claim = claims["\(found.namespace)/\(name)"]
      found.claims[name] = claim
      guard let claim = claim.value else { continue }
      if !claim.storageClass.isEmpty { found.classes[claim.storageClass] = classes[claim.storageClass] }
      guard !claim.volume.isEmpty else { continue }
      let volume = volumes[claim.volume]
      found.volumes[claim.volume] = volume
      guard let volume = volume.value, volume.driver == StorageRules.longhorn else { continue }
      found.longhorn[volume.handle] = longhorn[volume.handle]
    }
    for network in found.spec.networks where !network.attachment.isEmpty {
      let name = found.fullName(ofNetwork: network.attachment)
      found.networks[name] = networks[name]
    }
    let hasRules = found.pod.value.map { !$0.near.isEmpty || !$0.apart.isEmpty } ?? false
    found.pods =
      (countsPods || hasRules) && facts.pods.value != nil
      ? nodes.mapValues { .known(podsByNode[$0.name] ?? []) } : nobody
    return found
  }
}

/// Objects of one list by their names.
private struct FactTable<Value: Sendable>: Sendable {
  private let table: Fact<[String: Value]>

  init(_ list: Fact<[Value]>, by name: @escaping (Value) -> String) {
    table = list.map { .known(Dictionary($0.map { (name($0), $0) }) { $1 }) }
  }

  subscript(name: String) -> Fact<Value> {
    switch table {
    case .known(let objects): objects[name].map { .known($0) } ?? .missing
    case .denied(let right): .denied(right: right)
    case .absent: .absent
    case .missing: .missing
    case .failed(let cause): .failed(cause)
    }
  }
}
