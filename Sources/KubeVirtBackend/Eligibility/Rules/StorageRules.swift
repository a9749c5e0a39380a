internal import DroverCore
internal import Kubernetes

/// What storage says: copies of a volume, nodes that it can be used on, volumes that a node can still attach.
enum StorageRules {
  static let longhorn = "driver.longhorn.io"

  // MARK: of the VM

  /// Claims whose volume has one copy only, or of which nobody tells how many.
  static func obstacles(_ facts: EligibilityFacts) -> [Obstacle] {
    facts.spec.claims.compactMap { copies($0, facts) }
  }

  private static func copies(_ name: String, _ facts: EligibilityFacts) -> Obstacle? {
    let question = "how many copies the volume of claim \(name) has"
    guard let claim = facts.claims[name], case .known(let claim) = claim else {
      let fact = facts.claims[name] ?? .failed("it was not asked for")
      // That it is not there is told with its access mode.
      if case .missing = fact { return nil }
      return .unknown(question, "claim \(name)", fact, isEnforced: false)
    }
    let given = facts.classes[claim.storageClass]
    let provisioner = given?.value?.provisioner
    let ofClass = given?.value?.parameters["numberOfReplicas"].flatMap { Int($0) }
    guard !claim.volume.isEmpty, let fact = facts.volumes[claim.volume] else {
      // Not bound yet: the class decides.
      if let given, given.isUnreadable {
        return .unknown(question, "StorageClass \(claim.storageClass)", given, isEnforced: false)
      }
      return provisioner == longhorn && ofClass == 1
        ? single(name, "its StorageClass \(claim.storageClass)") : nil
    }
    guard let volume = fact.value else {
      guard provisioner == nil || provisioner == longhorn else { return nil }
      if ofClass == 1 { return single(name, "its StorageClass \(claim.storageClass)") }
      return .unknown(question, "volume \(claim.volume)", fact, isEnforced: false)
    }
    guard volume.driver == longhorn else { return nil }
    let own = facts.longhorn[volume.handle] ?? .failed("it was not asked for")
    if let count = own.value?.replicas { return count == 1 ? single(name, "its volume") : nil }
    if ofClass == 1 { return single(name, "its StorageClass \(claim.storageClass)") }
    return .unknown(question, "Longhorn's volume \(volume.handle)", own, isEnforced: false)
  }

  private static func single(_ claim: String, _ source: String) -> Obstacle {
    Obstacle(
      .singleReplica,
      "the volume of claim \(claim) has one copy (numberOfReplicas 1 of \(source)): Harvester's page says "
        + "that it "
        + "prevents migration; KubeVirt migrates, but the node with that copy cannot be drained, and its "
        + "loss is the "
        + "volume's",
      remedy: "set numberOfReplicas of the Longhorn volume to 2 or more and wait until it is healthy",
      isEnforced: false)
  }

  // MARK: of a node

  /// Volumes that cannot be used on a node.
  static func obstacles(_ facts: EligibilityFacts, _ node: PlacementNode) -> [Obstacle] {
    var obstacles: [Obstacle] = []
    var drivers: [String: Set<String>] = [:]
    for name in facts.spec.claims {
      guard let volumeName = facts.claims[name]?.value?.volume, !volumeName.isEmpty,
        let volume = facts.volumes[volumeName]?.value
      else { continue }
      if let required = volume.required, let missing = required.closestMiss(of: node) {
        obstacles.append(
          Obstacle(
            .singleNodeRule,
            "volume \(volumeName) of claim \(name) cannot be used there"
              + (missing.isEmpty ? "" : " (it asks for \(missing.map(\.words).joined(separator: " and ")))"),
            remedy: "copy the claim to storage that both nodes reach"))
      }
      if !volume.driver.isEmpty { drivers[volume.driver, default: []].insert(volumeName) }
    }
    for (driver, volumes) in drivers.sorted(by: { $0.key < $1.key }) {
      if let obstacle = attachments(driver, volumes, facts, node) { obstacles.append(obstacle) }
    }
    return obstacles
  }

  private static func attachments(
    _ driver: String, _ volumes: Set<String>, _ facts: EligibilityFacts, _ node: PlacementNode
  ) -> Obstacle? {
    let question = "whether \(driver) can attach \(volumes.count) more there"
    guard case .known(let csiNodes) = facts.csiNodes else {
      return .unknown(question, "the CSINode", facts.csiNodes)
    }
    guard case .known(let attachments) = facts.attachments else {
      let mayBeShort = csiNodes.contains { $0.metadata.name == node.name && $0.drivers[driver] != .some(nil) }
      return mayBeShort ? .unknown(question, "the list of VolumeAttachments", facts.attachments) : nil
    }
    let book = AttachmentBook(csiNodes, attachments.filter { $0.node == node.name })
    return book.obstacle(driver, volumes, on: node.name)
  }

  /// What could not be read of a VM's volumes, where it decides which nodes can use them.
  static func unread(_ facts: EligibilityFacts) -> [Obstacle] {
    facts.spec.claims.compactMap { name in
      let question = "which nodes can use the volume of claim \(name)"
      switch facts.claims[name] {
      case .known(let claim):
        guard !claim.volume.isEmpty, let volume = facts.volumes[claim.volume], volume.isUnreadable else {
          return nil
        }
        return .unknown(question, "volume \(claim.volume)", volume)
      case .some(let fact) where fact.isUnreadable: return .unknown(question, "claim \(name)", fact)
      default: return nil
      }
    }
  }
}

/// How many volumes each driver may attach to each node, and which it has attached.
struct AttachmentBook: Sendable {
  private struct Place: Hashable {
    let node: String
    let driver: String
  }

  /// nil where a driver has no limit; no entry for a node that says nothing.
  private let limits: [String: [String: Int?]]
  private let attached: [Place: Set<String>]

  init(_ csiNodes: [CSINode], _ attachments: [VolumeAttachment]) {
    limits = Dictionary(csiNodes.map { ($0.metadata.name, $0.drivers) }) { $1 }
    var attached: [Place: Set<String>] = [:]
    for attachment in attachments {
      // Only where there is a limit does it matter how many there are.
      guard let limit = limits[attachment.node]?[attachment.driver], limit != nil else { continue }
      attached[Place(node: attachment.node, driver: attachment.driver), default: []].insert(attachment.volume)
    }
    self.attached = attached
  }

  /// Why a driver cannot attach volumes to a node; nil where nothing speaks against it.
  func obstacle(_ driver: String, _ volumes: Set<String>, on node: String) -> Obstacle? {
    guard let drivers = limits[node] else { return nil }
    guard let limit = drivers[driver] else {
      return Obstacle(
        .noResources, "storage driver \(driver) does not run there",
        remedy: "look at the driver's pod on \(node)")
    }
    guard let limit else { return nil }
    let total = (attached[Place(node: node, driver: driver)] ?? []).union(volumes).count
    guard total > limit else { return nil }
    return Obstacle(
      .noResources, "\(driver) attaches at most \(limit) volumes there, and would need \(total)",
      remedy: "move VMs with volumes away from \(node)")
  }
}
