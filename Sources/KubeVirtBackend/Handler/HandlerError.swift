internal import CurlClient

/// Why virt-handler's numbers could not be read.
///
/// `description` names what was asked, the cause and the remedy; ``kind`` is the same failure as one word of a closed
/// set.
struct HandlerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of failure it is, safe as a metric label.
  enum Kind: String, Hashable, Sendable, CaseIterable {
    /// The machine is there, and nobody listens.
    case refused
    /// No connection came about.
    case connect
    /// A connection, and no whole answer in time.
    case timeout
    /// The connection ended before the answer did.
    case closed
    /// No agreement on TLS, or a certificate that nobody vouches for.
    case tls
    /// 503 or 429: too many ask at a time.
    case busy
    /// 401 or 403.
    case denied
    /// 404: no such pod, or not this path.
    case missing
    /// Another status.
    case status
    /// An answer that is not what was asked for.
    case garbled
    /// A longer answer than is read.
    case tooLarge = "too_large"
    /// Whoever was to pass the question on, an API server, could not be asked itself.
    case apiServer = "api_server"
    /// A file or a setting that cannot be used.
    case settings
    /// The task was cancelled, or the client shut down.
    case cancelled
    /// Anything else.
    case other
  }

  /// What kind of failure it is.
  let kind: Kind
  /// What was asked of whom.
  let call: String
  /// The cause in words.
  let message: String
  /// What to do about it.
  let remedy: String
  /// How long the server wants to be left alone, where it said so.
  let retryAfter: Duration?

  init(_ kind: Kind, call: String, message: String, remedy: String, retryAfter: Duration? = nil) {
    self.kind = kind
    self.call = call
    self.message = message
    self.remedy = remedy
    self.retryAfter = retryAfter
  }

  /// The failure as one word, safe as a metric label.
  var shortDescription: String { kind.rawValue }

  /// What was asked, the cause and the remedy.
  var description: String { "\(call): \(message); \(remedy)" }
}

extension HandlerError.Kind {
  /// Whether it speaks for a node, or a virt-handler, that cannot be reached; any answer proves the opposite.
  var isUnreachable: Bool { self == .refused || self == .connect || self == .timeout }

  /// Whether the server may have worked for it, or may still.
  var mayHaveCost: Bool { self != .refused && self != .connect && self != .tls && self != .settings }

  /// Whether asking again soon cannot help, or makes it worse.
  var asksForPatience: Bool {
    switch self {
    case .busy, .denied, .missing, .status, .garbled, .tooLarge, .apiServer, .settings, .tls, .other: true
    case .refused, .connect, .timeout, .closed, .cancelled: false
    }
  }
}

extension HandlerError {
  /// An exchange that brought no response.
  ///
  /// - Parameter wasCut: Whether the deadline of the whole exchange had passed, not only that of the connection.
  init(_ error: CurlError, call: String, wasCut: Bool) {
    let (kind, remedy): (Kind, String) =
      switch error.shortDescription {
      case "refused": (.refused, "check that the pod runs and listens there")
      case "connect", "dns": (.connect, "check the network, its policies, and the node")
      case "timeout" where wasCut: (.timeout, "check the load of the node and the network to it")
      case "timeout": (.connect, "check the network, its policies, and the node")
      case "closed": (.closed, "look into the server's log")
      case "tls": (.tls, "check the authorities that are trusted, and the server's certificate")
      case "body_too_large": (.tooLarge, "report this with the size of the cluster")
      case "protocol", "header_too_large": (.garbled, "check which server answers at this address")
      case "cancelled", "shutdown": (.cancelled, "ask again")
      case "invalid_address", "invalid_request": (.settings, "check the address and the token")
      default: (.other, "report this")
      }
    self.init(kind, call: call, message: error.message, remedy: remedy)
  }

  /// A status that is no success; nil for a success.
  init?(status: Int, retryAfter: String?, said text: String, call: String) {
    let (kind, remedy): (Kind, String)
    switch status {
    case 200...299: return nil
    case 429, 503: (kind, remedy) = (.busy, "ask less often, or let fewer scrape it")
    case 401, 403: (kind, remedy) = (.denied, "check the token and its rights")
    case 404: (kind, remedy) = (.missing, "check that it still runs, and the path")
    default: (kind, remedy) = (.status, "look into the server's log")
    }
    let words = text.oneLine
    self.init(
      kind, call: call, message: words.isEmpty ? "status \(status)" : "status \(status): \(words)",
      remedy: remedy, retryAfter: retryAfter.flatMap { UInt16($0) }.map { .seconds($0) })
  }
}

extension String {
  /// At most 200 characters, with control characters and line breaks replaced.
  var oneLine: String {
    let line = String(
      String.UnicodeScalarView(
        prefix(200).unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
    return String(line.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }
}
