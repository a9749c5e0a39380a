internal import DroverCore
internal import Kubernetes

/// Names a VM within its cluster.
struct VMName: Hashable, Sendable {
  let namespace: String
  let name: String
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
  /// Why it cannot be migrated; empty where it can, nil where nobody has said.
  let blockers: [NotMigratableReason]?
  let state: MigrationState?
  /// Harvester's word for the migration that it names.
  let harvesterStatus: (word: String, migration: String)?

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
    blockers = Self.blockers(vmi)
    state = vmi.state
    let word = vmi.metadata.annotations["harvesterhci.io/migrationState"]
    harvesterStatus = word.map { ($0, vmi.metadata.annotations["harvesterhci.io/migrationUID"] ?? "") }
  }

  /// Whether the guest runs or is held somewhere.
  var isFinal: Bool { phase == "Succeeded" || phase == "Failed" }

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

  /// What an eviction does to it, by its own strategy or else the cluster's.
  func drainOutcome(clusterStrategy: String?) -> DrainOutcome {
    let isMigratable = blockers?.isEmpty == true
    switch evictionStrategy ?? clusterStrategy ?? "None" {
    case "LiveMigrate": return isMigratable ? .migrates : .blocks
    case "LiveMigrateIfPossible": return isMigratable ? .migrates : .willBeShutDown
    case "External": return .blocks
    default: return .willBeShutDown
    }
  }

  /// Whether KubeVirt itself moves it away in a drain.
  func isEvacuated(clusterStrategy: String?) -> Bool {
    drainOutcome(clusterStrategy: clusterStrategy) == .migrates
  }
}
