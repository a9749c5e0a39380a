internal import DroverCore

extension MigrationFamilies {
  /// What a migration is, and how it does.
  static let description: [Family<MigrationView>] = [
    .info(
      "drover_migration_info",
      labels: [
        "object", "source", "target", "requested_target", "origin", "network", "migration_policy",
      ],
      "What is known of a migration: its object (KubeVirt VMIM), from where, to where, who asked, network, policy."
    ) { view, sink in
      sink.label("object", view.facts.object)
      sink.label("source", view.facts.source)
      sink.label("target", view.facts.target)
      sink.label("requested_target", view.facts.requestedTarget)
      sink.label("origin", view.facts.origin.rawValue)
      sink.label("network", view.facts.network)
      sink.label("migration_policy", view.facts.policy)
      sink.labels(ofVM: view.facts.labels)
      sink.sample(.one)
    },
    .states(
      "drover_migration_phase", label: "phase", stays: true,
      "Phase of the migration; 1 for the phase that holds (QEMU status; libvirt job, domain state; KubeVirt VMIM, VMI)."
    ) { $0.phase },
    .states(
      "drover_migration_verdict", label: "verdict", stays: false,
      "Whether the migration will end by itself, judged in pre-copy; 1 for the verdict that holds."
    ) { $0.verdict.kind },
    .states(
      "drover_migration_vm_running", label: "on", stays: true,
      "Where the guest runs; 1 for the place that holds (QEMU query-status, libvirt domain state, KubeVirt VMI)."
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

  /// What a migration waits for before it starts.
  static let waiting: [Family<MigrationView>] = [
    .gauge(
      "drover_migration_pending_reason", labels: ["reason"], by: [.kubevirt],
      "Why a migration waits, 1 for the reason (KubeVirt VMIM conditions, target pod, slots); absent where it does not."
    ) { view, sink in
      guard let wait = view.waiting else { return }
      sink.label("reason", wait.reason.rawValue)
      sink.sample(.one)
    },
    .gauge(
      "drover_migration_queue_position", by: [.kubevirt],
      "Place in the queue for a slot, 1 for the next (KubeVirt VMIM spec.priority, creationTimestamp)."
    ) { $0.waiting?.position },
  ]

  /// When things happened to a migration.
  static let times: [Family<MigrationView>] = [
    .gauge(
      "drover_migration_created_timestamp_seconds", unit: .seconds, by: [.kubevirt], stays: true,
      "When the migration was asked for (KubeVirt VMIM creationTimestamp)."
    ) { $0.createdAt },
    .gauge(
      "drover_migration_start_timestamp_seconds", unit: .seconds, stays: true,
      "When it started (QEMU total-time, libvirt time_elapsed, counted back; KubeVirt VMI startTimestamp)."
    ) { $0.hasStarted ? $0.startedAt : nil },
    .gauge(
      "drover_migration_end_timestamp_seconds", unit: .seconds, stays: true,
      "When the migration ended (KubeVirt VMI endTimestamp); after the end."
    ) { $0.ending?.endedAt },
    .gauge(
      "drover_migration_phase_entered_timestamp_seconds", unit: .seconds, stays: true,
      "When the present phase was entered."
    ) { $0.phaseEnteredAt },
    .gauge(
      "drover_migration_sample_timestamp_seconds", unit: .seconds,
      "When the counters were read: the source's last answer, or the time of the sample (KubeVirt virt-handler)."
    ) { $0.countersReadAt },
    .gauge(
      "drover_migration_expected_end_timestamp_seconds", unit: .seconds,
      "When the present trend ends the migration; only with the verdicts converging and slow."
    ) { $0.verdict.expectedEnd },
  ]
}
