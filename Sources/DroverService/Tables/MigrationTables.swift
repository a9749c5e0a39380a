/// Migrations as text for a terminal or a file.
public struct MigrationTables: Sendable {
  let style: TerminalStyle

  /// Draws for a terminal.
  public init(_ style: TerminalStyle) { self.style = style }

  /// `drover list`: one line for each migration, in the order given; every line ends in a newline.
  public func list(_ items: [MigrationItem]) -> String {
    guard !items.isEmpty else { return "No migrations.\n" }
    let table = TextTable(
      columns: [
        .init(title: "VM", shrinksTo: 12), .init(title: "PHASE"), .init(title: "VERDICT"),
        .init(title: "PROGRESS", alignRight: true), .init(title: "REMAINING", alignRight: true),
        .init(title: "RATE", alignRight: true), .init(title: "DEADLINE"), .init(title: "AGE"),
        .init(title: "ID", shrinksTo: 12),
      ],
      rows: items.map { item in
        .init(cells: [
          .init("\(item.scope)/\(item.vm)"), .init(Words.plain(item.phase), colour(item)), .init(item.judgement, colour(item)),
          .init(item.progressRatio.map(Words.percent) ?? ""), .init(item.remainingBytes.map(Words.size) ?? ""),
          .init(item.transferBytesPerSecond.map(Words.rate) ?? ""), .init(deadline(item)), .init(age(item)),
          .init(item.id),
        ])
      })
    return text(table.lines(style))
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
    let sorted = items.sorted { a, b in
      let first = (a.isOver ? 1 : 0, a.urgency.rawValue)
      let second = (b.isOver ? 1 : 0, b.urgency.rawValue)
      return first == second ? (a.startedAt, a.id) < (b.startedAt, b.id) : first < second
    }
    var rows = sorted.map(liveRow)
    var lines: [String] = []
    var hidden = 0
    // A summary, a line of titles, and a line that tells what is left out.
    let room = height.map { max(1, $0 - 3) } ?? .max
    var used = 0
    for (index, row) in rows.enumerated() {
      used += row.remark == nil ? 1 : 2
      guard used > room else { continue }
      hidden = rows.count - index
      rows.removeLast(hidden)
      break
    }
    let table = TextTable(
      columns: [
        .init(title: "VM", shrinksTo: 12), .init(title: "PHASE"), .init(title: "PROGRESS"),
        .init(title: "REMAINING", alignRight: true), .init(title: "RATE", alignRight: true),
        .init(title: "DIRTIED", alignRight: true), .init(title: "VERDICT"), .init(title: "DEADLINE"),
      ], rows: rows)
    lines.append(style.width.map { head(summary(sorted), $0) } ?? summary(sorted))
    lines += table.lines(style)
    if hidden > 0 { lines.append(style.paint("\(hidden) more", .dim)) }
    return text(lines)
  }

  private func liveRow(_ item: MigrationItem) -> TextTable.Row {
    let bar = item.progressRatio.map { ratio in
      style.bar(ratio, width: 16) + " " + padded(Words.percent(ratio), to: 4, alignRight: true)
    }
    let remark: String? =
      if let alarm = item.guestAlarm {
        alarm
      } else if item.isOld {
        "no answer from the source for \(Words.duration(item.sampleAgeSeconds))"
      } else if !item.isOver, item.urgency != .calm {
        item.evidence
      } else if let ending = item.ending, ending.outcome != "succeeded", !ending.text.isEmpty {
        ending.text
      } else {
        nil
      }
    return TextTable.Row(
      cells: [
        .init("\(item.scope)/\(item.vm)"), .init(Words.plain(item.phase)), .init(bar ?? ""),
        .init(item.remainingBytes.map(Words.size) ?? ""),
        .init(item.transferBytesPerSecond.map(Words.rate) ?? ""),
        .init(item.dirtyBytesPerSecond.map(Words.rate) ?? ""), .init(item.judgement, colour(item)),
        .init(item.isOver ? ended(item) : deadline(item)),
      ], remark: remark.map { .init($0, colour(item)) })
  }

  private func summary(_ items: [MigrationItem]) -> String {
    let running = items.filter { !$0.isOver }
    let troubled = running.filter { $0.urgency != .calm }.count
    let separator = style.isUnicode ? " · " : ", "
    return [
      "\(running.count) running", troubled > 0 ? "\(troubled) in trouble" : nil,
      "\(items.count - running.count) ended", items.first.map { "\($0.asOf.time) UTC" },
    ].compactMap(\.self).joined(separator: separator)
  }

  private func deadline(_ item: MigrationItem) -> String {
    guard let nearest = item.nearestDeadline else { return "" }
    return "\(nearest.name) \(Words.left(nearest.at.seconds(since: item.asOf)))"
  }

  private func ended(_ item: MigrationItem) -> String {
    item.ending.map { "ended \(Words.relative(-max(0, item.asOf.seconds(since: $0.endedAt))))" } ?? ""
  }

  private func age(_ item: MigrationItem) -> String {
    Words.duration(max(0, item.asOf.seconds(since: item.startedAt)).rounded(.down))
  }

  func colour(_ item: MigrationItem) -> TerminalStyle.Colour {
    if item.urgency.isBad { return .red }
    if let ending = item.ending {
      switch ending.outcome {
      case "succeeded": return .green
      case "failed": return .red
      default: return .yellow
      }
    }
    if item.urgency != .calm { return .yellow }
    return item.verdict == "converging" ? .green : .none
  }

  private func text(_ lines: [String]) -> String { lines.joined(separator: "\n") + "\n" }
}
