@testable import KubeVirtBackend
@testable import Kubernetes

/// A VirtualMachineInstance of 8 GiB without a disk that is copied.
struct MadeVMI: Made {
  typealias Object = VMI

  var name = "vm1"
  var namespace = "default"
  /// Another one for another VMI of the same name.
  var uid = ""
  var labels: [String: String] = [:]
  var annotations: [String: String] = [:]
  var evictionStrategy = "LiveMigrateIfPossible"
  var memory: JSON = "8Gi"
  var domainUUID = ""
  var hostDevices = 0
  var gpus = 0
  var volumes: [JSON] = []
  var phase = "Running"
  var node = "node-a"
  var method = "LiveMigration"
  var volumeStatus: [JSON] = []
  /// Capacities of the claims that are copied.
  var migratedVolumes: [JSON] = []
  var evacuationNode = ""
  /// The nodes of its pods, by the pod's uid.
  var activePods: [String: String] = [:]
  var deleted: Double?
  /// The condition `LiveMigratable`: status and reason.
  var migratable = (status: "True", reason: "")
  var state: MadeState?

  func with(_ state: MadeState?, node: String? = nil) -> MadeVMI {
    var changed = self
    changed.state = state
    if let node { changed.node = node }
    return changed
  }

  var json: JSON {
    .present([
      "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
      "metadata": .present([
        "name": .string(name), "namespace": .string(namespace),
        "uid": .string(uid.isEmpty ? "\(name)-vmi" : uid), "labels": .strings(labels),
        "annotations": .strings(annotations), "deletionTimestamp": TestTime.json(deleted),
      ]),
      "spec": .present([
        "evictionStrategy": .string(evictionStrategy), "volumes": .array(volumes),
        "domain": .present([
          "memory": .present(["guest": memory]),
          "firmware": .present(["uuid": .string(domainUUID)]),
          "devices": .present([
            "hostDevices": .array((0..<hostDevices).map { ["name": .string("h\($0)")] }),
            "gpus": .array((0..<gpus).map { ["name": .string("g\($0)")] }),
          ]),
        ]),
      ]),
      "status": .present([
        "phase": .string(phase), "nodeName": .string(node), "migrationMethod": .string(method),
        "volumeStatus": .array(volumeStatus), "evacuationNodeName": .string(evacuationNode),
        "activePods": .strings(activePods),
        "migratedVolumes": .array(
          migratedVolumes.map { ["sourcePVCInfo": ["capacity": ["storage": $0]]] }),
        "conditions": migratable.status.isEmpty
          ? nil
          : [
            .present([
              "type": "LiveMigratable", "status": .string(migratable.status),
              "reason": .string(migratable.reason),
            ])
          ],
        "migrationState": state?.json ?? nil,
      ]),
    ])
  }
}

/// A node.
struct MadeNode: Made {
  typealias Object = Node

  var name = "node-a"
  var labels: [String: String] = [:]
  var annotations: [String: String] = [:]
  /// Status of the condition `Ready`; empty for none.
  var ready = "True"
  var lastHeartbeat: Double?
  var lastTransition: Double?
  var isUnschedulable = false
  var taints: [(key: String, effect: String)] = []
  /// When all of them were added, where that is told, and with which value.
  var tainted: (at: Double?, value: String) = (nil, "")
  /// `kubevirt.io/heartbeat`.
  var heartbeat: Double?

  var json: JSON {
    var annotations = annotations
    if let heartbeat { annotations["kubevirt.io/heartbeat"] = TestTime.stamp(heartbeat) }
    return .present([
      "apiVersion": "v1", "kind": "Node",
      "metadata": .present([
        "name": .string(name), "uid": .string("\(name)-uid"), "labels": .strings(labels),
        "annotations": .strings(annotations),
      ]),
      "spec": .present([
        "unschedulable": isUnschedulable ? true : nil,
        "taints": .array(
          taints.map {
            .present([
              "key": .string($0.key), "effect": .string($0.effect), "value": .string(tainted.value),
              "timeAdded": TestTime.json(tainted.at),
            ])
          }),
      ]),
      "status": .present([
        "conditions": ready.isEmpty
          ? nil
          : [
            .present([
              "type": "Ready", "status": .string(ready), "lastHeartbeatTime": TestTime.json(lastHeartbeat),
              "lastTransitionTime": TestTime.json(lastTransition),
            ])
          ]
      ]),
    ])
  }
}

