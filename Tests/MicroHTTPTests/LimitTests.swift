import Foundation
import Glibc
import KeptBytes
import MicroHTTP
import Synchronization
import Testing

@Suite("Limits", .timeLimit(.minutes(2)))
struct LimitTests {
  private static func router(_ gate: Gate = Gate()) -> Router {
    var router = Router()
    router.on(.get, "/now", .immediate { _ in .text("now") })
    router.on(.post, "/body", .immediate { .text("\($0.body.count)") })
    router.on(
      .get, "/wait",
      .deferred { _ in
        await gate.pass()
        return .text("waited")
      })
    router.on(.get, "/healthy", isLimited: false, .immediate { _ in .text("healthy") })
    let block = ByteBlock([UInt8](repeating: 65, count: 64 << 20))
    router.on(.get, "/large", .immediate { _ in Response(body: .segments([ByteSlice(block)])) })
    return router
  }

  @Test("a body at the limit is taken, one byte more is 413 and closes, told or chunked")
  func bodySize() async throws {
    var limits = Limits()
    limits.bodyBytes = 1000
    try await withServer(Self.router(), limits: limits) { server in
      let fits = String(repeating: "x", count: 1000)
      let head = "POST /body HTTP/1.1\r\nHost: x\r\n"
      #expect(try await server.send("\(head)Content-Length: 1000\r\n\r\n\(fits)")?.text == "1000")
      for text in [
        "\(head)Content-Length: 1001\r\n\r\n\(fits)x",
        "\(head)Transfer-Encoding: chunked\r\n\r\n3e9\r\n\(fits)x\r\n0\r\n\r\n",
        "\(head)Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
        "\(head)Content-Length: 99999999\r\n\r\n",
      ] {
        let client = try await server.client()
        let (answer, rest) = try await blocking {
          client.send(text)
          return (client.response(), client.rest())
        }
        #expect(answer?.status == 413)
        #expect(answer?.header("Connection") == "close")
        #expect(rest.isEmpty)
      }
    }
  }

