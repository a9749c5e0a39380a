internal import DroverCore

/// What the families read that have no series for each migration.
struct Fleet: Sendable {
  let snapshot: FleetSnapshot
  let context: RenderContext
  /// One entry for each name: the snapshot lists VMs that share one worst first.
  let vms: [VMView]

  init(_ snapshot: FleetSnapshot, in context: RenderContext) {
    self.snapshot = snapshot
    self.context = context
    guard context.vms != .none else {
      vms = []
      return
    }
    var names: Set<VMRef> = []
    vms = snapshot.vms.filter { vm in
      (context.vms == .all || vm.isBlocked || vm.consecutiveFailures > 0) && names.insert(vm.vm).inserted
    }
  }
}

extension VMView {
  var isBlocked: Bool { blockers?.isEmpty == false }
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
  static let all = totals + vms + nodes + backends + exporter + process
}
