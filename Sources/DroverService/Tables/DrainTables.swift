/// `drover drain` as text.
public struct DrainTables: Sendable {
  private let style: TerminalStyle

  /// Draws for a terminal.
  public init(_ style: TerminalStyle) { self.style = style }

  /// How far it is, and each VM.
  public func show(_ item: DrainItem) -> String {
    var lines = [style.paint(printable("\(item.backend)/\(item.node)"), .bold) + ": " + headline(item)]
    if let text = item.text { lines.append("  \(printable(text))") }
    if let hold = item.hold { lines.append("  nothing is begun: \(printable(hold))") }
    lines += item.notes.map { "  \(printable($0))" }
    if !item.vms.isEmpty {
      let table = TextTable(
        columns: [
          .init(title: "VM"), .init(title: "STATE"), .init(title: "TO", isExpendable: true),
          .init(title: "TRIED", alignRight: true, isExpendable: true), .init(title: "WHY", shrinksTo: 20),
        ],
        rows: item.vms.map { vm in
          TextTable.Row(cells: [
            .init(vm.label),
            state(vm, item.isDryRun),
            .init(vm.target ?? (item.isDryRun && vm.state == "pending" ? "any" : "")),
            .init("\(vm.attempts)"),
            .init(vm.text ?? ""),
          ])
        })
      lines += table.lines(style)
    }
    return lines.map { "\($0)\n" }.joined()
  }

  /// That a node takes VMs again, and its drain is forgotten.
  public func reopened(_ item: DrainItem) -> String {
    style.paint(printable("\(item.backend)/\(item.node)"), .bold)
      + ": VMs may come to it again; no drain of it is kept\n"
  }

  /// In a line: a bar for those that have left, and how many are in each state.
  public func progress(_ item: DrainItem, width: Int = 20) -> String {
    let total = item.vms.count
    let done = item.vms.reduce(0.0) { sum, vm in
      sum
        + (vm.state == "done"
          ? 1 : vm.state == "migrating" ? min(1, max(0, vm.progressRatio ?? 0)) * 0.99 : 0)
    }
    let bar = style.bar(total == 0 ? (item.state == "complete" ? 1 : 0) : done / Double(total), width: width)
    return "\(printable(item.node))  \(bar)  \(counts(item))"
  }

  /// A VM's line when its state has changed.
  public func change(_ vm: DrainItem.VM) -> String {
    let target = vm.target.map { " to \($0)" } ?? ""
    let text = vm.text.map { ": \($0)" } ?? ""
    return printable("\(vm.label)\(vm.state == "migrating" || vm.state == "done" ? target : "")") + "  "
      + style.paint(Words.plain(vm.state), colour(vm.state)) + printable(text)
  }

  private func headline(_ item: DrainItem) -> String {
    if item.isDryRun {
      let stay = item.vms.count { $0.state == "blocked" }
      let doubtful = item.vms.count(where: \.isDoubtful)
      return "\(item.vms.count - stay) of \(item.vms.count) VMs would be moved"
        + (doubtful > 0 ? ", of which \(doubtful) not for certain" : "")
    }
    let word: String
    switch item.state {
    case "active"?: word = item.isFollowing ? "followed" : "being drained"
    case "cancelling"?: word = "its drain is being ended"
    case "complete"?: word = style.paint("drained", .green) + ", no VM runs on it"
    case "incomplete"?: word = style.paint("not drained", .red)
    case "cancelled"?: word = style.paint("its drain was ended", .yellow)
    default: word = "no drain of it is known"
    }
    return item.vms.isEmpty ? word : "\(word); \(counts(item))"
  }

  private func state(_ vm: DrainItem.VM, _ isDryRun: Bool) -> TextTable.Cell {
    guard isDryRun, vm.state == "pending" else { return .init(Words.plain(vm.state), colour(vm.state)) }
    return vm.isDoubtful ? .init("may move", .yellow) : .init("would move", colour(vm.state))
  }

  private func counts(_ item: DrainItem) -> String {
    let states = ["done", "migrating", "pending", "failed", "timed_out", "blocked"]
    let some = states.compactMap { state -> String? in
      let count = item.counts[state] ?? 0
      return count > 0 ? "\(count) \(Words.plain(state))" : nil
    }
    return "of \(item.vms.count): \(some.isEmpty ? "nothing yet" : some.joined(separator: ", "))"
  }

  private func colour(_ state: String) -> TerminalStyle.Colour {
    switch state {
    case "done": .green
    case "failed", "timed_out", "blocked": .red
    case "pending": .dim
    default: .none
    }
  }
}

extension DrainItem.VM {
  /// Its scope and name.
  var label: String { "\(namespace ?? host ?? "")/\(vm)" }
}
