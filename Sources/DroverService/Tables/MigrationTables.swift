/// Migrations as text for a terminal or a file.
public struct MigrationTables: Sendable {
  let style: TerminalStyle

  /// Draws for a terminal.
  public init(_ style: TerminalStyle) { self.style = style }

  /// `drover list`: one line for each migration, in the order given, as wide as it needs to be.
  ///
  /// The identifier comes last and is never shortened, so that it can be copied.
  public func list(_ items: [MigrationItem]) -> String {
    guard !items.isEmpty else { return "No migrations.\n" }
    let table = TextTable(
      columns: [
        .init(title: "VM"), .init(title: "PHASE"), .init(title: "VERDICT"),
        .init(title: "PROGRESS", alignRight: true),
        .init(title: "REMAINING", alignRight: true), .init(title: "RATE", alignRight: true),
        .init(title: "DEADLINE"), .init(title: "AGE"), .init(title: "ID"),
      ],
      rows: items.map { item in
        let verdict =
          item.isOver
          ? item.ending?.cause : item.pending?.reason ?? (item.verdict == "unknown" ? nil : item.verdict)
        return .init(cells: [
          .init("\(item.scope)/\(item.vm)"),
          .init(Words.plain(item.phase), item.isOver ? colour(item.tone) : .none),
          .init(Words.plain(verdict ?? "-"), colour(item.tone)),
          .init(item.progressRatio.map(Words.percent) ?? "-"),
          .init(remaining(item) ?? "-"), .init(item.transferBytesPerSecond.map(Words.rate) ?? "-"),
          .init(deadline(item) ?? "-"), .init(Words.duration(item.seconds(since: item.beganAt))),
          .init(item.id),
        ])
      })
    var unlimited = style
    unlimited.width = nil
    return text(table.lines(unlimited))
  }

  /// `drover show`: everything that is known of one migration.
  public func show(_ item: MigrationItem) -> String {
    var lines = [style.paint(printable("\(item.scope)/\(item.vm)"), .bold)]
    for (title, facts) in details(item) {
      if !title.isEmpty { lines += ["", style.paint(title, .bold)] }
      let width = facts.map { displayWidth($0.0) }.max() ?? 0
      lines += facts.map { name, cell in
        "  \(padded(name, to: width))  \(style.paint(cell.text, cell.colour))"
      }
    }
    return text(lines)
  }

  /// `drover watch` and the demo: the most urgent first, with bars, in at most `height` lines.
  public func live(_ items: [MigrationItem], height: Int? = nil) -> String {
    guard !items.isEmpty else { return "No migrations.\n" }
    let sorted = items.map {
      (item: $0, rank: ($0.isOver && $0.urgency == .calm ? 1 : 0, $0.urgency.rawValue))
    }.sorted { a, b in
      a.rank == b.rank
        ? (a.item.beganAt, a.item.id) < (b.item.beganAt, b.item.id) : a.rank < b.rank
    }.map(\.item)
    let rows = sorted.map(liveRow)
    let drawn = rows.prefix(count(of: rows, fitting: height))
    let table = TextTable(
      columns: [
        .init(title: "VM", shrinksTo: 14), .init(title: "STATE", shrinksTo: 14), .init(title: "PROGRESS"),
        .init(title: "DEADLINE"), .init(title: "REMAINING", alignRight: true, isExpendable: true),
        .init(title: "RATE", alignRight: true, isExpendable: true),
        .init(title: "DIRTIED", alignRight: true, isExpendable: true),
      ], rows: Array(drawn))
    let summary = summary(sorted)
    var lines = [style.width.map { head(summary, $0) } ?? summary] + table.lines(style)
    if drawn.count < rows.count { lines.append(style.paint("\(rows.count - drawn.count) more", .dim)) }
    return text(lines)
  }

  /// Rows that fit, beside a summary, a line of titles, and one that tells how many are left out.
  private func count(of rows: [TextTable.Row], fitting height: Int?) -> Int {
    guard let height else { return rows.count }
    var used = 3
    let fitting = rows.prefix { row in
      used += row.remark == nil ? 1 : 2
      return used <= height
    }
    return fitting.count
  }

  private func liveRow(_ item: MigrationItem) -> TextTable.Row {
    let barWidth = (style.width ?? 120) < 100 ? 10 : 16
    let bar = item.progressRatio.map { ratio in
      style.bar(ratio, width: barWidth) + " " + padded(Words.percent(ratio), to: 4, alignRight: true)
    }
    let ended = item.ending.map { "ended \(Words.relative(-item.seconds(since: $0.endedAt)))" }
    let remark = item.remark.map { TextTable.Cell($0, colour(item.tone)) }
    return TextTable.Row(
      cells: [
        .init("\(item.scope)/\(item.vm)"), .init(item.state, colour(item.tone)), .init(bar ?? ""),
        .init(ended ?? deadline(item) ?? ""), .init(remaining(item) ?? ""),
        .init(item.transferBytesPerSecond.map(Words.rate) ?? ""),
        .init(item.isOver ? "" : item.dirtyBytesPerSecond.map(Words.rate) ?? ""),
      ], remark: remark)
  }

  private func summary(_ items: [MigrationItem]) -> String {
    let running = items.count { !$0.isOver }
    let waiting = items.count { $0.pending != nil }
    let troubled = items.count { $0.urgency != .calm }
    return [
      "\(running - waiting) running", waiting > 0 ? "\(waiting) waiting" : nil,
      troubled > 0 ? "\(troubled) in trouble" : nil, "\(items.count - running) ended",
      items.first.map { "\($0.asOf.time) UTC" },
    ].compactMap(\.self).joined(separator: style.isUnicode ? " · " : ", ")
  }

  private func deadline(_ item: MigrationItem) -> String? {
    if let position = item.pending?.position { return Words.place(position) }
    return item.nearestDeadline.map { "\($0.name) \(Words.left($0.at.seconds(since: item.asOf)))" }
  }

  private func remaining(_ item: MigrationItem) -> String? {
    item.isOver ? nil : item.remainingBytes.map(Words.size)
  }

  func colour(_ tone: Tone) -> TerminalStyle.Colour {
    switch tone {
    case .plain: .none
    case .good: .green
    case .warn: .yellow
    case .bad: .red
    }
  }

  private func text(_ lines: [String]) -> String { lines.joined(separator: "\n") + "\n" }
}
