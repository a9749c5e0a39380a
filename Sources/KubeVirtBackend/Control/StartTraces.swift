internal import DroverCore
internal import Kubernetes

/// What tells a VMIM that a certain decision made from all others.
enum StartTrace {
  /// The annotation with the decision's number and moment.
  static let annotation = "drover.io/decision"

  /// The VMIM with the mark of an order; nil where there is none, or the order has no mark.
  static func find(_ mark: String, among vmims: [VMIM]) -> VMIM? {
    guard !mark.isEmpty else { return nil }
    return vmims.first { $0.metadata.annotations[annotation] == mark }
  }
}

/// What is worth knowing before a VM is migrated, although it prevents nothing.
enum StartWarnings {
  /// Disks of which Harvester's page says that they prevent it.
  static func of(_ guest: Guest) -> [String] {
    let facts = EligibilityFacts(guest: guest)
    return DiskRules.obstacles(facts, Commands(facts)).filter {
      [.cdrom, .containerDisk].contains($0.reason)
    }
    .map(\.text)
  }
}
