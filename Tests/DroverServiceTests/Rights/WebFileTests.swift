import Foundation
import MicroHTTP
import PeerTools
import Synchronization
import Testing

@testable import DroverService

/// A server with a web.yml, asked by curl.
@Suite("web.yml in force", .timeLimit(.minutes(5)))
struct WebFileTests {
  private let scratch: Scratch
  private let said = Lines()

  init() throws { scratch = try Scratch() }

  private struct Served: Sendable {
    let tcp: String
    let socket: String
    let authorizer: Authorizer
  }

  private func serve(
    _ text: String, _ rules: [AccessRule] = [], _ body: @Sendable (Served) async throws -> Void
  ) async throws {
    let web = try WebFile(scratch.write("web.yml", text), log: said.logger())
    let authorizer = Authorizer(web: web, log: said.logger())
    authorizer.apply(rules, [.manual: .enabled])
    var router = Router()
    router.gate = authorizer.gate
    router.on(.get, "/metrics", .immediate { _ in .text("metrics") })
    router.on(.get, "/-/healthy", isLimited: false, isGated: false, .immediate { _ in .text("healthy") })
    router.on(
      .post, "/act",
      .deferred { request in
        switch authorizer.authorize(request, [.abort], switch: .manual) {
        case .refused(let refusal): return refusal
        case .allowed(let requester): return .text(requester.description)
        }
      })
    let path = scratch.file("control.sock")
    try await withRights(
      router, at: [.tcp(host: "127.0.0.1", port: 0), .unix(path: path)], tls: web.tls
    ) { addresses in
      try await body(Served(tcp: "\(addresses[0])", socket: path, authorizer: authorizer))
    }
  }

  private func get(_ served: Served, _ path: String = "/metrics", _ options: String...) async throws
    -> CurlAnswer
  {
    try await curl(options + ["http://\(served.tcp)\(path)"], in: scratch)
  }

  private func post(_ served: Served, _ options: String...) async throws -> CurlAnswer {
    try await curl(["--request", "POST"] + options + ["http://\(served.tcp)/act"], in: scratch)
  }

  private let users = "basic_auth_users: {alice: \(secretHash), bob: \(otherHash)}"

  @Test("with users reading asks for one, but not the probes and not the socket")
  func reading() async throws {
    try await serve(users) { served in
      let nobody = try await get(served)
      #expect(nobody.status == 401 && nobody.header("WWW-Authenticate") == #"Basic realm="drover""#)
      for user in ["alice:other", "nobody:secret", "alice:", ":", "alice:secret "] {
        #expect(try await get(served, "/metrics", "--user", user).status == 401)
      }
      for _ in 0..<2 {
        #expect(try await get(served, "/metrics", "--user", "alice:secret").body == "metrics")
      }
      #expect(try await get(served, "/metrics", "--user", "bob:other").body == "metrics")
      #expect(try await get(served, "/-/healthy").body == "healthy")
      // What there is to read is nobody's business.
      #expect(try await get(served, "/missing").status == 401)
      let local = try await curl(["--unix-socket", served.socket, "http://x/metrics"], in: scratch)
      #expect(local.body == "metrics")
    }
  }

  @Test("one that is broken when it is read again is known to be so until it is mended")
  func broken() throws {
    let path = try scratch.write("web.yml", users)
    let authorizer = Authorizer(web: try WebFile(path, log: said.logger()), log: said.logger())
    #expect(authorizer.isWebFileGood)
    _ = try scratch.write("web.yml", "basic_auth_users: [")
    #expect(!authorizer.isWebFileGood)
    _ = try scratch.write("web.yml", users + " # again")
    #expect(authorizer.isWebFileGood)
  }

  @Test("without users reading is open, whatever is shown")
  func open() async throws {
    try await serve("") { served in
      let nobody = try await get(served)
      let somebody = try await get(served, "/metrics", "--user", "alice:secret")
      #expect(nobody.body == "metrics" && somebody.body == "metrics")
    }
  }

  @Test("a token reads with the right to read, and acts with its own right alone")
  func tokens() async throws {
    let rules = [
      AccessRule(.tokenFile(try scratch.write("r.token", "reads")), [.read]),
      AccessRule(.tokenFile(try scratch.write("a.token", "aborts")), [.abort]),
    ]
    try await serve(users, rules) { served in
      let (reads, aborts) = ("Authorization: Bearer reads", "Authorization: Bearer aborts")
      let wrong = "Authorization: Bearer wrong"
      let reading = try await [
        get(served, "/metrics", "--header", reads), get(served, "/metrics", "--header", aborts),
        get(served, "/metrics", "--header", wrong),
      ]
      #expect(reading.map(\.status) == [200, 403, 401])
      let acting = try await [
        post(served, "--header", aborts), post(served, "--header", reads), post(served, "--header", wrong),
      ]
      #expect(acting.map(\.status) == [200, 403, 401])
      #expect(acting[0].body == "token a.token")
      #expect(try await post(served).status == 401)
    }
  }

  @Test("a user acts with the right, and not without it")
  func acting() async throws {
    try await serve(users, [AccessRule(.user("alice"), [.abort])]) { served in
      #expect(try await post(served, "--user", "alice:secret").body == "user alice")
      #expect(try await post(served, "--user", "alice:other").status == 401)
      let bob = try await post(served, "--user", "bob:other")
      #expect(bob.status == 403 && bob.body.contains("user bob has not"))
      let page = try await post(served, "--user", "alice:secret", "--header", "Origin: http://\(served.tcp)")
      #expect(page.status == 403 && page.body.contains("browser"))
    }
  }

