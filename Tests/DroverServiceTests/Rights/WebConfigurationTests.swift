import MicroHTTP
import Testing

@testable import DroverService

@Suite("web.yml")
struct WebConfigurationTests {
  private func errors(_ text: String) -> [String] {
    configurationErrors { () throws(ConfigurationError) in
      _ = try WebConfiguration.parse(text, file: "/etc/web.yml")
    }
  }

  @Test("an empty file asks for nothing", arguments: ["", "# nothing\n", "{}", "tls_server_config:\n"])
  func empty(text: String) throws {
    #expect(try WebConfiguration.parse(text, file: "f") == WebConfiguration())
  }

  @Test("everything that exporter-toolkit takes is taken")
  func whole() throws {
    let web = try WebConfiguration.parse(
      """
      tls_server_config:
        cert_file: server.crt
        key_file: /keys/server.key
        client_auth_type: RequireAndVerifyClientCert
        client_ca_file: ca.crt
        client_allowed_sans: [prometheus.test, "10.0.0.1"]
        min_version: TLS11
        max_version: TLS12
        cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]
        prefer_server_cipher_suites: false
        curve_preferences: [X25519, CurveP256]
      http_server_config:
        http2: true
        headers: {X-Frame-Options: deny, X-Content-Type-Options: nosniff, Strict-Transport-Security: "max-age=1"}
      basic_auth_users: {"no": '\(secretHash)', bob: \(otherHash)}
      rate_limit: {interval: 1s, burst: 20}
      """, file: "/etc/web.yml")
    let tls = try #require(web.tls)
    #expect(tls.certificate == .file("/etc/server.crt"))
    #expect(tls.key == .file("/keys/server.key"))
    #expect(tls.clientAuthorities == .file("/etc/ca.crt"))
    #expect(tls.settings.clientCertificate == .requireAndVerify)
    #expect(tls.settings.allowedNames == ["prometheus.test", "10.0.0.1"])
    #expect(tls.settings.minVersion == .tls11 && tls.settings.maxVersion == .tls12)
    #expect(
      tls.settings.cipherSuites.map { String($0.name.suffix(14)) } == ["128_GCM_SHA256", "256_GCM_SHA384"])
    #expect(!tls.settings.prefersServerOrder)
    #expect(tls.settings.curves == [.x25519, .p256])
    #expect(web.headers.count == 3)
    #expect(web.users.keys.sorted() == ["bob", "no"])
    #expect(web.rateLimit == .init(interval: .seconds(1), burst: 20))
    #expect(web.remarks == ["http_server_config.http2 is without effect: there is no HTTP/2 here"])
  }

  @Test("the defaults of TLS are exporter-toolkit's, and texts can stand in the file")
  func defaults() throws {
    let web = try WebConfiguration.parse(
      """
      tls_server_config:
        cert: |
          -----BEGIN CERTIFICATE-----
        key: |
          -----BEGIN KEY-----
      """, file: "web.yml")
    let tls = try #require(web.tls)
    #expect(tls.certificate == .text("-----BEGIN CERTIFICATE-----\n"))
    #expect(tls.settings.clientCertificate == .none)
    #expect(tls.settings.minVersion == .tls12 && tls.settings.maxVersion == .tls13)
    #expect(tls.settings.prefersServerOrder)
    #expect(tls.files.isEmpty)
  }

  @Test(
    "what is wrong is told with its place",
    arguments: [
      ("tls: {}", #"/etc/web.yml:1:1: unknown key "tls" at the top"#),
      ("access: []", "rights are granted in the configuration"),
      ("tls_server_config: {cert_file: a}", "tls_server_config.key_file must be given"),
      ("tls_server_config: {key_file: a}", "tls_server_config.cert_file must be given"),
      ("tls_server_config: {cert_file: a, cert: b, key_file: c}", "both cert and cert_file are given"),
      ("tls_server_config: {cert: abc, key_file: c}", "tls_server_config.cert must be a PEM text"),
      (
        "tls_server_config: {cert_file: a, key_file: b, client_auth_type: Require}",
        "must be one of NoClientCert"
      ),
      (
        "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAndVerifyClientCert}",
        "needs client_ca_file"
      ),
      (
        "tls_server_config: {cert_file: a, key_file: b, client_auth_type: VerifyClientCertIfGiven}",
        "needs client_ca_file"
      ),
      (
        "tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}",
        "client authorities are without effect"
      ),
      (
        "tls_server_config: {cert_file: a, key_file: b, client_allowed_sans: [c]}",
        "client_allowed_sans is without effect"
      ),
      (
        "tls_server_config: {cert_file: a, key_file: b, min_version: TLS9}",
        "must be one of TLS10, TLS11, TLS12, TLS13"
      ),
      (
        "tls_server_config: {cert_file: a, key_file: b, min_version: TLS13, max_version: TLS12}",
        "is newer than TLS12"
      ),
      (
        "tls_server_config: {cert_file: a, key_file: b, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}",
        "is unknown, unsound or not in GnuTLS"
      ),
      (
        "tls_server_config: {cert_file: a, key_file: b, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]}",
        "TLS 1.3 would have no cipher"
      ),
      (
        "tls_server_config: {cert_file: a, key_file: b, curve_preferences: [X25519MLKEM768]}",
        "is unknown, unsound or not in GnuTLS; known: CurveP256"
      ),
      ("http_server_config: {headers: {Server: x}}", #"unknown key "Server""#),
      ("http_server_config: {headers: {X-Frame-Options: allow}}", "must be one of deny, sameorigin"),
      ("http_server_config: {headers: {Strict-Transport-Security: max-age=1}}", "is for TLS"),
      (
        "basic_auth_users: {alice: secret}",
        #""alice" has no bcrypt hash; make one with htpasswd -nBC 10 alice"#
      ),
      ("basic_auth_users: {alice: }", "has no bcrypt hash"),
      ("basic_auth_users: [alice]", "must be names with bcrypt"),
      ("basic_auth_users: {'a:b': \(secretHash)}", "without a colon"),
      ("basic_auth_users: {a: \(secretHash), a: \(secretHash)}", #"the user "a" stands twice"#),
      (
        "basic_auth_users: {a: \(secretHash.replacing("$04$", with: "$20$"))}",
        "has a cost of 20, so that each check takes minutes"
      ),
      ("rate_limit: {interval: 1s}", "rate_limit.burst must be at least 1"),
      ("rate_limit: {interval: fast, burst: 1}", "rate_limit.interval"),
    ])
  func wrong(text: String, error: String) {
    let told = errors(text)
    #expect(told.contains { $0.contains(error) }, "\(told)")
    #expect(told.allSatisfy { $0.hasPrefix("/etc/web.yml:1:") })
    #expect(told.allSatisfy { !$0.contains("secret") })
  }

  @Test("an interval of 0 is no limit")
  func noLimit() throws {
    #expect(try WebConfiguration.parse("rate_limit: {interval: 0, burst: 20}", file: "f").rateLimit == nil)
  }

  @Test("a bucket gives as many as it holds, and one more for each interval, but never more than it holds")
  func bucket() {
    let start = ContinuousClock.now
    var bucket = TokenBucket(.init(interval: .seconds(2), burst: 2), at: start)
    func take(_ seconds: Double) -> Bool { bucket.take(at: start + .seconds(seconds)) }
    #expect(take(0) && take(0) && !take(0))
    #expect(!take(1.9) && take(2) && !take(3.9) && take(4))
    #expect(take(100) && take(100) && !take(100))
    #expect(!take(50))
  }
}
