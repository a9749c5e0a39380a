/// A configuration that cannot be used.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kind of failure; open, so that one more breaks no caller.
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// The kind in a word that is safe as a metric label.
    public let rawValue: String
    /// Wraps a kind.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The file cannot be opened or read.
    public static let unreadable = Code(rawValue: "unreadable")
    /// The file is larger than `Configuration.largestFile`.
    public static let tooLarge = Code(rawValue: "too_large")
    /// The file is not well-formed YAML.
    public static let syntax = Code(rawValue: "syntax")
    /// The YAML is well-formed, but a key or value is not valid.
    public static let invalid = Code(rawValue: "invalid")
  }

  private static let mostTold = 100

  /// The kind of failure.
  public let code: Code
  /// The file, or the flag that brought the value.
  public let file: String
  /// All that is wrong, in the order of the lines; never empty.
  public let problems: [ConfigurationProblem]

  init(_ code: Code, file: String, _ problems: [ConfigurationProblem]) {
    self.code = code
    self.file = file
    self.problems = problems.sorted { ($0.line ?? 0, $0.column ?? 0) < ($1.line ?? 0, $1.column ?? 0) }
  }

  init(_ code: Code, file: String, _ text: String) {
    self.init(code, file: file, [ConfigurationProblem(line: nil, column: nil, text: text)])
  }

  /// The kind in a word that is safe as a metric label.
  public var shortDescription: String { code.rawValue }

  /// One line for each problem: `file:line:column: what is wrong; how to mend it`.
  public var description: String {
    let lines = problems.prefix(Self.mostTold).map { problem in
      let place = [problem.line, problem.column].compactMap { $0.map { ":\($0)" } }.joined()
      return "\(file)\(place): \(problem.text)"
    }
    let rest = problems.count - lines.count
    return (lines + (rest > 0 ? ["\(file): \(rest) more errors; mend these first"] : [])).joined(
      separator: "\n")
  }
}

/// One thing that is wrong in a configuration.
public struct ConfigurationProblem: Hashable, Sendable {
  /// Line, from 1; nil where it concerns the file as a whole.
  public let line: Int?
  /// Column, from 1, counted in characters.
  public let column: Int?
  /// What is wrong and how to mend it, in one line.
  public let text: String
}
