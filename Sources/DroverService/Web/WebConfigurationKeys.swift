internal import MicroHTTP
internal import Yams

/// The keys of `web.yml`, as exporter-toolkit has them.
extension ConfigurationReader {
  mutating func webConfiguration(directory: String) -> WebConfiguration {
    var result = WebConfiguration()
    let top = mapping(
      document.root, "",
      keys: ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"],
      remedies: ["access": "rights are granted in the configuration (--config.file);"])
    result.tls = tls(top["tls_server_config"], directory: directory)
    let http = mapping(top["http_server_config"], "http_server_config", keys: ["http2", "headers"])
    if boolean(http["http2"], "http_server_config.http2") == true {
      result.remarks.append("http_server_config.http2 is without effect: there is no HTTP/2 here")
    }
    result.headers = headers(http["headers"], hasTLS: result.tls != nil)
    result.users = users(top["basic_auth_users"])
    result.rateLimit = rateLimit(top["rate_limit"])
    return result
  }

  private mutating func tls(_ node: Node?, directory: String) -> WebConfiguration.TLS? {
    let keys = mapping(
      node, "tls_server_config",
      keys: [
        "cert", "cert_file", "key", "key_file", "client_auth_type", "client_ca", "client_ca_file",
        "client_allowed_sans", "min_version", "max_version", "cipher_suites", "curve_preferences",
        "prefer_server_cipher_suites",
      ])
    guard let node, !keys.isEmpty else { return nil }
    var settings = TLSSettings(certificate: [], key: [])
    let certificate = pem(keys, "cert", directory, neededBy: node)
    let key = pem(keys, "key", directory, neededBy: node)
    let authorities = pem(keys, "client_ca", directory, neededBy: nil)
    settings.clientCertificate =
      choice(
        keys["client_auth_type"], "tls_server_config.client_auth_type", TLSSettings.ClientCertificate.self)
      ?? .none
    settings.minVersion =
      choice(keys["min_version"], "tls_server_config.min_version", TLSSettings.Version.self) ?? .tls12
    settings.maxVersion =
      choice(keys["max_version"], "tls_server_config.max_version", TLSSettings.Version.self) ?? .tls13
    settings.prefersServerOrder =
      boolean(keys["prefer_server_cipher_suites"], "tls_server_config.prefer_server_cipher_suites") ?? true
    settings.cipherSuites = words(
      keys["cipher_suites"], "tls_server_config.cipher_suites", among: CipherSuite.all.map(\.name)
    ).compactMap(CipherSuite.init(named:))
    settings.curves = words(
      keys["curve_preferences"], "tls_server_config.curve_preferences",
      among: TLSSettings.Curve.allCases.map(\.rawValue)
    ).compactMap(TLSSettings.Curve.init(rawValue:))
    settings.allowedNames = words(keys["client_allowed_sans"], "tls_server_config.client_allowed_sans")
    check(keys, settings, hasAuthorities: authorities != nil)
    guard let certificate, let key else { return nil }
    return WebConfiguration.TLS(
      certificate: certificate, key: key, clientAuthorities: authorities, settings: settings)
  }

  /// What does not go together.
  private mutating func check(_ keys: [String: Node], _ settings: TLSSettings, hasAuthorities: Bool) {
    let type = settings.clientCertificate
    if let node = keys["client_auth_type"], type.isVerified, !hasAuthorities, keys["client_ca"] == nil {
      complain(
        at: node,
        "client_auth_type: \(type.rawValue) needs client_ca_file, the authorities that sign clients: any public "
          + "authority's certificate would do otherwise")
    }
    if let node = keys["client_ca_file"] ?? keys["client_ca"], type == .none {
      complain(
        at: node,
        "client authorities are without effect while clients are asked for no certificate; such as "
          + "client_auth_type: RequireAndVerifyClientCert")
    }
    if let node = keys["client_allowed_sans"], type == .none {
      complain(
        at: node,
        "client_allowed_sans is without effect while clients are asked for no certificate; such as "
          + "client_auth_type: RequireAndVerifyClientCert")
    }
    if let node = keys["cipher_suites"] ?? keys["min_version"] ?? keys["max_version"] {
      do throws(TLSError) { try settings.check() } catch {
        complain(at: node, "tls_server_config: \(error)")
      }
    }
  }

