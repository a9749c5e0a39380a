import ArgumentParser
import DroverService

struct Show: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show all that is known of one migration.")

  @Argument(
    help:
      "Its id, or the VM's name, host/vm, namespace/vm or namespace/vmim where that is one migration only.")
  var id: String

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer.", valueName: "form"))
  var output = OutputFormat.table

  func run() async throws {
    let item = try await client.makeClient().migration(id)
    switch output {
    case .table: try write(MigrationTables(.standardOutput).show(item))
    case .json: try printJSON(item)
    }
  }
}
