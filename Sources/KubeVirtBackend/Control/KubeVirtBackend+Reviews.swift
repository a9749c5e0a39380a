public import DroverCore
internal import FoundationEssentials
internal import Kubernetes
internal import Synchronization

extension KubeVirtBackend: AccessReviewer {
  /// How long the API server has for all of it.
  static let reviewDeadline = Duration.seconds(3)

  /// Asks the API server with a TokenReview who shows a token, and with a SubjectAccessReview for each verb whether it may
  /// be done to `migrations.drover.io` in the whole cluster.
  public func review(
    _ token: String, audience: String, verbs: Set<String>
  ) async throws(ControlError) -> ReviewedUser? {
    let call = "asking the API server of \(descriptor.name.rawValue) who shows a token"
    guard let client = client.withLock(\.self) else {
      throw ControlError(
        .unreachable, call: call, cause: "the back end is not running yet",
        remedy: "look at drover_backend_up, and try again")
    }
    return try await within(Self.reviewDeadline, call) { () async throws(ControlError) in
      do throws(KubernetesError) {
        let answer: TokenReview = try await client.create(
          TokenReview.question(token, audience: audience), in: TokenReview.resource.all
        ).decoded()
        guard let user = answer.user(audience: audience) else { return nil }
        var granted: Set<String> = []
        for verb in verbs.sorted() {
          let answer: SubjectAccessReview = try await client.create(
            SubjectAccessReview.question(verb, of: user), in: SubjectAccessReview.resource.all
          ).decoded()
          if answer.isAllowed { granted.insert(verb) }
        }
        return ReviewedUser(name: user.name, verbs: granted)
      } catch {
        throw ControlError(error, call)
      }
    }
  }
}

/// Who shows a token.
struct TokenReview: Decodable {
  static let resource = Resource(
    group: "authentication.k8s.io", plural: "tokenreviews", isNamespaced: false)

  struct User: Decodable {
    /// Absent for a token that nobody knows.
    var username: String?
    var uid: String?
    var groups: [String]?
    var extra: [String: [String]]?

    var name: String { username ?? "" }
  }

  struct Status: Decodable {
    var authenticated: Bool?
    var user: User?
    var audiences: [String]?
  }

  var status: Status

  static func question(_ token: String, audience: String) -> JSONValue {
    var spec: [String: JSONValue] = ["token": .string(token)]
    if !audience.isEmpty { spec["audiences"] = [.string(audience)] }
    return [
      "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": .object(spec),
    ]
  }

  /// Who it is; nil where the token is not known, or was made for others.
  ///
  /// A server that knows of no audiences names none: its word is worth nothing then where one is asked for.
  func user(audience: String) -> User? {
    guard status.authenticated == true, let user = status.user, !user.name.isEmpty else { return nil }
    return audience.isEmpty || status.audiences?.contains(audience) == true ? user : nil
  }
}

/// Whether somebody may do something.
struct SubjectAccessReview: Decodable {
  static let resource = Resource(
    group: "authorization.k8s.io", plural: "subjectaccessreviews", isNamespaced: false)

  struct Status: Decodable {
    var allowed: Bool
    var denied: Bool?
  }

  var status: Status

  var isAllowed: Bool { status.allowed && status.denied != true }

  static func question(_ verb: String, of user: TokenReview.User) -> JSONValue {
    func list(_ texts: [String]) -> JSONValue { .array(texts.map(JSONValue.string)) }
    var spec: [String: JSONValue] = [
      "user": .string(user.name), "groups": list(user.groups ?? []),
      "resourceAttributes": ["group": "drover.io", "resource": "migrations", "verb": .string(verb)],
    ]
    if let uid = user.uid { spec["uid"] = .string(uid) }
    if let extra = user.extra { spec["extra"] = .object(extra.mapValues(list)) }
    return [
      "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": .object(spec),
    ]
  }
}