  /// A PEM text (`cert`) or the path of one (`cert_file`).
  private mutating func pem(
    _ keys: [String: Node], _ name: String, _ directory: String, neededBy owner: Node?
  ) -> WebConfiguration.PEM? {
    let path = "tls_server_config.\(name)"
    if let inline = keys[name] {
      if keys["\(name)_file"] != nil {
        complain(at: inline, "both \(name) and \(name)_file are given; remove one")
        return nil
      }
      guard let text = inline.scalar?.string, text.contains("-----BEGIN") else {
        complain(at: inline, "\(path) must be a PEM text: a block (|) that begins with -----BEGIN")
        return nil
      }
      return .text(text)
    }
    if let file = text(keys["\(name)_file"], "\(path)_file", example: "server.crt") {
      guard file.isEmpty else { return .file(file.hasPrefix("/") ? file : "\(directory)/\(file)") }
    } else if keys["\(name)_file"] != nil {
      return nil
    }
    if let owner { complain(at: owner, "\(path)_file must be given; such as \(name)_file: server.\(name)") }
    return nil
  }

  /// A list of texts; where `known` is given, each is one of them.
  private mutating func words(_ node: Node?, _ path: String, among known: [String]? = nil) -> [String] {
    var found: [String] = []
    for entry in list(node, path, example: "[\(known?.first ?? "name")]") {
      guard let word = text(entry, "an entry of \(path)", example: known?.first ?? "name") else { continue }
      if let known, !known.contains(word) {
        let meant = suggestion(for: word, among: known).map { "; did you mean \($0)?" } ?? ""
        complain(
          at: entry,
          "\(path): \(quoted(word)) is unknown, unsound or not in GnuTLS\(meant); known: "
            + known.joined(separator: ", "))
        continue
      }
      if found.contains(word) {
        complain(at: entry, "\(path) names \(quoted(word)) twice; remove one")
        continue
      }
      found.append(word)
    }
    return found
  }

  private static let headerValues: [String: [String]] = [
    "Content-Security-Policy": [], "Strict-Transport-Security": [], "X-XSS-Protection": [],
    "X-Content-Type-Options": ["nosniff"], "X-Frame-Options": ["deny", "sameorigin"],
  ]

  private mutating func headers(_ node: Node?, hasTLS: Bool) -> [String: String] {
    let path = "http_server_config.headers"
    let keys = mapping(node, path, keys: Array(Self.headerValues.keys))
    var result: [String: String] = [:]
    for (name, values) in Self.headerValues {
      guard let node = keys[name],
        let value = text(node, "\(path).\(name)", example: quoted(values.first ?? "…"))
      else { continue }
      guard values.isEmpty || values.contains(value) else {
        complain(
          at: node,
          "\(path).\(name) must be one of \(values.joined(separator: ", ")), not \(quoted(value))")
        continue
      }
      if name == "Strict-Transport-Security", !hasTLS {
        complain(at: node, "\(path).\(name) is for TLS; give tls_server_config, or remove it")
      }
      result[name] = value
    }
    return result
  }

  private mutating func users(_ node: Node?) -> [String: BcryptHash] {
    let path = "basic_auth_users"
    guard let node, !isNull(node) else { return [:] }
    guard let mapping = node.mapping else {
      complain(
        at: node, "\(path) must be names with bcrypt hashes; such as alice: $2y$10$… (htpasswd -nBC 10)")
      return [:]
    }
    var result: [String: BcryptHash] = [:]
    for (key, value) in mapping {
      guard let name = document.name(ofKey: key), !name.isEmpty, !name.contains(":") else {
        complain(at: key, "a name in \(path) must be a text without a colon")
        continue
      }
      guard result[name] == nil else {
        complain(at: key, "the user \(quoted(name)) stands twice; remove one")
        continue
      }
      // The text is not said: it may be the password itself.
      guard let hash = value.scalar.flatMap({ BcryptHash($0.string) }) else {
        complain(
          at: value, "\(path): \(quoted(name)) has no bcrypt hash; make one with htpasswd -nBC 10 \(name)")
        continue
      }
      guard hash.cost <= Self.highestCost else {
        complain(
          at: value,
          "\(path): the hash of \(quoted(name)) has a cost of \(hash.cost), so that each check takes minutes; "
            + "10 to 14 is usual")
        continue
      }
      result[name] = hash
    }
    return result
  }

  /// About five seconds.
  private static var highestCost: Int { 16 }

  private mutating func rateLimit(_ node: Node?) -> WebConfiguration.RateLimit? {
    let keys = mapping(node, "rate_limit", keys: ["interval", "burst"])
    guard let node, !keys.isEmpty else { return nil }
    let interval =
      duration(
        keys["interval"], "rate_limit.interval", in: .nanoseconds(1)...hours(24), zero: "no limit",
        example: "1s") ?? .zero
    let burst = integer(keys["burst"], "rate_limit.burst", in: 0...1_000_000, example: 20) ?? 0
    guard interval > .zero else { return nil }
    if burst == 0 {
      complain(at: node, "rate_limit.burst must be at least 1, or nothing would be let in; such as 20")
    }
    return WebConfiguration.RateLimit(interval: interval, burst: burst)
  }
}
