import FoundationEssentials
import Glibc
import QEMURig

/// Somebody whom the API server knows by a token of its token file.
public struct User: Hashable, Sendable {
  /// What RBAC calls them.
  public let name: String
  /// Their groups, apart from `system:authenticated`.
  public let groups: [String]
  /// What they say to be let in.
  public let token: String

  /// Somebody for ``APIServer/accept(_:)``.
  public init(_ name: String, groups: [String] = [], token: String) {
    self.name = name
    self.groups = groups
    self.token = token
  }

  /// May do everything.
  public static let admin = User("admin", groups: ["system:masters"], token: "lab-admin")
  /// What is under test; may do nothing that ``Cluster/grant(_:_:to:in:)`` has not granted.
  public static let drover = User("drover", token: "lab-drover-1")
  /// The same user with another token, which is as good.
  public static let droverAgain = User("drover", token: "lab-drover-2")
  /// Stays without rights.
  public static let nobody = User("nobody", token: "lab-nobody")

  /// Those whom the server lets in from the start.
  ///
  /// The first is the one that the lab itself asks as.
  public static let all = [admin, drover, droverAgain, nobody]

  static func file(_ users: [User]) -> JSONValue {
    .array(
      users.map { user in
        .object([
          "name": .string(user.name), "token": .string(user.token),
          "groups": .array(user.groups.map(JSONValue.string)),
        ])
      })
  }
}

extension APIServer {
  /// How a kubeconfig says who is asking.
  public enum Credentials: Sendable {
    /// The token itself.
    case token(String)
    /// A file with the token, which may change.
    case tokenFile(String)
    /// The files of a client certificate and its key.
    case certificate(String, key: String)
    /// A program that prints an ExecCredential, and its arguments.
    case exec([String])
    /// Nothing: an anonymous client.
    case none
  }

  /// Writes a kubeconfig for this server.
  ///
  /// - Parameters:
  ///   - credentials: Who is asking.
  ///   - name: Of the file, in ``directory``.
  ///   - namespace: Of its context.
  ///   - address: Where the server is; ``APIServer/address`` without.
  ///   - isInline: Whether the authority's certificate is in the file itself.
  /// - Returns: The path.
  public func kubeconfig(
    _ credentials: Credentials, name: String = "kubeconfig", namespace: String? = nil,
    address: String? = nil, isInline: Bool = false
  ) throws -> String {
    var authority = "certificate-authority: \(caFile)"
    if isInline {
      authority =
        "certificate-authority-data: \(try Data(contentsOf: URL(filePath: caFile)).base64EncodedString())"
    }
    let user =
      switch credentials {
      case .token(let token): "{token: \(token)}"
      case .tokenFile(let file): "{tokenFile: \(file)}"
      case .certificate(let file, let key): "{client-certificate: \(file), client-key: \(key)}"
      case .exec(let words):
        "{exec: {apiVersion: client.authentication.k8s.io/v1beta1, interactiveMode: Never, "
          + "command: \(words.first ?? ""), args: \(arguments(words).text)}}"
      case .none: "{}"
      }
    let context = "cluster: lab, user: lab" + (namespace.map { ", namespace: \($0)" } ?? "")
    return try write(
      """
      apiVersion: v1
      kind: Config
      clusters:
      - name: lab
        cluster: {server: "\(address ?? self.address)", \(authority)}
      users:
      - name: lab
        user: \(user)
      contexts:
      - name: lab
        context: {\(context)}
      current-context: lab

      """, to: name)
  }

  private func arguments(_ words: [String]) -> JSONValue {
    .array(words.dropFirst().map(JSONValue.string))
  }

  /// Writes a kubeconfig with the token of a user.
  public func kubeconfig(_ user: User) throws -> String {
    try kubeconfig(.token(user.token), name: "kubeconfig-\(user.token)")
  }

  /// Writes a file into ``directory``; one that is there is replaced at once, as a kubelet replaces tokens.
  ///
  /// - Returns: The path.
  @discardableResult
  public func write(_ text: String, to name: String) throws -> String {
    let path = "\(directory)/\(name)"
    try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
    chmod(path, 0o600)
    return path
  }
}
