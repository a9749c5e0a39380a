import CurlClient
import Glibc
import Testing

@Suite struct ExchangeTests {
  @Test("a request and its response cross TCP and Unix sockets", arguments: TestServer.Place.allCases)
  func exchange(place: TestServer.Place) async throws {
    let seen = Box<String>()
    try await withServer(place) { connection in
      seen.set(connection.request() ?? "")
      connection.send("HTTP/1.1 418 Teapot\r\nX-A: 1\r\nx-a:  2 \r\nContent-Length: 3\r\n\r\nabc")
    } test: { server, client in
      var request = Request(
        .post, server.endpoint("/v1/x?y=z"), headers: ["X-B": "c"], body: Array("hello".utf8))
      request.bearerToken = BearerToken("t0ken")
      let response = try await client.send(request)
      #expect(response.status == 418)
      #expect(response.headers.values("X-a") == ["1", "2"])
      #expect(response.headers["content-LENGTH"] == "3")
      #expect(response.body == Array("abc".utf8))
      #expect(response.duration > .zero)
      let text = try await seen.wait()
      #expect(text.hasPrefix("POST /v1/x?y=z HTTP/1.1\r\nHost: "))
      #expect(text.contains("\r\nX-B: c\r\n"))
      #expect(text.contains("\r\nAuthorization: Bearer t0ken\r\n"))
      #expect(text.contains("\r\nContent-Length: 5\r\n"))
      #expect(!text.contains("Expect"))
      #expect(!text.contains("Content-Type"))
      #expect(text.hasSuffix("\r\n\r\nhello"))
    }
  }

