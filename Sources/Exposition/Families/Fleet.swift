internal import DroverCore

/// What the families read that have no series for each migration.
struct Fleet: Sendable {
  let snapshot: FleetSnapshot
  let context: RenderContext
  /// The VMs of which something is shown.
  let vms: [VMView]

  init(_ snapshot: FleetSnapshot, in context: RenderContext) {
    self.snapshot = snapshot
    self.context = context
    vms =
      context.vms == .all
      ? snapshot.vms : snapshot.vms.filter { $0.isBlocked || $0.consecutiveFailures > 0 }
  }

  /// Whether the setting `metrics.vms` lets it be shown what speaks against migrating a VM.
  func showsMigratability(of vm: VMView) -> Bool {
    switch context.vms {
    case .all: true
    case .blocked: vm.isBlocked
    case .none: false
    }
  }
}

extension VMView {
  /// Whether it blocks a drain of its node, or would be shut down by one.
  var isBlocked: Bool {
    switch drainOutcome {
    case .blocks, .willBeShutDown: true
    // What is only not known of ten thousand VMs, for want of a right, would not be found among them.
    case .migrates, nil: blockers?.contains { $0 != .unknown } == true
    }
  }
}

extension SampleSink {
  mutating func label(_ backend: BackendName) { label("backend", backend.rawValue) }

  mutating func labels(_ vm: VMRef) {
    label(vm.backend)
    label(vm.scope.label, vm.scope.name)
    label("vm", vm.name)
  }
}

/// The forms that families of the fleet come in.
extension Family<Fleet> {
  /// One number without labels.
  static func one(
    _ name: String, _ kind: FamilyKind, unit: FamilyUnit? = nil, _ help: String,
    value: @escaping @Sendable (Fleet) -> (some SampleConvertible)?
  ) -> Self {
    Family(name, kind, unit: unit, part: .exporter, labels: [], filledBy: [.drover], help) { fleet, sink in
      sink.sample(value(fleet))
    }
  }
}

/// Every family, in the order of a scrape.
enum FleetFamilies {
  static let all = totals + vms + nodes + drains + slots + backends + control + journal + exporter + process
}
