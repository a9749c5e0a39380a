import DroverCore
import Synchronization

@testable import KubeVirtBackend
@testable import Kubernetes

/// A cluster as a table of objects: what is asked for is looked up in it, with or without the right to.
struct TestCluster: ObjectSource {
  /// By plural.
  var objects: [String: [JSON]] = [:]
  var denied: Set<String> = []
  var absent: Set<String> = []
  /// Kinds of which nothing ever comes.
  var silent: Set<String> = []
  let asked = Asked()

  final class Asked: Sendable {
    private let list = Mutex<[String]>([])
    func note(_ what: String) { list.withLock { $0.append(what) } }
    var all: [String] { list.withLock(\.self) }
  }

  private func check(_ path: ResourcePath) async throws(KubernetesError) {
    let plural = path.resource.plural
    if silent.contains(plural) {
      try? await Task.sleep(for: .seconds(3600))
      throw .decoding(call: "", problem: "cancelled")
    }
    if denied.contains(plural) {
      var status = KubernetesStatus(code: 403, reason: "Forbidden")
      status.missingRight = "get on \(plural)"
      throw .status(status)
    }
    if absent.contains(plural) { throw .status(KubernetesStatus(code: 404)) }
  }

  private func decoded<Object: KubernetesObject>(_ json: JSON) throws(KubernetesError) -> Object {
    do { return try json.decoded() } catch { throw .decoding(call: "test", problem: "\(error)") }
  }

  func object<Object: KubernetesObject>(_ path: ResourcePath) async throws(KubernetesError) -> Object {
    asked.note("get \(path)")
    try await check(path)
    let found = objects[path.resource.plural, default: []].first {
      $0["metadata", "name"] == .string(path.name ?? "")
        && (path.namespace == nil || $0["metadata", "namespace"] == .string(path.namespace ?? ""))
    }
    guard let found else { throw .status(KubernetesStatus(code: 404, reason: "NotFound")) }
    return try decoded(found)
  }

  func objects<Object: KubernetesObject>(
    _ path: ResourcePath, _ selection: ListSelection
  ) async throws(KubernetesError) -> [Object] {
    asked.note("list \(path) \(selection.fields ?? "")")
    try await check(path)
    var found: [Object] = []
    for json in objects[path.resource.plural, default: []] {
      if let namespace = path.namespace, json["metadata", "namespace"] != .string(namespace) { continue }
      if let label = selection.labels?.split(separator: "=", maxSplits: 1).map(String.init),
        json["metadata", "labels", label[0]] != .string(label[1])
      {
        continue
      }
      if let fields = selection.fields, fields.hasPrefix("spec.nodeName="),
        let node = fields.split(separator: ",").first?.split(separator: "=").last,
        json["spec", "nodeName"] != .string(String(node))
      {
        continue
      }
      found.append(try decoded(json))
    }
    return found
  }

  func pages<Object: KubernetesObject>(
    _ path: ResourcePath, telling: ([Object]) -> Void
  ) async throws(KubernetesError) {
    // One by one: nothing may depend on what is in one page.
    for object: Object in try await objects(path, ListSelection()) { telling([object]) }
  }

  // MARK: what is in it

  /// A VM `demo` in `default` on node `a`, with nodes `a`, `b` and `c` that are all alike.
  init() {
    objects["virtualmachineinstances"] = [Self.guest]
    objects["pods"] = [Self.pod]
    objects["nodes"] = ["a", "b", "c"].map { Self.node($0) }
    objects["kubevirts"] = [
      [
        "metadata": ["name": "kubevirt", "namespace": "harvester-system", "uid": "kv"],
        "spec": ["configuration": [:]], "status": ["observedKubeVirtVersion": "v1.6.0"],
      ]
    ]
  }

  static let guest: JSON = [
    "metadata": ["name": "demo", "namespace": "default", "uid": "vmi-uid"],
    "spec": [
      "domain": ["cpu": ["model": "host-model"], "devices": ["disks": [], "interfaces": []]], "volumes": [],
      "networks": [],
    ],
    "status": [
      "phase": "Running", "nodeName": "a", "activePods": ["pod-uid": "a"],
      "conditions": [["type": "LiveMigratable", "status": "True"]],
    ],
  ]

  static let pod: JSON = [
    "metadata": [
      "name": "virt-launcher-demo", "namespace": "default", "uid": "pod-uid",
      "labels": ["kubevirt.io/created-by": "vmi-uid"],
    ],
    "spec": [
      "nodeName": "a", "nodeSelector": ["kubevirt.io/schedulable": "true", "kubernetes.io/arch": "amd64"],
      "containers": [
        ["resources": ["requests": ["cpu": "2", "memory": "8Gi", "devices.kubevirt.io/kvm": "1"]]]
      ],
    ], "status": ["phase": "Running"],
  ]

  static func node(_ name: String, labels: [String: String] = [:]) -> JSON {
    var all = [
      "kubevirt.io/schedulable": "true", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name,
      "host-model-cpu.node.kubevirt.io/XYZ": "true", "cpu-model-migration.node.kubevirt.io/XYZ": "true",
      "cpu-model.node.kubevirt.io/123": "true",
    ]
    for (key, value) in labels { all[key] = value.isEmpty ? nil : value }
    return [
      "metadata": ["name": .string(name), "uid": .string("node-\(name)"), "labels": .strings(all)],
      "spec": [:],
      "status": [
        "allocatable": ["cpu": "16", "memory": "64Gi", "pods": "110", "devices.kubevirt.io/kvm": "1k"],
        "conditions": [["type": "Ready", "status": "True"]],
      ],
    ]
  }

