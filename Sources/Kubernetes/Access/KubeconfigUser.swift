internal import CurlClient
internal import Yams

/// A user entry.
struct KubeconfigUser: Hashable, Sendable {
  struct Exec: Hashable, Sendable {
    var apiVersion: String
    var command: String
    var arguments: [String]
    var environment: [String: String]
    var wantsCluster: Bool
    var installHint: String?
    var interactiveMode: String
  }

  let name: String
  let place: String
  let certificate: PEMSource?
  let key: PEMSource?
  let token: String?
  let tokenFile: String?
  let user: String?
  let password: String?
  let impersonation: [HTTPHeaders.Field]
  let exec: Exec?
  /// The name of an `auth-provider`, which is refused when the user is used.
  let authProvider: String?

  init(name: String, _ entry: KubeconfigEntry) throws(AccessError) {
    self.name = name
    place = entry.place
    certificate = try Self.source("client-certificate", entry)
    key = try Self.source("client-key", entry)
    token = try entry.string("token")
    tokenFile = try entry.path("tokenFile")
    user = try entry.string("username")
    password = try entry.string("password")
    impersonation = try Self.impersonation(entry)
    exec = try entry.section("exec").map { section throws(AccessError) in try Exec(section) }
    authProvider = try entry.section("auth-provider").map { section throws(AccessError) in
      try section.string("name") ?? ""
    }
  }

  func credentials(for cluster: KubeconfigCluster, timing: Timing) throws(AccessError) -> Credentials {
    if let authProvider {
      throw AccessError(
        place,
        "auth-provider '\(authProvider)' is no longer supported, by kubectl neither: use a credential program (exec)"
      )
    }
    let hasToken = token != nil || tokenFile != nil
    guard user == nil || !hasToken else {
      throw AccessError(place, "a token beside a username: remove one of them")
    }
    guard (certificate == nil) == (key == nil) else {
      throw AccessError(place, "client-certificate or client-key without the other: give both")
    }
    var identity = Identity(token: token)
    identity.basic = user.map { ($0, password ?? "") }
    identity.clientCertificate = certificate
    identity.clientKey = key
    identity.impersonation = impersonation
    if let tokenFile {
      let file = TokenFile(path: tokenFile, place: place, fallback: token)
      return Credentials(tokenFile: file, beside: identity, timing: timing)
    }
    // As with kubectl, what the entry itself says comes first.
    if let exec, !hasToken, user == nil {
      let program = try exec.program(place: place, cluster: cluster)
      return Credentials(program: ExecSource(program, timing: timing), beside: identity, timing: timing)
    }
    return Credentials(identity)
  }

  /// What `key-data` holds, else the file that `key` names.
  private static func source(_ key: String, _ entry: KubeconfigEntry) throws(AccessError) -> PEMSource? {
    if let text = try entry.string("\(key)-data") {
      return .pem(try Base64Text.decoded(text, "\(key)-data", entry.place))
    }
    return try entry.path(key).map { .file($0) }
  }

  private static func impersonation(_ entry: KubeconfigEntry) throws(AccessError) -> [HTTPHeaders.Field] {
    var fields: [HTTPHeaders.Field] = []
    if let user = try entry.string("as") { fields.append(.init(name: "Impersonate-User", value: user)) }
    if let uid = try entry.string("as-uid") { fields.append(.init(name: "Impersonate-Uid", value: uid)) }
    fields += try entry.strings("as-groups").map { .init(name: "Impersonate-Group", value: $0) }
    if let extra = try entry.section("as-user-extra") {
      for pair in try extra.mapping() {
        guard let name = pair.key.scalar?.string else { continue }
        fields += try extra.strings(name).map {
          .init(name: "Impersonate-Extra-\(name.percentEncoded())", value: $0)
        }
      }
    }
    return fields
  }
}

extension KubeconfigUser.Exec {
  fileprivate init(_ entry: KubeconfigEntry) throws(AccessError) {
    apiVersion = try entry.string("apiVersion") ?? ""
    let command = try entry.string("command") ?? ""
    // A path with a slash is relative to the file; a bare name is looked for in PATH.
    self.command = command.contains("/") ? entry.resolved(command) : command
    arguments = try entry.strings("args")
    environment = [:]
    for variable in try entry.elements("env") {
      guard let name = try variable.string("name") else {
        throw AccessError(entry.place, "exec: a variable of env has no name: write {name: ..., value: ...}")
      }
      environment[name] = try variable.string("value") ?? ""
    }
    wantsCluster = try entry.flag("provideClusterInfo")
    installHint = try entry.string("installHint")
    interactiveMode = try entry.string("interactiveMode") ?? "IfAvailable"
  }

  fileprivate func program(place: String, cluster: KubeconfigCluster) throws(AccessError) -> ExecProgram {
    let versions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"]
    guard versions.contains(apiVersion) else {
      throw AccessError(
        place, "exec: apiVersion '\(apiVersion)': use \(versions[0]), and a program that speaks it")
    }
    guard !command.isEmpty else { throw AccessError(place, "exec: no command: name the program") }
    guard ["Never", "IfAvailable"].contains(interactiveMode) else {
      throw AccessError(
        place, "exec: interactiveMode '\(interactiveMode)': nobody can answer here; use Never or IfAvailable")
    }
    return ExecProgram(
      place: place, apiVersion: apiVersion, command: command, arguments: arguments, environment: environment,
      installHint: installHint, cluster: wantsCluster ? try cluster.execInfo() : nil)
  }
}
