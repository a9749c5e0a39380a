import FoundationEssentials
public import QEMURig

extension Cluster {
  /// Who makes a migration, and so how its object looks.
  public enum Origin: Hashable, Sendable {
    /// A person, with kubectl.
    case manual
    /// A person, with virtctl or the `migrate` subresource.
    case virtctl
    /// A person, in Harvester's UI.
    case ui
    /// The evacuation controller, for this node.
    case evacuation(String)
    /// The evacuation controller, since the descheduler asked.
    case descheduler(String)
    /// The workload updater, or a live update of the VM.
    case workloadUpdate
    /// The source of a migration into another cluster or namespace.
    case decentralizedSource(id: String, url: String)
    /// Its target.
    case decentralizedTarget(id: String)
    /// Drover.
    case drover
  }

  /// Creates a VirtualMachineInstanceMigration; it has no phase yet.
  ///
  /// - Parameters:
  ///   - vm: The guest; where another migration of it is not over, KubeVirt's webhook would refuse.
  ///   - origin: Who makes it.
  ///   - targetNode: Where the guest is asked to go.
  ///   - edit: More changes before it is written.
  public func createVMIM(
    for vm: VM, origin: Origin = .virtctl, targetNode: String? = nil, name: String? = nil,
    edit: (inout JSONValue) -> Void = { _ in }
  ) async throws -> Migration {
    var object: JSONValue = [
      "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
      "metadata": [
        "namespace": .string(vm.namespace), "finalizers": ["kubevirt.io/migrationJobFinalize"],
        "annotations": [
          "kubevirt.io/latest-observed-api-version": "v1", "kubevirt.io/storage-observed-api-version": "v1",
        ],
      ],
      "spec": ["vmiName": .string(vm.name)],
    ]
    let prefix = mark(&object, as: origin, of: vm)
    object[path: "metadata", "generateName"] = .string(prefix)
    object[path: "metadata", "name"] = .string(name ?? uniqueName(prefix))
    if let targetNode {
      object[path: "spec", "addedNodeSelector"] = ["kubernetes.io/hostname": .string(targetNode)]
      if origin == .ui {
        try await vm.annotate(["harvesterhci.io/migrationTargetNodeName": .string(targetNode)])
      }
    }
    edit(&object)
    let made = try await api.create(object)
    return Migration(
      cluster: self, vm: vm, name: made.name, uid: made.uid, source: try await vm.node(),
      sourcePod: try await vm.activePod())
  }

  /// A migration that somebody else has made, for the test to play; it gets what KubeVirt's webhook adds, so that one
  /// that is deleted stays until it is over.
  public func migration(of object: JSONValue, for vm: VM) async throws -> Migration {
    try await api.patch(
      .vmims, object.name, in: object.namespace,
      ["metadata": ["finalizers": ["kubevirt.io/migrationJobFinalize"]]])
    return Migration(
      cluster: self, vm: vm, name: object.name, uid: object.uid, source: try await vm.node(),
      sourcePod: try await vm.activePod())
  }

  /// Gives the object what its maker gives it.
  ///
  /// - Returns: The maker's prefix of names.
  private func mark(_ object: inout JSONValue, as origin: Origin, of vm: VM) -> String {
    func prioritize(_ priority: JSONValue) {
      if minorVersion >= 7 { object[path: "spec", "priority"] = priority }
    }
    switch origin {
    case .manual: return "\(vm.name)-by-hand-"
    case .virtctl: return "kubevirt-migrate-vm-"
    case .ui: return "\(vm.name)-"
    case .drover: return "drover-"
    case .evacuation(let node), .descheduler(let node):
      object[path: "metadata", "annotations", "kubevirt.io/evacuationMigration"] = .string(node)
      if case .descheduler = origin {
        prioritize("system-maintenance")
      } else {
        prioritize("system-critical")
      }
      return "kubevirt-evacuation-"
    case .workloadUpdate:
      object[path: "metadata", "annotations", "kubevirt.io/workloadUpdateMigration"] = ""
      prioritize("system-critical")
      return "kubevirt-workload-update-"
    case .decentralizedSource(let id, let url):
      object[path: "spec", "sendTo"] = ["migrationID": .string(id), "connectURL": .string(url)]
      return "\(vm.name)-send-"
    case .decentralizedTarget(let id):
      object[path: "spec", "receive"] = ["migrationID": .string(id)]
      return "\(vm.name)-receive-"
    }
  }

  /// Lets the controller remove all final migrations of a guest but the newest.
  public func collectGarbage(of vm: VM, keeping: Int = 5) async throws {
    let all = try await api.list(.vmims, in: vm.namespace, labels: "kubevirt.io/vmi-name=\(vm.name)")
    let final = all.filter { ["Succeeded", "Failed"].contains($0[path: "status", "phase"]?.string) }
    // Several may have been made within a second.
    func age(_ object: JSONValue) -> (String, Int) {
      (object[path: "metadata", "creationTimestamp"]?.string ?? "", Int(object.resourceVersion) ?? 0)
    }
    for object in final.sorted(by: { age($0) < age($1) }).dropLast(keeping) {
      try await api.delete(.vmims, object.name, in: vm.namespace)
    }
  }
}
