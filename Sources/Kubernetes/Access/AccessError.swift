/// Why it is not known which cluster to ask, or who asks: a kubeconfig, a token file or a credential program.
public struct AccessError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Where: the file with the line and entry, or the program.
  public let place: String
  /// What is wrong, and how to mend it.
  public let problem: String

  init(_ place: String, _ problem: String) {
    self.place = place
    self.problem = problem
  }

  /// Where, what is wrong, and how to mend it; never a secret.
  public var description: String { "\(place): \(problem)" }
}
