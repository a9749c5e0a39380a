import ArgumentParser
import DroverService

struct Decisions: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List what was decided about migrations, VMs and nodes, and what became of it.",
    discussion: """
      The latest come first. The id of the last one, given to --before, goes on where an answer ended. Options that name \
      something show only what has it. --output json also shows the evidence. Where nothing was done, the result says how \
      the migration ended without it.

      After as many automatic aborts as are allowed, or when many migrations lose their network at once, the next wait. \
      --reset-hold ends that; it needs the right abort.
      """)

  @OptionGroup(title: "Which")
  var page: PageOptions

  @OptionGroup(title: "Which VM")
  var vm: VMOptions

  @Option(help: ArgumentHelp("The migration's id.", valueName: "id"))
  var migration: String?

  @Option(
    help: ArgumentHelp("What was decided: acted, shadowed, observed, refused, held.", valueName: "kind"))
  var kind: String?

  @Option(
    help: ArgumentHelp(
      "What it is about: abort, migrate, stop_evacuation, drain, cordon, uncordon, reset_hold.",
      valueName: "action"))
  var action: String?

  @Flag(help: "End a hold of automatic aborts, and list nothing.")
  var resetHold = false

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer.", valueName: "form"))
  var output = OutputFormat.table

  func run() async throws {
    if resetHold { return try await reset() }
    let client = try client.makeClient()
    let list: DecisionList = try await client.list(
      "/api/v1/decisions",
      page.query + vm.query + [("migration", migration), ("kind", kind), ("action", action)])
    switch output {
    case .table: try write(MigrationTables(.standardOutput).decisions(list.items))
    case .json: try printJSON(list)
    }
    if list.items.isEmpty { await vm.explainNothing(client) }
  }

  private struct Nothing: Encodable {}

  private func reset() async throws {
    let item: ResetItem = try await client.makeClient().act("/api/v1/decisions/reset-hold", Nothing())
    switch output {
    case .table:
      try write(
        item.ended.isEmpty
          ? "Nothing held.\n" : "Automatic aborts go on; ended: \(item.ended.joined(separator: ", ")).\n")
    case .json: try printJSON(item)
    }
  }
}
