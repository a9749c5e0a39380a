public import FoundationEssentials
public import QEMURig

/// A guest that runs in the cluster: a VirtualMachineInstance, and its launcher pods.
public struct VM: Sendable {
  let cluster: Cluster
  /// Its namespace.
  public let namespace: String
  /// Its name.
  public let name: String
  /// The uid of the VirtualMachineInstance.
  public let uid: String

  /// The VirtualMachineInstance as it is now.
  public func object() async throws -> JSONValue { try await cluster.api.get(.vmis, name, in: namespace) }

  /// The node that it is on, as KubeVirt says.
  public func node() async throws -> String {
    try await object()[path: "status", "nodeName"]?.string ?? ""
  }

  /// Changes the VirtualMachineInstance, its status too: that is no subresource.
  @discardableResult
  public func edit(_ change: (inout JSONValue) -> Void) async throws -> JSONValue {
    try await cluster.edit(.vmis, name, in: namespace, change)
  }

  /// The launcher pod on the node that the guest is on.
  public func activePod() async throws -> String {
    let object = try await object()
    let node = object[path: "status", "nodeName"]
    let pods = object[path: "status", "activePods"]?.members ?? [:]
    for pod in try await cluster.api.list(.pods, in: namespace, labels: "kubevirt.io/created-by=\(uid)")
    where pods[pod.uid] == node { return pod.name }
    return ""
  }

  // MARK: What KubeVirt says of it

  /// Says whether it can be migrated.
  ///
  /// - Parameters:
  ///   - reason: Such as `DisksNotLiveMigratable`.
  ///   - isStorage: The condition `StorageLiveMigratable` instead.
  public func setLiveMigratable(
    _ isMigratable: Bool, reason: String? = nil, message: String? = nil, isStorage: Bool = false,
    at: Date? = nil
  ) async throws {
    try await edit {
      $0.setCondition(
        isStorage ? "StorageLiveMigratable" : "LiveMigratable", isMigratable ? "True" : "False",
        reason: reason,
        message: message, at: cluster.stamp(at))
    }
  }

  /// Sets any condition; nil takes it away.
  public func setCondition(
    _ type: String, _ status: String?, reason: String? = nil, message: String? = nil, at: Date? = nil
  ) async throws {
    let time = cluster.stamp(at)
    try await edit { object in
      if let status {
        object.setCondition(type, status, reason: reason, message: message, at: time)
      } else {
        object.removeCondition(type)
      }
    }
  }

  /// Marks it to be moved away from the node that it is on, as a refused eviction of its pod does.
  ///
  /// - Parameter isByDescheduler: Whether the descheduler asked.
  public func markForEviction(isByDescheduler: Bool = false) async throws {
    try await edit { object in
      object[path: "status", "evacuationNodeName"] = object[path: "status", "nodeName"]
      if isByDescheduler {
        object[path: "metadata", "annotations", "kubevirt.io/eviction-source"] = "descheduler"
      }
    }
  }

  /// Takes the mark away.
  public func unmarkForEviction() async throws {
    try await edit { object in
      object[path: "status", "evacuationNodeName"] = nil
      object[path: "metadata", "annotations", "kubevirt.io/eviction-source"] = nil
    }
  }

  /// Gives it labels; null takes one away.
  public func label(_ labels: [String: JSONValue]) async throws {
    try await cluster.api.patch(.vmis, name, in: namespace, ["metadata": ["labels": .object(labels)]])
  }

  /// Gives it annotations; null takes one away.
  public func annotate(_ annotations: [String: JSONValue]) async throws {
    try await cluster.api.patch(
      .vmis, name, in: namespace, ["metadata": ["annotations": .object(annotations)]])
  }

  /// Ends the guest and its pods: `Succeeded` after a shutdown, `Failed` after a crash.
  public func end(_ phase: String = "Succeeded", at: Date? = nil) async throws {
    try await edit { object in
      object[path: "status", "phase"] = .string(phase)
      object.setCondition("Ready", "False", reason: "PodNotExists", at: cluster.stamp(at))
    }
    for pod in try await cluster.api.list(.pods, in: namespace, labels: "kubevirt.io/created-by=\(uid)") {
      try await cluster.endPod(pod.name, in: namespace, phase == "Failed" ? .failed : .succeeded)
    }
  }

  /// Deletes the VirtualMachineInstance at once, and its pods.
  public func delete() async throws {
    try await cluster.api.patch(.vmis, name, in: namespace, ["metadata": ["finalizers": .null]])
    try await cluster.api.delete(.vmis, name, in: namespace)
    for pod in try await cluster.api.list(.pods, in: namespace, labels: "kubevirt.io/created-by=\(uid)") {
      try await cluster.endPod(pod.name, in: namespace, .gone)
    }
  }

  // MARK: Bytes

