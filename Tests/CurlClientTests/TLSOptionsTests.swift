import Testing

@testable import CurlClient

@Suite struct TLSOptionsTests {
  private func plan(_ change: (inout Request) -> Void) throws -> RequestPlan {
    var request = Request(.get, Endpoint(try ServerAddress(parsing: "https://h:6443/base"), path: "/x"))
    change(&request)
    return try RequestPlan(request)
  }

  private func refusal(_ change: (inout Request) -> Void) throws -> CurlError {
    let error = try #require(throws: CurlError.self) { try plan(change) }
    #expect(error.code == .invalidRequest)
    return error
  }

  @Test("a key or certificate does not show in a description or a dump of the request")
  func hidden() throws {
    var request = Request(.get, Endpoint(try ServerAddress(parsing: "https://h"), path: "/x"))
    let secret = Array("s3cret".utf8)
    request.tls.authorities = .pem(secret)
    request.tls.clientCertificate = .pem(secret)
    request.tls.clientKey = .pem(secret)
    request.proxy = .url("http://user:s3cret@proxy")
    var dumped = ""
    dump(request, to: &dumped)
    let all = "\(request) \(String(reflecting: request)) \(request.tls) \(request.proxy) \(dumped)"
    #expect(!all.contains("s3cret"))
    #expect(!all.contains("\(secret[0]), \(secret[1])"))
    #expect(!dumped.contains("\(secret[2])\n"))
  }

  @Test("another name takes the host's place in the URL alone")
  func serverName() throws {
    let plan = try plan { $0.tls.serverName = "Kubernetes" }
    #expect(plan.url == "https://kubernetes:6443/base/x")
    #expect(plan.connectTo == "::h:6443")
    #expect(plan.headerLines.contains("Host: h:6443"))
    #expect(plan.call == "GET https://h:6443/base/x")
    #expect(try self.plan { $0.tls.serverName = "::1" }.url == "https://[::1]:6443/base/x")
    let own = try self.plan {
      $0.tls.serverName = "n"
      $0.headers = ["host": "mine"]
    }
    #expect(own.headerLines.filter { $0.lowercased().hasPrefix("host") } == ["host: mine"])
  }

  @Test("what is no name is refused", arguments: ["", "a b", "a:1", "a/b", "[::1]:1", "a\r\nb"])
  func noName(name: String) throws {
    #expect(try refusal { $0.tls.serverName = name }.description.contains("no server name"))
  }

  @Test("without TLS its options have no effect")
  func plain() throws {
    let plan = try plan {
      $0.endpoint = Endpoint($0.endpoint.address, path: "/x")
      $0.tls.serverName = "n"
    }
    #expect(plan.tls?.serverName == "n")
    var request = Request(.get, Endpoint(try ServerAddress(parsing: "http://h"), path: "/"))
    request.tls.serverName = "n"
    let unencrypted = try RequestPlan(request)
    #expect(unencrypted.tls == nil)
    #expect(unencrypted.connectTo == nil)
    #expect(unencrypted.url == "http://h/")
    #expect(!unencrypted.allowsHTTP2)
    #expect(!unencrypted.headerLines.contains { $0.hasPrefix("Host") })
  }

  @Test("halves and empty texts are refused")
  func incomplete() throws {
    #expect(try refusal { $0.tls.clientKey = .pem([1]) }.description.contains("give both"))
    #expect(try refusal { $0.tls.authorities = .pem([]) }.description.contains("empty"))
    #expect(try refusal { $0.tls.authorities = .file("") }.description.contains("write the file's path"))
    #expect(try refusal { $0.tls.clientCertificate = .file("a\0b") }.description.contains("NUL"))
  }
}
