import KubeLab
import QEMURig

/// Lists of a cluster with thousands of VMs, as an API server would tell them: all that a preflight reads.
///
/// Each VM has a disk on a volume of Longhorn's with three copies, and a launcher's pod; VMs and nodes are all alike.
struct DrainFleet {
  let vms: Int
  let nodes: Int

  /// By path.
  var lists: [String: [UInt8]] {
    let numbers = 0..<vms
    let objects: [(Resource, [JSONValue])] = [
      (.vmis, numbers.map(vmi)), (.pods, numbers.map(pod)), (.persistentVolumeClaims, numbers.map(claim)),
      (.persistentVolumes, numbers.map(volume)), (.volumes, numbers.map(longhorn)),
      (.nodes, (0..<nodes).map(node)), (.csiNodes, (0..<nodes).map(csiNode)),
      (.storageClasses, [storageClass]), (.kubeVirts, [kubeVirt]), (.networkAttachments, []),
      (.volumeAttachments, []), (.vmims, []), (.policies, []), (.namespaces, []), (.events, []),
    ]
    var lists = Dictionary(
      uniqueKeysWithValues: objects.map { ($0.0.path(), Self.list($0.0, $0.1)) })
    lists[Resource.replicas.path(in: "longhorn-system")] = Self.list(.replicas, [])
    return lists
  }

  private static func list(_ resource: Resource, _ items: [JSONValue]) -> [UInt8] {
    let list: JSONValue = [
      "apiVersion": .string(resource.apiVersion), "kind": .string("\(resource.kind)List"),
      "metadata": ["resourceVersion": "1"], "items": .array(items),
    ]
    return Array(list.text.utf8)
  }

  private func name(_ number: Int) -> String { "guest-\(number)" }
  private func place(_ number: Int) -> JSONValue { .string("node-\(number % nodes)") }

  private func metadata(_ name: String, _ kind: String, in namespace: String? = "default") -> JSONValue {
    var metadata: JSONValue = [
      "name": .string(name), "uid": .string("\(kind)-\(name)"), "resourceVersion": "1",
      "creationTimestamp": "2026-01-01T00:00:00Z",
    ]
    metadata[path: "namespace"] = namespace.map(JSONValue.string)
    return metadata
  }

  private func vmi(_ n: Int) -> JSONValue {
    [
      "metadata": metadata(name(n), "vmi"),
      "spec": [
        "evictionStrategy": "LiveMigrate",
        "domain": [
          "cpu": ["model": "host-model", "cores": 2], "memory": ["guest": "4Gi"],
          "devices": [
            "disks": [["name": "root", "disk": ["bus": "virtio"]]],
            "interfaces": [["name": "default", "masquerade": [:]]],
          ],
        ],
        "networks": [["name": "default", "pod": [:]]],
        "volumes": [["name": "root", "persistentVolumeClaim": ["claimName": .string("claim-\(n)")]]],
      ],
      "status": [
        "phase": "Running", "nodeName": place(n), "activePods": .object(["pod-launcher-\(n)": place(n)]),
        "conditions": [
          ["type": "Ready", "status": "True"], ["type": "LiveMigratable", "status": "True"],
        ],
      ],
    ]
  }

  private func pod(_ n: Int) -> JSONValue {
    var metadata = self.metadata("launcher-\(n)", "pod")
    metadata[path: "labels"] = [
      "kubevirt.io": "virt-launcher", "kubevirt.io/created-by": .string("vmi-\(name(n))"),
    ]
    return [
      "metadata": metadata,
      "spec": [
        "nodeName": place(n),
        "nodeSelector": ["kubevirt.io/schedulable": "true", "kubernetes.io/arch": "amd64"],
        "containers": [
          [
            "name": "compute",
            "resources": ["requests": ["cpu": "200m", "memory": "4300Mi", "devices.kubevirt.io/kvm": "1"]],
          ]
        ],
      ],
      "status": ["phase": "Running"],
    ]
  }

  private func claim(_ n: Int) -> JSONValue {
    [
      "metadata": metadata("claim-\(n)", "claim"),
      "spec": [
        "accessModes": ["ReadWriteMany"], "storageClassName": "longhorn", "volumeName": .string("pv-\(n)"),
      ], "status": ["phase": "Bound"],
    ]
  }

  private func volume(_ n: Int) -> JSONValue {
    [
      "metadata": metadata("pv-\(n)", "pv", in: nil),
      "spec": ["csi": ["driver": "driver.longhorn.io", "volumeHandle": .string("pvc-\(n)")]],
    ]
  }

  private func longhorn(_ n: Int) -> JSONValue {
    ["metadata": metadata("pvc-\(n)", "lh", in: "longhorn-system"), "spec": ["numberOfReplicas": 3]]
  }

  private func node(_ n: Int) -> JSONValue {
    var metadata = self.metadata("node-\(n)", "node", in: nil)
    metadata[path: "labels"] = [
      "kubevirt.io/schedulable": "true", "kubernetes.io/arch": "amd64",
      "kubernetes.io/hostname": .string("node-\(n)"), "host-model-cpu.node.kubevirt.io/EPYC": "true",
      "cpu-model-migration.node.kubevirt.io/EPYC": "true", "cpu-model.node.kubevirt.io/EPYC": "true",
    ]
    return [
      "metadata": metadata, "spec": [:],
      "status": [
        "allocatable": [
          "cpu": "64", "memory": "512Gi", "pods": "250", "devices.kubevirt.io/kvm": "1k",
        ],
        "conditions": [["type": "Ready", "status": "True"]],
      ],
    ]
  }

  private func csiNode(_ n: Int) -> JSONValue {
    [
      "metadata": metadata("node-\(n)", "csinode", in: nil),
      "spec": ["drivers": [["name": "driver.longhorn.io", "nodeID": .string("node-\(n)")]]],
    ]
  }

  private var storageClass: JSONValue {
    [
      "metadata": metadata("longhorn", "sc", in: nil), "provisioner": "driver.longhorn.io",
      "parameters": ["numberOfReplicas": "3"],
    ]
  }

  private var kubeVirt: JSONValue {
    [
      "metadata": metadata("kubevirt", "kv", in: "kubevirt"), "spec": ["configuration": [:]],
      "status": ["observedKubeVirtVersion": "v1.6.0", "phase": "Deployed"],
    ]
  }
}
