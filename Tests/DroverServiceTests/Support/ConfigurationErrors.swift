@testable import DroverService

/// What is wrong with a configuration, a line each; nothing where it can be read.
func errors(_ text: String) -> [String] {
  configurationErrors { () throws(ConfigurationError) in _ = try Configuration.parse(text, file: "f") }
}

/// What a reading of some configuration says, a line each.
func configurationErrors(_ read: () throws(ConfigurationError) -> Void) -> [String] {
  do {
    try read()
    return []
  } catch {
    return error.description.split(separator: "\n").map(String.init)
  }
}
