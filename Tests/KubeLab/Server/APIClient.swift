public import QEMURig

/// Asks the API server as a test does: apart from the product's own client, which it checks.
///
/// One python process keeps the connections; requests may run side by side. A refusal is an ``APIRefusal``.
public final class APIClient: Sendable {
  /// What patches are made of.
  public enum PatchType: String, Sendable {
    /// RFC 7386: members are merged, null removes.
    case merge = "application/merge-patch+json"
    /// RFC 6902: a list of operations.
    case json = "application/json-patch+json"
    /// Kubernetes' own; not for custom resources.
    case strategicMerge = "application/strategic-merge-patch+json"
  }

  private let helper: Helper

  /// A client that says it is `user`.
  public init(_ server: APIServer, as user: User = .admin) throws {
    helper = try Helper("client.py", ["\(server.port)", server.caFile, user.token])
  }

  /// Closes the connections.
  public func close() async { await helper.end() }

  // MARK: Requests

  /// An answer of any status.
  public struct Answer: Sendable {
    /// The HTTP status.
    public let status: Int
    /// The body, where it is one JSON value.
    public let json: JSONValue?
    /// The body, where it is anything else, such as the lines of a watch.
    public let text: String
  }

  /// Sends a request and returns whatever is answered, refusals too.
  ///
  /// - Parameters:
  ///   - token: Another one than the client's own; an empty one for no token at all.
  ///   - timeout: Seconds of silence after which the request fails.
  public func request(
    _ method: String, _ path: String, body: JSONValue? = nil, text: String? = nil, type: String? = nil,
    token: String? = nil, timeout: Int = 60
  ) async throws -> Answer {
    var request: [String: JSONValue] = ["method": .string(method), "path": .string(path)]
    request["body"] = body
    request["text"] = text.map(JSONValue.string)
    request["type"] = type.map(JSONValue.string)
    request["token"] = token.map(JSONValue.string)
    request["timeout"] = .int(Int64(timeout))
    let answer = try await helper.ask(request)
    guard let status = answer["status"]?.int else {
      throw KubeLabError("\(method) \(path)", answer["error"]?.string ?? "no status")
    }
    return Answer(status: Int(status), json: answer["json"], text: answer["text"]?.string ?? "")
  }

  private func ask(
    _ method: String, _ path: String, body: JSONValue? = nil, text: String? = nil, type: String? = nil
  ) async throws -> JSONValue {
    let answer = try await request(method, path, body: body, text: text, type: type)
    guard (200..<300).contains(answer.status) else {
      throw APIRefusal(
        request: "\(method) \(path)", status: answer.status, reason: answer.json?["reason"]?.string ?? "",
        message: answer.json?["message"]?.string ?? answer.text)
    }
    return answer.json ?? .null
  }

  // MARK: Objects

  /// Reads an object.
  public func get(_ resource: Resource, _ name: String, in namespace: String? = nil) async throws -> JSONValue
  {
    try await ask("GET", resource.path(name, in: namespace))
  }

  /// Reads an object; nil where there is none.
  public func find(_ resource: Resource, _ name: String, in namespace: String? = nil) async throws
    -> JSONValue?
  {
    do { return try await get(resource, name, in: namespace) } catch let error as APIRefusal
      where error.status == 404
    { return nil }
  }

  /// Reads all objects of a kind, everywhere or in a namespace.
  public func list(
    _ resource: Resource, in namespace: String? = nil, labels: String? = nil, fields: String? = nil
  ) async throws -> [JSONValue] {
    var query: [String] = []
    if let labels { query.append("labelSelector=\(escaped(labels))") }
    if let fields { query.append("fieldSelector=\(escaped(fields))") }
    let suffix = query.isEmpty ? "" : "?" + query.joined(separator: "&")
    return try await ask("GET", resource.path(in: namespace) + suffix)["items"]?.array ?? []
  }

  /// How many objects of a kind there are, without reading them.
  public func count(_ resource: Resource, in namespace: String? = nil) async throws -> Int {
    let first = try await ask("GET", resource.path(in: namespace) + "?limit=1")
    let rest = first[path: "metadata", "remainingItemCount"]?.int ?? 0
    return (first["items"]?.array.count ?? 0) + Int(rest)
  }

  /// Creates an object, which says itself what it is and where it belongs; `default` for a namespace.
  @discardableResult
  public func create(_ object: JSONValue) async throws -> JSONValue {
    let resource = try resource(of: object)
    return try await ask("POST", resource.path(in: object.namespace ?? "default"), body: object)
  }

  /// Creates each object of a YAML text of one or more documents, as `kubectl create` does.
  public func create(yaml: String, in namespace: String = "default") async throws {
    for document in YAMLDocument.split(yaml) {
      guard let resource = Resource.of(apiVersion: document.apiVersion, kind: document.kind) else {
        throw KubeLabError("create", "no resource known for \(document.apiVersion) \(document.kind)")
      }
      let path = resource.path(in: document.namespace ?? namespace)
      _ = try await ask("POST", path, text: document.text, type: "application/yaml")
    }
  }

  /// Replaces an object with a newer version of it.
  @discardableResult
  public func replace(_ object: JSONValue, subresource: String? = nil) async throws -> JSONValue {
    let path = try resource(of: object).path(object.name, in: object.namespace, subresource: subresource)
    return try await ask("PUT", path, body: object)
  }

  /// Changes an object, or its status where it has a subresource for that.
  @discardableResult
  public func patch(
    _ resource: Resource, _ name: String, in namespace: String? = nil, _ patch: JSONValue,
    type: PatchType = .merge, subresource: String? = nil
  ) async throws -> JSONValue {
    let path = resource.path(name, in: namespace, subresource: subresource)
    return try await ask("PATCH", path, body: patch, type: type.rawValue)
  }

  /// Creates something below an object, such as the token of a service account.
  public func post(
    _ body: JSONValue, to subresource: String, of resource: Resource, _ name: String, in namespace: String?
  ) async throws -> JSONValue {
    try await ask("POST", resource.path(name, in: namespace, subresource: subresource), body: body)
  }

  /// Deletes an object; one with finalizers stays until they are gone.
  ///
  /// - Parameters:
  ///   - uid: Where it is another object's by now, nothing is deleted.
  ///   - graceSeconds: How long a pod may take; nobody here ends one, so that it stays unless this is 0.
  public func delete(
    _ resource: Resource, _ name: String, in namespace: String? = nil, uid: String? = nil,
    graceSeconds: Int? = nil
  ) async throws {
    var options: JSONValue = [:]
    options[path: "preconditions", "uid"] = uid.map(JSONValue.string)
    options[path: "gracePeriodSeconds"] = graceSeconds.map { .int(Int64($0)) }
    _ = try await ask("DELETE", resource.path(name, in: namespace), body: options)
  }

  private func resource(of object: JSONValue) throws -> Resource {
    let (version, kind) = (object["apiVersion"]?.string ?? "", object["kind"]?.string ?? "")
    guard let resource = Resource.of(apiVersion: version, kind: kind) else {
      throw KubeLabError("\(kind) \(object.name)", "no resource known for \(version) \(kind)")
    }
    return resource
  }

  private func escaped(_ text: String) -> String {
    text.utf8.reduce(into: "") { out, byte in
      let isPlain = Unicode.Scalar(byte).properties.isAlphabetic && byte < 128 || (48...57).contains(byte)
      out += isPlain ? String(Unicode.Scalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
  }
}
