import FoundationEssentials
import QEMURig

extension Cluster {
  /// Makes a launcher pod of a guest.
  ///
  /// - Parameters:
  ///   - node: Where it is; nil for one that waits for a place.
  ///   - migration: The migration whose target it is.
  /// - Returns: Its name and uid.
  func addLauncherPod(
    of vm: VM, on node: String?, for migration: Migration? = nil, selector: [String: String] = [:]
  ) async throws -> (name: String, uid: String) {
    var pod = try JSONValue.template("launcher-pod")
    let name = uniqueName("virt-launcher-\(vm.name)-")
    pod[path: "metadata", "name"] = .string(name)
    pod[path: "metadata", "generateName"] = .string("virt-launcher-\(vm.name)-")
    pod[path: "metadata", "namespace"] = .string(vm.namespace)
    pod[path: "metadata", "labels"] = [
      "kubevirt.io": "virt-launcher", "kubevirt.io/created-by": .string(vm.uid),
      "vm.kubevirt.io/name": .string(vm.name), "harvesterhci.io/vmName": .string(vm.name),
    ]
    pod[path: "metadata", "annotations", "kubevirt.io/domain"] = .string(vm.name)
    if let migration {
      pod[path: "metadata", "labels", "kubevirt.io/migrationJobUID"] = .string(migration.uid)
      pod[path: "metadata", "annotations", "kubevirt.io/migrationJobName"] = .string(migration.name)
      pod[path: "spec", "affinity", "podAntiAffinity"] = [
        "requiredDuringSchedulingIgnoredDuringExecution": [
          [
            "labelSelector": ["matchLabels": ["kubevirt.io/created-by": .string(vm.uid)]],
            "topologyKey": "kubernetes.io/hostname",
          ]
        ]
      ]
    }
    for (key, value) in selector { pod[path: "spec", "nodeSelector", key] = .string(value) }
    pod[path: "spec", "hostname"] = .string(String(vm.name.prefix(63)))
    pod[path: "spec", "nodeName"] = node.map(JSONValue.string)
    let uid = try await api.create(pod).uid
    if node != nil { try await setPodRunning(name, in: vm.namespace, address: "10.52.0.64") }
    return (name, uid)
  }

  /// Lets a pod that has a node run.
  func setPodRunning(_ name: String, in namespace: String, address: String, at: Date? = nil) async throws {
    let time = stamp(at)
    try await edit(.pods, name, in: namespace, subresource: "status") { pod in
      pod[path: "status", "phase"] = "Running"
      pod[path: "status", "hostIP"] = "10.20.0.10"
      pod[path: "status", "podIP"] = .string(address)
      pod[path: "status", "podIPs"] = [["ip": .string(address)]]
      pod[path: "status", "startTime"] = time
      for type in ["PodScheduled", "Initialized", "ContainersReady", "Ready"] {
        pod.setCondition(type, "True", at: time)
      }
    }
  }

  /// Gives a pod that waits a node.
  func bindPod(_ name: String, in namespace: String, to node: String) async throws {
    let binding: JSONValue = [
      "apiVersion": "v1", "kind": "Binding",
      "metadata": ["name": .string(name), "namespace": .string(namespace)],
      "target": ["apiVersion": "v1", "kind": "Node", "name": .string(node)],
    ]
    _ = try await api.post(binding, to: "binding", of: .pods, name, in: namespace)
  }

  /// Says of a pod that no node takes it, in the scheduler's words.
  func setPodUnschedulable(
    _ name: String, in namespace: String, message: String, at: Date? = nil
  ) async throws {
    let time = stamp(at)
    try await edit(.pods, name, in: namespace, subresource: "status") { pod in
      pod.setCondition("PodScheduled", "False", reason: "Unschedulable", message: message, at: time)
    }
  }

  /// Ends a pod: it has done its work, or failed, or is just gone.
  public enum PodEnd: Sendable { case succeeded, failed, gone, lingering }

  /// Ends a pod.
  public func endPod(_ name: String, in namespace: String, _ end: PodEnd) async throws {
    switch end {
    case .gone:
      // One that was never bound to a node goes at once by itself.
      do { try await api.delete(.pods, name, in: namespace, graceSeconds: 0) } catch let error as APIRefusal
        where error.status == 404
      {}
    // Nobody ends it, so that it stays in Terminating.
    case .lingering: try await api.delete(.pods, name, in: namespace)
    case .succeeded, .failed:
      try await edit(.pods, name, in: namespace, subresource: "status") { pod in
        pod[path: "status", "phase"] = end == .failed ? "Failed" : "Succeeded"
        pod.setCondition("Ready", "False", reason: "PodCompleted", at: stamp(nil))
      }
    }
  }
}
