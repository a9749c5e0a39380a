internal import DroverCore
internal import MicroHTTP

/// One proof of who somebody is.
enum Credential: Hashable, Sendable {
  /// The kernel says so, on the control socket.
  case uid(UInt32)
  /// The token of a file.
  case token(file: String)
  /// A user of web.yml, with the password.
  case user(String)
  /// A certificate that a known authority signed.
  case certificate(subject: String, names: Set<String>)
  /// A user of a cluster, by a token that its API server knows, and what it has said that they may.
  case cluster(user: String, ClusterAuthority, Set<Right>)

  init?(_ certificate: PeerCertificate?) {
    // Anybody can make a certificate with any name in it.
    guard let certificate, certificate.isVerified else { return nil }
    self = .certificate(
      subject: certificate.commonName.map { "CN=\($0)" } ?? certificate.subject,
      names: Set(certificate.names + (certificate.commonName.map { [$0] } ?? [])))
  }

  /// Who this is, for a log or the journal.
  var words: String {
    switch self {
    case .uid(let uid): "uid \(uid) on the control socket"
    case .token(let file): "token \(fileName(file))"
    case .user(let name): "user \(printable(name))"
    case .certificate(let subject, _): "certificate \(printable(subject))"
    case .cluster(let user, let authority, _):
      "user \(printable(user)) of the cluster \(authority.backend.rawValue)"
    }
  }

  /// What would grant it rights.
  func remedy(_ rights: [Right], _ rules: AccessRules) -> String {
    let words = rights.isEmpty ? "…" : rights.map(\.rawValue).joined(separator: ", ")
    let line = "grant it in the configuration: access: [{\(key), rights: [\(words)]}]"
    guard case .cluster = self else { return line }
    let inCluster = "grant it in the cluster: a ClusterRole with the verbs [\(words)] on migrations.drover.io"
    return rules.mayHave(self, Set(rights)) ? inCluster : "\(line), and \(inCluster)"
  }

  /// The beginning of the entry in `access` that grants it something.
  var key: String {
    switch self {
    case .uid(let uid): "uid: \(uid)"
    case .token(let file): "tokenFile: …/\(fileName(file))"
    case .user(let name): "user: \(quoted(name))"
    case .certificate(let subject, let names):
      "certificate: \(quoted(names.min() ?? subject))"
    case .cluster(_, let authority, _): "kubernetes: \(authority.backend.rawValue)"
    }
  }

  private func fileName(_ path: String) -> String { printable(String(path.split(separator: "/").last ?? "")) }
}

/// Who has which rights.
struct AccessRules: Hashable, Sendable {
  var rules: [AccessRule] = []
  /// The user that Drover runs as, who could do everything without asking.
  var ownUID: UInt32

  func rights(of credential: Credential) -> Set<Right> {
    if case .uid(let uid) = credential, uid == 0 || uid == ownUID { return Set(Right.allCases) }
    return rules.reduce(into: []) { rights, rule in
      guard credential.isMeant(by: rule.subject) else { return }
      // Both must grant it: the cluster, and the configuration.
      if case .cluster(_, _, let reviewed) = credential {
        rights.formUnion(rule.rights.intersection(reviewed))
      } else {
        rights.formUnion(rule.rights)
      }
    }
  }

  /// Whether the configuration lets a credential have rights that a cluster would have to grant.
  func mayHave(_ credential: Credential, _ rights: Set<Right>) -> Bool {
    rights.isSubset(
      of: rules.filter { credential.isMeant(by: $0.subject) }.reduce(into: []) { $0.formUnion($1.rights) })
  }

  /// The clusters that are asked about tokens, and what they may grant.
  var authorities: [(ClusterAuthority, Set<Right>)] {
    rules.compactMap { rule in
      if case .kubernetes(let authority) = rule.subject { (authority, rule.rights) } else { nil }
    }
  }

  func rights(of credentials: [Credential]) -> Set<Right> {
    credentials.reduce(into: []) { $0.formUnion(rights(of: $1)) }
  }

  /// Those that have something to do with the rights asked for.
  func bearers(of needed: Set<Right>, among credentials: [Credential]) -> [Credential] {
    if let one = credentials.first(where: { needed.isSubset(of: rights(of: $0)) }) { return [one] }
    return credentials.filter { !rights(of: $0).isDisjoint(with: needed) }
  }
}

extension Credential {
  fileprivate func isMeant(by subject: AccessRule.Subject) -> Bool {
    switch (self, subject) {
    case (.uid(let own), .uid(let granted)): own == granted
    case (.token(let own), .tokenFile(let granted)): own == granted
    case (.user(let own), .user(let granted)): own == granted
    case (.certificate(_, let names), .certificate(let granted)): names.contains(granted)
    case (.cluster(_, let own, _), .kubernetes(let granted)): own == granted
    case (.uid, _), (.token, _), (.user, _), (.certificate, _), (.cluster, _): false
    }
  }
}
