internal import DroverCore

extension FleetFamilies {
  /// What was decided about aborts, and what became of them.
  static let control: [Family<Fleet>] = [
    .one(
      "drover_leader", .gauge,
      "Whether this Drover acts and speaks for the fleet; 1 where there is no election."
    ) { $0.context.isLeader },
    Family(
      "drover_abort_decisions_total", .counter, part: .exporter, labels: ["trigger", "decision"],
      filledBy: [.drover], "Decisions about aborts, by who or what asked."
    ) { fleet, sink in
      guard let totals = fleet.context.control else { return }
      for trigger in Trigger.allCases {
        for kind in DecisionKind.allCases {
          sink.label("trigger", trigger.rawValue)
          sink.label("decision", kind.rawValue)
          sink.sample(totals.decisions[ControlTotals.Key(trigger, kind)] ?? 0)
        }
      }
    },
    Family(
      "drover_aborts_total", .counter, part: .exporter, labels: ["trigger", "result"], filledBy: [.drover],
      "Aborts that were sent, by what became of the migration."
    ) { fleet, sink in
      guard let totals = fleet.context.control else { return }
      for trigger in Trigger.allCases {
        for result in ControlTotals.results {
          sink.label("trigger", trigger.rawValue)
          sink.label("result", result.rawValue)
          sink.sample(totals.aborts[ControlTotals.ResultKey(trigger, result)] ?? 0)
        }
      }
    },
    Family(
      "drover_abort_latency_seconds", .histogram, unit: .seconds, part: .exporter,
      labels: ["trigger", "result"],
      filledBy: [.drover], "Time from the decision to abort until the migration was over."
    ) { fleet, sink in
      guard let totals = fleet.context.control else { return }
      for trigger in Trigger.allCases {
        for result in ControlTotals.results {
          guard let histogram = totals.latencies[ControlTotals.ResultKey(trigger, result)] else { continue }
          emit(histogram, to: &sink) { sink in
            sink.label("trigger", trigger.rawValue)
            sink.label("result", result.rawValue)
          }
        }
      }
    },
  ]
}
