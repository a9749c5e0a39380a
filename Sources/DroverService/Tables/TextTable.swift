/// Rows of cells in aligned columns, two blanks apart, without trailing blanks.
struct TextTable {
  struct Cell {
    var text: String
    var colour = TerminalStyle.Colour.none

    init(_ text: String, _ colour: TerminalStyle.Colour = .none) {
      self.text = printable(text)
      self.colour = colour
    }
  }

  struct Column {
    let title: String
    var alignRight = false
    /// Fewest columns that the text may be shortened to; nil where it may not.
    var shrinksTo: Int?
    /// Whether it goes where the terminal is too narrow, the rightmost first.
    var isExpendable = false
  }

  /// A row, and a remark that stands below it.
  struct Row {
    var cells: [Cell]
    var remark: Cell?
  }

  let columns: [Column]
  var rows: [Row]

  func lines(_ style: TerminalStyle) -> [String] {
    let table = withoutExpendables(style)
    let widths = table.fitted(style)
    let titles = table.line(table.columns.map { Cell($0.title, .dim) }, widths, style)
    return [titles]
      + table.rows.flatMap { row in
        [table.line(row.cells, widths, style)]
          + (row.remark.map { remark in
            let text = "  " + remark.text
            let fits = style.width.map { shortened(text, to: $0, ellipsis: style.ellipsis) } ?? text
            return [style.paint(fits, remark.colour)]
          } ?? [])
      }
  }

  private func withoutExpendables(_ style: TerminalStyle) -> TextTable {
    guard let limit = style.width else { return self }
    let least = zip(columns, widths).map { column, width in
      min(width, max(column.shrinksTo ?? width, displayWidth(column.title)))
    }
    var total = least.reduce(2 * (columns.count - 1), +)
    var kept = Array(columns.indices)
    for index in columns.indices.reversed() where columns[index].isExpendable && total > limit {
      total -= least[index] + 2
      kept.removeAll { $0 == index }
    }
    return TextTable(
      columns: kept.map { columns[$0] },
      rows: rows.map { row in Row(cells: kept.map { row.cells[$0] }, remark: row.remark) })
  }

  /// The columns' widths, each as wide as its longest cell.
  private var widths: [Int] {
    columns.indices.map { index in
      rows.reduce(displayWidth(columns[index].title)) { max($0, displayWidth($1.cells[index].text)) }
    }
  }

  /// The columns' widths, narrowed from the left where the terminal is too narrow.
  private func fitted(_ style: TerminalStyle) -> [Int] {
    var widths = widths
    guard let limit = style.width else { return widths }
    var excess = widths.reduce(2 * (widths.count - 1), +) - limit
    for (index, column) in columns.enumerated() where excess > 0 {
      guard let least = column.shrinksTo else { continue }
      let saved = min(excess, max(0, widths[index] - max(least, displayWidth(column.title))))
      widths[index] -= saved
      excess -= saved
    }
    return widths
  }

  private func line(_ cells: [Cell], _ widths: [Int], _ style: TerminalStyle) -> String {
    var left = style.width ?? .max
    var result = ""
    let last = cells.lastIndex { !$0.text.isEmpty } ?? 0
    for (index, cell) in cells.enumerated() where index <= last && left > 0 {
      let gap = index == 0 ? "" : "  "
      let short = shortened(cell.text, to: widths[index], ellipsis: style.ellipsis)
      let isLast = index == last
      var text =
        isLast && !columns[index].alignRight
        ? short
        : padded(short, to: widths[index], alignRight: columns[index].alignRight)
      if displayWidth(text) + gap.count > left { text = head(text, max(0, left - gap.count)) }
      left -= displayWidth(text) + gap.count
      result += gap + paint(text, cell.colour, style)
    }
    while result.last == " " { result.removeLast() }
    return result
  }

  /// Colours the text and not the blanks around it.
  private func paint(_ text: String, _ colour: TerminalStyle.Colour, _ style: TerminalStyle) -> String {
    let lead = text.prefix { $0 == " " }
    let body = text.dropFirst(lead.count)
    let trail = body.reversed().prefix { $0 == " " }.count
    return lead + style.paint(String(body.dropLast(trail)), colour) + String(repeating: " ", count: trail)
  }
}

extension TextTable.Cell {
  /// What is good where it is so; unknown where that is nil.
  static func isSo(_ answer: Bool?) -> TextTable.Cell {
    switch answer {
    case true?: .init("yes", .green)
    case false?: .init("no", .red)
    case nil: .init("unknown", .yellow)
    }
  }
}
