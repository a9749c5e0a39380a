internal import DroverCore
internal import Kubernetes

extension VMIM {
  /// Who asked for it: annotations first, since a name is a convention that anybody may follow.
  var origin: Origin {
    if metadata.annotations["kubevirt.io/evacuationMigration"] != nil {
      return metadata.annotations["kubevirt.io/eviction-source"] == "descheduler"
        || priority == "system-maintenance" ? .descheduler : .evacuation
    }
    if metadata.annotations["kubevirt.io/workloadUpdateMigration"] != nil { return .workloadUpdate }
    if metadata.annotations["drover.io/reason"] != nil { return .drover }
    if role != .local { return .decentralized }
    // What KubeVirt makes names from, unless it is a VM's own name: Harvester makes names from that.
    guard metadata.generateName != "\(vmiName)-" else { return .manual }
    switch metadata.generateName {
    case "kubevirt-evacuation-": return .evacuation
    case "kubevirt-workload-update-": return .workloadUpdate
    default: return .manual
    }
  }

  /// Whether virt-controller made it, and makes another when it fails.
  var isRepeated: Bool {
    switch origin {
    case .evacuation, .workloadUpdate, .descheduler: true
    case .manual, .decentralized, .drover, .unknown: false
    }
  }

  /// The node that KubeVirt empties by it; nil where it says none.
  var evacuatedNode: String? { metadata.annotations["kubevirt.io/evacuationMigration"] }

  /// The node that was asked for.
  var requestedTarget: String { addedNodeSelector["kubernetes.io/hostname"] ?? "" }

  /// For how long its target's pod may find no node, and may be pending at all.
  var podTimeouts: (unschedulable: Duration, pending: Duration) {
    func seconds(_ annotation: String, _ usual: Int64) -> Duration {
      .seconds(
        metadata.annotations[annotation].flatMap { Int64($0) }.map { min(max($0, 0), 1 << 32) } ?? usual)
    }
    return (
      seconds("kubevirt.io/migrationUnschedulablePodTimeoutSeconds", 300),
      seconds("kubevirt.io/migrationPendingPodTimeoutSeconds", 900)
    )
  }

  /// How virt-controller's queue weighs it.
  var queuePriority: Int {
    switch priority {
    case "system-critical": 100
    case "user-triggered": 50
    case "system-maintenance": 20
    default: 0
    }
  }
}
