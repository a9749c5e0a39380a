/// `drover explain` as text for a terminal or a file.
public struct EligibilityTables: Sendable {
  private let style: TerminalStyle

  /// Draws for a terminal.
  public init(_ style: TerminalStyle) { self.style = style }

  /// The verdict, every obstacle with its remedy, each node with what speaks against it, and what else is
  /// worth knowing.
  public func explain(_ item: EligibilityItem) -> String {
    var lines = [
      style.paint(printable("\(item.scope)/\(item.vm)"), .bold)
        + (item.node.map { printable(" on \($0)") } ?? ""),
      verdict(item),
    ]
    lines += block(
      "Obstacles", item.obstacles.flatMap { obstacle($0, indent: "  ") })
    lines += block("Nodes", item.targets.isEmpty ? [] : nodes(item))
    lines += block("Notes", item.notes.flatMap { wrapped($0, first: "  - ", rest: "    ") })
    return lines.joined(separator: "\n") + "\n"
  }

  private func verdict(_ item: EligibilityItem) -> String {
    let possible = item.targets.filter(\.isPossible)
    switch item.isMigratable {
    case true?:
      let unsure = possible.filter { $0.obstacles.contains(where: \.isUnknown) }.count
      let count = "\(possible.count) of \(item.targets.count) \(item.targets.count == 1 ? "node" : "nodes")"
      return style.paint("can be migrated", .green) + ", to \(count)"
        + (unsure > 0 ? ", of which \(unsure) not for certain" : "")
    case false?:
      let reasons = item.obstacles.filter { $0.isEnforced && !$0.isUnknown }
      let word = reasons.count == 1 ? "1 reason" : "\(reasons.count) reasons"
      return style.paint("cannot be migrated", .red) + ", for \(word)"
    case nil:
      return style.paint("not known to be migratable", .yellow)
        + ": nothing that was read speaks against it, but not all could be read"
    }
  }

  private func block(_ title: String, _ lines: [String]) -> [String] {
    lines.isEmpty ? [] : ["", style.paint(title, .bold)] + lines
  }

  private func obstacle(_ obstacle: EligibilityItem.Obstacle, indent: String) -> [String] {
    let word = Words.plain(obstacle.reason)
    let head =
      indent + style.paint(printable(word), colour(obstacle)) + (obstacle.isEnforced ? "" : " (no obstacle)")
    return [head] + wrapped(obstacle.text, first: indent + "  ", rest: indent + "  ")
      + wrapped(obstacle.remedy, first: indent + "  remedy: ", rest: indent + "          ")
  }

  /// One line for each node, and below it what speaks against it.
  private func nodes(_ item: EligibilityItem) -> [String] {
    let width = item.targets.map { displayWidth(printable($0.node)) }.max() ?? 0
    return item.targets.flatMap { target in
      let state: (String, TerminalStyle.Colour) =
        !target.isPossible
        ? ("no", .red)
        : target.obstacles.contains { $0.isUnknown && $0.isEnforced } ? ("unknown", .yellow) : ("yes", .green)
      let name = padded(printable(target.node), to: width)
      return ["  \(name)  \(style.paint(state.0, state.1))"]
        + target.obstacles.flatMap { obstacle(target: $0) }
    }
  }

  private func obstacle(target obstacle: EligibilityItem.Obstacle) -> [String] {
    let mark = obstacle.isEnforced ? "" : " (no obstacle)"
    return wrapped(
      "\(Words.plain(obstacle.reason))\(mark): \(obstacle.text)", first: "    - ", rest: "      ")
      + wrapped(obstacle.remedy, first: "      remedy: ", rest: "              ")
  }

  private func colour(_ obstacle: EligibilityItem.Obstacle) -> TerminalStyle.Colour {
    if !obstacle.isEnforced { return .dim }
    return obstacle.isUnknown ? .yellow : .red
  }

  /// Breaks a text between words where the terminal has an end; a command is left whole, so that it can be
  /// copied.
  private func wrapped(_ text: String, first: String, rest: String) -> [String] {
    let text = printable(text)
    guard let width = style.width, displayWidth(first + text) > width else { return [first + text] }
    var lines: [String] = []
    var line = first
    var isEmpty = true
    for word in text.split(separator: " ") {
      if !isEmpty, displayWidth(line) + 1 + displayWidth(String(word)) > width {
        lines.append(line)
        (line, isEmpty) = (rest, true)
      }
      line += (isEmpty ? "" : " ") + word
      isEmpty = false
    }
    return lines + [line]
  }
}
