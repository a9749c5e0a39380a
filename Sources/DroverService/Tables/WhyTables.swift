/// `drover why` as text.
public struct WhyTables: Sendable {
  private let style: TerminalStyle

  /// Draws for a terminal.
  public init(_ style: TerminalStyle) { self.style = style }

  /// Everything on one screen.
  public func show(_ item: WhyItem) -> String {
    var lines = [style.paint(printable(item.name), .bold)]
    lines += item.now.map { "  \(printable($0))" }
    section(
      "Next",
      item.next.map { limit in
        let name = limit.vm.map { "\($0) \(limit.name)" } ?? limit.name
        let then = limit.then.hasPrefix("held") ? limit.then : "then \(limit.then)"
        return "\(name): \(Words.left(limit.inSeconds)) (\(limit.at.time) UTC), \(then)"
      },
      &lines)
    section("Decided", item.decided, &lines)
    section("You can", item.possible.map { "\($0.command): \($0.text)" }, &lines)
    section("You cannot", item.impossible.map { "\($0.command): \($0.text)" }, &lines)
    return lines.map { "\($0)\n" }.joined()
  }

  private func section(_ title: String, _ entries: [String], _ lines: inout [String]) {
    guard !entries.isEmpty else { return }
    lines += ["", style.paint(title, .bold)] + entries.map { "  \(printable($0))" }
  }
}
