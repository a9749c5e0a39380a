import MicroHTTP
import Testing

@Suite("Router and request")
struct RouterTests {
  private static func answer(_ name: String) -> Handler {
    .immediate { request in
      .text(
        ([name] + request.parameters.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }).joined(
          separator: " "))
    }
  }

  private static let router: Router = {
    var router = Router()
    router.on(.get, "/", answer("root"))
    router.on(.get, "/items", answer("items"))
    router.on(.post, "/items", answer("add"))
    router.on(.get, "/items/{id}", answer("item"))
    router.on(.post, "/items/new", answer("new"))
    router.on(.get, "/items/{id}/parts/{part}", answer("part"))
    router.on(.get, "/items/special/parts/all", answer("all"))
    router.on(.head, "/own", .immediate { _ in .text("", status: 202) })
    router.on(.get, "/own", answer("own"))
    router.on(.get, "/later", .deferred { _ in .text("later") })
    return router
  }()

  @Test(
    "a path finds its handler",
    arguments: [
      ("/", "root"), ("/items", "items"), ("/items?x=/a/b", "items"), ("/items/7", "item id=7"),
      ("/items/new", "item id=new"), ("/items/special/parts/all", "all"),
      ("/items/special/parts/2", "part id=special part=2"), ("/items/%C3%BC%2F", "item id=ü/"),
      ("/%69tems", "items"), ("http://host:1/items/7?q", "item id=7"), ("http://host", "root"),
      ("/later", "later"),
    ])
  func found(target: String, expected: String) async {
    let response = await Self.router.respond(to: Request(.get, target))
    #expect(response.status == 200)
    #expect(response.text == expected)
  }

  @Test(
    "a path that is not there is 404",
    arguments: [
      "", "*", "items", "/items/", "//items", "/Items", "/items//parts/1", "/items/7/parts/", "/items/7/8",
      "/items%2F7", "/items%00", "/\u{212A}",
    ])
  func notFound(target: String) async {
    #expect(await Self.router.respond(to: Request(.get, target)).status == 404)
  }

  @Test(
    "a path with another method names the methods there are",
    arguments: [
      ("/items", "GET, HEAD, POST"), ("/items/7", "GET, HEAD"), ("/items/new", "GET, HEAD, POST"),
      ("/own", "GET, HEAD"),
    ])
  func allow(target: String, expected: String) async {
    let response = await Self.router.respond(to: Request(.delete, target))
    #expect(response.status == 405)
    #expect(response.headers["allow"] == expected)
  }

  @Test("HEAD goes to GET, unless it has a handler of its own")
  func head() async {
    #expect(await Self.router.respond(to: Request(.head, "/items")).text == "items")
    #expect(await Self.router.respond(to: Request(.head, "/own")).status == 202)
  }

  @Test("methods are case-sensitive")
  func lowercaseMethod() async {
    #expect(await Self.router.respond(to: Request(Method(rawValue: "get"), "/items")).status == 405)
  }

  @Test("a query keeps order and repeats, and bad escapes stay as they are")
  func query() {
    let request = Request(.get, "/p%2g%?a[]=1&a%5B%5D=2&&b=%41+%&c&=d&e=f=g")
    #expect(request.path == "/p%2g%")
    #expect(request.rawPath == "/p%2g%")
    #expect(
      request.query == [
        .init("a[]", "1"), .init("a[]", "2"), .init("b", "A %"), .init("c", ""), .init("", "d"),
        .init("e", "f=g"),
      ])
    #expect(request.queryValues("a[]") == ["1", "2"])
  }

  @Test("headers are found in any case, repeated ones too, and setting replaces them")
  func headers() {
    var headers: Headers = ["Accept": "a", "X": "1", "ACCEPT": "b"]
    #expect(headers["accept"] == "a")
    #expect(headers.values(of: "accePT") == ["a", "b"])
    #expect(headers["Accep"] == nil)
    headers["accept"] = "c"
    #expect(headers.fields == [.init("X", "1"), .init("accept", "c")])
    headers["x"] = nil
    #expect(headers.fields.count == 1)
  }

  @Test("a problem is JSON, whatever the detail holds")
  func problem() {
    let response = Response.problem(status: 409, detail: "a \"b\" \\ \n\u{1} ü")
    #expect(response.status == 409)
    #expect(response.headers["content-type"] == "application/problem+json")
    #expect(
      response.text
        == #"{"type":"about:blank","title":"Conflict","status":409,"detail":"a \"b\" \\ \u000a\u0001 ü"}"#
        + "\n")
  }

  @Test("406 says what is offered")
  func notAcceptable() {
    let response = Response.notAcceptable(offered: ["text/plain", "application/json"])
    #expect(response.status == 406)
    #expect(response.text.contains("text/plain, application/json"))
  }
}

extension Response {
  fileprivate var text: String {
    if case .bytes(let bytes) = body { String(decoding: bytes, as: UTF8.self) } else { "" }
  }
}