/// The KubeVirt object.
struct MadeKubeVirt: Made {
  typealias Object = KubeVirtCR

  var version = "1.6.0"
  /// `spec.configuration.migrations`.
  var migrations: JSON = [:]
  var evictionStrategy = ""
  var featureGates: [JSON] = []

  var json: JSON {
    .present([
      "metadata": ["name": "kubevirt", "namespace": "kubevirt", "uid": "kubevirt-uid"],
      "spec": [
        "configuration": .present([
          "migrations": migrations, "evictionStrategy": .string(evictionStrategy),
          "developerConfiguration": .present(["featureGates": .array(featureGates)]),
        ])
      ],
      "status": .present(["observedKubeVirtVersion": .string(version)]),
    ])
  }
}

/// A MigrationPolicy; `limits` are further members of its `spec`.
struct MadePolicy: Made {
  typealias Object = MigrationPolicy

  var name = "policy"
  var vmi: [String: String] = [:]
  var namespace: [String: String] = [:]
  var limits: [String: JSON] = [:]

  var json: JSON {
    var spec = limits
    spec["selectors"] = .present([
      "virtualMachineInstanceSelector": .strings(vmi), "namespaceSelector": .strings(namespace),
    ])
    return ["metadata": ["name": .string(name), "uid": .string("\(name)-uid")], "spec": .object(spec)]
  }
}

/// An event about a VMIM, or about what else is said.
struct MadeEvent: Made {
  typealias Object = ClusterEvent

  var reason = "FailedMigration"
  var message = ""
  var kind = "VirtualMachineInstanceMigration"
  var about = "m1"
  /// Of what it is about; empty where the recorder leaves it out.
  var aboutUID = "m1-uid"
  var namespace = "default"
  var at = 0.0

  var json: JSON {
    [
      "metadata": [
        "name": .string("\(about).\(reason)"), "namespace": .string(namespace),
        "uid": .string("event-\(about)-\(reason)-\(at)"),
      ],
      "reason": .string(reason), "message": .string(message), "lastTimestamp": TestTime.json(at),
      "involvedObject": .present([
        "kind": .string(kind), "name": .string(about), "uid": .string(aboutUID),
        "namespace": .string(namespace),
      ]),
    ]
  }
}

/// The target's pod of a migration.
struct MadePod: Made {
  typealias Object = Pod

  var name = "virt-launcher-vm1-target"
  var namespace = "default"
  var migration = "m1"
  var node = ""
  var phase = "Pending"
  /// Of the condition `PodScheduled`; empty for a pod that was given a node.
  var unschedulable = ""

  var json: JSON {
    .present([
      "metadata": .present([
        "name": .string(name), "namespace": .string(namespace), "uid": .string("\(name)-uid"),
        "labels": ["kubevirt.io/migrationJobUID": .string("\(migration)-uid")],
        "annotations": ["kubevirt.io/migrationJobName": .string(migration)],
      ]),
      "spec": .present(["nodeName": .string(node)]),
      "status": .present([
        "phase": .string(phase),
        "conditions": unschedulable.isEmpty
          ? [["type": "PodScheduled", "status": "True"]]
          : [
            [
              "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
              "message": .string(unschedulable),
            ]
          ],
      ]),
    ])
  }
}

/// A replica of a Longhorn volume.
struct MadeReplica: Made {
  typealias Object = LonghornReplica

  var name = "r1"
  var volume = "v1"
  var node = "node-a"
  var healthy: Double? = 0
  var failed: Double?
  var isStarted = true
  var deleted: Double?

  var json: JSON {
    .present([
      "metadata": .present([
        "name": .string(name), "namespace": "longhorn-system", "uid": .string("\(name)-uid"),
        "deletionTimestamp": TestTime.json(deleted),
      ]),
      "spec": .present([
        "volumeName": .string(volume), "nodeID": .string(node), "healthyAt": TestTime.json(healthy),
        "failedAt": TestTime.json(failed),
      ]),
      "status": .present(["started": isStarted ? true : nil, "currentState": "running"]),
    ])
  }
}
