/// VMs and nodes, kept so that neither a scrape nor a change walks all of them.
struct Inventory: Sendable {
  /// A VM's name can stand for several entries: both ends of a migration on one host have the same.
  private struct Named {
    /// One nearly always, and a dictionary of one is large.
    var entries: [VMKey] = []
    var consecutiveFailures: UInt64 = 0
  }

  /// An observation without its key, which it is found by.
  private struct Place: Equatable {
    let vm: VMRef
    let node: String
    let blockers: [NotMigratableReason]?
    let targets: UInt64?
    let drainOutcome: DrainOutcome?
  }

  private var places: [VMKey: Place] = [:]
  private var names: [VMRef: Named] = [:]
  /// All VMs, in the order of `isBefore`.
  private(set) var vms: [VMView] = []
  var nodes = NodeTable()
  /// How fast VMs dirty their memory; apart from `vms`, since most are never measured.
  private(set) var dirtyRates: [VMRef: BytesPerSecond] = [:]

  mutating func insert(_ vm: VMObservation) {
    let place = Place(
      vm: vm.vm, node: vm.node, blockers: vm.blockers, targets: vm.targets, drainOutcome: vm.drainOutcome)
    let before = places.updateValue(place, forKey: vm.key)
    guard before != place else { return }
    if before?.node != vm.node {
      if let before { nodes.adjust(\.vms, of: before.node, vm.key.backend, by: -1) }
      nodes.adjust(\.vms, of: vm.node, vm.key.backend, by: +1)
    }
    if before?.vm != vm.vm {
      if let before { removeEntry(vm.key, of: before.vm) }
      names[vm.vm, default: Named()].entries.append(vm.key)
    }
    show(vm.vm)
  }

  /// Takes how fast a VM dirties its memory; of several entries of one name the last that was told counts.
  mutating func setDirtyRate(_ rate: BytesPerSecond?, of key: VMKey) {
    if let vm = places[key]?.vm { dirtyRates[vm] = rate }
  }

  func vm(of key: VMKey) -> VMRef? { places[key]?.vm }

  mutating func remove(_ key: VMKey) {
    guard let vm = places.removeValue(forKey: key) else { return }
    removeEntry(key, of: vm.vm)
    nodes.adjust(\.vms, of: vm.node, key.backend, by: -1)
  }

  mutating func remove(_ backend: BackendName) {
    places = places.filter { $0.key.backend != backend }
    names = names.filter { $0.key.backend != backend }
    vms.removeAll { $0.vm.backend == backend }
    dirtyRates = dirtyRates.filter { $0.key.backend != backend }
    nodes.remove(backend)
  }

  // MARK: Migrations

  /// Counts an open migration at its nodes, or with `n` = -1 no longer.
  mutating func count(_ view: MigrationView, by n: Int) {
    guard !view.isOver else { return }
    let vm = view.identity.vm
    guard view.phase != .pending else {
      return nodes.adjust(\.pending, of: view.facts.source, vm.backend, by: n)
    }
    nodes.adjust(\.outbound, of: view.facts.source, vm.backend, by: n)
    nodes.adjust(\.inbound, of: Self.arrivalNode(of: view), vm.backend, by: n)
  }

  /// Where it arrives; empty where that is told by itself: a host tells its own arrivals, and of a migration between
  /// clusters, whose nodes may have the same names, the receiver does.
  private static func arrivalNode(of view: MigrationView) -> String {
    guard case .namespace = view.identity.vm.scope, view.facts.origin != .decentralized else { return "" }
    return view.facts.target
  }

  mutating func countInbound(_ arrival: InboundObservation?, by n: Int) {
    guard let arrival, arrival.isActive else { return }
    nodes.adjust(\.inbound, of: arrival.host, arrival.vm.backend, by: n)
  }

  mutating func countEnd(of view: MigrationView, ending: Ending) {
    let vm = view.identity.vm
    if ending.outcome == .failed {
      nodes.adjust(\.failedOutbound, of: view.facts.source, vm.backend, by: 1)
      nodes.adjust(\.failedInbound, of: Self.arrivalNode(of: view), vm.backend, by: 1)
    }
    noteEnd(of: vm, ending.outcome)
  }

  /// Takes the end of a migration into what is known of its VM, also one that counts nowhere.
  mutating func noteEnd(of vm: VMRef, _ outcome: Outcome) {
    switch outcome {
    case .succeeded: names[vm]?.consecutiveFailures = 0
    case .aborted: return
    // Only for VMs that are there: nothing would ever forget the others.
    case .failed: names[vm]?.consecutiveFailures += 1
    }
    if names[vm] != nil { show(vm) }
  }

  private mutating func removeEntry(_ key: VMKey, of vm: VMRef) {
    names[vm]?.entries.removeAll { $0 == key }
    if names[vm]?.entries.isEmpty ?? false {
      names[vm] = nil
      dirtyRates[vm] = nil
    }
    show(vm)
  }

  /// Brings what is shown of one name up to date.
  private mutating func show(_ vm: VMRef) {
    let place = place(of: vm)
    let isThere = place < vms.endIndex && vms[place].vm == vm
    guard let named = names[vm] else {
      if isThere { vms.remove(at: place) }
      return
    }
    let first = named.entries.first.flatMap { places[$0] }
    let view = VMView(
      vm: vm, node: first?.node ?? "", blockers: Self.joined(named.entries.map { places[$0]?.blockers }),
      targets: first?.targets, consecutiveFailures: named.consecutiveFailures,
      drainOutcome: first?.drainOutcome)
    if !isThere {
      vms.insert(view, at: place)
    } else if vms[place] != view {
      vms[place] = view
    }
  }

  /// Where the VM is in `vms`, or belongs.
  private func place(of vm: VMRef) -> Int {
    var low = vms.startIndex
    var high = vms.endIndex
    while low < high {
      let middle = (low + high) / 2
      if Self.isBefore(vms[middle].vm, vm) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private static func isBefore(_ a: VMRef, _ b: VMRef) -> Bool {
    (a.backend.rawValue, a.scope.name, a.name, isHost(a)) < (
      b.backend.rawValue, b.scope.name, b.name, isHost(b)
    )
  }

  private static func isHost(_ vm: VMRef) -> Int {
    if case .host = vm.scope { 1 } else { 0 }
  }

  /// What speaks against any of the entries; nil where nothing is known of any.
  private static func joined(_ entries: some Sequence<[NotMigratableReason]?>) -> [NotMigratableReason]? {
    var all: Set<NotMigratableReason> = []
    var isKnown = false
    for case let blockers? in entries {
      isKnown = true
      all.formUnion(blockers)
    }
    return isKnown ? NotMigratableReason.allCases.filter(all.contains) : nil
  }
}
