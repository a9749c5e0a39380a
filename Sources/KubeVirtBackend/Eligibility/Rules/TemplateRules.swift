internal import DroverCore
internal import Kubernetes

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
      "Its template was changed, but the VM not yet restarted: \(changes.joined(separator: "; ")). What "
        + "counts here is what "
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
