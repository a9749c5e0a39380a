import QEMURig

extension Cluster {
  /// What KubeVirt resolves for a guest: the best matching policy over KubeVirt's object over the version's
  /// defaults.
  func resolvedConfiguration(of vm: VM) async throws -> (configuration: JSONValue, policy: String?) {
    var configuration: JSONValue = [
      "nodeDrainTaintKey": "kubevirt.io/drain", "parallelOutboundMigrationsPerNode": 2,
      "parallelMigrationsPerCluster": 5, "allowAutoConverge": false, "bandwidthPerMigration": "0",
      "completionTimeoutPerGiB": minorVersion < 4 ? 800 : 150, "progressTimeout": 150,
      "unsafeMigrationOverride": false, "allowPostCopy": false, "disableTLS": false,
    ]
    if let kubeVirt = try await api.find(.kubeVirts, "kubevirt", in: kubeVirtNamespace),
      let own = kubeVirt[path: "spec", "configuration", "migrations"]
    {
      configuration = configuration.merging(own)
    }
    let policy = try await policy(of: vm)
    for (key, value) in policy?["spec"]?.members ?? [:] where key != "selectors" {
      configuration[path: key] = value
    }
    if configuration["allowWorkloadDisruption"] == nil {
      configuration[path: "allowWorkloadDisruption"] = configuration["allowPostCopy"]
    }
    return (configuration, policy?.name)
  }

  private func policy(of vm: VM) async throws -> JSONValue? {
    let labels = try await vm.object()[path: "metadata", "labels"]?.members ?? [:]
    let around = try await api.get(.namespaces, vm.namespace)[path: "metadata", "labels"]?.members ?? [:]
    var best: (weight: (Int, Int), policy: JSONValue)?
    for policy in try await api.list(.policies).sorted(by: { $0.name < $1.name }) {
      let selectors = policy[path: "spec", "selectors"]
      let own = selectors?["virtualMachineInstanceSelector"]?.members ?? [:]
      let outer = selectors?["namespaceSelector"]?.members ?? [:]
      guard own.allSatisfy({ labels[$0.key] == $0.value }), outer.allSatisfy({ around[$0.key] == $0.value })
      else { continue }
      let weight = (own.count + outer.count, own.count)
      if weight > best?.weight ?? (-1, -1) { best = (weight, policy) }
    }
    return best?.policy
  }
}
