import Glibc
import MicroHTTP
import Synchronization
import Testing

@Suite("Requests and responses", .timeLimit(.minutes(2)))
struct ExchangeTests {
  private static let echo: Router = {
    var router = Router()
    router.on(.get, "/hello", .immediate { _ in .text("hello\n") })
    router.on(
      .get, "/echo",
      .immediate { request in
        .text(
          "\(request.method) \(request.rawPath) \(request.path) "
            + request.query.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
            + " \(request.headers.values(of: "x-tag").joined(separator: ",")) \(request.peer)")
      })
    router.on(.post, "/body", .immediate { Response(body: .bytes($0.body)) })
    router.on(.get, "/empty", .immediate { _ in Response(status: 204) })
    router.on(
      .get, "/unchanged",
      .immediate { _ in Response(status: 304, headers: ["ETag": "\"1\""], body: .bytes([1, 2, 3])) })
    router.on(.get, "/items/{id}", .immediate { .text($0.parameters["id"] ?? "?") })
    router.on(
      .get, "/later",
      .deferred { request in
        await Task.yield()
        return .text("later \(request.path)")
      })
    router.on(
      .get, "/bad-header",
      .immediate { _ in
        Response(headers: ["X-Good": "1", "X-Bad": "a\r\nInjected: 1"], body: .bytes([65]))
      })
    return router
  }()

  @Test("a GET is answered with length and date, and no Server header")
  func get() async throws {
    try await withServer(Self.echo) { server in
      let answer = try await server.get("/hello")
      #expect(answer.status == 200)
      #expect(answer.text == "hello\n")
      #expect(answer.header("Content-Length") == "6")
      #expect(answer.header("Content-Type") == "text/plain; charset=utf-8")
      #expect(answer.header("Date") != nil)
      #expect(answer.header("Server") == nil)
    }
  }

  @Test("path, query, repeated headers and the peer reach the handler")
  func requestParts() async throws {
    try await withServer(Self.echo) { server in
      let answer = try await server.get(
        "/ec%68o?collect[]=a&collect[]=b+c&x=%zz&y", headers: "X-Tag: 1\r\nx-TAG: 2\r\n")
      #expect(
        answer.text == #"GET /ec%68o /echo collect[]=a,collect[]=b c,x=%zz,y= 1,2 tcp(address: "127.0.0.1")"#)
    }
  }

  @Test("HEAD has the headers of GET and no body, and the connection goes on")
  func head() async throws {
    try await withServer(Self.echo) { server in
      let client = try await server.client()
      let (first, second) = try await blocking {
        (client.get("/hello", method: "HEAD"), client.get("/hello"))
      }
      #expect(first?.status == 200)
      #expect(first?.header("Content-Length") == "6")
      #expect(second?.text == "hello\n")
    }
  }

  @Test("204 has no length, 304 has that of its body, neither has a body")
  func bodiless() async throws {
    try await withServer(Self.echo) { server in
      let client = try await server.client()
      let (empty, unchanged, next) = try await blocking {
        (client.get("/empty"), client.get("/unchanged"), client.get("/hello"))
      }
      #expect(empty?.status == 204)
      #expect(empty?.header("Content-Length") == nil)
      #expect(unchanged?.status == 304)
      #expect(unchanged?.header("Content-Length") == "3")
      #expect(unchanged?.header("ETag") == "\"1\"")
      #expect(next?.text == "hello\n")
    }
  }

  @Test(
    "an unknown path is a 404 problem",
    arguments: ["/nothing", "/hello/", "/hello%00x", "/", "//hello", "*", "/hello%2F"])
  func notFound(target: String) async throws {
    try await withServer(Self.echo) { server in
      let answer = try await server.get(target)
      #expect(answer.status == 404)
      #expect(answer.header("Content-Type") == "application/problem+json")
      #expect(answer.text.hasPrefix(#"{"type":"about:blank","title":"Not Found","status":404,"detail":""#))
    }
  }

