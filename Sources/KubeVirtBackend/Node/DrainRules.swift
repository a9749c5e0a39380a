internal import DroverCore
internal import Kubernetes

/// What decides what a drain of a node does to a VM on it.
struct DrainRules: Hashable, Sendable {
  /// What happens to a VM that says nothing itself; nil where that cannot be read.
  var clusterStrategy: String?
  /// What empties the node now; nil where nothing is known of the node.
  var signs: DrainSigns?
  /// Whether Harvester stops a VM whose evacuation failed once: its upgrade does since 1.7, which has KubeVirt 1.6.
  var stopsFailed = false
}

extension VMRecord {
  /// Harvester's label, which says whether maintenance migrates it or shuts it down.
  var maintenanceStrategy: String? { labels["harvesterhci.io/maintain-mode-strategy"] }

  /// What a drain of its node does to it, by its own eviction strategy or else the cluster's; nil where neither is known.
  ///
  /// - Parameter hasFailed: Whether its last evacuation from there failed.
  func drainOutcome(_ rules: DrainRules, hasFailed: Bool = false) -> DrainOutcome? {
    if isShuttingDown || (hasFailed && rules.stopsFailed) { return .willBeShutDown }
    if isShutDownByMaintenance(rules.signs) { return .willBeShutDown }
    // KubeVirt migrates only what is known to be migratable, and evicts what is not known to be.
    let isMigratable = blockers?.isEmpty == true
    if !isMigratable, rules.signs?.isForced == true { return .willBeShutDown }
    switch evictionStrategy ?? rules.clusterStrategy {
    case nil: return nil
    case "LiveMigrate": return isMigratable ? .migrates : .blocks
    case "LiveMigrateIfPossible": return isMigratable ? .migrates : .willBeShutDown
    case "External": return .blocks
    default: return .willBeShutDown
    }
  }

  /// Whether no migration will take it away, as far as is known.
  func stays(_ rules: DrainRules) -> Bool {
    drainOutcome(rules).map { $0 != .migrates } ?? (blockers?.isEmpty != true)
  }

  /// Harvester's maintenance stops a VM with such a label first; forced maintenance and upgrades do not look at it.
  private func isShutDownByMaintenance(_ signs: DrainSigns?) -> Bool {
    guard let strategy = maintenanceStrategy, strategy.hasPrefix("Shutdown") else { return false }
    return signs?.isForced != true && signs?.isUpgrade != true
  }
}
