internal import Kubernetes

/// What a VMI is made of, as far as it decides where it can go; a VM's template has the same form.
struct GuestSpec: Decodable, Sendable {
  /// Empty where none is set.
  let cpuModel: String
  let hasDedicatedCPUs: Bool
  let nodeSelector: [String: String]
  let required: NodeSelector?
  let disks: [Disk]
  let volumes: [Volume]
  let networks: [Network]
  let interfaces: [Interface]
  let hostDevices: [Device]
  let gpus: [Device]
  /// `SEV`, `TDX`, or empty: how its memory is hidden from the host.
  let confidential: String
  let hasHypervPassthrough: Bool

  /// How the guest sees a volume.
  struct Disk: Decodable, Hashable, Sendable {
    let name: String
    let isCDROM: Bool

    private enum CodingKeys: String, CodingKey { case name, cdrom }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      name = values.lenient(.name) ?? ""
      isCDROM = values.contains(.cdrom)
    }
  }

  /// Where a disk's content is.
  struct Volume: Decodable, Hashable, Sendable {
    enum Source: Hashable, Sendable {
      /// A claim, by its name.
      case claim(String)
      /// A claim that is only read, with what is written beside it.
      case ephemeral(String)
      /// An image, by its name.
      case container(String)
      /// A file of the node.
      case host(path: String, isShared: Bool)
      /// What KubeVirt makes: cloud-init, secrets, empty disks.
      case generated
    }
    let name: String
    let source: Source

    private enum CodingKeys: String, CodingKey {
      case name, persistentVolumeClaim, dataVolume, ephemeral, containerDisk, hostDisk, memoryDump
    }
    private struct ClaimName: Decodable { var claimName: String? }
    private struct DataVolume: Decodable { var name: String? }
    private struct Ephemeral: Decodable { var persistentVolumeClaim: ClaimName? }
    private struct Image: Decodable { var image: String? }
    private struct HostDisk: Decodable {
      var path: String?
      var shared: Bool?
    }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      name = values.lenient(.name) ?? ""
      if let claim = values.lenient(.persistentVolumeClaim, as: ClaimName.self)
        ?? values.lenient(.memoryDump, as: ClaimName.self)
      {
        source = .claim(claim.claimName ?? "")
      } else if let data = values.lenient(.dataVolume, as: DataVolume.self) {
        // Its claim is called as it is.
        source = .claim(data.name ?? "")
      } else if let ephemeral = values.lenient(.ephemeral, as: Ephemeral.self) {
        source = .ephemeral(ephemeral.persistentVolumeClaim?.claimName ?? "")
      } else if let image = values.lenient(.containerDisk, as: Image.self) {
        source = .container(image.image ?? "")
      } else if let disk = values.lenient(.hostDisk, as: HostDisk.self) {
        source = .host(path: disk.path ?? "", isShared: disk.shared ?? false)
      } else {
        source = .generated
      }
    }

    /// The claim that it needs; nil for none.
    var claim: String? {
      switch source {
      case .claim(let name), .ephemeral(let name): name
      default: nil
      }
    }
  }

  /// A network: the pod's own, or a network attachment.
  struct Network: Decodable, Hashable, Sendable {
    let name: String
    let isPod: Bool
    /// `name`, or `namespace/name`; empty for the pod's own.
    let attachment: String

    private enum CodingKeys: String, CodingKey { case name, pod, multus }
    private struct Multus: Decodable { var networkName: String? }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      name = values.lenient(.name) ?? ""
      isPod = values.contains(.pod)
      attachment = values.lenient(.multus, as: Multus.self)?.networkName ?? ""
    }
  }

  /// How the guest is bound to a network.
  struct Interface: Decodable, Hashable, Sendable {
    let name: String
    let isBridge: Bool

    private enum CodingKeys: String, CodingKey { case name, bridge }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      name = values.lenient(.name) ?? ""
      isBridge = values.contains(.bridge)
    }
  }

  /// A device that is passed through.
  struct Device: Decodable, Hashable, Sendable {
    let name: String
    let deviceName: String

    private enum CodingKeys: String, CodingKey { case name, deviceName }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      name = values.lenient(.name) ?? ""
      deviceName = values.lenient(.deviceName) ?? ""
    }
  }

  private enum CodingKeys: String, CodingKey { case domain, nodeSelector, affinity, volumes, networks }

  private struct Domain: Decodable {
    struct CPU: Decodable {
      var model: String?
      var dedicatedCpuPlacement: Bool?
    }
    struct Present: Decodable {}
    struct Security: Decodable {
      var sev: Present?
      var tdx: Present?
    }
    struct Features: Decodable {
      struct Switch: Decodable { var enabled: Bool? }
      var hypervPassthrough: Switch?

      private enum CodingKeys: String, CodingKey { case hypervPassthrough }
      init(from decoder: any Decoder) throws {
        hypervPassthrough = try decoder.container(keyedBy: CodingKeys.self).lenient(.hypervPassthrough)
      }
    }
    struct Devices: Decodable {
      var disks: [Disk]
      var interfaces: [Interface]
      var hostDevices: [Device]
      var gpus: [Device]

      private enum CodingKeys: String, CodingKey { case disks, interfaces, hostDevices, gpus }
      init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        disks = values.lenientList(.disks)
        interfaces = values.lenientList(.interfaces)
        hostDevices = values.lenientList(.hostDevices)
        gpus = values.lenientList(.gpus)
      }
    }
    var cpu: CPU?
    var launchSecurity: Security?
    var features: Features?
    var devices: Devices?

    private enum CodingKeys: String, CodingKey { case cpu, launchSecurity, features, devices }
    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      cpu = values.lenient(.cpu)
      launchSecurity = values.lenient(.launchSecurity)
      features = values.lenient(.features)
      devices = values.lenient(.devices)
    }
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let domain = values.lenient(.domain, as: Domain.self)
    cpuModel = domain?.cpu?.model ?? ""
    hasDedicatedCPUs = domain?.cpu?.dedicatedCpuPlacement ?? false
    nodeSelector = values.lenient(.nodeSelector) ?? [:]
    required = values.lenient(.affinity, as: RequiredAffinity.self)?.required
    disks = domain?.devices?.disks ?? []
    volumes = values.lenientList(.volumes)
    networks = values.lenientList(.networks)
    interfaces = domain?.devices?.interfaces ?? []
    hostDevices = domain?.devices?.hostDevices ?? []
    gpus = domain?.devices?.gpus ?? []
    let security = domain?.launchSecurity
    confidential = security?.sev != nil ? "SEV" : security?.tdx != nil ? "TDX" : ""
    hasHypervPassthrough = domain?.features?.hypervPassthrough?.enabled ?? false
  }

  /// The claims that it needs, each once.
  var claims: [String] {
    var seen = Set<String>()
    return volumes.compactMap(\.claim).filter { !$0.isEmpty && seen.insert($0).inserted }
  }
}
