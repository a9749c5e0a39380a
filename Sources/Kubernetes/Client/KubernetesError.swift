public import CurlClient

/// A request that did not bring what was asked for.
public enum KubernetesError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The server refused.
  case status(KubernetesStatus)
  /// There was no answer.
  case transport(CurlError)
  /// What came, or was to be sent, is not what was expected.
  case decoding(call: String, problem: String)
  /// There is nothing to show who is asking.
  case credentials(AccessError)

  /// All kinds of failure, each a word that is safe as a label.
  public enum Kind: String, CaseIterable, Sendable {
    /// 403.
    case forbidden
    /// 401, also with new credentials.
    case unauthorized
    /// 404: no such object, or no such kind of object.
    case notFound = "not_found"
    /// 409 for a new object whose name is taken.
    case alreadyExists = "already_exists"
    /// 409: the object is another, or newer.
    case conflict
    /// 410: the version is too old.
    case gone
    /// 422, also for a patch whose test failed.
    case invalid
    /// 400, and other 4xx.
    case badRequest = "bad_request"
    /// 429.
    case throttled
    /// 503.
    case unavailable
    /// 504 and 408, or a deadline of our own.
    case timeout
    /// 500 and other 5xx.
    case server
    /// Connecting failed.
    case connect
    /// The name is unknown.
    case dns
    /// TLS failed, or the certificate is not accepted.
    case tls
    /// The connection ended too early.
    case closed
    /// The request was cancelled, or the client shut down.
    case cancelled
    /// The answer is not what was expected.
    case malformed
    /// There are no credentials.
    case credentials
    /// Anything else.
    case other
  }

  /// The kind of failure.
  public var kind: Kind {
    switch self {
    case .status(let status): Kind(status)
    case .transport(let error): Kind(error)
    case .decoding: .malformed
    case .credentials: .credentials
    }
  }

  /// The failure as one word, safe as a metric label.
  public var shortDescription: String { kind.rawValue }

  /// What was asked, the cause, and the remedy.
  public var description: String {
    switch self {
    case .transport(let error): return error.description
    case .credentials(let error): return error.description
    case .decoding(let call, let problem): return "\(call): \(problem)"
    case .status(let status):
      var text = "\(status.call): the server answered \(status.code)"
      if !status.reason.isEmpty { text += " \(status.reason)" }
      if !status.message.isEmpty { text += ": \(status.message)" }
      if let remedy = remedy(status) { text += "; \(remedy)" }
      return text
    }
  }

  /// The same for whoever may read without a right.
  public var publicDescription: String {
    if case .credentials(let error) = self { error.publicDescription } else { description }
  }

  private func remedy(_ status: KubernetesStatus) -> String? {
    switch kind {
    case .forbidden: status.missingRight.map { "grant \($0)" }
    case .unauthorized: "check the token or certificate that is shown, and that it has not expired"
    // The server's own refusals of single objects have a reason.
    case .notFound where status.reason.isEmpty:
      "it does not know this kind of object: check that what defines it is installed, and the server's address"
    case .throttled, .unavailable: "the server is overloaded or starting: look into its log if it lasts"
    default: nil
    }
  }
}

extension KubernetesError.Kind {
  fileprivate init(_ status: KubernetesStatus) {
    self =
      switch status.code {
      case 401: .unauthorized
      case 403: .forbidden
      case 404: .notFound
      case 409: status.reason == "AlreadyExists" ? .alreadyExists : .conflict
      case 410: .gone
      case 422: .invalid
      case 429: .throttled
      case 503: .unavailable
      case 408, 504: .timeout
      case 400..<500: .badRequest
      case 500..<600: .server
      default: .other
      }
  }

  fileprivate init(_ error: CurlError) {
    self =
      switch error.shortDescription {
      case "connect", "refused": .connect
      case "dns": .dns
      case "tls": .tls
      case "timeout": .timeout
      case "closed": .closed
      case "cancelled", "shutdown": .cancelled
      case "protocol", "body_too_large", "header_too_large": .malformed
      default: .other
      }
  }
}
