@testable import DroverCore
@testable import KubeVirtBackend

extension MadeNode {
  static let drainTaint = (key: "kubevirt.io/drain", effect: "NoSchedule")

  /// A node that nothing may be put on.
  static func cordoned(_ name: String = "node-a") -> MadeNode {
    MadeNode(name: name, isUnschedulable: true)
  }

  /// The same, which KubeVirt empties.
  static func drained(_ name: String = "node-a", since second: Double? = nil) -> MadeNode {
    var made = cordoned(name)
    made.taints = [drainTaint]
    made.tainted.at = second
    return made
  }
}

extension MadeVMIM {
  /// What KubeVirt makes to empty a node.
  static func evacuation(
    _ name: String = "m1", vmi: String = "vm1", of node: String = "node-a", at second: Double
  )
    -> MadeVMIM
  {
    MadeVMIM(
      name: name, vmi: vmi, created: second, annotations: ["kubevirt.io/evacuationMigration": node])
  }

  /// A phase, and the outcome where it is final.
  func ended(_ phase: String, at second: Double, _ state: MadeState? = nil) -> MadeVMIM {
    var changed = entering(phase, at: second)
    changed.state = state
    return changed
  }
}

extension MadeVMI {
  static let notMigratable = (status: "False", reason: "DisksNotLiveMigratable")

  /// The same on another node, with nothing left of its evacuation.
  func moved(to node: String) -> MadeVMI {
    var changed = self
    changed.node = node
    changed.evacuationNode = ""
    return changed
  }
}

extension ClusterScript {
  /// A cluster with a cordoned node, with Longhorn and nothing of it, that has been read.
  static func cordoned(_ vmis: MadeVMI...) -> ClusterScript {
    var script = ClusterScript(vmis: vmis)
    script.put(MadeNode.cordoned())
    return script
  }

  /// Goes on to a second while all watches show that they live.
  mutating func live(to second: Double, without silent: Set<ClusterResource> = []) {
    while now < second {
      for resource in ClusterResource.allCases where !silent.contains(resource) { take(.fresh(resource)) }
      advance(to: min(now + 1, second))
    }
  }

  func blockers(_ node: String = "node-a") -> [RebootBlocker]? { self.node(node)?.rebootBlockers }
  func isDrained(_ node: String = "node-a") -> Bool? { self.node(node)?.isDrained }
  func drain(_ node: String = "node-a") -> NodeDrain? { self.node(node)?.state?.drain }

  /// How many VMs of a node are in each state, without those that none is in.
  func vms(_ node: String = "node-a") -> [DrainVMState: UInt64] {
    (drain(node)?.vms ?? [:]).filter { $0.value > 0 }
  }

  /// When the drain of a node began, by the test's clock.
  func drainStart(_ node: String = "node-a") -> Double? {
    drain(node)?.startedAt.map(TestTime.seconds)
  }

  func outcome(_ vm: String = "vm1") -> DrainOutcome? {
    snapshot.vms.first { $0.vm.name == vm }?.drainOutcome
  }

  /// How often a node was told.
  func timesTold(_ node: String) -> Int {
    messages.count { if case .nodeState(let told) = $0 { told.node == node } else { false } }
  }
}
