internal import DroverCore
internal import Kubernetes

/// Devices and other things of the node that a guest holds.
enum DeviceRules {
  static func obstacles(_ facts: EligibilityFacts, _ commands: Commands) -> [Obstacle] {
    let spec = facts.spec
    func remedy(_ list: String, _ name: String) -> String {
      "take \(name) out of spec.template.spec.domain.devices.\(list) (\(commands.edit)) and restart the VM"
    }
    var obstacles = spec.hostDevices.map { device in
      Obstacle(
        .hostDevice, "device \(device.name) (\(device.deviceName)) of the node is passed through to it",
        remedy: remedy("hostDevices", device.name))
    }
    let mayMove = canMoveGPU(facts)
    obstacles += spec.gpus.map { gpu in
      Obstacle(
        .gpu,
        "GPU \(gpu.name) (\(gpu.deviceName)) is passed through to it"
          + (mayMove
            ? ": KubeVirt migrates one vGPU, since its gate VGPULiveMigration is open; Harvester's menu "
              + "refuses it"
            : ""),
        remedy: remedy("gpus", gpu.name), isEnforced: !mayMove)
    }
    if !spec.confidential.isEmpty {
      obstacles.append(
        Obstacle(
          .confidential, "its memory is encrypted by the processor (\(spec.confidential))",
          remedy: "take spec.template.spec.domain.launchSecurity out (\(commands.edit)) and restart the VM"))
    }
    if spec.hasHypervPassthrough {
      obstacles.append(
        Obstacle(
          .other, "all of the node's Hyper-V features are passed through to it",
          remedy:
            "name single Hyper-V features instead of hypervPassthrough (\(commands.edit)) and restart the VM")
      )
    }
    return obstacles
  }

  private static func canMoveGPU(_ facts: EligibilityFacts) -> Bool {
    facts.spec.gpus.count == 1 && facts.spec.hostDevices.isEmpty
      && facts.cluster.value?.base.featureGates.contains("VGPULiveMigration") == true
      && facts.guest.conditions.isTrue("LiveMigratable")
  }
}
