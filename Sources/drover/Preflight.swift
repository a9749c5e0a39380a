import ArgumentParser
import DroverService

struct PreflightCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "preflight",
    abstract: "Tell what a drain or an upgrade would do to each VM, and whether the other nodes have room.",
    discussion: """
      For each VM: it migrates, it keeps its node from being drained, or it will be shut down, with every cause and its \
      remedy. For each node: whether the others have room for what it carries, the largest guests first. What may not \
      be read is unknown, never fine.

      Exit codes: 0 every VM migrates and there is room; 1 it is not so, or an error; 3 not known, for want of something \
      that could not be read.
      """)

  @Argument(help: "One VM only: its name, namespace/vm, or backend/namespace/vm.")
  var vm: String?

  @Flag(help: "Show also the VMs that simply migrate.")
  var all = false

  @Option(help: ArgumentHelp("One node only.", valueName: "node"))
  var node: String?

  @Option(help: ArgumentHelp("One back end only.", valueName: "name"))
  var backend: String?

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer.", valueName: "form"))
  var output = OutputFormat.table

  func run() async throws {
    let client = try client.makeClient()
    let item: PreflightItem = try await client.list(
      "/api/v1/preflight", [("node", node), ("backend", backend), ("vm", vm)], within: .seconds(90))
    switch output {
    case .table: try write(PreflightTables(.standardOutput).preflight(item, showsAll: all || vm != nil))
    case .json: try printJSON(item)
    }
    switch item.verdict {
    case .ready: break
    case .notReady: throw ExitCode(1)
    case .unknown: throw ExitCode(3)
    }
  }
}
