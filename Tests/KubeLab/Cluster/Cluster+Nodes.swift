public import FoundationEssentials
import Glibc
public import QEMURig
import Synchronization

extension Cluster {
  /// Adds a node, and the virt-handler on it.
  ///
  /// - Parameters:
  ///   - isReady: What its kubelet says.
  ///   - labels: Besides those of any node, which let every guest in; an empty value takes a label away.
  ///   - hasVirtHandler: Whether a pod of virt-handler is on it, and an endpoint behind its address.
  ///   - handlerVersion: Whose metrics' names that endpoint has; the cluster's version without.
  ///   - address: Of that endpoint; see ``addVirtHandler(on:version:address:)``.
  public func addNode(
    _ name: String, isReady: Bool = true, labels: [String: String] = [:], hasVirtHandler: Bool = true,
    handlerVersion: String? = nil, address: String? = nil, at: Date? = nil
  ) async throws {
    var node = try JSONValue.template("node")
    node[path: "metadata", "name"] = .string(name)
    node[path: "metadata", "labels", "kubernetes.io/hostname"] = .string(name)
    for (key, value) in labels {
      node[path: "metadata", "labels", key] = value.isEmpty ? nil : .string(value)
    }
    node[path: "metadata", "annotations", "kubevirt.io/heartbeat"] = stamp(at, .node(name))
    node[path: "status", "addresses"] = [
      ["type": "InternalIP", "address": "10.20.0.10"], ["type": "Hostname", "address": .string(name)],
    ]
    setReadiness(isReady ? .ready : .notReady, of: &node, at: at)
    try await api.create(node)
    if hasVirtHandler { try await addVirtHandler(on: name, version: handlerVersion, address: address) }
  }

  /// What is known of a node.
  public enum Readiness: Sendable {
    /// Its kubelet says that it is fine.
    case ready
    /// Its kubelet says that it is not.
    case notReady
    /// Its kubelet says nothing any more: the node is gone, or its network.
    case unknown
  }

  /// Changes what is known of a node, and its taints with it, as the node's controllers do.
  public func setNodeReady(_ name: String, _ readiness: Readiness, at: Date? = nil) async throws {
    try await edit(.nodes, name) { setReadiness(readiness, of: &$0, at: at) }
    try await edit(.nodes, name, subresource: "status") { setReadiness(readiness, of: &$0, at: at) }
  }

  private func setReadiness(_ readiness: Readiness, of node: inout JSONValue, at: Date?) {
    let keys = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
    let time = stamp(at)
    var taints = (node[path: "spec", "taints"]?.array ?? []).filter { taint in
      !keys.contains { taint["key"] == .string($0) }
    }
    func condition(_ status: String, _ reason: String, _ message: String) {
      node.setCondition("Ready", status, reason: reason, message: message, at: time)
    }
    func taint(_ key: String) {
      for effect in ["NoSchedule", "NoExecute"] {
        taints.append(["key": .string(key), "effect": .string(effect), "timeAdded": time])
      }
    }
    switch readiness {
    case .ready: condition("True", "KubeletReady", "kubelet is posting ready status")
    case .notReady:
      condition("False", "KubeletNotReady", "container runtime is down")
      taint(keys[0])
    case .unknown:
      condition("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
      taint(keys[1])
    }
    node[path: "spec", "taints"] = taints.isEmpty ? nil : .array(taints)
    if readiness != .unknown {
      var conditions = node[path: "status", "conditions"]?.array ?? []
      for index in conditions.indices { conditions[index][path: "lastHeartbeatTime"] = time }
      node[path: "status", "conditions"] = .array(conditions)
    }
  }

  /// Writes virt-handler's heartbeat, which it renews once a minute.
  public func setHeartbeat(_ node: String, at: Date? = nil) async throws {
    try await annotate(node, ["kubevirt.io/heartbeat": stamp(at, .node(node))])
  }

  /// Sets annotations of a node, such as Harvester's `harvesterhci.io/maintain-status`; null takes one away.
  public func annotate(_ node: String, _ annotations: [String: JSONValue]) async throws {
    try await api.patch(.nodes, node, ["metadata": ["annotations": .object(annotations)]])
  }

  /// Sets labels of a node; null takes one away.
  public func label(_ node: String, _ labels: [String: JSONValue]) async throws {
    try await api.patch(.nodes, node, ["metadata": ["labels": .object(labels)]])
  }

  /// Cordons a node, with the taint that the node's controllers add then.
  public func cordon(_ node: String, at: Date? = nil) async throws {
    try await api.patch(.nodes, node, ["spec": ["unschedulable": true]])
    try await taint(node, "node.kubernetes.io/unschedulable", value: nil, at: at)
  }

  /// Takes the cordon away.
  public func uncordon(_ node: String) async throws {
    try await api.patch(.nodes, node, ["spec": ["unschedulable": .null]])
    try await untaint(node, "node.kubernetes.io/unschedulable")
  }

  /// Adds a taint, such as KubeVirt's for a drain.
  public func taint(
    _ node: String, _ key: String = "kubevirt.io/drain", value: String? = "draining",
    effect: String = "NoSchedule", at: Date? = nil
  ) async throws {
    var taint: JSONValue = ["key": .string(key), "effect": .string(effect)]
    taint[path: "value"] = value.map(JSONValue.string)
    if value == nil { taint[path: "timeAdded"] = stamp(at) }
    try await edit(.nodes, node) { object in
      let taints = (object[path: "spec", "taints"]?.array ?? []).filter { $0["key"] != .string(key) }
      object[path: "spec", "taints"] = .array(taints + [taint])
    }
  }

  /// Takes a taint away.
  public func untaint(_ node: String, _ key: String = "kubevirt.io/drain") async throws {
    try await edit(.nodes, node) { object in
      let taints = (object[path: "spec", "taints"]?.array ?? []).filter { $0["key"] != .string(key) }
      object[path: "spec", "taints"] = taints.isEmpty ? nil : .array(taints)
    }
  }

  // MARK: virt-handler

  /// Puts a pod of virt-handler on a node, with an endpoint behind its address.
  ///
  /// - Parameter address: A loopback address that nobody else has, without one. The API server's proxy
  ///   refuses to reach loopback addresses; any other one, such as 198.18.0.2, is given to the loopback
  ///   device for as long.
  /// - Returns: The pod's name.
  @discardableResult
  public func addVirtHandler(
    on node: String, version: String? = nil, address chosen: String? = nil
  ) async throws -> String {
    let number = state.withLock { state in
      state.lastAddress += 1
      return state.lastAddress
    }
    // Another lab beside this one has other addresses.
    let address =
      chosen ?? "127.\(64 + getpid() >> 8 & 63).\(getpid() & 255).\(1 + number % 254)"
    try await handlers.addNode(
      node, address: address, version: version ?? self.version, namespace: kubeVirtNamespace)
    try await needNamespace(kubeVirtNamespace)
    var pod = try JSONValue.template("handler-pod")
    let name = uniqueName("virt-handler-")
    pod[path: "metadata", "name"] = .string(name)
    pod[path: "metadata", "namespace"] = .string(kubeVirtNamespace)
    pod[path: "spec", "nodeName"] = .string(node)
    try await api.create(pod)
    try await setPodRunning(name, in: kubeVirtNamespace, address: address)
    return name
  }

  /// The pods of virt-handler on a node.
  public func virtHandlers(on node: String) async throws -> [String] {
    let fields = "spec.nodeName=\(node)"
    return try await api.list(
      .pods, in: kubeVirtNamespace, labels: "kubevirt.io=virt-handler", fields: fields
    ).map(\.name)
  }
}
