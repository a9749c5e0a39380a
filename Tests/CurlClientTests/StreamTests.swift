import Glibc
import Testing

@testable import CurlClient

@Suite struct StreamTests {
  @Test("the header and each piece arrive before the end", arguments: TestServer.Place.allCases)
  func piecewise(place: TestServer.Place) async throws {
    let go = Mailbag()
    try await withServer(place) { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 103 Early Hints\r\nX-A: 1\r\n\r\n")
      connection.send("HTTP/1.1 202 Accepted\r\nX-B: 2\r\nTransfer-Encoding: chunked\r\n\r\n")
      for (index, piece) in ["abc", "de"].enumerated() {
        while go.all.count <= index { connection.pause(milliseconds: 1) }
        connection.send("\(piece.utf8.count)\r\n\(piece)\r\n")
      }
      while go.all.count <= 2 { connection.pause(milliseconds: 1) }
      connection.send("0\r\n\r\n")
      connection.answerAll()
    } test: { server, client in
      let stream = try await client.open(Request(.get, server.endpoint()))
      #expect(stream.status == 202)
      #expect(stream.headers["x-a"] == nil)
      #expect(stream.headers["X-B"] == "2")
      for piece in ["abc", "de"] {
        go.put("")
        #expect(try await stream.next() == Array(piece.utf8))
      }
      go.put("")
      #expect(try await stream.next() == nil)
      #expect(try await stream.next() == nil)
      #expect(await outcome(client, Request(.get, server.endpoint())).response?.status == 200)
      #expect(server.connections == 1)
    }
  }

  @Test("a header without a body is a whole answer")
  func noBody() async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 204 No Content\r\n\r\n")
      connection.answerAll("")
    } test: { server, client in
      for method in [Request.Method.get, .head, .post] {
        let stream = try await client.open(Request(method, server.endpoint()))
        #expect([200, 204].contains(stream.status))
        #expect(try await stream.next() == nil)
      }
    }
  }

  @Test("a gzip body arrives decoded")
  func gzip() async throws {
    let body = gzipStored(Array("drover".utf8))
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(body.count)\r\n\r\n")
      connection.send(body)
    } test: { server, client in
      let stream = try await client.open(Request(.get, server.endpoint()))
      #expect(try await whole(stream) == Array("drover".utf8))
    }
  }

  @Test("the limit of a whole body is none of a stream's")
  func unlimited() async throws {
    try await withServer {
      $0.answerAll("more than ten bytes")
    } test: { server, client in
      var request = Request(.get, server.endpoint())
      request.maximumBody = 10
      let stream = try await client.open(request)
      #expect(try await whole(stream) == Array("more than ten bytes".utf8))
    }
  }

  @Test("a failure before the header is thrown by the opening", arguments: ["", "HTTP/1.1 200 OK\r\nX-"])
  func failsBeforeHeader(answer: String) async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send(answer)
    } test: { server, client in
      let error = await #expect(throws: CurlError.self) {
        try await client.open(Request(.get, server.endpoint()))
      }
      #expect(error?.shortDescription == "closed")
    }
  }

  @Test("a failure after it is thrown once the bytes were read, and again")
  func failsInBody() async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    } test: { server, client in
      let stream = try await client.open(Request(.get, server.endpoint()))
      _ = try await eventually { server.openConnections == 0 ? true : nil }
      #expect(try await stream.next() == Array("abc".utf8))
      for _ in 0..<2 {
        let error = await #expect(throws: CurlError.self) { try await stream.next() }
        #expect(error?.code == .partialBody)
        #expect(error?.shortDescription == "closed")
      }
    }
  }

  @Test("the client lives as long as its stream")
  func keepsClient() async throws {
    let go = Box<Bool>()
    let server = try TestServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
      while go.now == nil { connection.pause(milliseconds: 1) }
      connection.send("abc")
    }
    let stream = try await CurlClient().open(Request(.get, server.endpoint()))
    go.set(true)
    #expect(try await whole(stream) == Array("abc".utf8))
    server.stop()
  }

  @Test("the total deadline holds for a stream too", .timeLimit(.minutes(1)))
  func totalDeadline() async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\n\r\n")
      while connection.send("x") { connection.pause(milliseconds: 5) }
    } test: { server, client in
      var request = Request(.get, server.endpoint())
      request.totalDeadline = .milliseconds(300)
      let stream = try await client.open(request)
      let error = await #expect(throws: CurlError.self) { try await whole(stream) }
      #expect(error?.shortDescription == "timeout")
    }
  }
}

