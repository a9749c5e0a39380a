@testable import KubeVirtBackend
@testable import Kubernetes

/// An object of the API that a test makes.
protocol Made: Sendable {
  associatedtype Object: KubernetesObject
  var json: JSON { get }
}

extension Made {
  func decoded() throws -> Object { try json.decoded() }
}

/// `status.migrationState` without what is empty; times are seconds of the test's clock.
struct MadeState: Sendable {
  var uid = "m1-uid"
  var start: Double?
  var end: Double?
  var sourceNode = "node-a"
  var targetNode = "node-b"
  var targetPod = "virt-launcher-vm1-target"
  var targetReady: Double?
  var isCompleted = false
  var hasFailed = false
  var isAbortRequested = false
  var abortStatus = ""
  var failureReason = ""
  var mode = "PreCopy"
  var policyName = ""
  /// `migrationConfiguration`, as KubeVirt resolved it.
  var configuration: JSON = nil
  var networkType = ""

  var json: JSON {
    .present([
      "migrationUid": .string(uid), "startTimestamp": TestTime.json(start),
      "endTimestamp": TestTime.json(end),
      "sourceNode": .string(sourceNode), "targetNode": .string(targetNode), "targetPod": .string(targetPod),
      "targetNodeDomainReadyTimestamp": TestTime.json(targetReady), "completed": isCompleted ? true : nil,
      "failed": hasFailed ? true : nil, "abortRequested": isAbortRequested ? true : nil,
      "abortStatus": .string(abortStatus), "failureReason": .string(failureReason), "mode": .string(mode),
      "migrationPolicyName": .string(policyName), "migrationConfiguration": configuration,
      "migrationNetworkType": .string(networkType),
    ])
  }

  /// The same, ended well.
  func succeeded(at end: Double) -> MadeState {
    var state = self
    state.isCompleted = true
    state.end = end
    state.targetReady = end
    return state
  }

  /// The same, failed for a reason.
  func failed(_ reason: String, at end: Double, abortStatus: String = "") -> MadeState {
    var state = self
    state.isCompleted = true
    state.hasFailed = true
    state.failureReason = reason
    state.abortStatus = abortStatus
    state.end = end
    return state
  }
}

/// A VirtualMachineInstanceMigration.
struct MadeVMIM: Made {
  typealias Object = VMIM

  var name = "m1"
  var namespace = "default"
  var vmi = "vm1"
  var created = 0.0
  var deleted: Double?
  var phase = ""
  var entered: [(phase: String, at: Double)] = []
  var annotations: [String: String] = [:]
  var addedNodeSelector: [String: String] = [:]
  var priority = ""
  /// Conditions that are true, by type; with their message.
  var conditions: [(type: String, message: String)] = []
  var isSender = false
  var isReceiver = false
  var state: MadeState?

  var uid: String { "\(name)-uid" }

  /// Makes it enter a phase; the time of each is written once.
  mutating func enter(_ phase: String, at second: Double) {
    self.phase = phase
    if !entered.contains(where: { $0.phase == phase }) { entered.append((phase, second)) }
  }

  func entering(_ phase: String, at second: Double) -> MadeVMIM {
    var changed = self
    changed.enter(phase, at: second)
    return changed
  }

  /// Every phase up to `Running`, one a second, that one at `second`.
  static func running(_ name: String = "m1", vmi: String = "vm1", at second: Double = 5) -> MadeVMIM {
    var made = MadeVMIM(name: name, vmi: vmi, created: second - 5)
    let phases = ["Pending", "Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running"]
    for (n, phase) in phases.enumerated() { made.enter(phase, at: second - 5 + Double(n)) }
    return made
  }

  var json: JSON {
    .present([
      "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
      "metadata": .present([
        "name": .string(name), "namespace": .string(namespace), "uid": .string(uid),
        "creationTimestamp": TestTime.json(created), "deletionTimestamp": TestTime.json(deleted),
        "annotations": .strings(annotations), "labels": ["kubevirt.io/vmi-name": .string(vmi)],
        "finalizers": ["kubevirt.io/migrationJobFinalize"],
      ]),
      "spec": .present([
        "vmiName": .string(vmi), "addedNodeSelector": .strings(addedNodeSelector),
        "priority": .string(priority),
        "sendTo": isSender ? ["migrationID": "x", "connectURL": "there:9185"] : nil,
        "receive": isReceiver ? ["migrationID": "x"] : nil,
      ]),
      "status": .present([
        "phase": .string(phase),
        "phaseTransitionTimestamps": .array(
          entered.map {
            ["phase": .string($0.phase), "phaseTransitionTimestamp": TestTime.json($0.at)]
          }),
        "conditions": .array(
          conditions.map { ["type": .string($0.type), "status": "True", "message": .string($0.message)] }),
        "migrationState": state?.json ?? ["sourcePod": "virt-launcher-source"],
      ]),
    ])
  }
}
