internal import DroverCore
internal import Kubernetes

/// What is remembered of nodes that are emptied: KubeVirt keeps neither who has left nor, for long, who failed to.
struct DrainBook: Sendable {
  /// One drain of a node.
  struct Drain: Sendable {
    let startedAt: Moment
    /// VMs that have left since.
    fileprivate(set) var left: Set<VMName> = []
  }

  /// An evacuation that failed, and none has succeeded since.
  struct Failure: Sendable {
    let node: String
    let at: Moment
    /// Whether a time-out ended it.
    let isTimeOut: Bool
  }

  /// Times of the cluster have a resolution of 1 s.
  private static let resolution = Duration.seconds(1)

  private var drains: [String: Drain] = [:]
  private var failures: [VMName: Failure] = [:]

  /// The drain of a node that goes on.
  func drain(of node: String) -> Drain? { drains[node] }

  mutating func begin(_ node: String, at moment: Moment) {
    if drains[node] == nil { drains[node] = Drain(startedAt: moment) }
  }

  mutating func end(_ node: String) { drains[node] = nil }

  /// The last evacuation of a VM from a node, where it failed after `start`.
  func failure(of vm: VMName, on node: String, since start: Moment) -> Failure? {
    guard let failure = failures[vm], failure.node == node, failure.at >= start - Self.resolution else {
      return nil
    }
    return failure
  }

  /// Takes the end of a migration that left a node, whoever asked for it.
  ///
  /// - Parameter isBack: Whether the VM is on that node again, or still.
  mutating func noteEnd(of vm: VMName, from node: String, _ ending: Ending, isEvacuation: Bool, isBack: Bool)
  {
    switch ending.outcome {
    case .succeeded:
      failures[vm] = nil
      guard let drain = drains[node], ending.endedAt >= drain.startedAt - Self.resolution, !isBack else {
        return
      }
      drains[node]?.left.insert(vm)
    case .failed:
      guard isEvacuation else { return }
      let isTimeOut = ending.cause == .completionTimeout || ending.cause == .progressTimeout
      failures[vm] = Failure(node: node, at: ending.endedAt, isTimeOut: isTimeOut)
    case .aborted: failures[vm] = nil
    }
  }

  /// A VM came to a node that it was not on.
  mutating func arrived(_ vm: VMName, at node: String) { drains[node]?.left.remove(vm) }

  /// A VM is there no more.
  mutating func forget(_ vm: VMName) { failures[vm] = nil }
}

/// What says that a node is emptied.
struct DrainSigns: Hashable, Sendable {
  /// KubeVirt's taint, which moves all VMs away that are to be migrated.
  let taint: Node.Taint?
  /// Harvester puts it into maintenance.
  let isMaintenance: Bool
  /// Harvester stops what cannot migrate.
  let isForced: Bool
  /// A Harvester upgrade empties it.
  let isUpgrade: Bool

  init(_ node: Node, taintKey: String) {
    // Without this effect KubeVirt does not listen to it, and its value it never looks at.
    taint = node.taints.first { $0.key == taintKey && $0.effect == "NoSchedule" }
    let annotations = node.metadata.annotations
    let status = annotations["harvesterhci.io/maintain-status"]
    let isRequested = annotations["harvesterhci.io/drain-requested"].map { $0 != "false" } ?? false
    isMaintenance = status == "running" || (isRequested && status != "completed")
    isForced = isMaintenance && annotations["harvesterhci.io/drain-forced"].map { $0 != "false" } ?? false
    isUpgrade = taint?.value == "draining" && node.metadata.labels["harvesterhci.io/managed"] == "true"
  }

  /// Who moves the VMs of the node away, the strongest first; nil for nobody.
  var drainedBy: NodeReading.DrainedBy? {
    if isUpgrade { return .harvesterUpgrade }
    if isMaintenance { return .harvesterMaintenance }
    return taint.map { .taint($0.key) }
  }

  /// Whether all VMs are concerned, and not only those that are evicted one by one.
  var areOfTheNode: Bool { taint != nil || isMaintenance }
}
