import ArgumentParser
import DroverService

struct CheckConfig: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check-config", abstract: "Check a configuration file and show what it comes to.",
    discussion: "Ends with 0 when the file is good, and with 1 and every fault in it when it is not.")

  @Argument(help: "The file.", completion: .file())
  var file: String

  @Option(help: "Form of the answer: table or json.")
  var output = OutputFormat.table

  func run() throws {
    let effective: EffectiveConfiguration
    do {
      effective = EffectiveConfiguration(try Configuration.load(file: file))
    } catch {
      throw Failure("\(error)")
    }
    switch output {
    case .table: write(Array("\(file) is good. In force would be:\n\n\(effective)\n".utf8))
    case .json: try printJSON(effective)
    }
  }
}
