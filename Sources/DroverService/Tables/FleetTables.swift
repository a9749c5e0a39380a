/// `drover vms` and `drover nodes` as text.
public struct FleetTables: Sendable {
  private let style: TerminalStyle

  /// Draws for a terminal.
  public init(_ style: TerminalStyle) { self.style = style }

  /// A line for each VM, in the order given.
  public func vms(_ items: [VMItem]) -> String {
    guard !items.isEmpty else { return "No VMs.\n" }
    let table = TextTable(
      columns: [
        .init(title: "VM"), .init(title: "BACKEND", isExpendable: true), .init(title: "NODE"),
        .init(title: "MIGRATES"), .init(title: "TARGETS", alignRight: true),
        .init(title: "DRAIN", isExpendable: true),
        .init(title: "FAILED", alignRight: true, isExpendable: true),
        .init(title: "WHY NOT", shrinksTo: 12),
      ],
      rows: items.map { item in
        .init(cells: [
          .init("\(item.namespace ?? item.host ?? "")/\(item.vm)"), .init(item.backend),
          .init(item.node ?? "-"),
          .isSo(item.isMigratable), .init(item.migrationTargets.map(String.init) ?? "-"),
          .init(item.drainOutcome.map(Words.plain) ?? "-"), .init("\(item.consecutiveFailures)"),
          .init((item.notMigratable ?? []).map(Words.plain).joined(separator: ", ")),
        ])
      })
    return table.lines(style).map { "\($0)\n" }.joined()
  }

  /// A line for each node or host, in the order given.
  public func nodes(_ items: [NodeItem]) -> String {
    guard !items.isEmpty else { return "No nodes.\n" }
    let table = TextTable(
      columns: [
        .init(title: "NODE"), .init(title: "BACKEND", isExpendable: true), .init(title: "READY"),
        .init(title: "VMS", alignRight: true), .init(title: "LEAVING", alignRight: true),
        .init(title: "ARRIVING", alignRight: true), .init(title: "WAITING", alignRight: true),
        .init(title: "DRAIN"), .init(title: "AGAINST A REBOOT", shrinksTo: 16, isExpendable: true),
      ],
      rows: items.map { item in
        let drain = item.drain.map { $0.isDraining ? "being drained" : $0.isDrained ? "drained" : "no" }
        return .init(cells: [
          .init(item.node), .init(item.backend), item.isReady.map { .isSo($0) } ?? .init("-"),
          .init(item.vms.map(String.init) ?? "-"), .init("\(item.outbound)"),
          .init("\(item.inbound)"), .init(item.pending.map(String.init) ?? "-"), .init(drain ?? "-"),
          .init(item.drain.map { $0.rebootBlockers.map(Words.plain).joined(separator: ", ") } ?? "-"),
        ])
      })
    return table.lines(style).map { "\($0)\n" }.joined()
  }
}
