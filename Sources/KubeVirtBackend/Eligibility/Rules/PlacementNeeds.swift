internal import DroverCore
internal import Kubernetes

/// What the pod of a migration's target would ask of a node: KubeVirt's own way to make one, from the VMI,
/// from the pod that
/// runs and from the labels of the node that it runs on.
struct PlacementNeeds: Sendable {
  /// Labels that the node must have.
  var selector: [String: String] = [:]
  /// nil where any node will do.
  var required: NodeSelector?
  var tolerations: [PlacementPod.Toleration] = []
  var requests: Amounts = [:]
  var near: [PlacementPod.PodRule] = []
  var apart: [PlacementPod.PodRule] = []
  var processor: ProcessorNeeds
  /// Whether there is a pod to go by: without one, its requests are not known.
  var isFromPod = false

  init(_ facts: EligibilityFacts) {
    let spec = facts.spec
    let rules = facts.cluster.value
    let pod = facts.pod.value
    if let pod {
      isFromPod = true
      selector = Self.lasting(pod, facts)
      required = pod.required
      tolerations = pod.tolerations
      requests = pod.requests
      near = pod.near
      apart = pod.apart.filter { !$0.isOwn(of: facts.guest) }
    } else {
      selector = spec.nodeSelector
      required = spec.required
    }
    for (key, value) in rules?.nodeSelectors ?? [:] where selector[key] == nil { selector[key] = value }
    if selector[LabelPrefix.schedulable] == nil { selector[LabelPrefix.schedulable] = "true" }
    if spec.hasDedicatedCPUs { selector[LabelPrefix.cpuManager] = "true" }
    processor = ProcessorNeeds(facts)
    for (key, value) in processor.labels where selector[key] == nil { selector[key] = value }
  }

  /// The pod's node selector without what was added for one migration only: the next pod is made anew from
  /// the VMI.
  private static func lasting(_ pod: PlacementPod, _ facts: EligibilityFacts) -> [String: String] {
    guard pod.metadata.labels["kubevirt.io/migrationJobUID"] != nil else { return pod.nodeSelector }
    let own = facts.spec.nodeSelector
    let rules = facts.cluster.value?.nodeSelectors
    return pod.nodeSelector.filter { key, _ in
      if own[key] != nil || LabelPrefix.isKubeVirts(key) { return true }
      guard let rules else { return key != LabelPrefix.hostname }
      return rules[key] != nil
    }
  }
}

/// What the guest's processor asks of a node, and since when.
struct ProcessorNeeds: Sendable {
  enum Kind: Hashable, Sendable {
    /// `host-model`, not migrated yet: what its node's processor is.
    case hostModel(String)
    /// `host-model`, migrated before: what its pod says, which is the node's that it first ran on.
    case inherited(String?)
    /// A model by its name.
    case named(String)
    /// Whatever the node has, unchecked.
    case passthrough
    /// `host-model`, and its node could not be read.
    case unknown
  }

  var kind: Kind
  /// Labels that follow from it.
  var labels: [String: String] = [:]

  init(_ facts: EligibilityFacts) {
    let set = facts.spec.cpuModel
    let model = set.isEmpty ? facts.cluster.value?.cpuModel ?? "" : set
    let pod = facts.pod.value?.nodeSelector ?? [:]
    switch model {
    case "", "host-model":
      // KubeVirt's own sign that it was migrated before.
      let inherited = pod.filter {
        $0.key.hasPrefix(LabelPrefix.migrationModel) || $0.key.hasPrefix(LabelPrefix.feature)
      }
      if !inherited.isEmpty {
        let model = inherited.keys.filter { $0.hasPrefix(LabelPrefix.migrationModel) }.min()
        kind = .inherited(model.map { String($0.dropFirst(LabelPrefix.migrationModel.count)) })
        labels = inherited
      } else if let source = facts.source {
        let models = source.labels(after: LabelPrefix.hostModel).sorted()
        kind = models.first.map { .hostModel($0) } ?? .unknown
        for model in models { labels[LabelPrefix.migrationModel + model] = "true" }
        for feature in source.labels(after: LabelPrefix.hostModelFeature) {
          labels[LabelPrefix.feature + feature] = "true"
        }
      } else {
        kind = .unknown
      }
    case "host-passthrough": kind = .passthrough
    default:
      kind = .named(model)
      labels[LabelPrefix.model + model] = "true"
    }
    addVendor(facts, pod)
  }

  /// From 1.7 on the maker of the source's processor counts too; also where the version is not known.
  private mutating func addVendor(_ facts: EligibilityFacts, _ pod: [String: String]) {
    guard facts.version.map({ $0 >= KubeVirtVersion(1, 7) }) ?? true,
      !pod.keys.contains(where: { $0.hasPrefix(LabelPrefix.vendor) })
    else { return }
    for vendor in facts.source?.labels(after: LabelPrefix.vendor) ?? [] {
      labels[LabelPrefix.vendor + vendor] = "true"
    }
  }

  /// The model that a target must be able to take; nil where that is not known or not asked.
  var model: String? {
    switch kind {
    case .hostModel(let model): model
    case .inherited(let model): model
    case .named, .passthrough, .unknown: nil
    }
  }
}

extension PlacementPod.PodRule {
  /// Whether it is the one by which KubeVirt keeps two pods of one VM apart.
  func isOwn(of guest: Guest) -> Bool {
    labels?.matchLabels?["kubevirt.io/created-by"] == guest.metadata.uid
  }
}
