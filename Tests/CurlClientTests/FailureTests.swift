import Glibc
import Testing

@testable import CurlClient

@Suite struct FailureTests {
  @Test("a port where nothing listens is refused, and named")
  func refusedTCP() async throws {
    let client = CurlClient()
    // Bound and not listening: no other process can take the port meanwhile.
    let (fd, address) = try TestServer.bindOnLoopback()
    defer { close(fd) }
    let error = try #require(await failure(client, Request(.get, Endpoint(address, path: "/x"))))
    #expect(error.shortDescription == "refused")
    #expect(error.code == .couldNotConnect)
    #expect(error.systemError == ECONNREFUSED)
    #expect(error.description.hasPrefix("GET \(address)/x: connect: Connection refused (curl error 7); "))
    await client.shutdown()
  }

  @Test("a Unix socket that is absent or abandoned is told apart")
  func refusedUnix() async throws {
    let client = CurlClient()
    let path = temporarySocketPath()
    let request = Request(.get, Endpoint(try ServerAddress(parsing: "unix://\(path)"), path: "/"))
    let absent = try #require(await failure(client, request))
    #expect(absent.shortDescription == "connect")
    #expect(absent.description.contains("unix://\(path) /: connect: No such file"))
    #expect(absent.description.contains("the socket does not exist"))
    #expect(!absent.description.contains("localhost"))

    close(try TestServer.listen(at: path))
    defer { unlink(path) }
    let abandoned = try #require(await failure(client, request))
    #expect(abandoned.shortDescription == "refused")
    #expect(abandoned.description.contains("unix://\(path)"))
    await client.shutdown()
  }

  @Test("a server that never answers runs into the total deadline", .timeLimit(.minutes(1)))
  func silent() async throws {
    let closed = Box<ContinuousClock.Instant>()
    try await withServer { connection in
      _ = connection.request()
      if let instant = connection.waitForClose() { closed.set(instant) }
    } test: { server, client in
      var request = Request(.get, server.endpoint())
      request.totalDeadline = .milliseconds(200)
      let start = ContinuousClock.now
      let error = try #require(await failure(client, request))
      #expect(error.shortDescription == "timeout")
      #expect(error.code == .timedOut)
      #expect(ContinuousClock.now - start >= .milliseconds(190))
      _ = try await closed.wait()
    }
  }

  @Test("a server that drips runs into the total deadline", .timeLimit(.minutes(1)))
  func dripping() async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
      while connection.send("x") { connection.pause(milliseconds: 5) }
    } test: { server, client in
      var request = Request(.get, server.endpoint())
      request.totalDeadline = .milliseconds(300)
      #expect(await failure(client, request)?.shortDescription == "timeout")
    }
  }

  @Test(
    "a server that accepts and says nothing of TLS runs into the connect deadline", .timeLimit(.minutes(1)))
  func connectDeadline() async throws {
    try await withServer {
      _ = $0.waitForClose()
    } test: { server, client in
      let tls = server.address.description.replacing("http:", with: "https:")
      var request = Request(.get, Endpoint(try ServerAddress(parsing: tls), path: "/"))
      request.connectDeadline = .milliseconds(200)
      let start = ContinuousClock.now
      #expect(await failure(client, request)?.shortDescription == "timeout")
      #expect(ContinuousClock.now - start < .seconds(15))
    }
  }

  @Test("a plain server behind an https address is a TLS failure")
  func plainBehindTLS() async throws {
    try await withServer { connection in
      connection.send("HTTP/1.1 400 Bad Request\r\n\r\n")
      _ = connection.waitForClose()
    } test: { server, client in
      let tls = server.address.description.replacing("http:", with: "https:")
      let endpoint = Endpoint(try ServerAddress(parsing: tls), path: "/")
      #expect(await failure(client, Request(.get, endpoint))?.shortDescription == "tls")
    }
  }

  @Test("a body beyond the limit ends the transfer", arguments: [true, false])
  func tooLarge(announced: Bool) async throws {
    let closed = Box<ContinuousClock.Instant>()
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\n\(announced ? "Content-Length: 1073741824\r\n" : "")\r\n")
      let piece = [UInt8](repeating: 0x78, count: 4096)
      while connection.send(piece) {}
      closed.set(.now)
    } test: { server, client in
      var request = Request(.get, server.endpoint())
      request.maximumBody = 100_000
      let error = try #require(await failure(client, request))
      #expect(error.code == .bodyTooLarge)
      #expect(error.shortDescription == "body_too_large")
      #expect(error.description.contains("exceeds 100000 bytes"))
      _ = try await closed.wait()
    }
  }

  @Test("a body of exactly the limit arrives", arguments: [0, 1, 100_000])
  func exactLimit(count: Int) async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.answer(String(repeating: "x", count: count))
    } test: { server, client in
      var request = Request(.get, server.endpoint())
      request.maximumBody = count
      #expect(await outcome(client, request).response?.body.count == count)
    }
  }

  @Test("a compressed body counts as what it expands to")
  func bomb() async throws {
    let bomb = gzipBomb(zeros: 4 << 20)
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(bomb.count)\r\n\r\n")
      connection.send(bomb)
      _ = connection.waitForClose()
    } test: { server, client in
      var request = Request(.get, server.endpoint())
      request.maximumBody = 1 << 20
      #expect(bomb.count < request.maximumBody / 10)
      #expect(await failure(client, request)?.code == .bodyTooLarge)
    }
  }

  @Test("a header that never ends is given up")
  func endlessHeader() async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\n")
      while connection.send("X-A: \(String(repeating: "x", count: 1000))\r\n") {}
    } test: { server, client in
      let error = await failure(client, Request(.get, server.endpoint()))
      #expect(error?.shortDescription == "header_too_large")
    }
  }

  @Test(
    "an answer that is not HTTP is a protocol failure",
    arguments: [
      "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: minus\r\n\r\n",
      "HTTP/9.9 200 OK\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    ])
  func malformed(answer: String) async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send(answer)
      _ = connection.waitForClose()
    } test: { server, client in
      let error = await failure(client, Request(.get, server.endpoint()))
      #expect(error?.shortDescription == "protocol", "\(String(describing: error))")
    }
  }

  @Test(
    "a connection that ends early is told from a short body",
    arguments: [
      "", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ])
  func closedEarly(answer: String) async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send(answer)
    } test: { server, client in
      let error = await failure(client, Request(.get, server.endpoint()))
      #expect(error?.shortDescription == "closed", "\(String(describing: error))")
    }
  }

  @Test("no error shows the token, a header or the query")
  func secrets() async throws {
    try await withServer {
      _ = $0.request()
    } test: { server, client in
      var request = Request(.get, server.endpoint("/x?key=s3cret"), headers: ["Cookie": "s3cret"])
      request.bearerToken = BearerToken("s3cret")
      let error = try #require(await failure(client, request))
      var dumped = ""
      dump(error, to: &dumped)
      #expect(error.description.contains("GET \(server.address)/x:"))
      #expect(!"\(error) \(dumped)".contains("s3cret"))
    }
  }

  @Test("every short form is a label word, also of a code that nobody knows", arguments: Int32(-20)...120)
  func shortDescription(code: Int32) {
    let word = CurlError(.init(rawValue: code), call: "", message: "").shortDescription
    #expect(word.wholeMatch(of: /[a-z_]+/) != nil)
  }
}
