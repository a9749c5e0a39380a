internal import DroverCore
internal import Kubernetes

/// Disks that cannot be at two nodes at once, and those of which Harvester's page says so.
enum DiskRules {
  static func obstacles(_ facts: EligibilityFacts, _ commands: Commands) -> [Obstacle] {
    let spec = facts.spec
    return spec.volumes.flatMap { volume -> [Obstacle] in
      var obstacles: [Obstacle] = []
      if spec.disks.contains(where: { $0.name == volume.name && $0.isCDROM }) {
        obstacles.append(cdrom(volume, facts, commands))
      }
      switch volume.source {
      case .container(let image): obstacles.append(containerDisk(volume, image, commands))
      case .host(let path, let isShared) where !isShared:
        obstacles.append(
          Obstacle(
            .accessMode, "disk \(volume.name) is the file \(path) of the node",
            remedy:
              "move its content to a ReadWriteMany claim, or set hostDisk.shared where every node has the "
              + "file"
          ))
      case .claim(let claim):
        if let obstacle = accessMode(volume, claim, facts) { obstacles.append(obstacle) }
      default: break
      }
      return obstacles
    }
  }

  private static func cdrom(
    _ volume: GuestSpec.Volume, _ facts: EligibilityFacts, _ commands: Commands
  ) -> Obstacle {
    let what: String =
      switch volume.source {
      case .claim(let claim):
        "its claim \(claim) is attached at the target, if more nodes than one may use it"
      case .container: "its image is pulled at the target"
      default: "its content is made anew at the target"
      }
    return Obstacle(
      .cdrom,
      "disk \(volume.name) is a CD-ROM: Harvester's page says that it prevents migration, KubeVirt "
        + "migrates with it, and \(what)"
        + "; forced maintenance of some Harvester versions shuts such a VM down",
      remedy:
        "eject it in Harvester, or take it out of spec.template.spec.domain.devices.disks (\(commands.edit))",
      isEnforced: false)
  }

  private static func containerDisk(
    _ volume: GuestSpec.Volume, _ image: String, _ commands: Commands
  ) -> Obstacle {
    Obstacle(
      .containerDisk,
      "disk \(volume.name) is the container disk \(image): Harvester's page says that it prevents "
        + "migration, KubeVirt "
        + "migrates with it: the target pulls the image, and what was written since the start is copied "
        + "over; "
        + "forced maintenance of some Harvester versions shuts such a VM down",
      remedy:
        "where it is not needed any more, take it out of spec.template.spec.volumes (\(commands.edit)) "
        + "and restart "
        + "the VM", isEnforced: false)
  }

  /// The claim's own word counts; KubeVirt's, where that cannot be read.
  private static func accessMode(
    _ volume: GuestSpec.Volume, _ name: String, _ facts: EligibilityFacts
  ) -> Obstacle? {
    guard !facts.guest.copiedVolumes.contains(volume.name) else { return nil }
    let claim = facts.claims[name] ?? .failed("it was not asked for")
    if case .missing = claim {
      return Obstacle(
        .accessMode, "claim \(name) of disk \(volume.name) does not exist",
        remedy: "look at what deleted it: the target's pod could not start")
    }
    guard let modes = claim.value?.accessModes ?? facts.guest.accessModes[volume.name], !modes.isEmpty else {
      return .unknown("whether disk \(volume.name) can be at two nodes at once", "claim \(name)", claim)
    }
    guard !modes.contains("ReadWriteMany") else { return nil }
    return Obstacle(
      .accessMode,
      "claim \(name) of disk \(volume.name) is \(modes.joined(separator: ", ")): only one node at a time "
        + "may use it",
      remedy:
        "copy it to a ReadWriteMany claim (a clone, or a storage migration with updateVolumesStrategy: "
        + "Migration)"
    )
  }
}
