public import QEMURig

/// A command of `Tests/Lab/lab.sh` that failed, or that could not be started.
public struct LabError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The command's words, without the script itself.
  public let command: [String]
  /// How the script ended; nil where it was not started, or did not do what it said.
  public let status: ExitStatus?
  /// What it wrote to standard error, or why it was not started.
  public let standardError: String

  /// The whole story in one line.
  public var description: String {
    let end = status.map { " \($0)" } ?? ""
    return "lab.sh \(command.joined(separator: " "))\(end): \(standardError)"
  }
}