  @Test("a change is in force with the next request; a bad one changes nothing and is said once")
  func change() async throws {
    try await serve(users) { served in
      #expect(try await get(served, "/metrics", "--user", "alice:secret").status == 200)
      try scratch.write("web.yml", "basic_auth_users: {alice: \(otherHash)}")
      #expect(try await get(served, "/metrics", "--user", "alice:secret").status == 401)
      #expect(try await get(served, "/metrics", "--user", "alice:other").status == 200)
      try scratch.write("web.yml", "basic_auth_users: {alice: nonsense}")
      for _ in 0..<3 { #expect(try await get(served, "/metrics", "--user", "alice:other").status == 200) }
      #expect(try await get(served).status == 401)
      #expect(said.all.count { $0.contains("web configuration refused") } == 1)
      try FileManager.default.removeItem(atPath: scratch.file("web.yml"))
      #expect(try await get(served).status == 401)
      try scratch.write("web.yml", "tls_server_config: {cert_file: a, key_file: b}")
      #expect(try await get(served).status == 401)
      try scratch.write("web.yml", "")
      #expect(try await get(served).status == 200)
    }
  }

  @Test("header fields and the limit of requests")
  func headersAndLimit() async throws {
    try await serve(
      "{http_server_config: {headers: {X-Frame-Options: deny}}, rate_limit: {interval: 1h, burst: 2}}"
    ) { served in
      #expect(try await get(served).header("X-Frame-Options") == "deny")
      #expect(try await get(served).status == 200)
      let third = try await get(served)
      #expect(third.status == 429 && third.header("Retry-After") == "1")
      #expect(third.header("X-Frame-Options") == "deny")
      // Alertmanager gives up what is answered with 429.
      let alert = try await curl(
        ["--request", "POST", "http://\(served.tcp)/api/v1/alerts"], in: scratch)
      #expect(alert.status == 503)
      #expect(try await get(served, "/-/healthy").status == 200)
      let local = try await curl(["--unix-socket", served.socket, "http://x/metrics"], in: scratch)
      #expect(local.status == 200 && local.header("X-Frame-Options") == nil)
    }
  }

  @Test("TLS: files beside web.yml, a certificate that acts, and one that is exchanged while drover runs")
  func tls() async throws {
    let maker = CertificateMaker(in: scratch)
    let (authority, other) = (try maker.authority("ca"), try maker.authority("other"))
    _ = try maker.certificate("server", by: authority, names: "IP:127.0.0.1")
    let second = try maker.certificate("second", by: other, names: "IP:127.0.0.1")
    let robot = try maker.certificate("robot", by: authority, names: "DNS:robot.test", purpose: .client)
    let stranger = try maker.certificate("stranger", by: other, subject: "/CN=robot", purpose: .client)
    let web = """
      tls_server_config:
        cert_file: server.pem
        key_file: server.key
        client_auth_type: VerifyClientCertIfGiven
        client_ca_file: ca.pem
      """
    try await serve(web, [AccessRule(.certificate("robot.test"), [.abort])]) { served in
      func ask(_ ca: CertificateFiles, _ client: CertificateFiles?, _ path: String) async throws -> CurlAnswer
      {
        let shown = client.map { ["--cert", $0.certificate, "--key", $0.key] } ?? []
        let method = path == "/act" ? ["--request", "POST"] : []
        return try await curl(
          ["--cacert", ca.certificate] + shown + method + ["https://\(served.tcp)\(path)"], in: scratch)
      }
      #expect(try await ask(authority, nil, "/metrics").body == "metrics")
      #expect(try await ask(authority, nil, "/act").status == 401)
      #expect(try await ask(authority, robot, "/act").body == "certificate CN=robot")
      #expect(try await ask(authority, stranger, "/act").exit != 0)
      // The certificate first, then the key: in between the old pair stays.
      try scratch.write("server.pem", String(decoding: scratch.read("second.pem"), as: UTF8.self))
      #expect(try await ask(authority, nil, "/metrics").body == "metrics")
      #expect(said.text.contains("web configuration refused") && said.text.contains("server.pem"))
      try scratch.write("server.key", String(decoding: scratch.read("second.key"), as: UTF8.self))
      #expect(try await ask(other, nil, "/metrics").body == "metrics")
      #expect(try await ask(authority, nil, "/metrics").exit == 60)
      _ = second
      // Who would be read in the clear from now on has asked for TLS.
      try scratch.write("web.yml", "")
      #expect(try await ask(other, nil, "/metrics").body == "metrics")
      #expect(said.text.contains("tls_server_config is gone: restart drover to serve so"))
    }
  }

  @Test("what cannot be read ends the start, and names the file")
  func start() throws {
    func failure(_ text: String) -> String {
      do {
        _ = try WebFile(scratch.write("web.yml", text), log: said.logger())
        return ""
      } catch {
        return "\(error)"
      }
    }
    #expect(failure("nonsense: 1").contains("web.yml:1:1: unknown key"))
    #expect(
      failure("tls_server_config: {cert_file: no.pem, key_file: no.key}").contains("no.pem: cannot be read"))
    try scratch.write("bad.pem", "nonsense")
    #expect(
      failure("tls_server_config: {cert_file: bad.pem, key_file: bad.pem}").contains("bad.pem: gnutls_"))
    #expect(throws: (any Error).self) { try WebFile("/nowhere/web.yml", log: said.logger()) }
  }

  @Test("HTTP/2 is said to be without effect")
  func http2() throws {
    _ = try WebFile(scratch.write("web.yml", "http_server_config: {http2: true}"), log: said.logger())
    #expect(said.text.contains("http2 is without effect"))
  }
}
