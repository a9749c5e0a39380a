import ArgumentParser
import DroverService

struct Watch: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Follow migrations as they go on.",
    discussion: """
      On a terminal the table is drawn anew; elsewhere, and as JSON, one line or document comes for each look. With \
      an id it ends when that migration does: 0 when it succeeded, 1 when it did not.
      """)

  @Argument(help: "One migration: its id, or host/vm (namespace/vm); all where none is given.")
  var id: String?

  @OptionGroup var client: ClientOptions

  @Option(help: "Form of the answer: table or json (one document a line).")
  var output = OutputFormat.table

  @Option(help: ArgumentHelp("Seconds between two looks.", valueName: "seconds"))
  var interval = 1.0

  func validate() throws {
    guard interval >= 0.1, interval <= 3600 else { throw ValidationError("--interval \(interval): give 0.1 to 3600") }
  }

  func run() async throws {
    let client = try client.makeClient()
    try await runUntilSignal {
      // An id that a name stands for now must go on standing for the same migration.
      var id = id
      while true {
        let items: [MigrationItem]
        if let name = id {
          let item = try await client.migration(name)
          id = item.id
          items = [item]
        } else {
          items = try await client.migrations().items
        }
        try draw(items)
        if let ending = items.first?.ending, id != nil {
          guard ending.outcome == "succeeded" else { throw ExitCode.failure }
          return
        }
        try await Task.sleep(for: .seconds(interval))
      }
    }
  }

  private func draw(_ items: [MigrationItem]) throws {
    switch output {
    case .json: try printJSON(MigrationList(items))
    case .table: LiveScreen.draw(MigrationTables(.standardOutput).live(items, height: Terminal.height))
    }
  }
}
