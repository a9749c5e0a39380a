/// Why it is not known which cluster to ask, or who asks: a kubeconfig, a token file or a credential program.
public struct AccessError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Where: the file with the line and entry, or the program.
  public let place: String
  /// What is wrong, and how to mend it.
  public let problem: String
  /// The same without what another program has written, which may hold a secret.
  private let publicProblem: String

  init(_ place: String, _ problem: String, inPublic: String? = nil) {
    self.place = place
    self.problem = problem
    publicProblem = inPublic ?? problem
  }

  /// Where, what is wrong, and how to mend it; for logs, since it may quote a program.
  public var description: String { "\(place): \(problem)" }

  /// The same for whoever may read without a right: nothing that another program has written.
  public var publicDescription: String { "\(place): \(publicProblem)" }
}
