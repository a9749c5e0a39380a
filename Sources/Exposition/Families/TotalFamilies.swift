internal import DroverCore

extension FleetFamilies {
  /// Counters and histograms of all migrations since the start.
  static let totals: [Family<Fleet>] = [
    origins(
      "drover_migrations_started_total", "Migrations whose copy could begin."
    ) { $0.started },
    origins(
      "drover_migrations_succeeded_total", "Migrations that succeeded."
    ) { $0.succeeded },
    causes(
      "drover_migrations_failed_total", "Migrations that failed, also those that never started."
    ) { $0.failed },
    causes(
      "drover_migrations_aborted_total",
      "Migrations that somebody had aborted, also those that never started."
    ) { $0.aborted },
    histogram(
      "drover_migration_duration_seconds", unit: .seconds,
      "Time from start to end (QEMU total-time; libvirt time_elapsed; KubeVirt VMI startTimestamp, endTimestamp)."
    ) { $0.duration },
    histogram(
      "drover_migration_final_downtime_seconds", unit: .seconds, by: .hosts,
      "Downtime that was measured when migrations ended (QEMU downtime; libvirt downtime)."
    ) { $0.downtime },
    histogram(
      "drover_migration_sent_bytes", unit: .bytes,
      "Bytes sent by migrations that ended, repeats included; the last that were read where the end tells none (KubeVirt)."
    ) { $0.sentBytes },
  ]

  private static func origins(
    _ name: String, _ help: String, counts: @escaping @Sendable (FleetTotals) -> [OriginCount]
  ) -> Family<Fleet> {
    Family(
      name, .counter, part: .migrations, labels: ["backend", "origin"], filledBy: .all, help
    ) { fleet, sink in
      for count in counts(fleet.snapshot.totals) {
        sink.label(count.backend)
        sink.label("origin", count.origin.rawValue)
        sink.sample(count.count)
      }
    }
  }

  private static func causes(
    _ name: String, _ help: String, counts: @escaping @Sendable (FleetTotals) -> [CauseCount]
  ) -> Family<Fleet> {
    Family(
      name, .counter, part: .migrations, labels: ["backend", "origin", "cause"], filledBy: .all, help
    ) { fleet, sink in
      for count in counts(fleet.snapshot.totals) {
        sink.label(count.backend)
        sink.label("origin", count.origin.rawValue)
        sink.label("cause", count.cause.rawValue)
        sink.sample(count.count)
      }
    }
  }

  private static func histogram(
    _ name: String, unit: FamilyUnit, by fillers: [Filler] = .all, _ help: String,
    of part: @escaping @Sendable (OutcomeHistograms) -> Histogram
  ) -> Family<Fleet> {
    Family(
      name, .histogram, unit: unit, part: .migrations, labels: ["backend", "outcome"], filledBy: fillers,
      help
    ) { fleet, sink in
      for outcome in fleet.snapshot.totals.outcomes {
        emit(part(outcome), to: &sink) { sink in
          sink.label(outcome.backend)
          sink.label("outcome", outcome.outcome.rawValue)
        }
      }
    }
  }

  /// Writes the buckets, the sum and the count of one series.
  static func emit(
    _ histogram: Histogram, to sink: inout SampleSink, labels: (inout SampleSink) -> Void
  ) {
    var cumulative: UInt64 = 0
    for (index, count) in histogram.counts.enumerated() {
      cumulative &+= count
      sink.open(suffix: "_bucket")
      labels(&sink)
      sink.label(bound: index < histogram.bounds.count ? histogram.bounds[index] : .infinity)
      sink.sample(cumulative)
    }
    sink.open(suffix: "_sum")
    labels(&sink)
    sink.sample(histogram.sum)
    sink.open(suffix: "_count")
    labels(&sink)
    sink.sample(cumulative)
  }
}
