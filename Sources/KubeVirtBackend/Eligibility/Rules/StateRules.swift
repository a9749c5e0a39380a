internal import DroverCore
internal import Kubernetes

/// What the VM itself, and KubeVirt's own judgement of it, say.
enum StateRules {
  /// - Parameter found: What other rules found already.
  static func obstacles(_ facts: EligibilityFacts, found: [Obstacle]) -> [Obstacle] {
    let guest = facts.guest
    var obstacles: [Obstacle] = []
    if guest.phase != "Running" {
      obstacles.append(
        Obstacle(
          .other, "it does not run (phase \(guest.phase.isEmpty ? "unknown" : guest.phase))",
          remedy: "start it: where it starts is the scheduler's choice"))
    } else if guest.metadata.deletionTimestamp != nil {
      obstacles.append(Obstacle(.other, "it is being shut down", remedy: "start it again once it is off"))
    }
    return obstacles + judgement(guest, found)
  }

  /// KubeVirt names the first reason that it finds; it is left out where the same was found here, with its details.
  private static func judgement(_ guest: Guest, _ found: [Obstacle]) -> [Obstacle] {
    guard let condition = guest.conditions["LiveMigratable"], !condition.status.isEmpty else {
      guard guest.phase == "Running" else { return [] }
      return [
        Obstacle(
          .unknown, "KubeVirt has not said yet whether it can be migrated (condition LiveMigratable)",
          remedy: "wait; look at virt-handler on \(guest.node) if it lasts")
      ]
    }
    guard !condition.isTrue else { return [] }
    guard condition.isFalse else {
      return [
        Obstacle(
          .unknown, "KubeVirt does not know whether it can be migrated: \(condition.message)",
          remedy: "look at virt-handler on \(guest.node)")
      ]
    }
    let reasons = reasons(condition.reason)
    guard !found.contains(where: { $0.isEnforced && reasons.contains($0.reason) }) else { return [] }
    return [
      Obstacle(
        reasons.first ?? .other,
        "KubeVirt: \(condition.message.isEmpty ? condition.reason : condition.message)",
        remedy: remedy(condition.reason))
    ]
  }

  /// virt-handler's reasons; the first is what it comes to.
  private static func reasons(_ word: String) -> [NotMigratableReason] {
    switch word {
    case "InterfaceNotLiveMigratable": [.networkInterface]
    case "CPUModeLiveMigratable", "NoTSCFrequencyNotLiveMigratable": [.cpuModel]
    case "HostDeviceNotLiveMigratable": [.hostDevice, .gpu]
    case "SEVNotLiveMigratable", "TDXNotLiveMigratable", "SecureExecutionNotLiveMigratable": [.confidential]
    case "DisksNotLiveMigratable": [.accessMode]
    default: [.other]
    }
  }

  private static func remedy(_ word: String) -> String {
    switch word {
    case "InterfaceNotLiveMigratable": "use masquerade or a VM network, and restart the VM"
    case "CPUModeLiveMigratable": "set a CPU model that the nodes offer by name, and restart the VM"
    case "NoTSCFrequencyNotLiveMigratable":
      "look at the labels cpu-timer.node.kubevirt.io/tsc-frequency of the nodes, or do without invariant TSC"
    case "DisksNotLiveMigratable": "copy what is on it to ReadWriteMany claims"
    case "HostDeviceNotLiveMigratable": "take the device out, and restart the VM"
    default: "change the VM so that KubeVirt's reason goes, and restart it"
    }
  }
}

/// What the VM would be after a restart, where that differs from what runs.
enum TemplateRules {
  static func notes(_ facts: EligibilityFacts) -> [String] {
    guard let machine = facts.machine.value else {
      guard facts.machine.isUnreadable else { return [] }
      return [
        "Whether its template was changed since it started is not known: the VM "
          + "\(facts.machine.problem ?? "says nothing") (\(facts.machine.remedy))"
      ]
    }
    var changes = machine.template.map { differences($0, machine.hasInstanceType, facts) } ?? []
    if let condition = machine.conditions["RestartRequired"], condition.isTrue, changes.isEmpty {
      changes = [condition.message.isEmpty ? "KubeVirt says that a restart is needed" : condition.message]
    }
    guard !changes.isEmpty else { return [] }
    return [
      "Its template was changed, but the VM not yet restarted: \(changes.joined(separator: "; ")). What counts here is what "
        + "runs; the change takes effect after \(Commands(facts).restart)"
    ]
  }

  /// What KubeVirt fills in when it makes a VMI is no difference.
  private static func differences(
    _ template: GuestSpec, _ hasInstanceType: Bool, _ facts: EligibilityFacts
  ) -> [String] {
    let runs = facts.spec
    var changes: [String] = []
    let cluster = facts.cluster.value?.cpuModel ?? ""
    let wanted = [template.cpuModel, cluster, "host-model"].first { !$0.isEmpty } ?? ""
    let has = [runs.cpuModel, cluster, "host-model"].first { !$0.isEmpty } ?? ""
    // What an unset model comes to is known only with the KubeVirt object, and without an instance type.
    if wanted != has, !template.cpuModel.isEmpty || facts.cluster.value != nil && !hasInstanceType {
      changes.append("CPU model \(wanted), runs with \(has)")
    }
    func compare<Value: Equatable>(_ name: String, _ value: (GuestSpec) -> Value) {
      if value(template) != value(runs) { changes.append("\(name) differs") }
    }
    if !hasInstanceType {
      compare("CPU pinning", \.hasDedicatedCPUs)
      compare("list of passed-through devices") { $0.hostDevices + $0.gpus }
    }
    compare("node selector", \.nodeSelector)
    compare("node affinity", \.required)
    compare("list of volumes") { Set($0.volumes) }
    if !template.networks.isEmpty { compare("list of networks") { Set($0.networks) } }
    return changes
  }
}

/// Migrations that may run at a time.
enum SlotRules {
  static func notes(_ facts: EligibilityFacts) -> [String] {
    var notes: [String] = []
    if let state = facts.guest.state, state.start != nil, state.end == nil, !state.isCompleted {
      notes.append("A migration of it is under way; another is refused until that is over")
    }
    guard let cluster = facts.cluster.value else { return notes + [unknown(facts.cluster)] }
    guard let slots = facts.slots.value else { return notes + [unknown(facts.slots)] }
    let settings = ClusterSettings(cluster.base)
    let limits = (Int(settings.clusterSlots ?? 5), Int(settings.nodeSlots ?? 2))
    let isFull = slots.inCluster >= limits.0 || slots.atNode >= limits.1
    notes.append(
      "Migrations that may begin now: \(max(0, limits.0 - slots.inCluster)) of \(limits.0) in the cluster, "
        + "\(max(0, limits.1 - slots.atNode)) of \(limits.1) from \(facts.guest.node)"
        + (isFull ? "; this one would wait" : ""))
    return notes
  }

  private static func unknown<Value>(_ fact: Fact<Value>) -> String {
    "How many migrations may begin now is not known: what tells it \(fact.problem ?? "says nothing") (\(fact.remedy))"
  }
}
