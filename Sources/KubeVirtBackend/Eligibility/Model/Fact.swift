internal import Kubernetes

/// Something that was asked for: what cannot be read is never taken for good.
enum Fact<Value: Sendable>: Sendable {
  case known(Value)
  /// The right to read it is missing.
  case denied(right: String)
  /// The cluster has no such kind of object.
  case absent
  /// The cluster has the kind, but not this object.
  case missing
  /// There was no usable answer.
  case failed(String)

  /// What is known; nil for everything else.
  var value: Value? { if case .known(let value) = self { value } else { nil } }

  /// Whether it may be there, but could not be read.
  var isUnreadable: Bool {
    switch self {
    case .denied, .failed: true
    case .known, .absent, .missing: false
    }
  }

  /// Why it is not known, in words; nil where it is.
  var problem: String? {
    switch self {
    case .known: nil
    case .denied: "may not be read"
    case .absent: "is of a kind that the cluster does not have"
    case .missing: "is not there"
    case .failed(let cause): "could not be read: \(cause)"
    }
  }

  /// How to make it known.
  var remedy: String {
    switch self {
    case .denied(let right): "grant \(right)"
    case .failed: "ask again; look at the API server if it lasts"
    case .known, .absent, .missing: "check what defines it"
    }
  }
}

/// All that is known of a VM and of the nodes that it might go to.
struct EligibilityFacts: Sendable {
  var guest: Guest
  var machine: Fact<Machine> = .missing
  /// The pod that it runs in.
  var pod: Fact<PlacementPod> = .missing
  var cluster: Fact<ClusterRules> = .missing
  var nodes: Fact<[PlacementNode]> = .failed("not asked")
  /// By the claim's name.
  var claims: [String: Fact<Claim>] = [:]
  /// By the persistent volume's name.
  var volumes: [String: Fact<PersistentVolume>] = [:]
  /// By the storage class's name.
  var classes: [String: Fact<StorageClass>] = [:]
  /// By the volume handle.
  var longhorn: [String: Fact<LonghornVolume>] = [:]
  /// By `namespace/name`.
  var networks: [String: Fact<NetworkAttachment>] = [:]
  var csiNodes: Fact<[CSINode]> = .known([])
  var attachments: Fact<[VolumeAttachment]> = .known([])
  /// Pods that take something, by the node that they are on; asked for of nodes that are possible otherwise.
  var pods: [String: Fact<[PlacementPod]>] = [:]
  var slots: Fact<SlotFacts> = .failed("not asked")

  var spec: GuestSpec { guest.spec }
  var namespace: String { guest.metadata.namespace }
  var name: String { guest.metadata.name }
  var version: KubeVirtVersion? { cluster.value.flatMap { KubeVirtVersion($0.base.version) } }

  /// The node that it runs on; nil where that is not known.
  var source: PlacementNode? { nodes.value?.first { $0.name == guest.node } }
  /// The nodes that it might go to.
  var others: [PlacementNode] {
    (nodes.value ?? []).filter { $0.name != guest.node }.sorted { $0.name < $1.name }
  }

  /// What names a network attachment in full.
  func fullName(ofNetwork name: String) -> String { name.contains("/") ? name : "\(namespace)/\(name)" }
}

/// Migrations that hold a slot now.
struct SlotFacts: Hashable, Sendable {
  var inCluster: Int
  /// Those that leave the VM's node, or whose VM is there.
  var atNode: Int
}
