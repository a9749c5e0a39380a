/// VMs and nodes, kept so that neither a scrape nor a change walks all of them.
struct Inventory: Sendable {

  /// A VM's name can stand for several entries: both ends of a migration on one host have the same.
  private struct Named {
    var entries: [VMKey: [NotMigratableReason]?] = [:]
    var consecutiveFailures: UInt64 = 0
  }

  private var places: [VMKey: VMObservation] = [:]
  private var names: [VMRef: Named] = [:]
  private(set) var nodes: [NodeView] = []
  private var shown: [VMView]?

  mutating func prepareNode(_ node: String, of backend: BackendName) { _ = index(of: node, backend) }

  mutating func insert(_ vm: VMObservation) {
    if let before = places[vm.key] {
      guard before != vm else { return }
      // Its failures are remembered by name, so the name must not be forgotten in between.
      if before.vm != vm.vm || before.node != vm.node { remove(vm.key) }
    }
    if places.updateValue(vm, forKey: vm.key) == nil { nodes[index(of: vm.node, vm.key.backend)].vms += 1 }
    names[vm.vm, default: Named()].entries[vm.key] = .some(vm.blockers)
    shown = nil
  }

  mutating func remove(_ key: VMKey) {
    guard let vm = places.removeValue(forKey: key) else { return }
    names[vm.vm]?.entries[key] = nil
    forgetIfGone(vm.vm)
    nodes[index(of: vm.node, key.backend)].vms -= 1
    shown = nil
  }

  mutating func remove(_ backend: BackendName) {
    places = places.filter { $0.key.backend != backend }
    names = names.filter { $0.key.backend != backend }
    nodes.removeAll { $0.backend == backend }
    shown = nil
  }

  mutating func countOutbound(of view: MigrationView, by n: Int) {
    guard !view.facts.source.isEmpty else { return }
    adjust(\.outbound, of: view.facts.source, view.identity.vm.backend, by: n)
  }

  mutating func countInbound(_ arrival: InboundObservation?, by n: Int) {
    guard let arrival, arrival.isActive else { return }
    adjust(\.inbound, of: arrival.host, arrival.vm.backend, by: n)
  }

  mutating func countEnd(of view: MigrationView, ending: Ending) {
    let vm = view.identity.vm
    switch ending.outcome {
    case .succeeded: names[vm]?.consecutiveFailures = 0
    case .aborted: break
    case .failed:
      // Only for VMs that are there: nothing would ever forget the others.
      names[vm]?.consecutiveFailures += 1
      if !view.facts.source.isEmpty { adjust(\.failedOutbound, of: view.facts.source, vm.backend, by: 1) }
    }
    shown = nil
  }

  /// All VMs, the worst entry where several share a name; sorted by name.
  mutating func vms() -> [VMView] {
    if let shown { return shown }
    let views = names.map { vm, named in
      VMView(
        vm: vm, blockers: Self.worst(named.entries.values), consecutiveFailures: named.consecutiveFailures)
    }
    .sorted {
      ($0.vm.backend.rawValue, $0.vm.scope.name, $0.vm.name) < (
        $1.vm.backend.rawValue, $1.vm.scope.name, $1.vm.name
      )
    }
    shown = views
    return views
  }

  private static func worst(_ entries: some Sequence<[NotMigratableReason]?>) -> [NotMigratableReason]? {
    var all: Set<NotMigratableReason> = []
    var isKnown = false
    for case let blockers? in entries {
      isKnown = true
      all.formUnion(blockers)
    }
    return isKnown ? NotMigratableReason.allCases.filter(all.contains) : nil
  }

  private mutating func forgetIfGone(_ vm: VMRef) {
    if names[vm]?.entries.isEmpty ?? false { names[vm] = nil }
  }

  private mutating func adjust(
    _ field: WritableKeyPath<NodeView, UInt64>, of node: String, _ backend: BackendName, by n: Int
  ) {
    let index = index(of: node, backend)
    let value = nodes[index][keyPath: field]
    nodes[index][keyPath: field] = n < 0 ? value - min(value, UInt64(n.magnitude)) : value + UInt64(n)
  }

  private mutating func index(of node: String, _ backend: BackendName) -> Int {
    if let index = nodes.firstIndex(where: { $0.backend == backend && $0.node == node }) { return index }
    nodes.append(NodeView(backend: backend, node: node, vms: 0, outbound: 0, inbound: 0, failedOutbound: 0))
    nodes.sort { ($0.backend.rawValue, $0.node) < ($1.backend.rawValue, $1.node) }
    return nodes.firstIndex { $0.backend == backend && $0.node == node } ?? nodes.endIndex - 1
  }
}
