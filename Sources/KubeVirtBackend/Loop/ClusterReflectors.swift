internal import DroverCore
internal import Kubernetes

/// How the events of a reflector become inputs.
struct ClusterMapping<Object: KubernetesObject>: Sendable {
  var object: @Sendable (Object, _ isInitial: Bool) -> ClusterInput
  var gone: @Sendable (ObjectKey, _ last: Object?) -> ClusterInput
}

/// The watches of a cluster.
struct ClusterReflectors: Sendable {
  private static let group = "kubevirt.io"

  let client: KubernetesClient
  /// Empty for all.
  let namespaces: [String]

  /// Every watch that runs.
  static func keys(namespaces: [String]) -> [WatchKey] {
    let scopes = namespaces.isEmpty ? [""] : namespaces
    return ClusterResource.allCases.flatMap { resource in
      isNamespaced(resource)
        ? scopes.map { WatchKey(resource: resource, namespace: $0) }
        : [WatchKey(resource: resource, namespace: "")]
    }
  }

  /// Whether a cluster without the kind is no cluster with KubeVirt.
  static func isExpected(_ resource: ClusterResource) -> Bool {
    resource != .policies && resource != .replicas
  }

  private static func isNamespaced(_ resource: ClusterResource) -> Bool {
    resource == .vmims || resource == .vmis || resource == .events
  }

  /// Runs one watch until the task is cancelled.
  func run(_ key: WatchKey, telling loop: ClusterLoop) async {
    let namespace = key.namespace.isEmpty ? nil : key.namespace
    switch key.resource {
    case .vmims:
      await follow(
        Resource(group: Self.group, plural: key.resource.rawValue).within(namespace), key, loop,
        as: ClusterMapping<VMIM> {
          .vmim($0, isInitial: $1)
        } gone: {
          .vmimGone(uid: $0.uid, last: $1)
        })
    case .vmis:
      await follow(
        Resource(group: Self.group, plural: key.resource.rawValue).within(namespace), key, loop,
        as: ClusterMapping<VMI> { vmi, _ in
          .vmi(vmi)
        } gone: { key, _ in
          .vmiGone(VMName(namespace: key.namespace, name: key.name), uid: key.uid)
        })
    case .nodes:
      await follow(
        Resource.nodes.all, key, loop,
        as: ClusterMapping<Node> { node, _ in
          .node(node)
        } gone: { key, _ in
          .nodeGone(key.name)
        })
    case .kubeVirts:
      await follow(
        Resource(group: Self.group, plural: key.resource.rawValue).all, key, loop,
        as: ClusterMapping<KubeVirtCR> { object, _ in
          .kubeVirt(object)
        } gone: { _, _ in
          .fresh(.kubeVirts)
        })
    case .policies:
      await follow(
        Resource(
          group: "migrations.kubevirt.io", version: "v1alpha1", plural: key.resource.rawValue,
          isNamespaced: false
        ).all, key, loop,
        as: ClusterMapping<MigrationPolicy> { policy, _ in
          .policy(policy)
        } gone: { key, _ in
          .policyGone(key.name)
        })
    case .namespaces:
      await follow(
        Resource(plural: key.resource.rawValue, isNamespaced: false).all, key, loop,
        as: ClusterMapping<Labelled> { namespace, _ in
          .namespace(namespace.metadata.name, labels: namespace.metadata.labels)
        } gone: { key, _ in
          .namespaceGone(key.name)
        })
    case .events:
      // Of all events those of migrations: the rest may be a hundred times as many.
      await follow(
        Resource(plural: key.resource.rawValue).within(namespace), key, loop,
        ListSelection(fields: "involvedObject.kind=VirtualMachineInstanceMigration"),
        as: ClusterMapping<ClusterEvent> { event, _ in
          .event(event)
        } gone: { _, _ in
          .fresh(.events)
        })
    case .replicas:
      await follow(
        Resource(group: "longhorn.io", version: "v1beta2", plural: key.resource.rawValue).within(
          "longhorn-system"),
        key, loop,
        as: ClusterMapping<LonghornReplica> { replica, _ in
          .replica(replica)
        } gone: { key, _ in
          .replicaGone(uid: key.uid)
        })
    }
  }

  private func follow<Object: KubernetesObject>(
    _ path: ResourcePath, _ key: WatchKey, _ loop: ClusterLoop, _ selection: ListSelection = ListSelection(),
    as mapping: ClusterMapping<Object>
  ) async {
    await Reflector<Object>(client, path, selection).run { event in
      await loop.take(event, of: key, as: mapping)
    }
  }

  /// The newest pod that was made for a migration; nil where there is none.
  func targetPod(of uid: String, in namespace: String) async throws(KubernetesError) -> Pod? {
    let list = try await client.list(
      Resource.pods.within(namespace), ListSelection(labels: "kubevirt.io/migrationJobUID=\(uid)"),
      of: Pod.self)
    return list.objects.max { $0.metadata.creationTimestamp < $1.metadata.creationTimestamp }
  }
}
