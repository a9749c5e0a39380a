internal import CurlClient

/// One request, in the terms of the API.
struct APIRequest: Sendable {
  enum Verb: String { case get, list, watch, create, update, patch, delete }

  let verb: Verb
  /// What it is about; nil for a path that is no resource, as `/version`.
  let target: ResourcePath?
  let path: String
  var query: [(name: String, value: String)] = []
  var body: [UInt8] = []
  var contentType: String?
  var accept = "application/json"
  var maximumBody = 16 << 20
  /// The longest silence of a streamed answer.
  var idleDeadline: Duration?
  var totalDeadline: Duration? = .seconds(30)

  init(_ verb: Verb, _ target: ResourcePath) {
    self.verb = verb
    self.target = target
    path = target.path
  }

  /// Reads a path that is no resource.
  init(path: String) {
    verb = .get
    target = nil
    self.path = path
  }

  var method: Request.Method {
    switch verb {
    case .get, .list, .watch: .get
    case .create: .post
    case .update: .put
    case .patch: .patch
    case .delete: .delete
    }
  }

  /// The path with the query.
  var fullPath: String {
    guard !query.isEmpty else { return path }
    let parts = query.map { "\($0.name)=\($0.value.percentEncoded(keeping: ""))" }
    return path + (path.contains("?") ? "&" : "?") + parts.joined(separator: "&")
  }

  /// The attempt in words, without the query.
  var call: String { "\(verb) \(target?.description ?? path)" }

  /// The kind of object, for counters.
  var resourceName: String {
    guard let target else { return "raw" }
    let group = target.resource.group
    return group.isEmpty ? target.right : "\(target.right).\(group)"
  }
}
