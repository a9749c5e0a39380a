import ArgumentParser
import QEMURig

/// Becomes another program that ends together with the process that started it.
struct LeashCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "leash", abstract: "Run a command that the kernel ends with its parent.",
    shouldDisplay: false)

  @Argument(help: "The parent's process id.")
  var parent: Int32

  @Argument(parsing: .postTerminator, help: "The command.")
  var command: [String]

  func run() throws {
    throw ExitCode(leashAndExec(parent: parent, arguments: command))
  }
}
