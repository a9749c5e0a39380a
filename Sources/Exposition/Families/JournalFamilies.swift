internal import DroverCore

extension FleetFamilies {
  /// Whether what is decided can be recorded.
  static let journal: [Family<Fleet>] = [
    Family(
      "drover_journal_errors_total", .counter, part: .exporter, labels: ["kind"], filledBy: [.drover],
      "Calls to the journal that failed; while they do, nothing is ended by itself. Absent without a journal."
    ) { fleet, sink in
      guard let errors = fleet.context.journalErrors else { return }
      for kind in JournalError.Kind.allCases {
        sink.label("kind", kind.rawValue)
        sink.sample(errors[kind] ?? 0)
      }
    }
  ]
}
