internal import DroverCore
internal import Kubernetes

/// Whether the guests of one node find room on the others: the largest first, each on the first node that has room.
///
/// That is how an estimate is made, not how the scheduler chooses: it may find a better way, or fill a node that would
/// have been needed. What only might take a guest is counted as room only to tell "not known" from "none".
enum RoomRules {
  /// A guest that would leave.
  struct Mover: Hashable, Sendable {
    var vm: VMRef
    /// What its pod asks of a node; nil where that is not known.
    var needs: Amounts?
    /// Nodes that would take it, but for what they have left.
    var targets: [String]
    /// Nodes of which that is not known.
    var unsure: [String] = []
  }

  /// What was found.
  struct Verdict: Hashable, Sendable {
    /// Guests without a place; nil where that is not known.
    var withoutRoom: [VMRef]?
    /// In words.
    var text: String
  }

  /// What each node has left, as the scheduler counts it; a place for one more pod is one of the resource `pods`.
  static func free(_ nodes: [PlacementNode], _ pods: [String: [PlacementPod]]) -> [String: Amounts] {
    var free: [String: Amounts] = [:]
    for node in nodes {
      var left = node.allocatable
      let there = pods[node.name] ?? []
      for pod in there {
        for (resource, amount) in pod.requests {
          left[resource, default: .zero] = left[resource, default: .zero] - amount.counted(as: resource)
        }
      }
      // A node that says nothing of pods takes any number, as for a single VM.
      if let slots = left["pods"] { left["pods"] = slots - Amount(Int64(there.count)) }
      free[node.name] = left
    }
    return free
  }

  /// Whether a node has room for what a pod asks.
  static func fits(_ needs: Amounts, _ left: Amounts) -> Bool {
    if let slots = left["pods"], slots < Amount(1) { return false }
    return needs.allSatisfy { resource, amount in
      let wanted = amount.counted(as: resource)
      return wanted <= .zero || wanted <= left[resource] ?? .zero
    }
  }

  /// Whether all find room.
  ///
  /// - Parameter free: What each node has left; nil where that is not known.
  static func verdict(_ movers: [Mover], free: [String: Amounts]?) -> Verdict {
    guard !movers.isEmpty else { return Verdict(withoutRoom: [], text: "nothing on it has to find room") }
    guard let free else {
      return Verdict(withoutRoom: nil, text: "what the other nodes have left is not known")
    }
    let unknown = movers.filter { $0.needs == nil }
    let known = movers.filter { $0.needs != nil }
    let certain = place(known, free: free) { $0.targets }
    let hopeful = place(known, free: free) { $0.targets + $0.unsure }
    if !hopeful.left.isEmpty {
      return Verdict(withoutRoom: hopeful.left.map(\.vm), text: shortage(hopeful, of: movers.count))
    }
    if !unknown.isEmpty {
      return Verdict(
        withoutRoom: nil,
        text: "what \(names(unknown)) \(unknown.count == 1 ? "asks" : "ask") of a node is not known")
    }
    if !certain.left.isEmpty {
      return Verdict(
        withoutRoom: nil, text: "whether \(names(certain.left)) may go where there is room is not known")
    }
    let count = movers.count == 1 ? "its guest" : "all \(movers.count) guests that move"
    return Verdict(withoutRoom: [], text: "room for \(count)")
  }

  private struct Placed {
    /// Those without a place, the largest first.
    var left: [Mover] = []
    /// What is left on each node afterwards.
    var free: [String: Amounts]
  }

  private static func place(
    _ movers: [Mover], free: [String: Amounts], on targets: (Mover) -> [String]
  ) -> Placed {
    var placed = Placed(free: free)
    for mover in movers.sorted(by: isLarger) {
      let needs = mover.needs ?? [:]
      let node = targets(mover).first { placed.free[$0].map { fits(needs, $0) } ?? false }
      guard let node else {
        placed.left.append(mover)
        continue
      }
      var left = placed.free[node] ?? [:]
      for (resource, amount) in needs {
        left[resource] = (left[resource] ?? .zero) - amount.counted(as: resource)
      }
      if let slots = left["pods"] { left["pods"] = slots - Amount(1) }
      placed.free[node] = left
    }
    return placed
  }

  private static func isLarger(_ a: Mover, _ b: Mover) -> Bool {
    for resource in ["memory", "cpu"] {
      let (x, y) = (a.needs?[resource] ?? .zero, b.needs?[resource] ?? .zero)
      if x != y { return x > y }
    }
    return (a.vm.scope.name, a.vm.name) < (b.vm.scope.name, b.vm.name)
  }

  private static func names(_ movers: [Mover]) -> String {
    listed(movers.map { "\($0.vm.scope.name)/\($0.vm.name)" }, most: 4)
  }

  /// What the largest of those without a place needs, and the most that one node would have left of it.
  private static func shortage(_ placed: Placed, of count: Int) -> String {
    guard let first = placed.left.first else { return "" }
    let nodes = first.targets + first.unsure
    let head = "no room for \(placed.left.count) of \(count): \(names(placed.left))"
    guard !nodes.isEmpty else { return head + "; no other node would take \(first.vm.name) at all" }
    var lacks = (first.needs ?? [:]).sorted { $0.key < $1.key }.compactMap { resource, amount -> String? in
      let wanted = amount.counted(as: resource)
      let most = nodes.map { (placed.free[$0]?[resource] ?? .zero, $0) }.max { $0.0 < $1.0 }
      guard let most, wanted > most.0 else { return nil }
      return "it needs \(wanted.words(of: resource)) of \(resource), and at most "
        + "\(max(.zero, most.0).words(of: resource)) would be left (\(most.1))"
    }
    if nodes.allSatisfy({ placed.free[$0]?["pods"].map { $0 < Amount(1) } ?? false }) {
      lacks.append("no node takes one more pod")
    }
    let why = lacks.isEmpty ? "each node lacks something else" : lacks.joined(separator: "; ")
    return "\(head); of \(first.vm.name): \(why)"
  }
}
