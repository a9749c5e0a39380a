internal import DroverCore

/// What the families read that have no series for each migration.
struct Fleet: Sendable {
  /// A VM of which something is shown.
  struct Shown {
    /// Where it is in the snapshot.
    ///
    /// What is asked of it is read there: a copy of the VM counts references to all that it refers to, which for ten
    /// thousand takes longer than to write their series.
    var index: Int
    /// Whether the setting `metrics.vms` lets it be shown what speaks against migrating it.
    var showsMigratability: Bool
  }

  let snapshot: FleetSnapshot
  let context: RenderContext
  /// In the order of the snapshot.
  let shown: [Shown]

  init(_ snapshot: FleetSnapshot, in context: RenderContext) {
    self.snapshot = snapshot
    self.context = context
    var shown: [Shown] = []
    for index in snapshot.vms.indices {
      let isMeant =
        switch context.vms {
        case .all: true
        case .blocked: Self.isBlocked(snapshot.vms[index].drainOutcome, snapshot.vms[index].blockers)
        case .none: false
        }
      if isMeant || snapshot.vms[index].consecutiveFailures > 0 {
        shown.append(Shown(index: index, showsMigratability: isMeant))
      }
    }
    self.shown = shown
  }

  /// Whether a VM blocks a drain of its node, or would be shut down by one.
  private static func isBlocked(_ drainOutcome: DrainOutcome?, _ blockers: [NotMigratableReason]?) -> Bool {
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
