import Foundation
import MicroHTTP
import PeerTools
import Synchronization
import Testing

/// Certificates that are made once for all tests.
struct TestCertificates: Sendable {
  private static let made = Result { try TestCertificates() }
  static var all: TestCertificates { get throws { try made.get() } }

  let scratch: Scratch
  let authority: CertificateFiles
  let otherAuthority: CertificateFiles
  let server: CertificateFiles
  /// Another authority has signed it.
  let otherServer: CertificateFiles
  let clients: [Client: CertificateFiles]

  enum Client: CaseIterable {
    case good, stranger, expired, forServers, named, twoNames
  }

  private init() throws {
    scratch = try Scratch()
    let maker = CertificateMaker(in: scratch)
    authority = try maker.authority("authority")
    otherAuthority = try maker.authority("other")
    server = try maker.certificate("server", by: authority, names: "IP:127.0.0.1,DNS:drover.test")
    otherServer = try maker.certificate("server2", by: otherAuthority, names: "IP:127.0.0.1")
    clients = [
      .good: try maker.certificate("good", by: authority, purpose: .client),
      .stranger: try maker.certificate("stranger", by: otherAuthority, purpose: .client),
      .expired: try maker.certificate("expired", by: authority, purpose: .client, isExpired: true),
      .forServers: try maker.certificate("forservers", by: authority, purpose: .server),
      .named: try maker.certificate(
        "named", by: authority, subject: "/O=example/CN=named",
        names: "DNS:host.test,email:a@b.test,URI:spiffe://x/y,IP:10.1.2.3,IP:fd00::1"),
      .twoNames: try maker.certificate("two", by: authority, subject: "/CN=one/CN=two"),
    ]
  }

  func settings(_ pair: CertificateFiles? = nil) throws -> TLSSettings {
    let pair = pair ?? server
    func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }
    var settings = TLSSettings(certificate: try bytes(pair.certificate), key: try bytes(pair.key))
    settings.clientAuthorities = try bytes(authority.certificate)
    return settings
  }

  func options(_ client: Client?) throws -> [String] {
    guard let client else { return [] }
    let files = try #require(clients[client])
    return ["--cert", files.certificate, "--key", files.key]
  }
}

@Suite("TLS", .timeLimit(.minutes(5)))
struct TLSTests {
  private let made: TestCertificates

  init() throws { made = try TestCertificates.all }

  private func ask(
    _ address: ListenAddress, _ path: String = "/who", client: TestCertificates.Client? = nil,
    options: [String] = []
  ) async throws -> CurlAnswer {
    let base = ["--cacert", made.authority.certificate]
    return try await curl(
      base + (try made.options(client)) + options + ["https://\(address)\(path)"], in: made.scratch)
  }

  private static let router: Router = {
    var router = Router()
    router.on(
      .get, "/who",
      .immediate { request in
        guard let shown = request.certificate else { return .text("nobody") }
        return .text(
          "\(shown.subject) \(shown.commonName ?? "-") \(shown.names.joined(separator: ",")) \(shown.isVerified)"
        )
      })
    router.on(
      .get, "/later",
      .deferred { request in
        await Task.yield()
        return .text("later \(request.certificate?.commonName ?? "nobody")")
      })
    router.on(
      .get, "/large", .immediate { _ in Response(body: .bytes(Array(repeating: 65, count: 3 << 20))) })
    return router
  }()

  private func serve(
    _ settings: TLSSettings, at addresses: [String] = ["127.0.0.1:0"],
    _ body: @Sendable (TestServer) async throws -> Void
  ) async throws {
    let credentials = try TLSCredentials(settings)
    try await withServer(Self.router, at: addresses, tls: { credentials }, body)
  }

  @Test("answers at once, later and at length are the same as without")
  func answers() async throws {
    try await serve(made.settings()) { server in
      #expect(try await ask(server.address).body == "nobody")
      #expect(try await ask(server.address, "/later").body == "later nobody")
      let large = try await ask(server.address, "/large")
      #expect(large.status == 200 && large.body.utf8.count == 3 << 20)
    }
  }