  @Test(
    "every method is sent as named",
    arguments: ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"])
  func methods(method: String) async throws {
    let seen = Mailbag()
    try await withServer { connection in
      while let text = connection.request(), connection.answer() { seen.put(text) }
    } test: { server, client in
      _ = try await client.send(Request(Request.Method(rawValue: method), server.endpoint()))
      _ = try await client.send(Request(Request.Method(rawValue: method), server.endpoint(), body: [0x61]))
      let texts = try await eventually { seen.all.count == 2 ? seen.all : nil }
      #expect(texts.allSatisfy { $0.hasPrefix("\(method) / HTTP/1.1\r\n") })
      #expect(texts[1].hasSuffix("\r\n\r\na"))
      #expect(texts[0].contains("Content-Length: 0") == ["POST", "PUT", "PATCH"].contains(method))
    }
  }

  @Test("the client names itself, unless the request does")
  func userAgent() async throws {
    let seen = Mailbag()
    try await withServer { connection in
      while let text = connection.request() {
        seen.put(text)
        connection.answer()
      }
    } test: { server, client in
      _ = try await client.send(Request(.get, server.endpoint()))
      _ = try await client.send(Request(.get, server.endpoint(), headers: ["User-Agent": "me/1"]))
      let agents = seen.all.flatMap { $0.split(separator: "\r\n").filter { $0.hasPrefix("User-Agent") } }
      #expect(agents == ["User-Agent: drover", "User-Agent: me/1"])
    }
  }

  @Test("a body of any bytes crosses both ways")
  func binary() async throws {
    try await withServer { connection in
      guard let body = connection.message()?.body else { return }
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n")
      connection.send(body)
    } test: { server, client in
      let body = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
      let response = await outcome(client, Request(.put, server.endpoint(), body: body)).response
      #expect(response?.body == body)
    }
  }

  @Test("an answer that comes before the body was taken is the response")
  func earlyAnswer() async throws {
    try await withServer { connection in
      connection.send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
      _ = connection.waitForClose()
    } test: { server, client in
      let body = [UInt8](repeating: 0x78, count: 8 << 20)
      let response = await outcome(client, Request(.post, server.endpoint(), body: body)).response
      #expect(response?.status == 413)
    }
  }

  @Test("HEAD brings the header alone, and the connection lives on")
  func head() async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
      connection.answerAll()
    } test: { server, client in
      let head = try await client.send(Request(.head, server.endpoint()))
      #expect(head.status == 200)
      #expect(head.body.isEmpty)
      #expect(head.headers["content-length"] == "99999999999")
      #expect(await outcome(client, Request(.get, server.endpoint())).response?.body == Array("ok".utf8))
      #expect(server.connections == 1)
    }
  }

  @Test("204 ends without a body, and the connection lives on")
  func noContent() async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 204 No Content\r\n\r\n")
      connection.answerAll()
    } test: { server, client in
      #expect(await outcome(client, Request(.delete, server.endpoint())).response?.status == 204)
      #expect(await outcome(client, Request(.get, server.endpoint())).response?.status == 200)
      #expect(server.connections == 1)
    }
  }

  @Test("1xx answers and their fields are passed over")
  func informational() async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
      connection.send("HTTP/1.1 201 Created\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi")
    } test: { server, client in
      let response = try await client.send(Request(.get, server.endpoint()))
      #expect(response.status == 201)
      #expect(response.headers["link"] == nil)
      #expect(response.headers["x-a"] == "b")
      #expect(response.body == Array("hi".utf8))
    }
  }

  @Test("a chunked body is joined")
  func chunked() async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n")
    } test: { server, client in
      let response = try await client.send(Request(.get, server.endpoint()))
      #expect(response.body == Array("abcde".utf8))
      #expect(response.headers["x-t"] == nil)
    }
  }

  @Test("a redirect is an answer, not a way")
  func redirect() async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")
      connection.answerAll()
    } test: { server, client in
      let response = try await client.send(Request(.get, server.endpoint()))
      #expect(response.status == 302)
      #expect(response.headers["location"] == "/other")
    }
  }

  @Test("the path arrives as it was given")
  func pathAsIs() async throws {
    let seen = Box<String>()
    try await withServer { connection in
      seen.set(connection.request() ?? "")
      connection.answer()
    } test: { server, client in
      _ = try await client.send(Request(.get, server.endpoint("/a/../b/./%41?x=../y")))
      #expect(try await seen.wait().hasPrefix("GET /a/../b/./%41?x=../y HTTP/1.1\r\n"))
    }
  }

  @Test("a gzip body arrives decoded, and only on request")
  func gzip() async throws {
    let seen = Mailbag()
    let body = gzipStored(Array("drover".utf8))
    try await withServer { connection in
      while let text = connection.request() {
        seen.put(text)
        connection.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(body.count)\r\n\r\n")
        connection.send(body)
      }
    } test: { server, client in
      #expect(await outcome(client, Request(.get, server.endpoint())).response?.body == Array("drover".utf8))
      var plain = Request(.get, server.endpoint())
      plain.acceptsGzip = false
      #expect(await outcome(client, plain).response?.body == body)
      #expect(seen.all.map { $0.contains("Accept-Encoding: gzip\r\n") } == [true, false])
    }
  }

  @Test("one client carries 200 requests at once", arguments: TestServer.Place.allCases)
  func concurrent(place: TestServer.Place) async throws {
    try await withServer(place) { connection in
      while let text = connection.request() {
        connection.answer(String(text.split(separator: " ")[1]))
      }
    } test: { server, client in
      let bodies = try await withThrowingTaskGroup(of: (String, [UInt8]).self) { group in
        for number in 0..<200 {
          group.addTask {
            ("/\(number)", try await client.send(Request(.get, server.endpoint("/\(number)"))).body)
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(bodies.count == 200)
      #expect(bodies.allSatisfy { Array($0.0.utf8) == $0.1 })
    }
  }

  @Test("requests one after the other share a connection")
  func reuse() async throws {
    try await withServer {
      $0.answerAll()
    } test: { server, client in
      for _ in 0..<5 { _ = try await client.send(Request(.get, server.endpoint())) }
      #expect(server.connections == 1)
    }
  }

  @Test("no more idle connections are kept than configured")
  func idleConnections() async throws {
    let arrived = Mailbag()
    var configuration = CurlClient.Configuration()
    configuration.idleConnections = 3
    try await withServer(configuration: configuration) { connection in
      arrived.put(connection.request() ?? "")
      while arrived.all.count < 20 { connection.pause(milliseconds: 1) }
      connection.answer()
      connection.answerAll()
    } test: { server, client in
      await withTaskGroup(of: Int?.self) { group in
        for _ in 0..<20 {
          group.addTask { await outcome(client, Request(.get, server.endpoint())).response?.status }
        }
        for await status in group { #expect(status == 200) }
      }
      #expect(server.connections == 20)
      _ = try await eventually { server.openConnections == 3 ? true : nil }
    }
  }

  @Test("a POST is never sent twice, though the kept connection dies")
  func noSilentRepeat() async throws {
    let seen = Mailbag()
    try await withServer { connection in
      // The first request of a connection is answered, unless it is a POST; the second never is.
      guard let first = connection.request() else { return }
      seen.put(first)
      guard first.hasPrefix("GET") else { return }
      connection.answer()
      if let second = connection.request() { seen.put(second) }
    } test: { server, client in
      _ = try await client.send(Request(.get, server.endpoint()))
      let error = await failure(client, Request(.post, server.endpoint(), body: [0x61]))
      #expect(error?.shortDescription == "closed")
      #expect(seen.all.filter { $0.hasPrefix("POST") }.count == 1)
    }
  }

  @Test("a proxy of the environment is not asked about a loopback address")
  func noProxyForLoopback() async throws {
    await #expect(processExitsWith: .success) {
      setenv("http_proxy", "http://127.0.0.1:1", 1)
      for place in TestServer.Place.allCases {
        try await withServer(place) {
          $0.answerAll()
        } test: { server, client in
          #expect(await outcome(client, Request(.get, server.endpoint())).response?.status == 200)
        }
      }
      // The proxy is in force for other addresses: nothing listens there.
      let client = CurlClient()
      let error = await failure(
        client, Request(.get, Endpoint(try ServerAddress(parsing: "http://192.0.2.1"), path: "/")))
      #expect(error?.shortDescription == "refused")
      await client.shutdown()
    }
  }
}
