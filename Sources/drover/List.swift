import ArgumentParser
import DroverService

struct List: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List migrations, running and lately ended.", aliases: ["ls"])

  @OptionGroup var client: ClientOptions

  @Option(help: "Form of the answer: table or json.")
  var output = OutputFormat.table

  func run() async throws {
    let list = try await client.makeClient().migrations()
    switch output {
    case .table: write(Array(MigrationTables(.standardOutput).list(list.items).utf8))
    case .json: try printJSON(list)
    }
  }
}
