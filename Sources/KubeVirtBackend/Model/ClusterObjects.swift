internal import Kubernetes

/// A node.
struct Node: KubernetesObject {
  let metadata: ObjectMeta
  let isUnschedulable: Bool
  let taints: [Taint]
  let conditions: [Condition]

  struct Taint: Decodable, Hashable, Sendable {
    let key: String
    let value: String
    let effect: String
    let timeAdded: String?

    private enum CodingKeys: String, CodingKey { case key, value, effect, timeAdded }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      key = try values.decode(String.self, forKey: .key)
      value = values.lenient(.value) ?? ""
      effect = values.lenient(.effect) ?? ""
      timeAdded = values.lenient(.timeAdded)
    }
  }

  /// Whether nothing that decides which VMs can go there differs; a heartbeat is none.
  func decidesLike(_ other: Node) -> Bool {
    isUnschedulable == other.isUnschedulable && taints == other.taints && isReady == other.isReady
      && metadata.labels == other.metadata.labels
  }

  private enum CodingKeys: String, CodingKey { case metadata, spec, status }

  private struct Spec: Decodable {
    var isUnschedulable: Bool
    var taints: [Taint]

    private enum CodingKeys: String, CodingKey { case unschedulable, taints }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      isUnschedulable = values.lenient(.unschedulable) ?? false
      taints = values.lenientList(.taints)
    }
  }

  private struct Status: Decodable {
    var conditions: [Condition]

    private enum CodingKeys: String, CodingKey { case conditions }

    init(from decoder: any Decoder) throws {
      conditions = try decoder.container(keyedBy: CodingKeys.self).lenientList(.conditions)
    }
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    let spec = values.lenient(.spec, as: Spec.self)
    isUnschedulable = spec?.isUnschedulable ?? false
    taints = spec?.taints ?? []
    conditions = values.lenient(.status, as: Status.self)?.conditions ?? []
  }

  /// Whether the cluster calls it ready; nil where it does not say.
  var isReady: Bool? { conditions["Ready"].map(\.isTrue) }

  /// Whether nobody hears it any more; one that calls itself not ready is heard.
  var isSilent: Bool { conditions["Ready"]?.status == "Unknown" }

  /// When virt-handler on it gave its last sign of life, about once a minute.
  var heartbeat: ClusterTime? { ClusterTime(metadata.annotations["kubevirt.io/heartbeat"]) }
}

/// The KubeVirt object: version and settings of the whole cluster.
struct KubeVirtCR: KubernetesObject {
  let metadata: ObjectMeta
  let migrations: MigrationLimits
  /// What happens to a VMI that says nothing itself when its node is drained.
  let evictionStrategy: String?
  let featureGates: [String]
  /// Whether it migrates VMs to bring them up to date.
  ///
  /// nil where that cannot be read.
  let updatesByMigration: Bool?
  /// The version that runs; empty where it is not told yet.
  let version: String

  private enum CodingKeys: String, CodingKey { case metadata, spec, status }

  private struct Spec: Decodable {
    struct Developer: Decodable { var featureGates: [String]? }
    struct Configuration: Decodable {
      var migrations: MigrationLimits?
      var evictionStrategy: String?
      var developerConfiguration: Developer?

      private enum CodingKeys: String, CodingKey { case migrations, evictionStrategy, developerConfiguration }

      init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        migrations = values.lenient(.migrations)
        evictionStrategy = values.lenient(.evictionStrategy)
        developerConfiguration = values.lenient(.developerConfiguration)
      }
    }
    struct UpdateStrategy: Decodable { var workloadUpdateMethods: [String]? }
    var configuration: Configuration?
    var workloadUpdateStrategy: UpdateStrategy?
    var hasStrategy: Bool

    private enum CodingKeys: String, CodingKey { case configuration, workloadUpdateStrategy }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      configuration = values.lenient(.configuration)
      workloadUpdateStrategy = values.lenient(.workloadUpdateStrategy)
      hasStrategy = values.contains(.workloadUpdateStrategy)
    }
  }

  private struct Status: Decodable { var observedKubeVirtVersion: String? }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    let spec = values.lenient(.spec, as: Spec.self)
    let configuration = spec?.configuration
    updatesByMigration =
      spec?.hasStrategy == true
      ? spec?.workloadUpdateStrategy.map { $0.workloadUpdateMethods?.contains("LiveMigrate") ?? false }
      : false
    migrations = configuration?.migrations ?? MigrationLimits()
    evictionStrategy = configuration?.evictionStrategy
    featureGates = configuration?.developerConfiguration?.featureGates ?? []
    version = values.lenient(.status, as: Status.self)?.observedKubeVirtVersion ?? ""
  }

  /// The taint by which KubeVirt empties a node, where nobody has set another.
  static let usualDrainTaintKey = "kubevirt.io/drain"
  /// The taint by which KubeVirt empties a node.
  var drainTaintKey: String { migrations.drainTaintKey ?? Self.usualDrainTaintKey }
}

