import ArgumentParser
import DroverService

struct List: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List migrations, running and lately ended.", aliases: ["ls"])

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer.", valueName: "form"))
  var output = OutputFormat.table

  func run() async throws {
    let list = try await client.makeClient().migrations()
    switch output {
    case .table:
      // What runs comes first; the order is otherwise that of the answer.
      let items = list.items.filter { $0.ending == nil } + list.items.filter { $0.ending != nil }
      try write(MigrationTables(.standardOutput).list(items))
      warn(of: list.backends)
    case .json: try printJSON(list)
    }
  }
}
