import Testing

@testable import CurlClient

@Suite struct RequestPlanTests {
  private func request(_ method: Request.Method = .get, path: String = "/x", headers: HTTPHeaders = [:])
    throws -> Request
  {
    Request(method, Endpoint(try ServerAddress(parsing: "http://h:1/base"), path: path), headers: headers)
  }

  private func refusal(_ request: Request) throws -> CurlError {
    let error = try #require(throws: CurlError.self) { try RequestPlan(request) }
    #expect(error.code == .invalidRequest)
    #expect(error.shortDescription == "invalid_request")
    return error
  }

  @Test("the path follows the address's own")
  func basePath() throws {
    #expect(try RequestPlan(request()).url == "http://h:1/base/x")
  }

  @Test(
    "a header that would inject another is refused",
    arguments: ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "\u{7F}"])
  func refusesValue(value: String) throws {
    #expect(try refusal(request(headers: ["X-A": value])).description.contains("'X-A'"))
  }

  @Test(
    "a header name that is no token is refused", arguments: ["", "A B", "A:", "A\r\nB", "A\0", "Ä", "A;"])
  func refusesName(name: String) throws {
    _ = try refusal(request(headers: [name: "x"]))
  }

  @Test("framing headers are refused", arguments: ["content-length", "Transfer-Encoding"])
  func refusesFraming(name: String) throws {
    #expect(try refusal(request(headers: [name: "1"])).description.contains("remove it"))
  }

  @Test("a method that is no token is refused", arguments: ["", "GET / HTTP/1.1\r\nX: y", "GE T", "G\0"])
  func refusesMethod(method: String) throws {
    _ = try refusal(request(Request.Method(rawValue: method)))
  }

  @Test(
    "a path that is no request target is refused",
    arguments: ["", "x", "/a b", "/a\r\nX: y", "/a\n", "/a\0", "/ä", "/a#b", "@evil/"])
  func refusesPath(path: String) throws {
    #expect(try refusal(request(path: path)).description.contains("begin with '/'"))
  }

  @Test("a refused path is named without its query")
  func refusedPathWithoutQuery() throws {
    let error = try refusal(request(path: "/a?token=s3cret x"))
    #expect(!error.description.contains("s3cret"))
  }

  @Test(
    "a token that holds a line break is refused and not repeated", arguments: ["s3cret\n", "", "s3 cret"])
  func refusesToken(token: String) throws {
    var request = try request()
    request.bearerToken = BearerToken(token)
    let error = try refusal(request)
    #expect(error.description.contains("line break"))
    #expect(!error.description.contains("s3"))
  }

  @Test("a token does not show in a description or a dump of the request")
  func tokenHidden() throws {
    var request = try request()
    request.bearerToken = BearerToken("s3cret")
    var dumped = ""
    dump(request, to: &dumped)
    #expect(!"\(request) \(String(reflecting: request)) \(dumped)".contains("s3cret"))
    #expect(try RequestPlan(request).headerLines.contains("Authorization: Bearer s3cret"))
  }

  @Test("an empty header value is sent as such", arguments: ["", " ", "\t "])
  func emptyValue(value: String) throws {
    #expect(try RequestPlan(request(headers: ["X-A": value])).headerLines.first == "X-A;")
  }

  @Test("the client adds no Expect and calls no body a form")
  func ownHeaders() throws {
    #expect(try RequestPlan(request()).headerLines == ["Expect:", "Content-Type:"])
    #expect(
      try RequestPlan(request(headers: ["content-type": "a/b"])).headerLines == [
        "content-type: a/b", "Expect:",
      ])
  }

  @Test("a HEAD request has no body")
  func headWithoutBody() throws {
    var request = try request(.head)
    request.body = [1]
    #expect(try refusal(request).description.contains("remove the body"))
  }

  @Test(
    "deadlines are whole milliseconds, never 0 and never beyond libcurl's range",
    arguments: [
      (Duration.zero, 1), (.seconds(-1), 1), (.microseconds(1), 1), (.microseconds(1500), 2),
      (.seconds(30), 30_000),
      (.seconds(Int64.max), Int(Int32.max)),
    ])
  func milliseconds(duration: Duration, expected: Int) throws {
    var request = try request()
    request.connectDeadline = duration
    request.totalDeadline = duration
    let plan = try RequestPlan(request)
    #expect(plan.connectMilliseconds == expected)
    #expect(plan.totalMilliseconds == expected)
  }

  @Test("no total deadline is none to libcurl, and the default is 30 seconds")
  func noDeadline() throws {
    var request = try request()
    #expect(try RequestPlan(request).totalMilliseconds == 30_000)
    request.totalDeadline = nil
    #expect(try RequestPlan(request).totalMilliseconds == 0)
  }

  @Test(
    "only methods that may be repeated use a kept connection",
    arguments: [
      ("GET", false), ("PUT", false), ("DELETE", false), ("POST", true), ("PATCH", true), ("REPORT", true),
    ])
  func freshConnection(method: String, fresh: Bool) throws {
    #expect(try RequestPlan(request(Request.Method(rawValue: method))).needsFreshConnection == fresh)
  }
}
