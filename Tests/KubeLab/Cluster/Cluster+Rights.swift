import FoundationEssentials
import QEMURig

extension Cluster {
  /// What may be done to some resources.
  public struct Rule: Hashable, Sendable {
    let groups: [String]
    let resources: [String]
    let verbs: [String]

    /// A rule of RBAC; the core is the group "".
    public init(_ groups: [String], _ resources: [String], _ verbs: [String]) {
      (self.groups, self.resources, self.verbs) = (groups, resources, verbs)
    }

    /// Reads all objects of a kind, and goes on reading.
    public static func read(_ resources: Resource...) -> [Rule] {
      resources.map { Rule([$0.group], [$0.plural], ["get", "list", "watch"]) }
    }

    var json: JSONValue {
      func list(_ values: [String]) -> JSONValue { .array(values.map(JSONValue.string)) }
      return ["apiGroups": list(groups), "resources": list(resources), "verbs": list(verbs)]
    }
  }

  /// Who may.
  public enum Subject: Hashable, Sendable {
    /// Somebody of the token file.
    case user(User)
    /// A service account.
    case serviceAccount(String, namespace: String)

    var json: JSONValue {
      switch self {
      case .user(let user):
        ["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": .string(user.name)]
      case .serviceAccount(let name, let namespace):
        ["kind": "ServiceAccount", "name": .string(name), "namespace": .string(namespace)]
      }
    }
  }

  /// Grants rights, everywhere or in a namespace, within a moment; the same name replaces what it granted.
  public func grant(
    _ name: String, _ rules: [Rule], to subject: Subject = .user(.drover), in namespace: String? = nil
  ) async throws {
    try await revoke(name, in: namespace)
    let kind = namespace == nil ? "ClusterRole" : "Role"
    var metadata: JSONValue = ["name": .string(name)]
    metadata[path: "namespace"] = namespace.map(JSONValue.string)
    let version: JSONValue = "rbac.authorization.k8s.io/v1"
    try await api.create([
      "apiVersion": version, "kind": .string(kind), "metadata": metadata, "rules": .array(rules.map(\.json)),
    ])
    try await api.create([
      "apiVersion": version, "kind": .string("\(kind)Binding"), "metadata": metadata,
      "subjects": [subject.json],
      "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": .string(kind), "name": .string(name)],
    ])
  }

  /// Takes back what was granted under a name.
  ///
  /// Watches that run go on, as everywhere in Kubernetes.
  public func revoke(_ name: String, in namespace: String? = nil) async throws {
    let resources: [Resource] =
      namespace == nil ? [.clusterRoleBindings, .clusterRoles] : [.roleBindings, .roles]
    for resource in resources {
      do { try await api.delete(resource, name, in: namespace) } catch let error as APIRefusal
        where error.status == 404
      {}
    }
  }

  // MARK: Service accounts

  /// Makes a service account that is not there yet.
  public func addServiceAccount(_ name: String = "drover", in namespace: String = "drover") async throws {
    try await needNamespace(namespace)
    do {
      try await api.create([
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": ["name": .string(name), "namespace": .string(namespace)],
      ])
    } catch let error as APIRefusal where error.reason == "AlreadyExists" {}
  }

  /// Lets the API server make a token of a service account, as a kubelet does for a pod: for ten minutes,
  /// which is the shortest that the server grants.
  ///
  /// - Parameters:
  ///   - secret: A secret, made here, with which the token ends; see ``revokeToken(boundTo:in:)``.
  ///   - audience: Who takes it; nil for the API server.
  public func token(
    of account: String = "drover", in namespace: String = "drover", boundTo secret: String? = nil,
    audience: String? = nil
  ) async throws -> String {
    let audiences = audience.map { [JSONValue.string($0)] } ?? []
    var spec: JSONValue = ["expirationSeconds": 600, "audiences": .array(audiences)]
    if let secret {
      let made = try await api.create([
        "apiVersion": "v1", "kind": "Secret",
        "metadata": ["name": .string(secret), "namespace": .string(namespace)],
      ])
      spec[path: "boundObjectRef"] = [
        "apiVersion": "v1", "kind": "Secret", "name": .string(secret), "uid": .string(made.uid),
      ]
    }
    let answer = try await api.post(
      ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec], to: "token",
      of: .serviceAccounts, account, in: namespace)
    guard let token = answer[path: "status", "token"]?.string else {
      throw KubeLabError("token of \(account)", "none in \(answer.text)")
    }
    return token
  }

  /// Ends a token with its secret, and waits until the server refuses it, which takes up to 10 s.
  public func revokeToken(_ token: String, boundTo secret: String, in namespace: String = "drover")
    async throws
  {
    try await api.delete(.secrets, secret, in: namespace)
    try await api.settle("the end of a token") {
      try await api.request("GET", "/api/v1/nodes?limit=1", token: token).status == 401
    }
  }
}
