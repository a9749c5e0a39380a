import ArgumentParser
import CurlClient
import DroverService

struct Drain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Move all VMs of a node or host away.",
    discussion: """
      The node is cordoned where it can be, and its VMs are migrated a few at a time, until it is empty, or each that \
      is left cannot be moved. Drover keeps on when this command ends, and after a restart of its own; a drain that is \
      in force already is followed.

      Exit code 0: no VM runs on the node; 1: it was not done, and why is said; 4: it ended, and VMs are there; 3: it \
      is under way, and its end is not seen, or what runs there now cannot be read. With --dry-run 0: every VM would be \
      moved; 4: some would stay; 3: of some that is not known. With --cancel and --uncordon 0: done.
      """)

  @Argument(help: "The node or host: its name, or backend/node.")
  var node: String

  @Flag(help: "Only show how far its drain is.")
  var status = false

  @Flag(help: "End its drain: nothing more is begun, and what is under way goes on.")
  var cancel = false

  @Flag(help: "Let VMs on it again; a drain that is in force is ended.")
  var uncordon = false

  @Flag(help: "Show where each VM would go, and what speaks against it; do nothing.")
  var dryRun = false

  @Flag(inversion: .prefixedNo, help: "Wait until it is over.")
  var wait = true

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer.", valueName: "form"))
  var output = OutputFormat.table

  private struct BeginBody: Encodable { var dryRun: Bool }
  private struct EndBody: Encodable { var uncordon: Bool }

  func validate() throws {
    let kinds = [status, cancel || uncordon, dryRun].count { $0 }
    guard kinds <= 1 else {
      throw ValidationError("give one of --status, --cancel (or --uncordon) and --dry-run")
    }
  }

  func run() async throws {
    let signals = Signals()
    let client = try client.makeClient()
    try await signals.run { try await act(client) }
  }

  private func act(_ client: DroverClient) async throws {
    let path = try await path(client)
    if status {
      let item: DrainItem = try await client.get(path)
      try show(item)
      try exit(item)
    } else if cancel || uncordon {
      let item: DrainItem = try await client.act(path, EndBody(uncordon: uncordon), by: .delete)
      if uncordon, output == .table, item.state == nil {
        try write(DrainTables(.standardOutput).reopened(item))
      } else {
        try show(item)
      }
    } else {
      let item: DrainItem = try await client.act(path, BeginBody(dryRun: dryRun))
      if dryRun {
        try show(item)
        guard item.vms.allSatisfy({ $0.state != "blocked" }) else { throw ExitCode(4) }
        if item.vms.contains(where: \.isDoubtful) { throw ExitCode(3) }
      } else if wait {
        let end = try await DrainFollower(client: client, path: path).end(
          from: item, isShown: output == .table)
        try show(end)
        try exit(end)
      } else {
        try show(item)
        try exit(item)
      }
    }
  }

  private func show(_ item: DrainItem) throws {
    switch output {
    case .table: try write(DrainTables(.standardOutput).show(item))
    case .json: try printJSON(item)
    }
  }

  private func exit(_ item: DrainItem) throws {
    switch item.state {
    case "complete"? where item.running == 0: return
    case "complete"? where item.running == nil:
      warnLine("what runs on the node at this moment cannot be read")
      throw ExitCode(3)
    case "active"?, "cancelling"?: throw ExitCode(3)
    default: throw ExitCode(4)
    }
  }

  /// The path of the one node that is meant.
  private func path(_ client: DroverClient) async throws -> String {
    let list = try await client.nodes()
    let nodes = list.items
    let found = nodes.filter { $0.node == node || "\($0.backend)/\($0.node)" == node }
    guard let one = found.first else {
      warn(of: list.backends)
      let names = nodes.map { "\($0.backend)/\($0.node)" }.joined(separator: ", ")
      throw Failure("no node is called \(node); there are \(names.isEmpty ? "none" : names)")
    }
    guard found.count == 1 else {
      let names = found.map { "\($0.backend)/\($0.node)" }.joined(separator: ", ")
      throw Failure("\(node) can be several nodes: \(names); name one so")
    }
    return "/api/v1/nodes/\(DroverClient.segment(one.backend))/\(DroverClient.segment(one.node))/drain"
  }
}

/// Follows a drain to its end: a line for each VM that changes, and a bar that is drawn anew on a terminal.
struct DrainFollower {
  let client: DroverClient
  let path: String

  func end(from first: DrainItem, isShown: Bool) async throws -> DrainItem {
    var item = first
    var states: [String: String] = [:]
    var unseen = 0
    while true {
      if isShown { try show(item, since: &states) }
      if !["active", "cancelling"].contains(item.state ?? "") { return item }
      try await Task.sleep(for: .milliseconds(500))
      do {
        item = try await client.get(path)
        unseen = 0
      } catch let failure as Failure {
        unseen += 1
        guard unseen < 20 else {
          warnLine("it is under way, but its end is not seen: \(failure)")
          throw ExitCode(3)
        }
      }
    }
  }

  private func show(_ item: DrainItem, since states: inout [String: String]) throws {
    let tables = DrainTables(.standardOutput)
    var lines: [String] = []
    for vm in item.vms {
      let key = "\(vm.namespace ?? vm.host ?? "")/\(vm.vm)"
      // What only waits is no news.
      if states[key] != vm.state, vm.state != "pending" || states[key] != nil {
        lines.append(tables.change(vm))
      }
      states[key] = vm.state
    }
    guard Terminal.canDraw else {
      if !lines.isEmpty { try write((lines + [tables.progress(item)]).joined(separator: "\n") + "\n") }
      return
    }
    let isOver = !["active", "cancelling"].contains(item.state ?? "")
    try write(
      "\r\u{1B}[K" + lines.map { "\($0)\n" }.joined() + tables.progress(item) + (isOver ? "\n" : ""))
  }
}
