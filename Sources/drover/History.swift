import ArgumentParser
import DroverService

struct History: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List migrations of the past, and those that are open, from the journal.",
    discussion: """
      The latest come first. The id of the last one, given to --before, goes on where an answer ended. Options that name \
      something show only what has it.
      """)

  @OptionGroup(title: "Which")
  var page: PageOptions

  @OptionGroup(title: "Which VM")
  var vm: VMOptions

  @Option(help: ArgumentHelp("The migration's id.", valueName: "id"))
  var migration: String?

  @Option(
    help: ArgumentHelp(
      "How it ended: succeeded, failed, aborted; open where it has not, unseen where nobody saw it.",
      valueName: "outcome"))
  var outcome: String?

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer.", valueName: "form"))
  var output = OutputFormat.table

  func run() async throws {
    let client = try client.makeClient()
    let list: HistoryList = try await client.list(
      "/api/v1/history", page.query + vm.query + [("migration", migration), ("outcome", outcome)])
    switch output {
    case .table: try write(MigrationTables(.standardOutput).history(list.items))
    case .json: try printJSON(list)
    }
    if list.items.isEmpty { await vm.explainNothing(client) }
  }
}

/// Which part of a long answer.
struct PageOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Most that are shown, up to 1000.", valueName: "n"))
  var limit = 100

  @Option(help: ArgumentHelp("Only what comes behind the one with this id.", valueName: "id"))
  var before: String?

  func validate() throws {
    guard (1...1000).contains(limit) else { throw ValidationError("--limit \(limit): give 1 to 1000") }
  }

  var query: [(String, String?)] { [("limit", "\(limit)"), ("before", before)] }
}

/// Which VM something is about.
struct VMOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The VM's name, host/name (namespace/name), or backend/host/name.", valueName: "name"))
  var vm: String?

  @Option(help: ArgumentHelp("The VM's namespace.", valueName: "name"))
  var namespace: String?

  @Option(help: ArgumentHelp("The VM's host.", valueName: "name"))
  var host: String?

  @Option(help: ArgumentHelp("The back end's configured name.", valueName: "name"))
  var backend: String?

  /// Says that a back end that was named is none of those there are now, where nothing was found of it.
  func explainNothing(_ client: DroverClient) async {
    guard let backend, let names = try? await client.nodes().backends.map(\.name), !names.contains(backend)
    else { return }
    warnLine(
      "no back end is called \(backend) now; \(names.isEmpty ? "there is none" : "there are \(names.joined(separator: ", "))")"
    )
  }

  var query: [(String, String?)] {
    [("vm", vm), ("namespace", namespace), ("host", host), ("backend", backend)]
  }
}