  @Test("who trusts another authority is not connected, and neither is who speaks no TLS")
  func distrust() async throws {
    try await serve(made.settings()) { server in
      let other = try await curl(
        ["--cacert", made.otherAuthority.certificate, "https://\(server.address)/who"], in: made.scratch)
      #expect(other.exit == 60)
      let plain = try await curl(["http://\(server.address)/who"], in: made.scratch)
      #expect(plain.exit != 0 && plain.status == 0)
    }
  }

  @Test("a Unix socket beside it stays plain")
  func unixSocket() async throws {
    let path = made.scratch.file("plain.sock")
    try await serve(made.settings(), at: ["127.0.0.1:0", "unix:\(path)"]) { server in
      let answer = try await curl(["--unix-socket", path, "http://x/who"], in: made.scratch)
      #expect(answer.body == "nobody")
    }
  }

  @Test("new credentials are for new connections; an open one goes on")
  func rotation() async throws {
    let (old, new) = (
      try TLSCredentials(made.settings()), try TLSCredentials(made.settings(made.otherServer))
    )
    let current = Box(old)
    var router = Self.router
    router.on(
      .get, "/swap",
      .immediate { _ in
        current.value = new
        return .text("swapped")
      })
    try await withServer(router, tls: { current.value }) { server in
      // The second request goes over the connection of the first.
      let both = try await ask(
        server.address, options: ["--write-out", "[%{num_connects}]", "https://\(server.address)/swap"])
      #expect(both.exit == 0)
      #expect(both.body.contains("swapped[1]") && both.body.hasSuffix("nobody[0]"), "\(both)")
      #expect(try await ask(server.address).exit == 60)
      let trusting = try await curl(
        ["--cacert", made.otherAuthority.certificate, "https://\(server.address)/who"], in: made.scratch)
      #expect(trusting.body == "nobody")
    }
  }

  @Test(
    "what a client must show",
    arguments: [
      (
        .none,
        [.good: "nobody", .stranger: "nobody", .expired: "nobody", .forServers: "nobody", nil: "nobody"]
      ),
      (
        .request,
        [.good: "false", .stranger: "false", .expired: "false", .forServers: "false", nil: "nobody"]
      ),
      (
        .requireAny,
        [.good: "false", .stranger: "false", .expired: "false", .forServers: "false", nil: "refused"]
      ),
      (
        .verifyIfGiven,
        [
          .good: "true", .stranger: "refused", .expired: "refused", .forServers: "refused", nil: "nobody",
        ]
      ),
      (
        .requireAndVerify,
        [
          .good: "true", .stranger: "refused", .expired: "refused", .forServers: "refused", nil: "refused",
        ]
      ),
    ] as [(TLSSettings.ClientCertificate, [TestCertificates.Client?: String])])
  func clientCertificates(
    mode: TLSSettings.ClientCertificate, expected: [TestCertificates.Client?: String]
  ) async throws {
    var settings = try made.settings()
    settings.clientCertificate = mode
    try await serve(settings) { server in
      for (client, outcome) in expected {
        let answer = try await ask(server.address, client: client)
        let words = answer.status == 200 ? String(answer.body.split(separator: " ").last ?? "") : "refused"
        #expect(words == outcome, "\(mode) \(String(describing: client)) \(answer)")
      }
    }
  }