  @Test("an endless chunked body is cut off")
  func endlessBody() async throws {
    var limits = Limits()
    limits.bodyBytes = 10_000
    try await withServer(Self.router(), limits: limits) { server in
      let client = try await server.client()
      let sent = try await blocking {
        client.send("POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        let chunk = Array("10000\r\n".utf8) + [UInt8](repeating: 65, count: 65536) + Array("\r\n".utf8)
        var sent = 0
        while sent < 1 << 28 {
          let count = client.send(chunk)
          sent += count
          if count < chunk.count { break }
        }
        return sent
      }
      #expect(sent < 1 << 26)
    }
  }

  @Test("headers beyond the memory of a connection are 431, a long line 414")
  func headerSize() async throws {
    var limits = Limits()
    limits.headerBytes = 8 << 10
    try await withServer(Self.router(), limits: limits) { server in
      let large = String(repeating: "x", count: 20_000)
      let header = try await server.send("GET /now HTTP/1.1\r\nHost: x\r\nX-Large: \(large)\r\n\r\n")
      #expect(header.map { $0.status == 431 } ?? true)
      let line = try await server.send("GET /\(large) HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(line.map { $0.status == 414 } ?? true)
      #expect(try await server.get("/now").text == "now")
      let fits = String(repeating: "x", count: 3000)
      #expect(try await server.get("/now", headers: "X-Large: \(fits)\r\n").text == "now")
    }
  }

  @Test(
    "a client that drips its request is closed by the total deadline",
    arguments: ["GET /now HT", "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"])
  func slowRequest(start: String) async throws {
    var limits = Limits()
    limits.requestTimeout = .milliseconds(400)
    limits.idleTimeout = .seconds(60)
    try await withServer(Self.router(), limits: limits) { server in
      let began = ContinuousClock.now
      let client = try await server.client()
      let isClosed = try await blocking {
        client.send(start)
        var byte: UInt8 = 0
        // One byte each 20 ms, so that the connection is never silent.
        while ContinuousClock.now - began < .seconds(15) {
          if client.send("x") == 0 { return true }
          usleep(20_000)
          if recv(client.descriptor, &byte, 1, Int32(MSG_DONTWAIT)) == 0 { return true }
        }
        return false
      }
      #expect(isClosed)
      #expect(ContinuousClock.now - began > .milliseconds(400))
      try await eventually("the log says it") { server.log.lines.contains { $0.contains("too slow") } }
    }
  }

  @Test("a client that does not read its response is closed by its deadline")
  func slowReader() async throws {
    var limits = Limits()
    limits.responseTimeout = .milliseconds(300)
    limits.idleTimeout = .seconds(60)
    try await withServer(Self.router(), limits: limits) { server in
      let client = try await server.client(receiveBuffer: 4096)
      client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
      try await eventually("the log says it") { server.log.lines.contains { $0.contains("too slow") } }
      let count = try await blocking { client.rest().count }
      #expect(count < 64 << 20)
    }
  }

  @Test("a silent client is closed by the idle timeout")
  func idle() async throws {
    var limits = Limits()
    limits.idleTimeout = .seconds(1)
    limits.requestTimeout = .zero
    limits.responseTimeout = .zero
    try await withServer(Self.router(), limits: limits) { server in
      let began = ContinuousClock.now
      let client = try await server.client()
      let rest = try await blocking { client.rest() }
      let elapsed = ContinuousClock.now - began
      #expect(rest.isEmpty)
      #expect(elapsed > .milliseconds(900))
      #expect(elapsed < .seconds(15))
    }
  }

  @Test("a handler may take longer than any timeout of the client")
  func slowHandler() async throws {
    var limits = Limits()
    limits.requestTimeout = .seconds(1)
    limits.idleTimeout = .seconds(1)
    let gate = Gate()
    try await withServer(Self.router(gate), limits: limits) { server in
      async let answer = server.get("/wait")
      try await eventually("the handler waits") { gate.waiting == 1 }
      try await Task.sleep(for: .milliseconds(1500))
      gate.open()
      #expect(try await answer.text == "waited")
    }
  }

  @Test("one request more than maxRequests is 503 with Retry-After, a probe is answered")
  func maxRequests() async throws {
    var limits = Limits()
    limits.maxRequests = 2
    let gate = Gate()
    try await withServer(Self.router(gate), limits: limits) { server in
      async let first = server.get("/wait")
      async let second = server.get("/wait")
      try await eventually("both wait") { gate.waiting == 2 }
      let third = try await server.get("/now")
      #expect(third.status == 503)
      #expect(third.header("Retry-After") == "1")
      #expect(try await server.get("/healthy").text == "healthy")
      gate.open()
      #expect(try await [first.text, second.text] == ["waited", "waited"])
      // The slot is free when the server has seen its response sent, a little after the client has.
      try await server.waitUntilServed("/now")
    }
  }

  @Test("clients of one listener that do not read cannot shut out those of another")
  func maxRequestsOfEach() async throws {
    var limits = Limits()
    limits.maxRequests = 2
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await withServer(Self.router(), limits: limits, at: ["127.0.0.1:0", "\(directory)/control.sock"]) {
      server in
      var slow: [RawClient] = []
      for _ in 0..<2 {
        let client = try await server.client(receiveBuffer: 4096)
        client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        try await blocking { client.waitForFirstByte() }
        slow.append(client)
      }
      #expect(try await server.get("/now").status == 503)
      let control = server.addresses[1]
      #expect(try await blocking { try RawClient(control).get("/now") }?.status == 200)
      withExtendedLifetime(slow) {}
    }
  }

  @Test("connections beyond the limit are not served until one ends")
  func connections() async throws {
    var limits = Limits()
    limits.connections = 4
    try await withServer(Self.router(), limits: limits) { server in
      let served = Occupancy()
      try await withThrowingTaskGroup { group in
        for _ in 0..<8 {
          group.addTask {
            try await blocking {
              let client = try RawClient(server.address)
              #expect(client.get("/now")?.status == 200)
              served.enter()
              // Held long enough for the others to be served too, if they were.
              usleep(200_000)
              served.leave()
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(served.most <= 4)
    }
  }

  @Test("connections from one IP address are limited, those over a Unix socket are not")
  func connectionsPerAddress() async throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await withServer(Self.router(), at: ["127.0.0.1:0", "\(directory)/control.sock"]) { server in
      let most = Limits().connectionsPerAddress
      for (address, served) in zip(server.addresses, [most, most + 2]) {
        let held = try await blocking {
          try (0..<most + 2).map { _ in
            let client = try RawClient(address)
            return (client, client.get("/now")?.status)
          }
        }
        #expect(held.count { $0.1 == 200 } == served)
        #expect(held.prefix(served).allSatisfy { $0.1 == 200 })
      }
    }
  }
}
