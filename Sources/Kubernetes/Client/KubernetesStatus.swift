internal import CurlClient
internal import FoundationEssentials

/// A server's refusal: its `Status` object, or what could be read of an answer that is none.
public struct KubernetesStatus: Hashable, Sendable {
  /// One of several causes, as of a validation.
  public struct Cause: Hashable, Sendable, Decodable {
    /// The cause as one word, as in `FieldValueInvalid`.
    public var reason: String?
    /// The cause in words.
    public var message: String?
    /// The field that it is about.
    public var field: String?
  }

  /// The HTTP status; inside a watch the one that its ERROR event tells.
  public var code: Int
  /// The server's own word, as in `AlreadyExists`; empty where it gave none.
  public var reason: String
  /// The server's own text; one line of at most 1,000 letters.
  public var message: String
  /// The kind of object that it is about.
  public var kind: String?
  /// The name of the object that it is about.
  public var name: String?
  /// When to ask again, in seconds.
  public var retryAfterSeconds: Int?
  /// Single causes.
  public var causes: [Cause]
  /// What was asked, in words.
  public var call: String
  /// For 403 the right that is missing, in words.
  public var missingRight: String?

  /// A refusal without details.
  public init(code: Int, reason: String = "", message: String = "", call: String = "") {
    self.code = code
    self.reason = reason
    self.message = message
    self.call = call
    causes = []
  }

  /// Reads a refusal.
  init(_ answer: (code: Int, headers: HTTPHeaders, body: [UInt8]), to request: APIRequest) {
    self.init(code: answer.code, call: request.call)
    if let wire = try? JSONDecoder().decode(Wire.self, from: Data(answer.body)), wire.kind == "Status" {
      take(wire)
    } else {
      message = Self.line(String(decoding: answer.body.prefix(4096), as: UTF8.self))
    }
    if let header = answer.headers["Retry-After"], let seconds = Int(header), seconds >= 0 {
      retryAfterSeconds = seconds
    }
    complete(request)
  }

  /// Reads the ERROR event of a watch.
  init(_ wire: Wire, to request: APIRequest) {
    self.init(code: wire.code ?? 0, call: request.call)
    take(wire)
    complete(request)
  }

  private mutating func take(_ wire: Wire) {
    reason = wire.reason ?? ""
    message = Self.line(wire.message ?? "")
    kind = wire.details?.kind
    name = wire.details?.name
    retryAfterSeconds = wire.details?.retryAfterSeconds
    causes = wire.details?.causes ?? []
  }

  private mutating func complete(_ request: APIRequest) {
    guard code == 403, let target = request.target else { return }
    let group = target.resource.group
    let place =
      target.namespace.map { "in namespace '\($0)'" }
      ?? (target.resource.isNamespaced ? "in all namespaces (a ClusterRole)" : "(a ClusterRole)")
    missingRight =
      "the verb '\(request.verb)' on '\(target.right)' in the "
      + "\(group.isEmpty ? "core API group" : "API group '\(group)'") \(place)"
  }

  /// The text as one line of bounded length.
  private static func line(_ text: String) -> String {
    let words = text.split { $0.isWhitespace || $0.unicodeScalars.contains { $0.value < 0x20 } }
    return String(words.joined(separator: " ").prefix(1000))
  }

  /// The object as the server writes it.
  struct Wire: Decodable {
    struct Details: Decodable {
      var name: String?
      var kind: String?
      var retryAfterSeconds: Int?
      var causes: [Cause]?
    }

    var kind: String?
    var code: Int?
    var reason: String?
    var message: String?
    var details: Details?
  }
}
