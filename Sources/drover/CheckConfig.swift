import ArgumentParser
import DroverService

struct CheckConfig: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check-config", abstract: "Check a configuration file and show what it comes to.",
    discussion: "Ends with 0 when the file is good, and with 1 and every fault in it when it is not.")

  @Argument(help: "The file.", completion: .file())
  var file: String

  @Option(help: ArgumentHelp("Form of the answer; table means YAML here.", valueName: "form"))
  var output = OutputFormat.table

  func run() throws {
    let effective: EffectiveConfiguration
    do {
      let configuration = try Configuration.load(file: file)
      effective = EffectiveConfiguration(configuration)
      for finding in configuration.findingsInFiles { warnLine(finding) }
    } catch {
      throw Failure("\(file) is not good:\n\(error)")
    }
    switch output {
    case .table: try write("\(file) is good. In force would be:\n\n\(effective)")
    case .json: try printJSON(effective)
    }
  }
}
