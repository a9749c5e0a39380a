internal import DroverCore

extension MigrationFamilies {
  /// What a migration is, and how it does.
  static let description: [Family<MigrationView>] = [
    .info(
      "drover_migration_info", labels: ["source", "target", "origin"],
      "What is known of a migration: from where, to where, and who asked for it."
    ) { view, sink in
      sink.label("source", view.facts.source)
      sink.label("target", view.facts.target)
      sink.label("origin", view.facts.origin.rawValue)
      sink.sample(.one)
    },
    .states(
      "drover_migration_phase", label: "phase", stays: true,
      "Phase of the migration; 1 for the phase that holds (QEMU query-migrate status; libvirt job and domain state)."
    ) { $0.phase },
    .states(
      "drover_migration_verdict", label: "verdict", stays: false,
      "Whether the migration will end by itself, judged in pre-copy; 1 for the verdict that holds."
    ) { $0.verdict.kind },
    .states(
      "drover_migration_vm_running", label: "on", stays: true,
      "Where the guest runs; 1 for the place that holds (QEMU query-status, libvirt virDomainGetState, on each end)."
    ) { $0.guest },
    .info(
      "drover_migration_outcome_info", labels: ["outcome", "cause", "certainty"],
      "How a migration ended, why, and whether the source said so or it was inferred; after the end."
    ) { view, sink in
      guard let ending = view.ending else { return }
      sink.label("outcome", ending.outcome.rawValue)
      if let cause = ending.cause { sink.label("cause", cause.rawValue) }
      sink.label("certainty", ending.certainty.rawValue)
      sink.sample(.one)
    },
  ]

  /// When things happened to a migration.
  static let times: [Family<MigrationView>] = [
    .gauge(
      "drover_migration_start_timestamp_seconds", unit: .seconds, stays: true,
      "When the migration started (QEMU total-time, libvirt time_elapsed, counted back)."
    ) { $0.startedAt },
    .gauge(
      "drover_migration_end_timestamp_seconds", unit: .seconds, stays: true,
      "When the migration ended; after the end."
    ) { $0.ending?.endedAt },
    .gauge(
      "drover_migration_phase_entered_timestamp_seconds", unit: .seconds, stays: true,
      "When the present phase was entered."
    ) { $0.phaseEnteredAt },
    .gauge(
      "drover_migration_sample_timestamp_seconds", unit: .seconds, "When the source last answered."
    ) { $0.sampledAt },
    .gauge(
      "drover_migration_expected_end_timestamp_seconds", unit: .seconds,
      "When the present trend ends the migration; only with the verdicts converging and slow."
    ) { $0.verdict.expectedEnd },
  ]
}