  @Test("subject, common name and alternative names reach the handler")
  func names() async throws {
    var settings = try made.settings()
    settings.clientCertificate = .requireAndVerify
    try await serve(settings) { server in
      let named = try await ask(server.address, client: .named)
      #expect(
        named.body == "CN=named,O=example named host.test,a@b.test,spiffe://x/y,10.1.2.3,fd00::1 true")
      #expect(try await ask(server.address, "/later", client: .named).body == "later named")
      // Which of two would count is a matter of taste.
      #expect(try await ask(server.address, client: .twoNames).body.hasSuffix(" -  true"))
    }
  }

  @Test(
    "of the allowed names one must be there, exactly, and the common name is none",
    arguments: [
      ("host.test", true), ("a@b.test", true), ("spiffe://x/y", true), ("10.1.2.3", true), ("fd00::1", true),
      ("named", false), ("test", false), ("HOST.test", false),
    ])
  func allowedNames(name: String, isAllowed: Bool) async throws {
    var settings = try made.settings()
    settings.clientCertificate = .requireAndVerify
    settings.allowedNames = ["other.test", name]
    try await serve(settings) { server in
      let answer = try await ask(server.address, client: .named)
      #expect((answer.status == 200) == isAllowed, "\(answer)")
    }
  }

  /// Whether the server is reached with such options of curl.
  private func isServed(_ settings: TLSSettings, _ options: [String]) async throws -> Bool {
    let reached = Box(false)
    try await serve(settings) { server in
      reached.value = try await ask(server.address, options: options).status == 200
    }
    return reached.value
  }

  @Test("no version outside the two bounds is spoken")
  func versions() async throws {
    var settings = try made.settings()
    settings.minVersion = .tls13
    #expect(try await !isServed(settings, ["--tls-max", "1.2"]))
    #expect(try await isServed(settings, ["--tlsv1.3"]))
    settings.minVersion = .tls12
    settings.maxVersion = .tls12
    #expect(try await !isServed(settings, ["--tlsv1.3"]))
    #expect(try await isServed(settings, ["--tls-max", "1.2"]))
  }

  @Test("no cipher suite and no curve but those of the lists is taken")
  func suites() async throws {
    var settings = try made.settings()
    settings.cipherSuites = try [#require(CipherSuite(named: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"))]
    settings.curves = [.p384]
    let tls12 = ["--tls-max", "1.2", "--ciphers"]
    #expect(try await !isServed(settings, tls12 + ["ECDHE-ECDSA-AES128-GCM-SHA256"]))
    #expect(try await isServed(settings, tls12 + ["ECDHE-ECDSA-AES256-GCM-SHA384"]))
    #expect(try await !isServed(settings, ["--curves", "X25519"]))
    #expect(try await isServed(settings, ["--curves", "P-384"]))
  }

  @Test("a list that would let in more than it holds, or nothing, is refused")
  func suiteLists() throws {
    func refusal(_ names: [String], _ change: (inout TLSSettings) -> Void = { _ in }) throws -> String {
      var settings = try made.settings()
      settings.cipherSuites = names.compactMap(CipherSuite.init(named:))
      #expect(settings.cipherSuites.count == names.count)
      change(&settings)
      do throws(TLSError) {
        _ = try TLSCredentials(settings)
        return ""
      } catch {
        #expect(error.code == .badSettings)
        return "\(error)"
      }
    }
    let product = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]
    #expect(try refusal(product).contains("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"))
    #expect(try refusal(["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"]).contains("TLS 1.3 would have no cipher"))
    #expect(try refusal(["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"]) { $0.maxVersion = .tls12 } == "")
    #expect(try refusal(["TLS_AES_128_GCM_SHA256"]).contains("TLS 1.2 would have no cipher"))
    #expect(try refusal(["TLS_AES_128_GCM_SHA256"]) { $0.minVersion = .tls13 } == "")
    #expect(try refusal([]) { ($0.minVersion, $0.maxVersion) = (.tls13, .tls12) }.contains("newer"))
    #expect(CipherSuite(named: "TLS_RSA_WITH_RC4_128_SHA") == nil)
  }

  @Test("a certificate without its key, or an authority that is none, is refused with GnuTLS's reason")
  func badCredentials() throws {
    func code(_ change: (inout TLSSettings) throws -> Void) throws -> TLSError.Code? {
      var settings = try made.settings()
      settings.clientCertificate = .requireAndVerify
      try change(&settings)
      do throws(TLSError) {
        _ = try TLSCredentials(settings)
        return nil
      } catch {
        #expect(error.description.contains("gnutls_certificate_set"))
        return error.code
      }
    }
    #expect(try code { _ in } == nil)
    #expect(try code { $0.key = try made.settings(made.otherServer).key } == .badCertificate)
    #expect(try code { $0.certificate = Array("nonsense".utf8) } == .badCertificate)
    #expect(try code { $0.clientAuthorities = Array("nonsense".utf8) } == .badAuthority)
    #expect(try code { $0.clientAuthorities = [] } == .badAuthority)
  }

  @Test("the key shows in no dump")
  func secrets() throws {
    var text = ""
    dump(try made.settings(), to: &text)
    #expect(!text.contains("BEGIN") && !text.contains("45, 45"))
  }
}
