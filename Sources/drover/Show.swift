import ArgumentParser
import DroverService

struct Show: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show all that is known of one migration.")

  @Argument(help: "Its id, or host/vm (namespace/vm) where that is one migration only.")
  var id: String

  @OptionGroup var client: ClientOptions

  @Option(help: "Form of the answer: table or json.")
  var output = OutputFormat.table

  func run() async throws {
    let item = try await client.makeClient().migration(id)
    switch output {
    case .table: write(Array(MigrationTables(.standardOutput).show(item).utf8))
    case .json: try printJSON(item)
    }
  }
}