  // MARK: changing it

  private mutating func change(_ plural: String, _ name: String?, _ edit: (inout JSON) -> Void) {
    objects[plural] = objects[plural, default: []].map { json in
      guard name == nil || json["metadata", "name"] == .string(name ?? "") else { return json }
      var json = json
      edit(&json)
      return json
    }
  }

  mutating func guest(_ edit: (inout JSON) -> Void) { change("virtualmachineinstances", "demo", edit) }
  mutating func launcher(_ edit: (inout JSON) -> Void) { change("pods", "virt-launcher-demo", edit) }
  mutating func kubeVirt(_ edit: (inout JSON) -> Void) { change("kubevirts", nil, edit) }
  mutating func node(_ name: String, _ edit: (inout JSON) -> Void) { change("nodes", name, edit) }
  mutating func label(_ name: String, _ key: String, _ value: JSON) {
    node(name) { $0["metadata", "labels", key] = value }
  }
  mutating func add(_ plural: String, _ json: JSON) { objects[plural, default: []].append(json) }

  /// A VM whose template is what runs.
  mutating func addMachine(_ edit: (inout JSON) -> Void = { _ in }) {
    let spec = objects["virtualmachineinstances"]?.first?["spec"] ?? .null
    var machine: JSON = [
      "metadata": ["name": "demo", "namespace": "default", "uid": "vm-uid"],
      "spec": ["template": ["spec": spec]],
    ]
    edit(&machine)
    add("virtualmachines", machine)
  }

  /// A disk of the VM on a claim, bound to a volume of Longhorn.
  mutating func addDisk(
    _ name: String = "root", modes: [String] = ["ReadWriteMany"], asCDROM: Bool = false, replicas: Int? = 3,
    classReplicas: String? = "3", affinity: JSON = .null
  ) {
    guest { guest in
      guest["spec", "volumes"] = guest["spec", "volumes"].appending([
        "name": .string(name), "persistentVolumeClaim": ["claimName": .string("claim-\(name)")],
      ])
      guest["spec", "domain", "devices", "disks"] = guest["spec", "domain", "devices", "disks"].appending(
        asCDROM ? ["name": .string(name), "cdrom": ["bus": "sata"]] : ["name": .string(name), "disk": [:]])
    }
    add(
      "persistentvolumeclaims",
      [
        "metadata": [
          "name": .string("claim-\(name)"), "namespace": "default", "uid": .string("claim-\(name)"),
        ],
        "spec": [
          "accessModes": .array(modes.map { .string($0) }), "storageClassName": "longhorn",
          "volumeName": .string("pv-\(name)"),
        ],
      ])
    var spec: JSON = ["csi": ["driver": "driver.longhorn.io", "volumeHandle": .string("pvc-\(name)")]]
    if affinity != .null { spec["nodeAffinity", "required", "nodeSelectorTerms"] = affinity }
    add(
      "persistentvolumes",
      ["metadata": ["name": .string("pv-\(name)"), "uid": .string("pv-\(name)")], "spec": spec])
    if objects["storageclasses"] == nil {
      add(
        "storageclasses",
        [
          "metadata": ["name": "longhorn", "uid": "sc"], "provisioner": "driver.longhorn.io",
          "parameters": classReplicas.map { ["numberOfReplicas": .string($0)] } ?? [:],
        ])
    }
    if let replicas {
      add(
        "volumes",
        [
          "metadata": [
            "name": .string("pvc-\(name)"), "namespace": "longhorn-system", "uid": .string("lh-\(name)"),
          ], "spec": ["numberOfReplicas": .int(Int64(replicas))],
        ])
    }
  }

  // MARK: asking it

  /// The deadline is one that no busy machine reaches, unless a test is about it.
  func explained(within limit: Duration = .seconds(3600)) async throws -> Eligibility {
    let facts = try await EligibilityReader(self, limit: limit).facts(of: "demo", in: "default")
    return EligibilityRules.evaluate(facts, as: Self.vm)
  }

  static let vm = VMRef(backend: BackendName(rawValue: "prod"), scope: .namespace("default"), name: "demo")
}

extension JSON {
  func appending(_ element: JSON) -> JSON {
    if case .array(let elements) = self { .array(elements + [element]) } else { .array([element]) }
  }
}

extension Eligibility {
  /// Reasons that are enforced.
  var enforced: [NotMigratableReason] { obstacles.filter(\.isEnforced).map(\.reason) }
  /// Reasons that only the page holds.
  var shown: [NotMigratableReason] { obstacles.filter { !$0.isEnforced }.map(\.reason) }
  /// Reasons against a node.
  func reasons(_ node: String) -> [NotMigratableReason] {
    targets.first { $0.node == node }?.obstacles.filter(\.isEnforced).map(\.reason) ?? [.other]
  }
  func text(_ node: String) -> String {
    targets.first { $0.node == node }?.obstacles.map(\.text).joined(separator: "\n") ?? ""
  }
  var possible: [String] { targets.filter(\.isPossible).map(\.node) }
}
