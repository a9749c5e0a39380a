/// `drover preflight` as text for a terminal or a file.
public struct PreflightTables: Sendable {
  private let style: TerminalStyle

  /// Draws for a terminal.
  public init(_ style: TerminalStyle) { self.style = style }

  /// The verdict, each node, each VM that does not simply migrate, with cause and remedy, and what else is worth knowing.
  ///
  /// - Parameter showsAll: Whether VMs that migrate are shown, too.
  public func preflight(_ item: PreflightItem, showsAll: Bool = false) -> String {
    var lines = [verdict(item)]
    if !item.nodes.isEmpty { lines += ["", style.paint("Nodes", .bold)] + nodes(item.nodes).lines(style) }
    let shown = item.vms.filter { showsAll || $0.outcome != "migrates" }
    if !shown.isEmpty {
      lines += ["", style.paint("VMs", .bold)] + shown.flatMap(vm)
      let hidden = item.vms.count - shown.count
      if hidden > 0 {
        lines.append("  and \(hidden) that \(hidden == 1 ? "migrates" : "migrate") (--all shows them)")
      }
    }
    if !item.failures.isEmpty {
      lines += ["", style.paint("No answer", .bold)]
      lines += item.failures.map { style.paint(printable("  \($0.backend): \($0.detail)"), .red) }
    }
    if !item.notes.isEmpty {
      lines += ["", style.paint("Notes", .bold)] + item.notes.map { printable("  - \($0)") }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func verdict(_ item: PreflightItem) -> String {
    let counts = Dictionary(grouping: item.vms, by: \.outcome).mapValues(\.count)
    let words = ["migrates", "blocks", "will_be_shut_down", "unknown"].compactMap { word in
      counts[word].map { "\($0) \(Self.words(word, $0))" }
    }
    let full = item.nodes.count { $0.hasRoom == false }
    let rest =
      (words.isEmpty ? ["no VM runs"] : words)
      + (full == 0 ? [] : ["\(full) of \(item.nodes.count) nodes without room"])
    let tail = ": \(rest.joined(separator: ", ")); looked at within \(Words.duration(item.tookSeconds))"
    switch item.verdict {
    case .ready: return style.paint("ready", .green) + tail
    case .notReady: return style.paint("not ready", .red) + tail
    case .unknown: return style.paint("not known", .yellow) + tail
    }
  }

  private static func words(_ outcome: String, _ count: Int) -> String {
    switch outcome {
    case "migrates": count == 1 ? "migrates" : "migrate"
    case "blocks": count == 1 ? "blocks its node" : "block their nodes"
    case "will_be_shut_down": "will be shut down"
    default: "not known"
    }
  }

  private func nodes(_ items: [PreflightItem.Node]) -> TextTable {
    TextTable(
      columns: [
        .init(title: "NODE", shrinksTo: 12), .init(title: "BACKEND", shrinksTo: 7, isExpendable: true),
        .init(title: "GUESTS", alignRight: true), .init(title: "ROOM"), .init(title: ""),
      ],
      rows: items.map { node in
        .init(cells: [
          .init(node.node), .init(node.backend), .init("\(node.guests)"), .isSo(node.hasRoom),
          .init(node.text),
        ])
      })
  }

  private func vm(_ vm: PreflightItem.VM) -> [String] {
    let colour: TerminalStyle.Colour =
      switch vm.outcome {
      case "migrates": .green
      case "unknown": .yellow
      default: .red
      }
    let head =
      "  " + printable("\(vm.scope)/\(vm.vm) on \(vm.node)  ") + style.paint(Words.plain(vm.outcome), colour)
    return [head]
      + vm.causes.flatMap { cause in
        [
          printable("    - \(Words.plain(cause.reason)): \(cause.text)"),
          printable("      remedy: \(cause.remedy)"),
        ]
      }
  }
}