@Suite struct StreamEndTests {
  enum End: CaseIterable { case call, task, lastReference }

  @Test("a stream that nobody wants closes its connection", .timeLimit(.minutes(1)), arguments: End.allCases)
  func unwanted(end: End) async throws {
    let closed = Box<ContinuousClock.Instant>()
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
      if let instant = connection.waitForClose() { closed.set(instant) }
    } test: { server, client in
      var request = Request(.get, server.endpoint())
      request.totalDeadline = nil
      switch end {
      case .call:
        let stream = try await client.open(request)
        stream.cancel()
        let error = await #expect(throws: CurlError.self) { try await stream.next() }
        #expect(error?.code == .cancelled)
      case .task:
        let stream = try await client.open(request)
        #expect(try await stream.next() == Array("abc".utf8))
        let task = Task { try await stream.next() }
        task.cancel()
        let error = await #expect(throws: CurlError.self) { try await task.value }
        #expect(error?.code == .cancelled)
        await #expect(throws: CurlError.self) { try await stream.next() }
      case .lastReference:
        _ = try await client.open(request)
      }
      _ = try await closed.wait()
    }
  }

  @Test("cancelling before the header closes the connection")
  func cancelledOpening() async throws {
    let arrived = Box<Bool>()
    let closed = Box<ContinuousClock.Instant>()
    try await withServer { connection in
      _ = connection.request()
      arrived.set(true)
      if let instant = connection.waitForClose() { closed.set(instant) }
    } test: { server, client in
      let task = Task { try await client.open(Request(.get, server.endpoint())) }
      _ = try await arrived.wait()
      task.cancel()
      let error = await #expect(throws: CurlError.self) { try await task.value }
      #expect(error?.code == .cancelled)
      _ = try await closed.wait()
    }
  }

  @Test("streams cancelled at any moment end exactly once")
  func cancellationRace() async throws {
    try await withServer {
      $0.answerAll()
    } test: { server, client in
      await withTaskGroup(of: Void.self) { group in
        for number in 0..<300 {
          group.addTask {
            let task = Task { try await whole(client.open(Request(.get, server.endpoint()))) }
            for _ in 0..<(number % 40) { await Task.yield() }
            task.cancel()
            switch await task.result {
            case .success(let body): #expect(body == Array("ok".utf8))
            case .failure(let error): #expect((error as? CurlError)?.code == .cancelled)
            }
          }
        }
      }
    }
  }

  @Test("shutdown ends a stream")
  func shutdown() async throws {
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
      _ = connection.waitForClose()
    } test: { server, client in
      let stream = try await client.open(Request(.get, server.endpoint()))
      #expect(try await stream.next() == Array("abc".utf8))
      let next = Task { try await stream.next() }
      await client.shutdown()
      let error = await #expect(throws: CurlError.self) { try await next.value }
      #expect(error?.code == .shutDown)
      await #expect(throws: CurlError.self) { try await client.open(Request(.get, server.endpoint())) }
    }
  }

  @Test("a client that was never used shuts down")
  func shutdownUnused() async {
    await CurlClient().shutdown()
  }
}

/// All that is still to come.
func whole(_ stream: ResponseStream) async throws -> [UInt8] {
  var body: [UInt8] = []
  while let bytes = try await stream.next() { body += bytes }
  return body
}
