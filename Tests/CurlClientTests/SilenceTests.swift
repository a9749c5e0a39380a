import Testing

@testable import CurlClient

@Suite struct SilenceTests {
  private let start = ContinuousClock.now

  @Test("it ends the limit after the last word, and not before the first")
  func ends() {
    var silence = Silence(limit: .seconds(5))
    #expect(silence.end == nil)
    silence.hear(at: start)
    #expect(silence.end == start + .seconds(5))
    silence.hear(at: start + .seconds(3))
    #expect(silence.end == start + .seconds(8))
  }

  @Test("a pause is no silence")
  func pause() {
    var silence = Silence(limit: .seconds(5))
    silence.hear(at: start)
    silence.pause()
    #expect(silence.end == nil)
    silence.resume(at: start + .seconds(100))
    #expect(silence.end == start + .seconds(105))
  }

  @Test("without a limit it never ends")
  func unlimited() {
    var silence = Silence(limit: nil)
    silence.hear(at: start)
    #expect(silence.end == nil)
  }

  enum Moment: CaseIterable { case beforeHeader, inHeader, beforeBody, inBody }

  @Test(
    "a server that falls silent ends the stream, and its connection", .timeLimit(.minutes(1)),
    arguments: Moment.allCases)
  func silentServer(moment: Moment) async throws {
    let closed = Box<ContinuousClock.Instant>()
    try await withServer { connection in
      _ = connection.request()
      switch moment {
      case .beforeHeader: break
      case .inHeader: connection.send("HTTP/1.1 200 OK\r\nX-A: b\r\n")
      case .beforeBody: connection.send("HTTP/1.1 200 OK\r\n\r\n")
      case .inBody: connection.send("HTTP/1.1 200 OK\r\n\r\nabc")
      }
      if let instant = connection.waitForClose() { closed.set(instant) }
    } test: { server, client in
      var request = Request(.get, server.endpoint())
      request.totalDeadline = nil
      request.idleDeadline = .milliseconds(200)
      let begin = ContinuousClock.now
      let error = await #expect(throws: CurlError.self) {
        let stream = try await client.open(request)
        if moment == .inBody { #expect(try await stream.next() == Array("abc".utf8)) }
        return try await stream.next()
      }
      #expect(error?.code == .timedOut)
      #expect(error?.shortDescription == "timeout")
      #expect(error?.description.contains("sent nothing for 0.2 seconds") == true)
      #expect(ContinuousClock.now - begin >= .milliseconds(200))
      _ = try await closed.wait()
    }
  }

  @Test("it ends a whole answer too, and a server that drips goes on", .timeLimit(.minutes(1)))
  func wholeAnswer() async throws {
    try await withServer { connection in
      let request = connection.request() ?? ""
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n")
      guard request.hasPrefix("GET /drip ") else { return _ = connection.waitForClose() }
      for _ in 0..<40 {
        connection.pause(milliseconds: 25)
        connection.send("x")
      }
    } test: { server, client in
      var request = Request(.get, server.endpoint("/drip"))
      request.idleDeadline = .milliseconds(500)
      #expect(await outcome(client, request).response?.body.count == 40)
      request.endpoint = server.endpoint("/silent")
      #expect(await failure(client, request)?.code == .timedOut)
    }
  }
}
