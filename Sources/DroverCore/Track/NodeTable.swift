/// Nodes and what is counted at them.
struct NodeTable: Sendable {
  /// For so long the state of a node is believed.
  static let longestAge = Duration.seconds(30)

  private struct Name: Hashable {
    let backend: BackendName
    let node: String
  }

  /// All nodes that there are, by back end and name.
  private(set) var views: [NodeView] = []
  /// Nodes that are no longer there: what was on them still ends, and some come back.
  private var gone: [Name: NodeView] = [:]
  /// Back ends that have answered.
  private var answered: Set<BackendName> = []

  mutating func prepare(_ node: String, of backend: BackendName) {
    if !node.isEmpty { _ = index(of: node, backend) }
  }

  /// Remembers that a back end has told all that it watches.
  mutating func takeAnswer(of backend: BackendName) {
    guard answered.insert(backend).inserted else { return }
    for index in views.indices where views[index].backend == backend { views[index].isCounted = true }
  }

  mutating func take(_ state: NodeObservation, at now: Moment) {
    let index = index(of: state.node, state.backend)
    views[index].state = state
    views[index].isStale = Self.isStale(state, at: now)
  }

  mutating func remove(_ node: String, of backend: BackendName) {
    let (index, isThere) = place(of: node, backend)
    guard isThere else { return }
    var view = views.remove(at: index)
    view.state = nil
    gone[Name(backend: backend, node: node)] = view
  }

  mutating func remove(_ backend: BackendName) {
    views.removeAll { $0.backend == backend }
    gone = gone.filter { $0.key.backend != backend }
    answered.remove(backend)
  }

  /// Shows Drover's own drains, and no others; a node that is only drained is there, too.
  ///
  /// - Parameter isStale: Whether what a back end tells of a host by itself is too old.
  mutating func show(_ drains: [DrainStatus], isStale: (BackendName) -> Bool) {
    for index in views.indices where views[index].ownDrain != nil {
      views[index].ownDrain = nil
      if views[index].state == nil { views[index].isStale = false }
    }
    for drain in drains {
      let node = drain.record.node
      // A node that its cluster has lost does not come back for a drain that is over.
      guard drain.record.state.isInForce || place(of: node.node, node.backend).isThere else { continue }
      let index = index(of: node.node, node.backend)
      views[index].ownDrain = drain
      if views[index].state == nil { views[index].isStale = isStale(node.backend) }
    }
  }

  /// Marks nodes whose state nobody has renewed.
  mutating func age(at now: Moment) {
    for index in views.indices {
      guard let state = views[index].state else { continue }
      let isStale = Self.isStale(state, at: now)
      if views[index].isStale != isStale { views[index].isStale = isStale }
    }
  }

  /// A node that nothing empties is told only when something changes.
  private static func isStale(_ state: NodeObservation, at now: Moment) -> Bool {
    state.drain.isPerishable && now - state.takenAt > longestAge
  }

  mutating func adjust(
    _ field: WritableKeyPath<NodeView, UInt64>, of node: String, _ backend: BackendName, by n: Int
  ) {
    guard !node.isEmpty else { return }
    func adjusted(_ value: UInt64) -> UInt64 {
      n < 0 ? value - min(value, UInt64(n.magnitude)) : value + UInt64(n)
    }
    let name = Name(backend: backend, node: node)
    if let value = gone[name]?[keyPath: field] {
      gone[name]?[keyPath: field] = adjusted(value)
    } else {
      let index = index(of: node, backend)
      views[index][keyPath: field] = adjusted(views[index][keyPath: field])
    }
  }

  /// Where the node is in `views`; one that was not there is now.
  private mutating func index(of node: String, _ backend: BackendName) -> Int {
    let (index, isThere) = place(of: node, backend)
    if !isThere {
      let before = gone.removeValue(forKey: Name(backend: backend, node: node))
      var view =
        before ?? NodeView(backend: backend, node: node, vms: 0, outbound: 0, inbound: 0, failedOutbound: 0)
      view.isCounted = answered.contains(backend)
      views.insert(view, at: index)
    }
    return index
  }

  /// Where the node is in `views`, or belongs.
  private func place(of node: String, _ backend: BackendName) -> (index: Int, isThere: Bool) {
    var low = views.startIndex
    var high = views.endIndex
    while low < high {
      let middle = (low + high) / 2
      let isBefore = (views[middle].backend, views[middle].node) < (backend, node)
      if isBefore { low = middle + 1 } else { high = middle }
    }
    let isThere = low < views.endIndex && views[low].backend == backend && views[low].node == node
    return (low, isThere)
  }
}
