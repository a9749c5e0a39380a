import ArgumentParser
import DroverService

struct Explain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tell whether a VM can be migrated, and where to: every reason, with its remedy.",
    discussion: """
      What decides is read at this moment. What may not be read is shown as unknown, never as fine; what only the \
      documentation holds to be an obstacle, and the system does not, is shown as none.

      Exit codes: 0 it can be migrated, 1 an error, 3 it cannot, or is not known to: neither where each \
      node that it might go to is so only as far as is known.
      """)

  @Argument(help: "The VM: its name, namespace/vm, or backend/namespace/vm.")
  var vm: String

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer.", valueName: "form"))
  var output = OutputFormat.table

  func run() async throws {
    let client = try client.makeClient()
    let item = try await client.eligibility(of: try await path(client))
    switch output {
    case .table: try write(EligibilityTables(.standardOutput).explain(item))
    case .json: try printJSON(item)
    }
    if !item.isSurelyMigratable { throw ExitCode(3) }
  }

  private func path(_ client: DroverClient) async throws -> VMPath {
    // One that is typed in full may be off, and then nobody lists it.
    let isWhole = vm.split(separator: "/").count == 3
    let list = isWhole ? nil : try await client.vms()
    switch VMLookup(vm, in: list?.items ?? []) {
    case .found(let path): return path
    case .ambiguous(let paths):
      let names = paths.map(\.description).joined(separator: ", ")
      throw Failure("\(vm) can be several VMs: \(names); name one of them in full")
    case .none:
      warn(of: list?.backends ?? [])
      let items = list?.items ?? []
      let names = items.prefix(10).map { "\($0.backend)/\($0.namespace ?? $0.host ?? "")/\($0.vm)" }
      throw Failure(
        "no running VM is called \(vm)"
          + (names.isEmpty
            ? "; none is known"
            : "; there are \(names.joined(separator: ", "))"
              + (items.count > 10 ? " and \(items.count - 10) more" : ""))
          + "; one that is off is named in full: backend/namespace/vm")
    }
  }
}
