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

  /// Two thirds of it, and there are thousands.
  static let unread: JSONOmissions = [
    "metadata.finalizers", "metadata.managedFields", "metadata.ownerReferences", "spec.accessCredentials",
    "spec.affinity", "spec.domain.clock", "spec.domain.cpu", "spec.domain.devices.disks",
    "spec.domain.devices.inputs", "spec.domain.devices.interfaces", "spec.domain.features",
    "spec.domain.machine", "spec.networks", "spec.tolerations", "spec.topologySpreadConstraints",
    "status.currentCPUTopology", "status.guestOSInfo", "status.interfaces", "status.machine", "status.memory",
    "status.phaseTransitionTimestamps",
  ]

  private enum CodingKeys: String, CodingKey { case metadata, spec, status }

  private struct Spec: Decodable {
    struct Domain: Decodable {
      struct Memory: Decodable { var guest: IntOrText? }
      struct Resources: Decodable { var requests: [String: IntOrText]? }
      struct Firmware: Decodable { var uuid: String? }
      struct Devices: Decodable {
        struct Named: Decodable {}
        var gpus: [Named]?
        var hostDevices: [Named]?
      }
      var memory: Memory?
      var hasMemory: Bool
      var resources: Resources?
      var firmware: Firmware?
      var devices: Devices?

      private enum CodingKeys: String, CodingKey { case memory, resources, firmware, devices }

      init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        memory = values.lenient(.memory)
        hasMemory = values.contains(.memory)
        resources = values.lenient(.resources)
        firmware = values.lenient(.firmware)
        devices = values.lenient(.devices)
      }
    }
    struct Volume: Decodable {
      struct Present: Decodable {}
      struct EmptyDisk: Decodable { var capacity: IntOrText? }
      var name: String?
      var containerDisk: Present?
      var ephemeral: Present?
      var emptyDisk: EmptyDisk?
    }
    var evictionStrategy: String?
    var nodeSelector: [String: String]?
    var domain: Domain?
    var volumes: [Volume]

    private enum CodingKeys: String, CodingKey { case evictionStrategy, nodeSelector, domain, volumes }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      evictionStrategy = values.lenient(.evictionStrategy)
      nodeSelector = values.lenient(.nodeSelector)
      domain = values.lenient(.domain)
      volumes = values.lenientList(.volumes)
    }
  }

  private struct Status: Decodable {
    struct Claim: Decodable { var capacity: [String: IntOrText]? }
    struct MigratedVolume: Decodable { var sourcePVCInfo: Claim? }
    struct VolumeStatus: Decodable {
      var name: String?
      var size: UInt64?
      var persistentVolumeClaimInfo: Claim?

      private enum CodingKeys: String, CodingKey { case name, size, persistentVolumeClaimInfo }

      init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        name = values.lenient(.name)
        size = values.lenient(.size)
        persistentVolumeClaimInfo = values.lenient(.persistentVolumeClaimInfo)
      }
    }
    var phase: String
    var nodeName: String
    var migrationMethod: String
    var migratedVolumes: [MigratedVolume]
    var volumeStatus: [VolumeStatus]
    var conditions: [Condition]
    var evacuationNodeName: String
    var activePods: [String: String]
    var migrationState: MigrationState?

    private enum CodingKeys: String, CodingKey {
      case phase, nodeName, migrationMethod, migratedVolumes, volumeStatus, conditions, evacuationNodeName
      case activePods, migrationState
    }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      phase = values.lenient(.phase) ?? ""
      nodeName = values.lenient(.nodeName) ?? ""
      migrationMethod = values.lenient(.migrationMethod) ?? ""
      migratedVolumes = values.lenientList(.migratedVolumes)
      volumeStatus = values.lenientList(.volumeStatus)
      conditions = values.lenientList(.conditions)
      evacuationNodeName = values.lenient(.evacuationNodeName) ?? ""
      activePods = values.lenient(.activePods) ?? [:]
      migrationState = values.lenient(.migrationState)
    }
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    let spec = values.lenient(.spec, as: Spec.self)
    let status = values.lenient(.status, as: Status.self)
    evictionStrategy = spec?.evictionStrategy
    nodeSelector = spec?.nodeSelector ?? [:]
    domainUUID = spec?.domain?.firmware?.uuid ?? ""
    // What cannot be read does not make what is requested the guest's.
    let isGarbled = spec?.domain?.hasMemory == true && spec?.domain?.memory == nil
    let given =
      spec?.domain?.memory?.guest ?? (isGarbled ? nil : spec?.domain?.resources?.requests?["memory"])
    memory = (given?.text).flatMap(Quantity.bytes)
    hasAbsurdMemory = isGarbled || given != nil && memory == nil
    hostDevices = spec?.domain?.devices?.hostDevices?.count ?? 0
    gpus = spec?.domain?.devices?.gpus?.count ?? 0
    phase = status?.phase ?? ""
    node = status?.nodeName ?? ""
    isBlockMigration = status?.migrationMethod == "BlockMigration"
    migratedVolumes = (status?.migratedVolumes ?? []).map {
      $0.sourcePVCInfo?.capacity?["storage"].flatMap { Quantity.bytes($0.text) } ?? 0
    }
    conditions = status?.conditions ?? []
    evacuationNode = status?.evacuationNodeName ?? ""
    activePods = status?.activePods.filter { !$0.value.isEmpty } ?? [:]
    state = status?.migrationState
    generatedDisks = Self.generatedDisks(spec?.volumes ?? [], status?.volumeStatus ?? [])
  }

  /// What each disk in the launcher's own directory may come to at most; nil where nobody tells.
  private static func generatedDisks(_ volumes: [Spec.Volume], _ sizes: [Status.VolumeStatus]) -> [Bytes?] {
    var disks: [Bytes?] = sizes.compactMap { $0.size.map { Bytes($0) } }
    for volume in volumes {
      if volume.containerDisk != nil {
        disks.append(nil)
      } else if let disk = volume.emptyDisk {
        disks.append(disk.capacity.flatMap { Quantity.bytes($0.text) })
      } else if volume.ephemeral != nil {
        let claim = sizes.first { $0.name == volume.name }?.persistentVolumeClaimInfo
        disks.append(claim?.capacity?["storage"].flatMap { Quantity.bytes($0.text) })
      }
    }
    return disks
  }

  /// `nil` for a VMI that has ended.
  var isFinal: Bool { phase == "Succeeded" || phase == "Failed" }
}