/// A MigrationPolicy: other limits for VMs with certain labels.
struct MigrationPolicy: KubernetesObject {
  let metadata: ObjectMeta
  let namespaceLabels: [String: String]
  let vmiLabels: [String: String]
  /// Whether it says whom it applies to: one that does not applies to nobody, one with an empty list to everybody.
  let hasSelectors: Bool
  let limits: MigrationLimits

  private enum CodingKeys: String, CodingKey { case metadata, spec }

  private struct Spec: Decodable {
    struct Selectors: Decodable {
      var namespaceSelector: [String: String]?
      var virtualMachineInstanceSelector: [String: String]?
    }
    var selectors: Selectors?
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    let selectors = values.lenient(.spec, as: Spec.self)?.selectors
    namespaceLabels = selectors?.namespaceSelector ?? [:]
    vmiLabels = selectors?.virtualMachineInstanceSelector ?? [:]
    hasSelectors = selectors != nil
    limits = values.lenient(.spec) ?? MigrationLimits()
  }
}

/// An object of which its name and labels are enough: a namespace.
struct Labelled: KubernetesObject {
  let metadata: ObjectMeta
}

/// An event about a VMIM or VMI.
struct ClusterEvent: KubernetesObject {
  let metadata: ObjectMeta
  let reason: String
  let message: String
  let kind: String
  let name: String
  let uid: String
  let lastTimestamp: String?

  private enum CodingKeys: String, CodingKey {
    case metadata, reason, message, involvedObject, lastTimestamp, eventTime
  }

  private struct Involved: Decodable {
    var kind: String?
    var name: String?
    var uid: String?
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    reason = values.lenient(.reason) ?? ""
    message = values.lenient(.message) ?? ""
    let involved = values.lenient(.involvedObject, as: Involved.self)
    kind = involved?.kind ?? ""
    name = involved?.name ?? ""
    uid = involved?.uid ?? ""
    lastTimestamp = values.lenient(.lastTimestamp) ?? values.lenient(.eventTime)
  }
}

/// A replica of a Longhorn volume.
struct LonghornReplica: KubernetesObject {
  let metadata: ObjectMeta
  let volume: String
  let node: String
  /// Whether it holds a whole copy, and is to keep it: Longhorn's own rule.
  let isHealthy: Bool
  /// Whether it runs: Harvester's rule.
  let isStarted: Bool

  private enum CodingKeys: String, CodingKey { case metadata, spec, status }

  private struct Spec: Decodable {
    var volumeName: String?
    var nodeID: String?
    var healthyAt: String?
    var failedAt: String?
  }

  private struct Status: Decodable { var started: Bool? }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    let spec = values.lenient(.spec, as: Spec.self)
    volume = spec?.volumeName ?? ""
    node = spec?.nodeID ?? ""
    isHealthy =
      !(spec?.healthyAt ?? "").isEmpty && (spec?.failedAt ?? "").isEmpty && metadata.deletionTimestamp == nil
    isStarted = values.lenient(.status, as: Status.self)?.started ?? false
  }
}

/// A pod, as far as waiting for it or asking it concerns.
struct Pod: KubernetesObject {
  let metadata: ObjectMeta
  let node: String
  let phase: String
  let address: String
  let conditions: [Condition]

  private enum CodingKeys: String, CodingKey { case metadata, spec, status }

  private struct Spec: Decodable { var nodeName: String? }

  private struct Status: Decodable {
    var phase: String?
    var podIP: String?
    var conditions: [Condition]

    private enum CodingKeys: String, CodingKey { case phase, podIP, conditions }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      phase = values.lenient(.phase)
      podIP = values.lenient(.podIP)
      conditions = values.lenientList(.conditions)
    }
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    node = values.lenient(.spec, as: Spec.self)?.nodeName ?? ""
    let status = values.lenient(.status, as: Status.self)
    phase = status?.phase ?? ""
    address = status?.podIP ?? ""
    conditions = status?.conditions ?? []
  }

  /// Whether no node takes it.
  var isUnschedulable: Bool {
    guard let condition = conditions["PodScheduled"] else { return false }
    return condition.isFalse && condition.reason == "Unschedulable"
  }
}