  /// What virt-handler on the source node serves of a copy.
  public func copy(from node: String) -> VirtHandlerStandIn.CopyName {
    VirtHandlerStandIn.CopyName(node: node, namespace: namespace, name: name)
  }
}

extension Cluster {
  /// Adds a guest that runs, with its launcher pod.
  ///
  /// - Parameters:
  ///   - name: Its name.
  ///   - node: Where it runs.
  ///   - memory: Its `spec.domain.memory.guest`; nil for none, so that the pod's request counts.
  ///   - labels: Of the VMI.
  ///   - evictionStrategy: nil for none.
  ///   - migrationMethod: `BlockMigration` or `LiveMigration`.
  ///   - accessMode: Of its only PVC.
  ///   - hasVM: Whether there is a VirtualMachine that it belongs to.
  ///   - edit: More changes before it is written.
  @discardableResult
  public func addVMI(
    _ name: String, in namespace: String = "default", on node: String, memory: String? = "2Gi",
    labels: [String: String] = [:], evictionStrategy: String? = "LiveMigrateIfPossible",
    migrationMethod: String = "BlockMigration", accessMode: String = "ReadWriteMany", hasVM: Bool = false,
    at: Date? = nil, edit: (inout JSONValue) -> Void = { _ in }
  ) async throws -> VM {
    try await needNamespace(namespace)
    var object = try JSONValue.template("vmi")
    object[path: "metadata", "name"] = .string(name)
    object[path: "metadata", "namespace"] = .string(namespace)
    object[path: "metadata", "labels"] = .strings(
      labels.merging(["kubevirt.io/nodeName": node, "harvesterhci.io/vmName": name]) { $1 })
    object[path: "spec", "hostname"] = .string(String(name.prefix(63)))
    object[path: "spec", "domain", "firmware", "uuid"] = .string(UUID().uuidString.lowercased())
    object[path: "spec", "evictionStrategy"] = evictionStrategy.map(JSONValue.string)
    object[path: "spec", "domain", "memory"] = memory.map { ["guest": .string($0)] }
    if let memory {
      let requested: JSONValue = .string(memory)
      object[path: "spec", "domain", "resources", "requests", "memory"] = requested
      object[path: "spec", "domain", "resources", "limits", "memory"] = requested
      object[path: "status", "memory"] = [
        "guestAtBoot": requested, "guestCurrent": requested, "guestRequested": requested,
      ]
    }
    object[path: "spec", "volumes"] = [
      ["name": "rootdisk", "persistentVolumeClaim": ["claimName": .string("\(name)-root")]],
      ["name": "cloudinitdisk", "cloudInitNoCloud": ["secretRef": ["name": .string("\(name)-cloudinit")]]],
    ]
    object[path: "status", "volumeStatus"] = [
      ["name": "cloudinitdisk", "target": "vdb", "size": 1_048_576],
      [
        "name": "rootdisk", "target": "vda",
        "persistentVolumeClaimInfo": [
          "claimName": .string("\(name)-root"), "accessModes": [.string(accessMode)], "volumeMode": "Block",
          "capacity": ["storage": "40Gi"], "requests": ["storage": "40Gi"], "filesystemOverhead": "0",
        ],
      ],
    ]
    object[path: "status", "nodeName"] = .string(node)
    object[path: "status", "migrationMethod"] = .string(migrationMethod)
    object[path: "status", "launcherContainerImageVersion"] = .string(
      "registry.example.test/virt-launcher:\(version)")
    object[path: "status", "phaseTransitionTimestamps"] = .array(
      ["Pending", "Scheduling", "Scheduled", "Running"].map {
        ["phase": .string($0), "phaseTransitionTimestamp": stamp(at)]
      })
    edit(&object)
    if hasVM {
      let vm = try await addVirtualMachine(of: object)
      object[path: "metadata", "ownerReferences"] = [
        [
          "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": .string(name),
          "uid": .string(vm.uid), "controller": true, "blockOwnerDeletion": true,
        ]
      ]
    }
    let made = try await api.create(object)
    let vm = VM(cluster: self, namespace: namespace, name: name, uid: made.uid)
    let pod = try await addLauncherPod(of: vm, on: node)
    try await vm.edit { $0[path: "status", "activePods"] = [pod.uid: .string(node)] }
    return vm
  }

  private func addVirtualMachine(of vmi: JSONValue) async throws -> JSONValue {
    var object = try JSONValue.template("vm")
    object[path: "metadata", "name"] = .string(vmi.name)
    object[path: "metadata", "namespace"] = vmi.namespace.map(JSONValue.string)
    object[path: "spec", "template", "spec"] = vmi["spec"]
    let made = try await api.create(object)
    return try await edit(.vms, vmi.name, in: vmi.namespace, subresource: "status") {
      $0[path: "status"] = object["status"]
      $0[path: "status", "printableStatus"] = "Running"
      $0[path: "metadata", "uid"] = .string(made.uid)
    }
  }
}
