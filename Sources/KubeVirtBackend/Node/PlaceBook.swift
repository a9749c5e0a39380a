internal import DroverCore
internal import Kubernetes

/// Which VMs are on which node, and which migrations leave or reach it.
///
/// Kept as things change: nothing here is worth a walk through ten thousand VMs a second.
struct PlaceBook: Sendable {
  /// An open migration, as far as nodes are concerned.
  struct Move: Hashable, Sendable {
    let vm: VMName
    /// The node that the guest leaves; empty where it comes from another cluster or namespace.
    let source: String
    /// Where it arrives, or may: several only while nobody says which of the VM's pods is the new one.
    let targets: Set<String>
    /// Whether it waits for a slot or for something else before its target is started.
    let isWaiting: Bool
    /// Whether the copy has begun and the guest has not left the source.
    let needsSource: Bool
    /// The node that KubeVirt empties by it; empty where it moves for another reason.
    let evacuates: String
  }

  private var vms: [String: Set<VMName>] = [:]
  private var marked: [String: Set<VMName>] = [:]
  private var moves: [String: Move] = [:]
  private var movesByNode: [String: Set<String>] = [:]

  // MARK: VMs

  /// Takes a VM as it is now; nil for one that is gone.
  ///
  /// - Returns: The nodes that this concerns.
  mutating func take(_ name: VMName, from before: VMRecord?, to after: VMRecord?) -> Set<String> {
    let old = before?.places ?? []
    let new = after?.places ?? []
    let wasMarked = before?.markedPlace
    let isMarked = after?.markedPlace
    var concerned: Set<String> = []
    if old != new {
      for node in old.subtracting(new) { Self.remove(name, from: &vms, at: node) }
      for node in new.subtracting(old) { vms[node, default: []].insert(name) }
      concerned.formUnion(old.symmetricDifference(new))
    }
    if wasMarked != isMarked {
      if let wasMarked { Self.remove(name, from: &marked, at: wasMarked) }
      if let isMarked { marked[isMarked, default: []].insert(name) }
      concerned.formUnion([wasMarked, isMarked].compactMap(\.self))
    }
    if let before, let after, !after.drains(like: before) { concerned.formUnion(new) }
    return concerned
  }

  /// VMs that are on a node or are being started there.
  func vms(on node: String) -> Set<VMName> { vms[node] ?? [] }

  /// VMs on a node that KubeVirt is told to move away from it.
  func marked(on node: String) -> Set<VMName> { marked[node] ?? [] }

  // MARK: Migrations

  /// Takes an open migration as it is now; nil for one that is over.
  ///
  /// - Returns: The nodes that this concerns.
  mutating func take(_ uid: String, _ move: Move?) -> Set<String> {
    let before = moves[uid]
    guard before != move else { return [] }
    moves[uid] = move
    let old = before?.nodes ?? []
    let new = move?.nodes ?? []
    for node in old.subtracting(new) { Self.remove(uid, from: &movesByNode, at: node) }
    for node in new.subtracting(old) { movesByNode[node, default: []].insert(uid) }
    return old.union(new)
  }

  /// An open migration.
  func move(_ uid: String) -> Move? { moves[uid] }

  /// Open migrations that leave a node, reach it or empty it.
  func moves(at node: String) -> [(uid: String, move: Move)] {
    (movesByNode[node] ?? []).compactMap { uid in moves[uid].map { (uid, $0) } }
  }

  private static func remove<Element>(
    _ element: Element, from index: inout [String: Set<Element>], at node: String
  ) {
    index[node]?.remove(element)
    if index[node]?.isEmpty ?? false { index[node] = nil }
  }
}

extension PlaceBook.Move {
  fileprivate var nodes: Set<String> {
    targets.union([source, evacuates]).subtracting([""])
  }
}

extension VMRecord {
  /// The nodes that it is on: where it has none yet, those that its pods were given.
  var places: Set<String> {
    if isFinal { return [] }
    var places: Set<String> = []
    if !node.isEmpty { places.insert(node) }
    if let label = labels["kubevirt.io/nodeName"], !label.isEmpty { places.insert(label) }
    return places.isEmpty ? Set(otherPods.map(\.node)) : places
  }

  /// The node that KubeVirt is to move it away from, as long as it is there.
  ///
  /// The descheduler evicts single VMs to spread them better, which empties no node.
  fileprivate var markedPlace: String? {
    isDescheduled || evacuationNode.isEmpty || !places.contains(evacuationNode) ? nil : evacuationNode
  }

  /// Whether a drain does the same to both.
  fileprivate func drains(like other: VMRecord) -> Bool {
    blockers == other.blockers && evictionStrategy == other.evictionStrategy
      && isShuttingDown == other.isShuttingDown && maintenanceStrategy == other.maintenanceStrategy
  }
}

extension MigrationRecord {
  /// What it means to nodes.
  var move: PlaceBook.Move {
    let hasLeft = state?.isCompleted == true && state?.hasFailed != true
    let evacuates = vmim.origin == .evacuation ? vmim.evacuatedNode ?? sourceNode : ""
    return PlaceBook.Move(
      vm: name, source: vmim.role == .receiver ? "" : sourceNode, targets: isFinal ? [] : targets,
      isWaiting: vmim.isWaiting, needsSource: hasStarted && !hasLeft && !isFinal && vmim.role != .receiver,
      evacuates: isFinal ? "" : evacuates)
  }

  /// Nodes that it reaches, or may.
  private var targets: Set<String> {
    // The target of a sender may be a node of the same name in another cluster; its receiver tells of those in this one.
    if vmim.role == .sender { return [] }
    if !targetNode.isEmpty { return [targetNode] }
    if vmim.role == .receiver { return vm?.places ?? [] }
    let pods = vm?.otherPods.filter { !earlierPods.contains($0.pod) } ?? []
    return Set(pods.map(\.node))
  }
}
