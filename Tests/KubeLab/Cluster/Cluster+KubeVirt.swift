public import FoundationEssentials
public import QEMURig
import Synchronization

extension Cluster {
  /// Adds the KubeVirt object, and the ConfigMap with the authority of virt-handler's certificates.
  ///
  /// - Parameters:
  ///   - version: From now on the steps do what this version does.
  ///   - namespace: Where it is, and where virt-handlers are put from now on.
  ///   - migrations: `spec.configuration.migrations`; what it lacks is the version's default, and written
  ///     nowhere.
  ///   - hasAuthority: Whether the ConfigMap is there.
  ///   - edit: More changes before it is written.
  public func addKubeVirt(
    version: String = "1.6.0", in namespace: String = "kubevirt", migrations: JSONValue? = nil,
    hasAuthority: Bool = true,
    edit: (inout JSONValue) -> Void = { _ in }
  ) async throws {
    state.withLock { ($0.version, $0.kubeVirtNamespace) = (version, namespace) }
    try await needNamespace(namespace)
    var object = try JSONValue.template("kubevirt")
    object[path: "metadata", "namespace"] = .string(kubeVirtNamespace)
    object[path: "spec", "configuration", "migrations"] = migrations
    for key in ["operatorVersion", "observedKubeVirtVersion", "targetKubeVirtVersion"] {
      object[path: "status", key] = .string(version)
    }
    edit(&object)
    try await api.create(object)
    try await self.edit(.kubeVirts, "kubevirt", in: kubeVirtNamespace, subresource: "status") {
      $0[path: "status"] = object["status"]
    }
    if hasAuthority { try await setAuthority(handlers.authority) }
  }

  /// Changes `spec.configuration.migrations`; null takes a member away.
  public func configureMigrations(_ patch: JSONValue) async throws {
    try await api.patch(
      .kubeVirts, "kubevirt", in: kubeVirtNamespace, ["spec": ["configuration": ["migrations": patch]]])
  }

  /// Lets KubeVirt say that it runs another version, as after an upgrade.
  public func setVersion(_ version: String) async throws {
    state.withLock { $0.version = version }
    try await edit(.kubeVirts, "kubevirt", in: kubeVirtNamespace, subresource: "status") {
      $0[path: "status", "observedKubeVirtVersion"] = .string(version)
    }
  }

  /// Writes the ConfigMap `kubevirt-ca`.
  public func setAuthority(_ pem: String) async throws {
    let object: JSONValue = [
      "apiVersion": "v1", "kind": "ConfigMap",
      "metadata": ["name": "kubevirt-ca", "namespace": .string(kubeVirtNamespace)],
      "data": ["ca-bundle": .string(pem)],
    ]
    do { try await api.create(object) } catch let error as APIRefusal where error.reason == "AlreadyExists" {
      try await api.replace(object)
    }
  }

  /// Adds a MigrationPolicy.
  ///
  /// - Parameters:
  ///   - vmLabels: What a VMI must carry; of several policies the one with most labels counts.
  ///   - namespaceLabels: What its namespace must carry.
  ///   - settings: What it overrides, such as `completionTimeoutPerGiB`.
  public func addPolicy(
    _ name: String, vmLabels: [String: String] = [:], namespaceLabels: [String: String] = [:],
    _ settings: [String: JSONValue]
  ) async throws {
    var selectors: [String: JSONValue] = [:]
    if !vmLabels.isEmpty { selectors["virtualMachineInstanceSelector"] = .strings(vmLabels) }
    if !namespaceLabels.isEmpty { selectors["namespaceSelector"] = .strings(namespaceLabels) }
    try await api.create([
      "apiVersion": "migrations.kubevirt.io/v1alpha1", "kind": "MigrationPolicy",
      "metadata": ["name": .string(name)],
      "spec": .object(settings.merging(["selectors": .object(selectors)]) { $1 }),
    ])
  }

  /// Sets one of Harvester's settings, such as `kubevirt-migration` or `vm-migration-network`.
  public func setHarvesterSetting(_ name: String, value: String, default initial: String = "") async throws {
    let setting: JSONValue = [
      "apiVersion": "harvesterhci.io/v1beta1", "kind": "Setting", "metadata": ["name": .string(name)],
      "value": .string(value), "default": .string(initial),
    ]
    do { try await api.create(setting) } catch let error as APIRefusal where error.reason == "AlreadyExists" {
      try await api.patch(.settings, name, ["value": .string(value), "default": .string(initial)])
    }
  }

  /// Adds a NetworkAttachmentDefinition, such as the one of a migration network.
  public func addNetworkAttachment(_ name: String, in namespace: String, config: JSONValue) async throws {
    try await needNamespace(namespace)
    try await api.create([
      "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
      "metadata": ["name": .string(name), "namespace": .string(namespace)],
      "spec": ["config": .string(config.text)],
    ])
  }

  // MARK: Longhorn

  /// Adds a Longhorn volume, without replicas.
  ///
  /// - Parameters:
  ///   - vm: Whose disk it is, in Longhorn's `kubernetesStatus`.
  ///   - replicas: What `spec.numberOfReplicas` says.
  ///   - robustness: `healthy`, `degraded`, `faulted` or `unknown`.
  public func addVolume(
    _ name: String, of vm: VM? = nil, replicas: Int = 3, robustness: String = "healthy", node: String? = nil
  ) async throws {
    try await needNamespace("longhorn-system")
    var status: JSONValue = ["state": "attached", "robustness": .string(robustness)]
    status[path: "currentNodeID"] = node.map(JSONValue.string)
    if let vm {
      status[path: "kubernetesStatus"] = [
        "pvName": .string(name), "namespace": .string(vm.namespace), "pvcName": .string("\(vm.name)-root"),
        "workloadsStatus": [
          [
            "podName": .string(try await vm.activePod()), "podStatus": "Running",
            "workloadName": .string(vm.name), "workloadType": "VirtualMachineInstance",
          ]
        ],
      ]
    }
    try await api.create([
      "apiVersion": "longhorn.io/v1beta2", "kind": "Volume",
      "metadata": ["name": .string(name), "namespace": "longhorn-system"],
      "spec": [
        "numberOfReplicas": .int(Int64(replicas)), "accessMode": "rwx", "migratable": true,
        "size": "42949672960",
      ],
      "status": status,
    ])
  }

  /// Adds a replica of a Longhorn volume; its name is `<volume>-r-<node>`.
  public func addReplica(
    of volume: String, on node: String, isHealthy: Bool = true, at: Date? = nil
  ) async throws {
    let name = "\(volume)-r-\(node)"
    try await api.create([
      "apiVersion": "longhorn.io/v1beta2", "kind": "Replica",
      "metadata": [
        "name": .string(name), "namespace": "longhorn-system", "labels": ["longhornvolume": .string(volume)],
      ],
      "spec": ["volumeName": .string(volume), "nodeID": .string(node), "healthyAt": "", "failedAt": ""],
      "status": ["currentState": "stopped", "started": false],
    ])
    try await setReplica(of: volume, on: node, isHealthy: isHealthy, at: at)
  }

  /// Lets a replica run in health, or fail.
  public func setReplica(of volume: String, on node: String, isHealthy: Bool, at: Date? = nil) async throws {
    try await api.patch(
      .replicas, "\(volume)-r-\(node)", in: "longhorn-system",
      [
        "spec": isHealthy
          ? ["healthyAt": stamp(at), "failedAt": ""] : ["healthyAt": "", "failedAt": stamp(at)],
        "status": ["currentState": isHealthy ? "running" : "error", "started": .bool(isHealthy)],
      ])
  }
}
