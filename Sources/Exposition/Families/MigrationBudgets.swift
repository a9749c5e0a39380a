internal import DroverCore

extension MigrationFamilies {
  /// The time-outs, and the moments at which they are over.
  static let budgets: [Family<MigrationView>] = [
    .gauge(
      "drover_migration_completion_timeout_seconds", unit: .seconds,
      labels: ["set_by", "enforced_by", "action"],
      "Time allowed in all, who set and enforces it, what happens then (KubeVirt completionTimeoutPerGiB, per 10^9 B)."
    ) { view, sink in
      guard let budget = view.completion else { return }
      sink.label("set_by", budget.setBy.rawValue)
      sink.label("enforced_by", budget.enforcedBy.rawValue)
      sink.label("action", budget.action.rawValue)
      sink.sample(budget.timeout)
    },
    .gauge(
      "drover_migration_progress_timeout_seconds", unit: .seconds, labels: ["set_by", "enforced_by"],
      "Time allowed without a fall of the remaining bytes, who set and who enforces it (KubeVirt progressTimeout)."
    ) { view, sink in
      guard let budget = view.progressBudget else { return }
      sink.label("set_by", budget.setBy.rawValue)
      sink.label("enforced_by", budget.enforcedBy.rawValue)
      sink.sample(budget.timeout)
    },
    .gauge(
      "drover_migration_keepalive_timeout_seconds", unit: .seconds, labels: ["method"],
      by: [.libvirt, .kubevirt],
      "Silence of the control connection after which libvirt ends the migration; absent where no keepalive guards it."
    ) { view, sink in
      guard let budget = view.keepalive else { return }
      sink.label("method", budget.method.rawValue)
      sink.sample(budget.timeout)
    },
    .gauge(
      "drover_migration_completion_deadline_timestamp_seconds", unit: .seconds,
      "When the time for the whole migration is used up; absent where no deadline applies in this phase."
    ) { $0.completionDeadline },
    .gauge(
      "drover_migration_progress_deadline_timestamp_seconds", unit: .seconds,
      "When, at the earliest, the time without a fall of the remaining bytes is used up; moves with each fall."
    ) { $0.progressDeadline },
    .gauge(
      "drover_migration_keepalive_deadline_timestamp_seconds", unit: .seconds, by: [.libvirt, .kubevirt],
      "When, at the earliest, libvirt ends the migration if its peer stays silent; moves whenever the peer is heard."
    ) { $0.keepalive?.deadline },
    .gauge(
      "drover_migration_deadline_uncertainty_seconds", unit: .seconds, labels: ["deadline"],
      "How much later than exported a deadline may be; 0 where it is known exactly."
    ) { view, sink in
      if view.completionDeadline != nil {
        sink.label("deadline", "completion")
        sink.sample(view.completion?.uncertainty ?? .zero)
      }
      if view.progressDeadline != nil {
        sink.label("deadline", "progress")
        sink.sample(view.progress?.dropUncertainty ?? .zero)
      }
      if let budget = view.keepalive {
        sink.label("deadline", "keepalive")
        sink.sample(budget.uncertainty)
      }
    },
  ]

  /// When something last moved, and how often nothing did.
  static let progress: [Family<MigrationView>] = [
    .gauge(
      "drover_migration_last_sent_timestamp_seconds", unit: .seconds, "When the bytes sent last grew."
    ) { $0.progress?.lastSent },
    .gauge(
      "drover_migration_last_remaining_drop_timestamp_seconds", unit: .seconds,
      "When the remaining bytes last fell."
    ) { $0.progress?.lastDrop },
    .gauge(
      "drover_migration_last_best_timestamp_seconds", unit: .seconds,
      "When the smallest remaining bytes ever seen were last improved."
    ) { $0.progress?.lastBest },
    .counter(
      "drover_migration_interruptions_total", "Times in which bytes stopped and moved again."
    ) { $0.countersReadAt == nil ? nil : $0.interruptions.count },
    .counter(
      "drover_migration_interrupted_seconds_total", unit: .seconds,
      "Length of all interruptions added up, from last byte to first byte."
    ) { $0.countersReadAt == nil ? nil : $0.interruptions.total },
  ]
}
