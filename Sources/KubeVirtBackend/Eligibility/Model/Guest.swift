internal import Kubernetes

/// A VMI, with what decides where it can go.
struct Guest: KubernetesObject {
  let metadata: ObjectMeta
  let spec: GuestSpec
  let phase: String
  let node: String
  let conditions: [Condition]
  /// Access modes of claims as KubeVirt knows them, by the volume's name.
  let accessModes: [String: [String]]
  /// Volumes that are being copied to other claims.
  let copiedVolumes: Set<String>
  /// Its pods that have a node, by uid.
  let activePods: [String: String]
  let state: MigrationState?

  private enum CodingKeys: String, CodingKey { case metadata, spec, status }

  private struct Status: Decodable {
    struct ClaimInfo: Decodable { var accessModes: [String]? }
    struct VolumeStatus: Decodable {
      var name: String
      var persistentVolumeClaimInfo: ClaimInfo?
    }
    struct Copied: Decodable { var volumeName: String? }
    var phase: String
    var nodeName: String
    var conditions: [Condition]
    var volumeStatus: [VolumeStatus]
    var migratedVolumes: [Copied]
    var activePods: [String: String]
    var migrationState: MigrationState?

    private enum CodingKeys: String, CodingKey {
      case phase, nodeName, conditions, volumeStatus, migratedVolumes, activePods, migrationState
    }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      phase = values.lenient(.phase) ?? ""
      nodeName = values.lenient(.nodeName) ?? ""
      conditions = values.lenientList(.conditions)
      volumeStatus = values.lenientList(.volumeStatus)
      migratedVolumes = values.lenientList(.migratedVolumes)
      activePods = values.lenient(.activePods) ?? [:]
      migrationState = values.lenient(.migrationState)
    }
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    spec = try values.decode(GuestSpec.self, forKey: .spec)
    let status = values.lenient(.status, as: Status.self)
    phase = status?.phase ?? ""
    node = status?.nodeName ?? ""
    conditions = status?.conditions ?? []
    let modes = (status?.volumeStatus ?? []).compactMap { volume in
      volume.persistentVolumeClaimInfo?.accessModes.map { (volume.name, $0) }
    }
    accessModes = Dictionary(modes) { $1 }
    copiedVolumes = Set((status?.migratedVolumes ?? []).compactMap(\.volumeName))
    activePods = status?.activePods.filter { !$0.value.isEmpty } ?? [:]
    state = status?.migrationState
  }
}

/// A VM: what its next start is made from.
struct Machine: KubernetesObject {
  let metadata: ObjectMeta
  let template: GuestSpec?
  /// Whether processor, memory and devices may come from an instance type or a preference.
  let hasInstanceType: Bool
  let conditions: [Condition]

  private enum CodingKeys: String, CodingKey { case metadata, spec, status }
  private struct Spec: Decodable {
    struct Template: Decodable { var spec: GuestSpec? }
    struct Present: Decodable {}
    var template: Template?
    var instancetype: Present?
    var preference: Present?
  }
  private struct Status: Decodable {
    var conditions: [Condition]
    private enum CodingKeys: String, CodingKey { case conditions }
    init(from decoder: any Decoder) throws {
      conditions = try decoder.container(keyedBy: CodingKeys.self).lenientList(.conditions)
    }
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    let spec = values.lenient(.spec, as: Spec.self)
    template = spec?.template?.spec
    hasInstanceType = spec?.instancetype != nil || spec?.preference != nil
    conditions = values.lenient(.status, as: Status.self)?.conditions ?? []
  }
}

/// The KubeVirt object, with what it adds to every VM.
struct ClusterRules: KubernetesObject {
  let base: KubeVirtCR
  /// The CPU model of VMs that set none; empty for `host-model`.
  let cpuModel: String
  /// Labels that every launcher's node must have.
  let nodeSelectors: [String: String]

  private enum CodingKeys: String, CodingKey { case spec }
  private struct Spec: Decodable {
    struct Configuration: Decodable {
      struct Developer: Decodable { var nodeSelectors: [String: String]? }
      var cpuModel: String?
      var developerConfiguration: Developer?

      private enum CodingKeys: String, CodingKey { case cpuModel, developerConfiguration }
      init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        cpuModel = values.lenient(.cpuModel)
        developerConfiguration = values.lenient(.developerConfiguration)
      }
    }
    var configuration: Configuration?
  }

  init(from decoder: any Decoder) throws {
    base = try KubeVirtCR(from: decoder)
    let configuration = try decoder.container(keyedBy: CodingKeys.self).lenient(.spec, as: Spec.self)?
      .configuration
    cpuModel = configuration?.cpuModel ?? ""
    nodeSelectors = configuration?.developerConfiguration?.nodeSelectors ?? [:]
  }

  var metadata: ObjectMeta { base.metadata }
}
