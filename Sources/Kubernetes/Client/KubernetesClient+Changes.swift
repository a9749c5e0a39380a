internal import FoundationEssentials

/// What must be true of an object for a delete to be done; the server answers 409 otherwise.
public struct Preconditions: Hashable, Sendable {
  /// It has this uid.
  public var uid: String?
  /// It has this version.
  public var resourceVersion: String?

  /// Asks for these.
  public init(uid: String? = nil, resourceVersion: String? = nil) {
    self.uid = uid
    self.resourceVersion = resourceVersion
  }
}

extension KubernetesClient {
  /// Makes an object in a collection; never repeated.
  ///
  /// - Parameter dryRun: Checks everything and stores nothing.
  @discardableResult
  public func create(
    _ object: some Encodable, in path: ResourcePath, dryRun: Bool = false
  ) async throws(KubernetesError) -> KubernetesAnswer {
    try await change(.create, path, object, "application/json", dryRun)
  }

  /// Replaces an object, or does what a part of it stands for, as `migrate`.
  @discardableResult
  public func update(
    _ path: ResourcePath, with object: some Encodable, dryRun: Bool = false
  ) async throws(KubernetesError) -> KubernetesAnswer {
    try await change(.update, path, object, "application/json", dryRun)
  }

  /// Changes an object, or a part of it.
  @discardableResult
  public func patch(
    _ path: ResourcePath, with patch: Patch, dryRun: Bool = false
  ) async throws(KubernetesError) -> KubernetesAnswer {
    try await change(.patch, path, patch.body, patch.contentType, dryRun)
  }

  /// Deletes an object that is still the one meant; finalizers may keep it for a while.
  @discardableResult
  public func delete(
    _ path: ResourcePath, if preconditions: Preconditions, dryRun: Bool = false
  ) async throws(KubernetesError) -> KubernetesAnswer {
    var conditions: [String: JSONValue] = [:]
    conditions["uid"] = preconditions.uid.map { .string($0) }
    conditions["resourceVersion"] = preconditions.resourceVersion.map { .string($0) }
    let options: JSONValue = [
      "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": .object(conditions),
    ]
    return try await change(.delete, path, options, "application/json", dryRun)
  }

  private func change(
    _ verb: APIRequest.Verb, _ path: ResourcePath, _ body: some Encodable, _ contentType: String,
    _ dryRun: Bool
  ) async throws(KubernetesError) -> KubernetesAnswer {
    var request = APIRequest(verb, path)
    let encoder = JSONEncoder()
    // A JSON patch's test compares texts as they stand: an escaped slash would never equal a plain one.
    encoder.outputFormatting = .withoutEscapingSlashes
    do {
      request.body = Array(try encoder.encode(body))
    } catch {
      throw .decoding(call: request.call, problem: "the body cannot be written as JSON: \(error)")
    }
    request.contentType = contentType
    if dryRun { request.query.append(("dryRun", "All")) }
    return try await send(request)
  }
}
