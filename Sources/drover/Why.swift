import ArgumentParser
import DroverService

struct WhyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "why",
    abstract: "Say on one screen what is happening, what comes next, and what one can do.",
    discussion: "What one can do is asked of the system itself, without doing it.")

  @Argument(
    help:
      "A migration (its id, or as drover show takes it), a VM (its name, namespace/vm) or a node (its name)."
  )
  var name: String

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer.", valueName: "form"))
  var output = OutputFormat.table

  func run() async throws {
    let client = try client.makeClient()
    let item: WhyItem
    do {
      item = try await client.why(name)
    } catch let failure as Failure {
      // What has this name may be on one that is down.
      if let list = try? await client.vms() { warn(of: list.backends) }
      throw failure
    }
    switch output {
    case .table: try write(WhyTables(.standardOutput).show(item))
    case .json: try printJSON(item)
    }
  }
}
