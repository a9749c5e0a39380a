internal import DroverCore
internal import Kubernetes

/// Names a VM within its cluster.
struct VMName: Hashable, Comparable, Sendable {
  let namespace: String
  let name: String

  static func < (a: VMName, b: VMName) -> Bool { (a.namespace, a.name) < (b.namespace, b.name) }
}

/// What is kept of a VMI: there are ten thousand of them.
struct VMRecord: Sendable {
  let uid: String
  let labels: [String: String]
  let evictionStrategy: String?
  let domainUUID: String
  let memory: Bytes?
  let migratedVolumes: Bytes
  /// What the disks that KubeVirt makes may add to a migration; 0 where none is copied.
  let generatedDisks: Bytes
  let hasPassthrough: Bool
  let phase: String
  let node: String
  let evacuationNode: String
  let isDescheduled: Bool
  /// Whether somebody deleted it: it is being shut down.
  let isShuttingDown: Bool
  /// Its pods that are on other nodes than it: of a migration that goes on or is over, or of a VM that has no node yet.
  let otherPods: [PodPlace]
  /// Why it cannot be migrated; empty where it can, nil where nobody has said.
  let blockers: [NotMigratableReason]?
  /// None or one: it is large, most VMs have none, and an empty array takes no memory.
  private let states: [MigrationState]
  /// Harvester's word for the migration that it names.
  let harvesterStatus: (word: String, migration: String)?

  struct PodPlace: Hashable, Sendable {
    let pod: String
    let node: String
  }

  /// A disk of which nobody tells how large it is may hold as much.
  private static let unknownDisk = Bytes(10_000_000_000)

  init(_ vmi: VMI) {
    uid = vmi.metadata.uid
    labels = vmi.metadata.labels
    evictionStrategy = vmi.evictionStrategy
    domainUUID = vmi.domainUUID
    memory = vmi.memory
    migratedVolumes = vmi.migratedVolumes.reduce(0, +)
    generatedDisks =
      vmi.isBlockMigration ? vmi.generatedDisks.reduce(1) { $0 + ($1 ?? Self.unknownDisk) } : 0
    hasPassthrough = vmi.hostDevices + vmi.gpus > 0
    phase = vmi.phase
    node = vmi.node
    evacuationNode = vmi.evacuationNode
    isDescheduled = vmi.metadata.annotations["kubevirt.io/eviction-source"] == "descheduler"
    isShuttingDown = vmi.metadata.deletionTimestamp != nil
    otherPods = vmi.activePods.filter { $0.value != vmi.node }.map { PodPlace(pod: $0.key, node: $0.value) }
    blockers = Self.blockers(vmi)
    states = vmi.state.map { [$0] } ?? []
    let word = vmi.metadata.annotations["harvesterhci.io/migrationState"]
    harvesterStatus = word.map { ($0, vmi.metadata.annotations["harvesterhci.io/migrationUID"] ?? "") }
  }

  var state: MigrationState? { states.first }

  /// Whether it has ended: no guest runs or is held anywhere.
  var isFinal: Bool { phase == "Succeeded" || phase == "Failed" }

  /// Whether nothing that decides where it, and others, can go differs.
  func decidesLike(_ other: VMRecord) -> Bool {
    uid == other.uid && node == other.node && phase == other.phase && blockers == other.blockers
      && isShuttingDown == other.isShuttingDown
  }

  /// virt-handler stops at the first reason that it finds.
  private static func blockers(_ vmi: VMI) -> [NotMigratableReason]? {
    guard let condition = vmi.conditions["LiveMigratable"] else { return nil }
    if condition.isTrue { return [] }
    guard condition.isFalse else { return nil }
    switch condition.reason {
    case "InterfaceNotLiveMigratable": return [.networkInterface]
    case "CPUModeLiveMigratable", "NoTSCFrequencyNotLiveMigratable": return [.cpuModel]
    case "HostDeviceNotLiveMigratable": return [vmi.hostDevices == 0 && vmi.gpus > 0 ? .gpu : .hostDevice]
    case "SEVNotLiveMigratable", "TDXNotLiveMigratable", "SecureExecutionNotLiveMigratable":
      return [.confidential]
    case "DisksNotLiveMigratable": return [.accessMode]
    default: return [.other]
    }
  }
}