  @Test("a bare NUL in the request line does not shorten the path")
  func bareNUL() async throws {
    try await withServer(Self.echo) { server in
      let cut = try await server.send("GET /hello\0x HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(cut?.status == 400)
      let whole = try await server.send("GET /hello?a=1 HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(whole?.status == 200)
    }
  }

  @Test(
    "a known path with another method is 405 with Allow", arguments: ["POST", "OPTIONS", "BREW", "TRACE"])
  func methodNotAllowed(method: String) async throws {
    try await withServer(Self.echo) { server in
      let answer = try await server.get("/hello", method: method)
      #expect(answer.status == 405)
      #expect(answer.header("Allow") == "GET, HEAD")
    }
  }

  @Test("a parameter is decoded, and an encoded slash does not divide it")
  func parameter() async throws {
    try await withServer(Self.echo) { server in
      let answer = try await server.get("/items/a%2Fb%20c")
      #expect(answer.text == "a/b c")
    }
  }

  @Test("requests sent at once are answered in their order")
  func pipelining() async throws {
    try await withServer(Self.echo) { server in
      let client = try await server.client()
      let texts = try await blocking {
        client.send(
          ["/items/1", "/later", "/items/2"].map { "GET \($0) HTTP/1.1\r\nHost: x\r\n\r\n" }.joined())
        return (0..<3).map { _ in client.response()?.text }
      }
      #expect(texts == ["1", "later /later", "2"])
    }
  }

  @Test("HTTP/1.0 is answered and closed")
  func http10() async throws {
    try await withServer(Self.echo) { server in
      let client = try await server.client()
      let text = try await blocking {
        client.send("GET /hello HTTP/1.0\r\n\r\n")
        return String(decoding: client.rest(), as: UTF8.self)
      }
      #expect(text.hasSuffix("\r\n\r\nhello\n"))
    }
  }

  @Test("a body arrives whole, also in chunks and after 100 Continue")
  func bodies() async throws {
    var limits = Limits()
    limits.bodyBytes = 1 << 20
    try await withServer(Self.echo, limits: limits) { server in
      let body = String(repeating: "0123456789", count: 50_000)
      let plain = try await server.send(
        "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n\(body)")
      #expect(plain?.text == body)
      let chunked = try await server.send(
        "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"
      )
      #expect(chunked?.text == "abcdefg")
      let client = try await server.client()
      let (interim, final) = try await blocking {
        client.send("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        var interim = [UInt8](repeating: 0, count: 25)
        _ = recv(client.descriptor, &interim, 25, Int32(MSG_WAITALL))
        client.send("abc")
        return (String(decoding: interim, as: UTF8.self), client.response())
      }
      #expect(interim == "HTTP/1.1 100 Continue\r\n\r\n")
      #expect(final?.text == "abc")
    }
  }

  @Test("an unread body of a request that is not routed leaves the connection in order")
  func bodyOfUnknownPath() async throws {
    try await withServer(Self.echo) { server in
      let client = try await server.client()
      let statuses = try await blocking {
        client.send("POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        return [client.response()?.status, client.get("/hello")?.status]
      }
      #expect(statuses == [404, 200])
    }
  }

  @Test("a header with a line break is left out and logged")
  func headerInjection() async throws {
    try await withServer(Self.echo) { server in
      let answer = try await server.get("/bad-header")
      #expect(answer.header("X-Good") == "1")
      #expect(answer.header("Injected") == nil)
      #expect(server.log.lines.contains { $0.contains("X-Bad") })
    }
  }

  @Test(
    "garbage is answered 400 or closed, and the next client is served",
    arguments: [
      "\r\n\r\n\r\nGARBAGE\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{1}\u{2}\u{3}\r\n\r\n", "GET\r\n\r\n",
    ])
  func garbage(text: String) async throws {
    try await withServer(Self.echo) { server in
      let client = try await server.client()
      let answer = try await blocking {
        client.send(text)
        client.finishSending()
        return client.response()
      }
      #expect(answer.map { [400, 505].contains($0.status) } ?? true)
      #expect(try await server.get("/hello").status == 200)
    }
  }

  @Test("32 clients at once each get their own answer")
  func concurrency() async throws {
    try await withServer(Self.echo) { server in
      try await withThrowingTaskGroup { group in
        for number in 0..<32 {
          group.addTask {
            let client = try await server.client()
            let good = try await blocking {
              (0..<50).allSatisfy {
                client.get("/items/\(number)-\($0)")?.text == "\(number)-\($0)"
                  && client.get("/later")?.text == "later /later"
              }
            }
            #expect(good)
          }
        }
        try await group.waitForAll()
      }
    }
  }
}
