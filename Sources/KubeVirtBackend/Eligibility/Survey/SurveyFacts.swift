internal import DroverCore
internal import Kubernetes

/// What decides where the VMs of a cluster can go, read once for all of them and kept no longer than that takes.
struct SurveyFacts: Sendable {
  var cluster: Fact<ClusterRules> = .failed("not asked")
  var nodes: Fact<[PlacementNode]> = .failed("not asked")
  var attachments: Fact<AttachmentBook> = .failed("not asked")
  /// By `namespace/name`.
  var networks: Fact<[String: NetworkAttachment]> = .failed("not asked")
  /// By `namespace/name`.
  var claims: Fact<[String: ClaimRecord]> = .failed("not asked")
  /// By name.
  var volumes: Fact<[String: VolumeRecord]> = .failed("not asked")
  var pods: Fact<PodBook> = .failed("not asked")

  /// What is kept of a claim.
  struct ClaimRecord: Sendable {
    var accessModes: [String]
    var volume: String
  }

  /// What is kept of a volume.
  struct VolumeRecord: Sendable {
    var driver: String
    var required: NodeSelector?
  }

  /// Whether anything did not come that may come the next time.
  var isIncomplete: Bool {
    func failed<Value>(_ fact: Fact<Value>) -> Bool { if case .failed = fact { true } else { false } }
    return failed(cluster) || failed(nodes) || failed(attachments) || failed(networks) || failed(claims)
      || failed(volumes) || failed(pods)
  }

  /// Rights that are missing, each once.
  var missingRights: [String] {
    func right<Value>(_ fact: Fact<Value>) -> String? {
      if case .denied(let right) = fact { right } else { nil }
    }
    return Set(
      [
        right(cluster), right(nodes), right(attachments), right(networks), right(claims), right(volumes),
        right(pods),
      ].compactMap(\.self)
    ).sorted()
  }

  /// What is known of one VM.
  func facts(of guest: Guest) -> EligibilityFacts {
    var facts = EligibilityFacts(guest: guest)
    facts.cluster = cluster
    facts.nodes = nodes
    facts.pod = pods.map {
      EligibilityReader.launcher(of: guest, among: $0.launchers[guest.metadata.uid] ?? [])
    }
    for name in guest.spec.claims {
      let claim: Fact<Claim> = claims.map { all in
        all["\(guest.metadata.namespace)/\(name)"].map {
          .known(
            Claim(
              name: name, namespace: guest.metadata.namespace, accessModes: $0.accessModes, volume: $0.volume)
          )
        } ?? .missing
      }
      facts.claims[name] = claim
      guard let volume = claim.value?.volume, !volume.isEmpty else { continue }
      facts.volumes[volume] = volumes.map { all in
        all[volume].map { .known(PersistentVolume(name: volume, driver: $0.driver, required: $0.required)) }
          ?? .missing
      }
    }
    for network in guest.spec.networks where !network.attachment.isEmpty {
      let name = facts.fullName(ofNetwork: network.attachment)
      facts.networks[name] = networks.map { all in all[name].map { .known($0) } ?? .missing }
    }
    return facts
  }
}

/// What is kept of all pods of a cluster.
struct PodBook: Sendable {
  /// Where a rule about other pods holds.
  struct Neighbour: Hashable, Sendable {
    let rule: PlacementPod.PodRule
    /// The namespace of the pod that has the rule.
    let namespace: String
    let node: String
  }

  /// What the pods of each node take.
  private(set) var loads: [String: NodeLoad] = [:]
  /// The pods of each VM that are not over, by the VMI's uid.
  private(set) var launchers: [String: [PlacementPod]] = [:]
  /// Which rules of launchers hold where.
  private(set) var neighbours: Set<Neighbour> = []
  private var rules: Set<Rule> = []
  private var shapes: Set<Shape> = []

  private struct Rule: Hashable {
    let rule: PlacementPod.PodRule
    let namespace: String
  }

  /// What many launchers have in common, so that it is kept once.
  private struct Shape: Hashable {
    let nodeSelector: [String: String]
    let required: NodeSelector?
    let near: [PlacementPod.PodRule]
    let apart: [PlacementPod.PodRule]
    let tolerations: [PlacementPod.Toleration]
    let requests: Amounts
  }

  private static let createdBy = "kubevirt.io/created-by"
  private static let keptLabels = [createdBy, "kubevirt.io/migrationJobUID"]

  /// Takes a pod in.
  mutating func add(_ pod: PlacementPod) {
    guard !pod.isOver, !pod.node.isEmpty else { return }
    loads[pod.node, default: NodeLoad()].add(pod)
    guard let vmi = pod.metadata.labels[Self.createdBy] else { return }
    let shape = Shape(
      nodeSelector: pod.nodeSelector, required: pod.required, near: pod.near,
      apart: pod.apart.filter { $0.labels?.matchLabels?[Self.createdBy] != vmi },
      tolerations: pod.tolerations, requests: pod.requests)
    let kept = shapes.insert(shape).memberAfterInsert
    var record = pod
    record.metadata = ObjectMeta(
      name: pod.metadata.name, namespace: pod.metadata.namespace, uid: pod.metadata.uid)
    record.metadata.creationTimestamp = pod.metadata.creationTimestamp
    record.metadata.labels = pod.metadata.labels.filter { Self.keptLabels.contains($0.key) }
    (record.nodeSelector, record.required, record.near) = (kept.nodeSelector, kept.required, kept.near)
    (record.apart, record.tolerations, record.requests) = (kept.apart, kept.tolerations, kept.requests)
    launchers[vmi, default: []].append(record)
    for rule in kept.near + kept.apart where rule.isLocal {
      rules.insert(Rule(rule: rule, namespace: pod.metadata.namespace))
    }
  }

  /// Whether it matters which pods are beside each other: then all of them have to be looked at once more.
  var hasRules: Bool { !rules.isEmpty }

  /// Takes in which rules a pod is meant by.
  mutating func meet(_ pod: PlacementPod) {
    for rule in rules where rule.rule.matches(pod, of: rule.namespace) {
      neighbours.insert(Neighbour(rule: rule.rule, namespace: rule.namespace, node: pod.node))
    }
  }
}
