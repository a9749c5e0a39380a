import Glibc
import Testing

@testable import CurlClient

@Suite struct ProxyTests {
  /// A place that nobody answers at, so that what arrives came through the proxy.
  private func elsewhere(_ scheme: String = "http") throws -> Endpoint {
    Endpoint(try ServerAddress(parsing: "\(scheme)://192.0.2.1:8001"), path: "/x")
  }

  private func through(_ server: TestServer, _ scheme: String = "http", user: String = "") -> ProxyChoice {
    .url(server.address.description.replacing("http://", with: "\(scheme)://\(user)"))
  }

  @Test("a plain request goes to the proxy that is given, with its user")
  func plain() async throws {
    let seen = Box<String>()
    try await withServer { connection in
      seen.set(connection.request() ?? "")
      connection.answer()
    } test: { server, client in
      var request = Request(.get, try elsewhere())
      request.proxy = through(server, user: "us%40er:s%3Acret@")
      #expect(await outcome(client, request).response?.status == 200)
      let text = try await seen.wait()
      #expect(text.hasPrefix("GET http://192.0.2.1:8001/x HTTP/1.1\r\n"))
      // us@er:s:cret
      #expect(text.contains("\r\nProxy-Authorization: Basic dXNAZXI6czpjcmV0\r\n"))
    }
  }

