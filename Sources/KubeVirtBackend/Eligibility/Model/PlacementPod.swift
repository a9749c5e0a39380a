internal import Kubernetes

/// A pod with what decides where it may be placed, and what it takes there.
struct PlacementPod: KubernetesObject {
  var metadata: ObjectMeta
  var node: String
  var phase: String
  var nodeSelector: [String: String]
  /// nil where any node will do.
  var required: NodeSelector?
  /// Rules about other pods near it that must hold.
  var near: [PodRule]
  /// Rules about other pods that must not be near it.
  var apart: [PodRule]
  var tolerations: [Toleration]
  /// What is set aside for it: the sum of its containers, or the largest of those that run before them.
  var requests: Amounts

  /// A required rule about other pods.
  struct PodRule: Decodable, Hashable, Sendable {
    let labels: LabelSelector?
    let topologyKey: String
    let namespaces: [String]
    let hasNamespaceSelector: Bool

    private enum CodingKeys: String, CodingKey {
      case labelSelector, topologyKey, namespaces, namespaceSelector
    }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      labels = values.lenient(.labelSelector)
      topologyKey = values.lenient(.topologyKey) ?? ""
      namespaces = values.lenient(.namespaces) ?? []
      hasNamespaceSelector = values.contains(.namespaceSelector)
    }
  }

  /// `metav1.LabelSelector`: everything must hold.
  struct LabelSelector: Decodable, Hashable, Sendable {
    var matchLabels: [String: String]?
    var matchExpressions: [NodeSelector.Requirement]?

    func matches(_ labels: [String: String]) -> Bool {
      (matchLabels ?? [:]).allSatisfy { labels[$0.key] == $0.value }
        && (matchExpressions ?? []).allSatisfy { $0.matches(labels[$0.key]) }
    }
  }

  /// Taints that it bears.
  struct Toleration: Decodable, Hashable, Sendable {
    let key: String
    let comparison: String
    let value: String
    let effect: String

    private enum CodingKeys: String, CodingKey {
      case key, value, effect
      case comparison = "operator"
    }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      key = values.lenient(.key) ?? ""
      comparison = values.lenient(.comparison) ?? "Equal"
      value = values.lenient(.value) ?? ""
      effect = values.lenient(.effect) ?? ""
    }

    func tolerates(_ taint: Node.Taint) -> Bool {
      guard effect.isEmpty || effect == taint.effect else { return false }
      guard !key.isEmpty else { return comparison == "Exists" }
      return key == taint.key && (comparison == "Exists" || comparison == "Equal" && value == taint.value)
    }
  }

  private enum CodingKeys: String, CodingKey { case metadata, spec, status }
  private struct Status: Decodable { var phase: String? }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    let spec = values.lenient(.spec, as: PodSpec.self)
    node = spec?.nodeName ?? ""
    phase = values.lenient(.status, as: Status.self)?.phase ?? ""
    nodeSelector = spec?.nodeSelector ?? [:]
    required = spec?.affinity?.required
    near = spec?.affinity?.near ?? []
    apart = spec?.affinity?.apart ?? []
    tolerations = spec?.tolerations ?? []
    requests = spec?.requests ?? [:]
  }

  /// Whether it is over and takes nothing any more.
  var isOver: Bool { phase == "Succeeded" || phase == "Failed" }
}

/// What a VM's or pod's `affinity` demands.
struct RequiredAffinity: Decodable, Hashable, Sendable {
  var required: NodeSelector?
  var near: [PlacementPod.PodRule] = []
  var apart: [PlacementPod.PodRule] = []

  private enum CodingKeys: String, CodingKey { case nodeAffinity, podAffinity, podAntiAffinity }
  private enum RuleKeys: String, CodingKey { case requiredDuringSchedulingIgnoredDuringExecution }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let rule = RuleKeys.requiredDuringSchedulingIgnoredDuringExecution
    if let nodes = try? values.nestedContainer(keyedBy: RuleKeys.self, forKey: .nodeAffinity),
      nodes.contains(rule), (try? nodes.decodeNil(forKey: rule)) != true
    {
      // One that cannot be read fits nowhere, rather than everywhere.
      required = nodes.lenient(rule) ?? NodeSelector(terms: [])
    }
    if let pods = try? values.nestedContainer(keyedBy: RuleKeys.self, forKey: .podAffinity) {
      near = pods.lenientList(rule)
    }
    if let pods = try? values.nestedContainer(keyedBy: RuleKeys.self, forKey: .podAntiAffinity) {
      apart = pods.lenientList(rule)
    }
  }
}

private struct PodSpec: Decodable {
  struct Container: Decodable {
    struct Resources: Decodable {
      var requests: [String: IntOrText]?
      var limits: [String: IntOrText]?
    }
    var resources: Resources?
    var restartPolicy: String?

    /// A limit without a request is one.
    var requests: Amounts {
      Amounts(resources?.limits).merging(Amounts(resources?.requests)) { $1 }
    }
  }

  var nodeName: String?
  var nodeSelector: [String: String]
  var affinity: RequiredAffinity?
  var tolerations: [PlacementPod.Toleration]
  var containers: [Container]
  var initContainers: [Container]
  var overhead: Amounts

  private enum CodingKeys: String, CodingKey {
    case nodeName, nodeSelector, affinity, tolerations, containers, initContainers, overhead
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    nodeName = values.lenient(.nodeName)
    nodeSelector = values.lenient(.nodeSelector) ?? [:]
    affinity = values.lenient(.affinity)
    tolerations = values.lenientList(.tolerations)
    containers = values.lenientList(.containers)
    initContainers = values.lenientList(.initContainers)
    overhead = Amounts(values.lenient(.overhead))
  }

  /// As the scheduler sums them: containers that are started first and go on count beside all that come
  /// after them.
  var requests: Amounts {
    var lasting: Amounts = [:]
    var largest: Amounts = [:]
    for container in initContainers {
      if container.restartPolicy == "Always" {
        lasting = lasting.adding(container.requests)
        largest = largest.atLeast(lasting)
      } else {
        largest = largest.atLeast(lasting.adding(container.requests))
      }
    }
    return containers.reduce(lasting) { $0.adding($1.requests) }.atLeast(largest).adding(overhead)
  }
}
