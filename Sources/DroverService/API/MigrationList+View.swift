public import DroverCore

extension MigrationList {
  /// Shows every migration of a snapshot.
  ///
  /// - Parameter labels: Labels of VMs that are shown.
  public init(
    _ snapshot: FleetSnapshot, epochOffset: EpochOffset, now: Moment, labels: Set<String> = []
  ) {
    let documented = snapshot.documentedBudgets
    self.init(
      snapshot.migrations.map {
        MigrationItem(
          $0, epochOffset: epochOffset, now: now, documented: documented[$0.identity.vm.backend],
          labels: labels)
      },
      backends: BackendItem.all(of: snapshot, epochOffset: epochOffset, now: now))
  }
}

extension BackendItem {
  static func all(of snapshot: FleetSnapshot, epochOffset: EpochOffset, now: Moment) -> [BackendItem] {
    snapshot.backends.map { backend in
      BackendItem(
        name: backend.descriptor.name.rawValue, type: backend.descriptor.type, isUp: backend.isUp,
        lastSuccessAt: backend.lastSuccess.map { Timestamp($0, epochOffset) },
        downSince: backend.downSince.map { Timestamp($0, epochOffset) },
        problem: backend.problem.map(printable),
        slots: backend.slots.map(Slots.init), asOf: Timestamp(now, epochOffset))
    }
  }
}

extension Slots {
  init(_ slots: SlotUse) { self.init(used: slots.used, limit: slots.limit) }
}

extension FleetSnapshot {
  /// The figures that each back end is configured with.
  var documentedBudgets: [BackendName: BudgetSettings] {
    Dictionary(backends.map { ($0.descriptor.name, $0.descriptor.budget) }) { $1 }
  }
}
