import ArgumentParser
import DroverService

struct Watch: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Follow migrations as they go on.",
    discussion: """
      On a terminal the table is drawn anew at each look; elsewhere one table, or one JSON document a line, follows \
      the other. With an id it ends when that migration does: 0 when it succeeded, 1 when it did not.
      """)

  @Argument(
    help: "One migration: its id, or the VM's name, host/vm, namespace/vm or namespace/vmim; all without one."
  )
  var id: String?

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer; JSON is one document a line.", valueName: "form"))
  var output = OutputFormat.table

  @Option(help: ArgumentHelp("Between two looks, such as 5s, or seconds alone.", valueName: "time"))
  var interval = TimeSpan(.seconds(1))

  func validate() throws {
    guard interval.duration >= .milliseconds(100), interval.duration <= .seconds(3600) else {
      throw ValidationError("--interval: give 100ms to 1h")
    }
  }

  func run() async throws {
    let signals = Signals()
    let client = try client.makeClient()
    try await signals.run {
      // What goes wrong at the first look is said on the screen that stays.
      var list = try await look(client, id)
      // A name that stands for one migration now must go on standing for the same.
      let id = id == nil ? nil : list.items.first?.id
      let isLive = output == .table && Terminal.canDraw
      if isLive { try LiveScreen.begin() }
      defer {
        if isLive {
          LiveScreen.end()
          try? write(MigrationTables(.standardOutput).live(list.items))
        }
      }
      while true {
        try draw(list)
        if id != nil, let ending = list.items.first?.ending {
          guard ending.outcome == "succeeded" else { throw ExitCode.failure }
          return
        }
        try await Task.sleep(for: interval.duration)
        list = try await look(client, id)
      }
    }
  }

  private func look(_ client: DroverClient, _ id: String?) async throws -> MigrationList {
    if let id { return MigrationList([try await client.migration(id)]) }
    return try await client.migrations()
  }

  private func draw(_ list: MigrationList) throws {
    switch output {
    case .json: try printJSON(list)
    case .table:
      let warnings = list.backends.compactMap(\.warning).map { "warning: \($0)\n" }
      let height = Terminal.height.map { max(3, $0 - warnings.count) }
      try LiveScreen.draw(
        warnings.joined() + MigrationTables(.standardOutput).live(list.items, height: height))
    }
  }
}
