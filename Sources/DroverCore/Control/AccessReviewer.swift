/// A back end whose system knows people and programs by their tokens, and what each of them may.
public protocol AccessReviewer: Sendable {
  /// Asks who shows a token, and which of some verbs on Drover's own kind of object the system grants them.
  ///
  /// Ends within a few seconds. Where there is no answer, or not all of it, it throws: nothing is granted then.
  ///
  /// - Parameters:
  ///   - token: What was shown; it is told to nobody but the system.
  ///   - audience: For whom the token must have been made; empty for the system itself.
  ///   - verbs: What is asked about; nothing else is granted.
  /// - Returns: Nil where the system does not know the token.
  func review(
    _ token: String, audience: String, verbs: Set<String>
  ) async throws(ControlError) -> ReviewedUser?
}

/// Somebody whom a system knows by a token.
public struct ReviewedUser: Hashable, Sendable {
  /// What the system calls them.
  public var name: String
  /// The verbs that it grants them, of those that were asked about.
  public var verbs: Set<String>

  /// Names somebody.
  public init(name: String, verbs: Set<String>) {
    self.name = name
    self.verbs = verbs
  }
}
