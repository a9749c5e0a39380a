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

  /// KubeVirt names the first reason that it finds; it is left out where the same was found here, with its
  /// details.
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
