/// Something the lab could not do.
public struct KubeLabError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was being done.
  public let call: String
  /// Why it failed.
  public let cause: String

  /// The whole story in one line.
  public var description: String { "\(call): \(cause)" }

  init(_ call: String, _ cause: String) {
    self.call = call
    self.cause = cause
  }
}

/// A refusal of the API server.
public struct APIRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  /// The request's method and path.
  public let request: String
  /// The HTTP status, such as 409.
  public let status: Int
  /// The reason of the `Status` object, such as `Conflict`; empty where there was none.
  public let reason: String
  /// The message of the `Status` object, or the whole body.
  public let message: String

  /// The whole story in one line.
  public var description: String { "\(request): \(status) \(reason): \(message)" }
}
