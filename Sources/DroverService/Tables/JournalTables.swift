extension MigrationTables {
  /// `drover history`: one line for each migration, in the order given, as wide as it needs to be.
  public func history(_ items: [HistoryItem]) -> String {
    guard !items.isEmpty else { return "No migrations.\n" }
    return text(
      TextTable(
        columns: [
          .init(title: "STARTED"), .init(title: "VM"), .init(title: "OUTCOME"), .init(title: "CAUSE"),
          .init(title: "TOOK", alignRight: true), .init(title: "SENT", alignRight: true),
          .init(title: "LEAST LEFT", alignRight: true), .init(title: "DOWNTIME", alignRight: true),
          .init(title: "FROM"), .init(title: "TO"), .init(title: "ORIGIN"), .init(title: "ID"),
        ],
        rows: items.map { item in
          .init(cells: [
            .init(item.startedAt.toSecond), .init("\(item.namespace ?? item.host ?? "")/\(item.vm)"),
            outcome(item), .init(item.cause.map(Words.plain) ?? "-"),
            .init(item.durationSeconds.map(Words.duration) ?? "-"),
            .init(item.transferredBytes.map(Words.size) ?? "-"),
            .init(item.bestRemainingBytes.map(Words.size) ?? "-"),
            .init(item.downtimeSeconds.map(Words.duration) ?? "-"),
            .init(item.source.isEmpty ? "-" : item.source), .init(item.target.isEmpty ? "-" : item.target),
            .init(Words.plain(item.origin)), .init(item.id),
          ])
        }))
  }

  /// `drover decisions`: a line for each decision and its words below, in the order given.
  public func decisions(_ items: [DecisionItem]) -> String {
    guard !items.isEmpty else { return "No decisions.\n" }
    return text(
      TextTable(
        columns: [
          .init(title: "ID", alignRight: true), .init(title: "MADE"), .init(title: "ACTION"),
          .init(title: "ABOUT"), .init(title: "DECISION"), .init(title: "WHY"), .init(title: "RESULT"),
          .init(title: "ASKED BY"), .init(title: "MIGRATION"),
        ],
        rows: items.map { item in
          // What an alert calls it, where there is no such migration.
          let told = item.evidence.first { $0.name == "alert_vm" }?.value
          let vm = item.vm.map { "\(item.namespace ?? item.host ?? "")/\($0)" } ?? told
          let words = item.text + (item.resultText.map { "; \($0)" } ?? "")
          return .init(
            cells: [
              .init("\(item.id)"), .init(item.madeAt.toSecond), .init(Words.plain(item.action)),
              .init(vm ?? item.node ?? "-"), decision(item), .init(item.refusal.map(Words.plain) ?? "-"),
              result(item),
              .init(item.requester.isEmpty ? Words.plain(item.trigger) : item.requester),
              .init(item.migration ?? "-"),
            ], remark: words.isEmpty ? nil : .init(words, .dim))
        }))
  }

  /// What became of it; of what was not done, how the migration ended without it.
  private func result(_ item: DecisionItem) -> TextTable.Cell {
    if let result = item.result { return .init(Words.plain(result), result == "error" ? .red : .none) }
    guard item.kind != "acted", let outcome = item.migrationOutcome else { return .init("-") }
    let later = item.migrationEndedAt.map { $0.seconds(since: item.madeAt) }.map {
      $0 > 0 ? " \(Words.duration($0)) later" : ""
    }
    return .init("it \(outcome == "aborted" ? "was aborted" : outcome)\(later ?? "")")
  }

  private func outcome(_ item: HistoryItem) -> TextTable.Cell {
    switch item.outcome {
    case nil: .init(item.endedAt == nil ? "open" : "unseen", item.endedAt == nil ? .none : .yellow)
    case "succeeded": .init("succeeded", .green)
    case "aborted": .init("aborted", .yellow)
    case let outcome?: .init(Words.plain(outcome), .red)
    }
  }

  private func decision(_ item: DecisionItem) -> TextTable.Cell {
    switch item.kind {
    case "acted": .init("acted", .green)
    case "refused", "held": .init(item.kind, .yellow)
    default: .init(Words.plain(item.kind))
    }
  }

  private func text(_ table: TextTable) -> String {
    var unlimited = style
    unlimited.width = nil
    return table.lines(unlimited).joined(separator: "\n") + "\n"
  }
}

extension Timestamp {
  /// Date and time to the second: `2026-11-23 17:00:00`.
  fileprivate var toSecond: String { String(description.prefix(19)).replacing("T", with: " ") }
}
