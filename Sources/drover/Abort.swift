import ArgumentParser
import DroverService
import Glibc

struct Abort: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "End a migration; the guest stays where it is.",
    discussion: """
      The migration is looked at first, at its source, at that moment: in post-copy and in the switchover nobody may \
      end it, since the guest would be lost. What an evacuation or an update began comes back, and is refused unless \
      its cause is ended, too.

      It is followed to its end. Exit code 0: it was aborted; 1: it was not done, and why is said; 4: it ended \
      otherwise, as one that succeeded before the abort reached it; 3: it was sent, and its end is not seen.
      """)

  @Argument(
    help:
      "Its id, or the VM's name, host/vm, namespace/vm or namespace/vmim where that is one migration only.")
  var id: String

  @Flag(help: "Look at everything, and do nothing.")
  var dryRun = false

  @Flag(help: "End what began it, too: an eviction is taken back first.")
  var andItsCause = false

  @OptionGroup var acting: ActingOptions

  private struct Body: Encodable {
    var dryRun: Bool
    var andItsCause: Bool
    var withoutJournal: Bool
  }

  func run() async throws {
    try await acting.act(
      "/api/v1/migrations/\(DroverClient.segment(id))/abort",
      Body(dryRun: dryRun, andItsCause: andItsCause, withoutJournal: acting.withoutJournal),
      isDryRun: dryRun, wanting: "aborted")
  }
}

struct Migrate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Migrate a VM to another node or host.",
    discussion: """
      Everything that speaks against it is looked at before anything is sent: drover explain says more.

      It is followed to its end. Exit code 0: it succeeded; 1: it was not started, and why is said; 4: it failed or \
      was aborted; 3: it was sent, and its end is not seen.
      """)

  @Argument(help: "The VM: its name, namespace/vm (host/vm), or backend/namespace/vm.")
  var vm: String

  @Option(help: ArgumentHelp("The node or host to go to; any where none is given.", valueName: "node"))
  var to: String?

  @Flag(help: "Look at everything, show what would be sent, and send nothing.")
  var dryRun = false

  @OptionGroup var acting: ActingOptions

  private struct Body: Encodable {
    var vm: String
    var to: String?
    var dryRun: Bool
    var withoutJournal: Bool
  }

  func run() async throws {
    try await acting.act(
      "/api/v1/migrations",
      Body(vm: vm, to: to, dryRun: dryRun, withoutJournal: acting.withoutJournal),
      isDryRun: dryRun, wanting: "succeeded")
  }
}

/// What every command takes that acts on a migration, and follows it.
struct ActingOptions: ParsableArguments {
  @Flag(help: "Do it also where it cannot be recorded.")
  var withoutJournal = false

  @Flag(inversion: .prefixedNo, help: "Wait until it is over.")
  var wait = true

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer.", valueName: "form"))
  var output = OutputFormat.table

  /// Asks for something to be done and follows it to its end; any other than the wanted one is exit code 4.
  func act(_ path: String, _ body: some Encodable & Sendable, isDryRun: Bool, wanting outcome: String)
    async throws
  {
    let signals = Signals()
    let client = try client.makeClient()
    try await signals.run {
      let answer: ControlItem = try await client.act(path, body)
      if output == .table { try write(answer.lines) }
      guard !isDryRun, wait, let migration = answer.migration else {
        if output == .json { try printJSON(answer) }
        return
      }
      let item = try await Follower(client: client).end(of: migration, isShown: output == .table)
      if output == .json { try printJSON(item) }
      guard item.ending?.outcome == outcome else { throw ExitCode(4) }
    }
  }
}

extension ControlItem {
  /// What is said of it at once.
  var lines: String {
    var lines = [isDryRun ? "would be done: \(text)" : text]
    if let consequence { lines.append(consequence) }
    if let request, isDryRun { lines.append("would be sent: \(request)") }
    if let object { lines.append("made: \(object)") }
    if let resultText { lines.append("warning: \(resultText)") }
    lines += warnings.map { "warning: \($0)" }
    return lines.map { "\($0)\n" }.joined()
  }
}

/// Follows one migration to its end: a line that is drawn anew on a terminal, elsewhere a line for each phase.
struct Follower {
  let client: DroverClient

  func end(of id: String, isShown: Bool) async throws -> MigrationItem {
    var phase = ""
    var unseen = 0
    while true {
      let item: MigrationItem
      do {
        item = try await client.migration(id)
      } catch let failure as Failure {
        // What was just asked for is seen a moment later.
        unseen += 1
        guard unseen < 20 else {
          warnLine("it was sent, but its end is not seen: \(failure)")
          throw ExitCode(3)
        }
        try await Task.sleep(for: .milliseconds(500))
        continue
      }
      unseen = 0
      if isShown { try show(item, since: &phase) }
      if item.ending != nil { return item }
      try await Task.sleep(for: .milliseconds(500))
    }
  }

  private func show(_ item: MigrationItem, since phase: inout String) throws {
    let isNew = item.phase != phase
    phase = item.phase
    guard Terminal.canDraw else {
      if isNew { try write(Self.line(item) + "\n") }
      return
    }
    try write("\r\u{1B}[K" + Self.line(item) + (item.ending == nil ? "" : "\n"))
  }

  /// Phase, progress and how it ended, in one line.
  static func line(_ item: MigrationItem) -> String {
    var words = ["\(item.scope)/\(item.vm)", item.phase]
    if let ratio = item.progressRatio, item.ending == nil {
      let filled = Int((min(1, max(0, ratio)) * 20).rounded(.down))
      words.append("[\(String(repeating: "#", count: filled))\(String(repeating: ".", count: 20 - filled))]")
      words.append("\(Int(ratio * 100)) %")
    }
    if let ending = item.ending {
      if let cause = ending.cause { words.append("(\(cause))") }
      if !ending.text.isEmpty { words.append(ending.text) }
    }
    return words.joined(separator: "  ")
  }
}
