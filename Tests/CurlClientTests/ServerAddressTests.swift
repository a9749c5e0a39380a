import Testing

@testable import CurlClient

@Suite struct ServerAddressTests {
  @Test(
    "an address is read and written in its normal form",
    arguments: [
      ("unix:///run/drover/control.sock", "unix:///run/drover/control.sock"),
      ("unix:/run/drover/control.sock", "unix:///run/drover/control.sock"),
      ("http://localhost:10950", "http://localhost:10950"),
      ("http://localhost:10950/", "http://localhost:10950"),
      ("HTTPS://Rancher.Example/k8s/clusters/c-1/", "https://rancher.example/k8s/clusters/c-1"),
      ("https://[::1]:6443", "https://[::1]:6443"),
      ("http://10.0.0.1", "http://10.0.0.1"),
    ])
  func reads(text: String, normal: String) throws {
    #expect(try ServerAddress(parsing: text).description == normal)
  }

  @Test(
    "what is no address is refused, with the text and the remedy",
    arguments: [
      ("", "no scheme"), ("localhost:10950", "write unix:///"), ("/run/drover.sock", "write unix:///"),
      ("ftp://host", "use unix, http or https"), ("unix://run/drover.sock", "three slashes"),
      ("unix:///", "no socket"), ("unix:///run/", "no socket"), ("http://", "write http://host:port"),
      ("http://host:0", "1 to 65535"), ("http://host:65536", "1 to 65535"), ("http://host:", "1 to 65535"),
      ("http://host:+1", "1 to 65535"), ("http://ho st", "white space"),
      ("http://host\r\nX: y", "control character"),
      ("http://host?x=1", "query"), ("http://::1", "brackets"), ("http://[]", "brackets"),
      ("http://hö", "host"),
      ("http://host/ä", "percent-encode"),
    ])
  func refuses(text: String, remedy: String) throws {
    let error = try #require(throws: CurlError.self) { try ServerAddress(parsing: text) }
    #expect(error.code == .invalidAddress)
    #expect(error.shortDescription == "invalid_address")
    #expect(error.description.contains(remedy))
    #expect(error.description.contains("'\(text.replacing("\r\n", with: "\u{FFFD}\u{FFFD}"))'"))
  }

  @Test(
    "a password in an address is refused and not repeated",
    arguments: [
      "https://admin:hunter2@host:443/x", "https://admin:hunter2/y@host:443", "admin:hunter2@host:443",
    ])
  func refusesPassword(text: String) throws {
    let error = try #require(throws: CurlError.self) { try ServerAddress(parsing: text) }
    #expect(!error.description.contains("hunter2"))
    #expect(error.description.contains("@host:443"))
  }

  @Test("a socket path may have 107 bytes and no more")
  func socketPathLength() throws {
    let path = "/" + String(repeating: "a", count: 106)
    #expect(try ServerAddress(parsing: "unix://\(path)").socketPath == path)
    #expect(throws: CurlError.self) { try ServerAddress(parsing: "unix://\(path)a") }
  }

  @Test(
    "addresses of this machine are known as such",
    arguments: [
      ("unix:///run/x", true), ("http://localhost", true), ("http://a.localhost:1", true),
      ("http://127.3.2.1", true),
      ("http://[::1]:80", true), ("http://127.example.com", false), ("http://127.0.0.1.example.com", false),
      ("http://10.0.0.1", false), ("http://localhost.example", false),
    ])
  func local(text: String, isLocal: Bool) throws {
    #expect(try ServerAddress(parsing: text).isLocal == isLocal)
  }

  @Test("an endpoint's description leaves out the query")
  func describesWithoutQuery() throws {
    let tcp = Endpoint(try ServerAddress(parsing: "http://h"), path: "/a?secret=1")
    #expect(tcp.description == "http://h/a")
    let unix = Endpoint(try ServerAddress(parsing: "unix:///run/x.sock"), path: "/v1?secret=1")
    #expect(unix.description == "unix:///run/x.sock /v1")
  }
}
