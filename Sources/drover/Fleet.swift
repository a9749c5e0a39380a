import ArgumentParser
import DroverService

struct VMs: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vms", abstract: "List VMs: where each is, and whether it can be migrated.",
    discussion: "drover explain VM says why one cannot be migrated, and what to do about it.")

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer.", valueName: "form"))
  var output = OutputFormat.table

  func run() async throws {
    let list = try await client.makeClient().vms()
    switch output {
    case .table:
      try write(FleetTables(.standardOutput).vms(list.items))
      warn(of: list.backends)
    case .json: try printJSON(list)
    }
  }
}

struct Nodes: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List nodes and hosts: what is on each, what comes and goes, and whether it is drained.")

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer.", valueName: "form"))
  var output = OutputFormat.table

  func run() async throws {
    let list = try await client.makeClient().nodes()
    switch output {
    case .table:
      try write(FleetTables(.standardOutput).nodes(list.items))
      warn(of: list.backends)
    case .json: try printJSON(list)
    }
  }
}