  @Test("a proxy that is given is used for loopback too, whatever the environment excepts")
  func loopback() async throws {
    await #expect(processExitsWith: .success) {
      setenv("no_proxy", "*", 1)
      try await withServer {
        $0.answerAll("proxy")
      } test: { proxy, client in
        var request = Request(.get, Endpoint(try ServerAddress(parsing: "http://127.0.0.1:1"), path: "/"))
        request.proxy = .url(proxy.address.description)
        #expect(await outcome(client, request).response?.body == Array("proxy".utf8))
      }
    }
  }

  @Test("a tunnel is asked for by the address, without what is the server's, and its refusal is the proxy's")
  func tunnel() async throws {
    let seen = Box<String>()
    try await withServer { connection in
      seen.set(connection.request() ?? "")
      connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    } test: { server, client in
      var request = Request(.get, try elsewhere("https"))
      request.proxy = through(server)
      request.bearerToken = BearerToken("s3cret")
      request.tls.serverName = "kubernetes"
      let error = try #require(await failure(client, request))
      let text = try await seen.wait()
      #expect(text.hasPrefix("CONNECT 192.0.2.1:8001 HTTP/1.1\r\n"))
      #expect(!text.contains("s3cret"))
      #expect(error.code == .proxy)
      #expect(error.shortDescription == "connect")
      #expect(error.description.contains("the proxy answered CONNECT with 403"), "\(error)")
      #expect(error.description.contains("check the proxy"))
    }
  }

  @Test("what a tunnel's proxy says is no part of the answer")
  func tunnelHeader() async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 Established\r\nX-Proxy: 1\r\n\r\n")
      _ = connection.waitForClose()
    } test: { server, client in
      var request = Request(.get, try elsewhere("https"))
      request.proxy = through(server)
      request.connectDeadline = .milliseconds(300)
      let error = await #expect(throws: CurlError.self) { try await client.open(request) }
      #expect(error?.shortDescription == "timeout")
    }
  }

  @Test("a SOCKS proxy is asked by name", arguments: ["socks5", "socks5h"])
  func socks(scheme: String) async throws {
    let seen = Box<[UInt8]>()
    try await withServer { connection in
      guard connection.receive()?.first == 5 else { return }
      connection.send([5, 0])
      seen.set(connection.receive() ?? [])
      connection.send([5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
      connection.answerAll()
    } test: { server, client in
      var request = Request(.get, Endpoint(try ServerAddress(parsing: "http://api.invalid:80"), path: "/"))
      request.proxy = through(server, scheme)
      #expect(await outcome(client, request).response?.status == 200)
      // Connect, to a name of 11 bytes.
      #expect(try await seen.wait() == [5, 1, 0, 3, 11] + Array("api.invalid".utf8) + [0, 80])
    }
  }

  @Test("a proxy that nobody runs is named, and its password is not")
  func absent() async throws {
    let client = CurlClient()
    let (fd, address) = try TestServer.bindOnLoopback()
    defer { close(fd) }
    var request = Request(.get, try elsewhere())
    request.proxy = .url(address.description.replacing("http://", with: "http://user:s3cret@"))
    let error = try #require(await failure(client, request))
    #expect(error.shortDescription == "refused")
    #expect(error.description.contains("connect to the proxy \(address): Connection refused"), "\(error)")
    #expect(!error.description.contains("s3cret"))
    await client.shutdown()
  }

  @Test(
    "an address is read with what goes without saying",
    arguments: [
      ("http://proxy", "http://proxy:80", nil, nil), ("HTTPS://Proxy/", "https://proxy:443", nil, nil),
      ("socks5://[::1]:9050", "socks5h://[::1]:9050", nil, nil),
      ("http://me@proxy:1", "http://proxy:1", "me", ""),
      ("http://me:p%40ss:word@proxy:1", "http://proxy:1", "me", "p@ss:word"),
    ] as [(String, String, String?, String?)])
  func reads(text: String, url: String, user: String?, password: String?) throws {
    let address = try ProxyAddress(parsing: text)
    #expect(address.url == url)
    #expect(address.user == user)
    #expect(address.password == password)
  }

  @Test(
    "what is no proxy is refused before anything is sent, without its password",
    arguments: [
      "proxy:3128", "ftp://me:s3cret@proxy", "http://me:s3cret@", "http://me:s3cret@proxy:0",
      "http://me:s3cret%zz@proxy", "http://me:s3cret%00@proxy", "http://me:s3cret@proxy/x", "http://a b",
    ])
  func refuses(text: String) throws {
    var request = Request(.get, try elsewhere())
    request.proxy = .url(text)
    let error = try #require(throws: CurlError.self) { try RequestPlan(request) }
    #expect(error.code == .invalidAddress)
    #expect(!error.description.contains("s3cret"))
    #expect(!"\(request)".contains("s3cret"))
  }
}

@Suite struct ProxyExceptionsTests {
  @Test(
    "a host is excepted by itself, its domain, its network or *",
    arguments: [
      ("h", "h", true), ("H.Example.", "h.example", true), ("example", "h.example", true),
      (".example", "h.example", true), (".example", "example", true), ("example", "badexample", false),
      ("a, b c", "c", true), ("*", "h", true), ("", "h", false), (",", "h", false),
      ("10.0.0.0/8", "10.1.2.3", true), ("10.0.0.0/8", "11.1.2.3", false), ("10.1.2.3", "10.1.2.3", true),
      ("10.1.2.3/32", "10.1.2.4", false), ("0.0.0.0/0", "10.1.2.4", true), ("10.1.2.0/33", "10.1.2.0", false),
      ("10.1.2.0/x", "10.1.2.0", false), ("2.3", "10.1.2.3", false), ("fd00::/8", "[fd12::1]", true),
      ("fd00::/8", "[fe80::1]", false), ("::1", "[::1]", true), ("10.0.0.0/8", "[::1]", false),
    ])
  func contains(list: String, host: String, isExcepted: Bool) {
    #expect(ProxyExceptions(list).contains(host) == isExcepted)
  }

  @Test("they are those of the host that is connected to, under whatever name")
  func realHost() throws {
    var request = Request(.get, Endpoint(try ServerAddress(parsing: "https://10.1.2.3"), path: "/"))
    request.tls.serverName = "kubernetes"
    let (direct, other) = (ProxyExceptions("10.0.0.0/8"), ProxyExceptions("kubernetes"))
    #expect(try RequestPlan(request, proxyExceptions: direct).proxy == .none)
    #expect(try RequestPlan(request, proxyExceptions: other).proxy == .environmentAlways)
    request.tls.serverName = nil
    #expect(try RequestPlan(request, proxyExceptions: direct).proxy == .environment)
    request.proxy = .none
    #expect(try RequestPlan(request, proxyExceptions: other).proxy == .none)
  }
}
