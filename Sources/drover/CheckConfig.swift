import ArgumentParser
import DroverService

struct CheckConfig: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check-config", abstract: "Check a configuration file and show what it comes to.",
    discussion: """
      Ends with 0 when the file is good, and with 1 and every fault in it when it is not. Where a drover serves, it also \
      shows which rule of the file would govern each migration that runs.
      """)

  @Argument(help: "The file.", completion: .file())
  var file: String

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer; table means YAML here.", valueName: "form"))
  var output = OutputFormat.table

  func run() async throws {
    let configuration: Configuration
    do {
      configuration = try Configuration.load(file: file)
      for finding in configuration.findingsInFiles + configuration.findings { warnLine(finding) }
      if configuration.backends.isEmpty {
        warnLine("it names no back end: only what flags of drover serve name would be watched")
      }
    } catch {
      throw Failure("\(file) is not good:\n\(error)")
    }
    let effective = EffectiveConfiguration(configuration)
    switch output {
    case .table:
      try write("\(file) is good. In force would be:\n\n\(effective)\n")
      try write(await governed(configuration).map { "# \($0)\n" }.joined())
    case .json: try printJSON(Answer(effective: effective, governed: await governed(configuration)))
    }
  }

  /// What it comes to, and which rule governs which migration in the words of the table.
  private struct Answer: Encodable {
    var effective: EffectiveConfiguration
    var governed: [String]

    enum CodingKeys: CodingKey { case governed }

    func encode(to encoder: any Encoder) throws {
      try effective.encode(to: encoder)
      var keys = encoder.container(keyedBy: CodingKeys.self)
      try keys.encode(governed, forKey: .governed)
    }
  }

  private func governed(_ configuration: Configuration) async -> [String] {
    do {
      let list = try await client.makeClient().migrations()
      return GoverningRules(configuration).lines(list.items)
    } catch {
      return ["Which rule would govern which migration is not known: no drover could be asked."]
    }
  }
}
