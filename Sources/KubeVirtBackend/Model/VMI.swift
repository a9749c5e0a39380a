internal import DroverCore
internal import Kubernetes

/// A VirtualMachineInstance, as far as its migrations concern it.
struct VMI: KubernetesObject {
  let metadata: ObjectMeta
  let evictionStrategy: String?
  let nodeSelector: [String: String]
  /// The UUID of its libvirt domain; empty where it is not told.
  let domainUUID: String
  /// The guest's memory as its migration budget counts it; nil where it is not given or absurd.
  let memory: Bytes?
  /// Whether a quantity was given that is none.
  let hasAbsurdMemory: Bool
  /// Devices that are passed through.
  let hostDevices: Int
  let gpus: Int
  /// Disks that KubeVirt makes, by what they may come to; nil for one of which nothing is known.
  let generatedDisks: [Bytes?]
  let phase: String
  let node: String
  let isBlockMigration: Bool
  /// Capacity of the volumes that are copied to other claims.
  let migratedVolumes: [Bytes]
  let conditions: [Condition]
  /// The node that it is to be moved away from; empty where nobody asked for that.
  let evacuationNode: String
  /// The nodes of its pods that were given one, by the pod's uid; pods of migrations that are over included.
  let activePods: [String: String]
  let state: MigrationState?

  init(from decoder: any Decoder) throws {
    let fields = try JSONFields(decoder)
    metadata = try fields.required("metadata")
    let spec = fields.fields("spec")
    let domain = spec?.fields("domain")
    evictionStrategy = spec?.text("evictionStrategy")
    nodeSelector = spec?.texts("nodeSelector") ?? [:]
    domainUUID = domain?.fields("firmware")?.text("uuid") ?? ""
    let guest = domain?.fields("memory")
    // What cannot be read does not make what is requested the guest's.
    let isGarbled =
      domain?.contains("memory") == true
      && (guest == nil || guest?.isGiven("guest") == true && guest?.textOrNumber("guest") == nil)
    let given =
      guest?.textOrNumber("guest")
      ?? (isGarbled ? nil : domain?.fields("resources")?.fields("requests")?.textOrNumber("memory"))
    memory = given.flatMap(Quantity.bytes)
    hasAbsurdMemory = isGarbled || given != nil && memory == nil
    let devices = domain?.fields("devices")
    hostDevices = devices?.length("hostDevices") ?? 0
    gpus = devices?.length("gpus") ?? 0

    let status = fields.fields("status")
    phase = status?.text("phase") ?? ""
    node = status?.text("nodeName") ?? ""
    isBlockMigration = status?.text("migrationMethod") == "BlockMigration"
    migratedVolumes = (status?.list("migratedVolumes") ?? []).map {
      $0.fields("sourcePVCInfo").flatMap(Self.capacity) ?? 0
    }
    conditions = (status?.list("conditions") ?? []).compactMap(Condition.init)
    evacuationNode = status?.text("evacuationNodeName") ?? ""
    activePods = (status?.texts("activePods") ?? [:]).filter { !$0.value.isEmpty }
    state = status?.fields("migrationState").map(MigrationState.init)
    generatedDisks = Self.generatedDisks(spec?.list("volumes") ?? [], status?.list("volumeStatus") ?? [])
  }

  /// What a claim has; nil where it does not say.
  private static func capacity(_ claim: JSONFields) -> Bytes? {
    claim.fields("capacity")?.textOrNumber("storage").flatMap(Quantity.bytes)
  }

  /// What each disk in the launcher's own directory may come to at most; nil where nobody tells.
  private static func generatedDisks(_ volumes: [JSONFields], _ sizes: [JSONFields]) -> [Bytes?] {
    var disks: [Bytes?] = sizes.compactMap { $0.count("size").map { Bytes($0) } }
    for volume in volumes {
      if volume.isGiven("containerDisk") {
        disks.append(nil)
      } else if let disk = volume.fields("emptyDisk") {
        disks.append(disk.textOrNumber("capacity").flatMap(Quantity.bytes))
      } else if volume.isGiven("ephemeral") {
        let status = sizes.first { $0.text("name") == volume.text("name") }
        disks.append(status?.fields("persistentVolumeClaimInfo").flatMap(capacity))
      }
    }
    return disks
  }
}
