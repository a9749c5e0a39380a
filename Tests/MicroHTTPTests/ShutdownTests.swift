import Dispatch
import Glibc
import KeptBytes
import Testing

@testable import MicroHTTP

@Suite("Deferred handlers and shutdown", .timeLimit(.minutes(2)))
struct ShutdownTests {
  /// Far below every timeout of a client, far above the 0.5 s of an idle machine.
  private static let stopLimit = Duration.seconds(3)

  private static func router(
    _ gate: Gate = Gate(), began: Counter = Counter(), ended: Counter = Counter()
  ) -> Router {
    var router = Router()
    router.on(.get, "/now", .immediate { _ in .text("now") })
    router.on(
      .get, "/wait",
      .deferred { _ in
        await gate.pass()
        ended.add()
        return .text("waited")
      })
    router.on(
      .get, "/sleep",
      .deferred { _ in
        began.add()
        try? await Task.sleep(for: .seconds(3600))
        ended.add()
        return .text("woken")
      })
    router.on(
      .get, "/stubborn",
      .deferred { _ in
        began.add()
        await Task.detached { try? await Task.sleep(for: .milliseconds(1500)) }.value
        ended.add()
        return .text("too late")
      })
    let block = ByteBlock([UInt8](repeating: 65, count: 64 << 20))
    router.on(.get, "/large", .immediate { _ in Response(body: .segments([ByteSlice(block)])) })
    return router
  }

  @Test("a client that goes away while its handler runs leaves nothing behind")
  func clientGone() async throws {
    let gate = Gate()
    let ended = Counter()
    var limits = Limits()
    limits.maxRequests = 3
    try await withServer(Self.router(gate, ended: ended), limits: limits) { server in
      for _ in 0..<3 {
        let client = try await server.client()
        client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        let before = gate.waiting
        try await eventually("the handler waits") { gate.waiting == before + 1 }
        shutdown(client.descriptor, Int32(SHUT_RDWR))
      }
      #expect(try await server.get("/now").status == 503)
      gate.open()
      try await eventually("all have ended") { ended.value == 3 }
      try await server.waitUntilServed("/now")
    }
  }

  @Test("a server with nothing in flight stops at once, idle and slow clients or not")
  func idleClients() async throws {
    let held = Box<[RawClient]>([])
    let elapsed = try await withServer(Self.router()) { server in
      for text in ["", "GET /n", "POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"] {
        let client = try await server.client()
        client.send(text)
        held.value.append(client)
      }
      let kept = try await server.client()
      _ = try await blocking { kept.get("/now") }
      held.value.append(kept)
    }
    #expect(elapsed < Self.stopLimit)
  }

  @Test("a client that does not read its response holds the stop for half a second only")
  func slowReader() async throws {
    let held = Box<RawClient?>(nil)
    let elapsed = try await withServer(Self.router()) { server in
      let client = try await server.client(receiveBuffer: 4096)
      client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
      try await blocking { client.waitForFirstByte() }
      held.value = client
    }
    #expect(elapsed > .milliseconds(300))
    #expect(elapsed < Self.stopLimit)
  }

  @Test("a deferred handler is cancelled by the stop and its answer still sent")
  func cancelled() async throws {
    let client = Box<RawClient?>(nil)
    let began = Counter()
    let ended = Counter()
    let elapsed = try await withServer(Self.router(began: began, ended: ended)) { server in
      let waiting = try await server.client()
      waiting.send("GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n")
      client.value = waiting
      try await eventually("the handler runs") { began.value == 1 }
    }
    #expect(elapsed < Self.stopLimit)
    #expect(ended.value == 1)
    let waiting = try #require(client.value)
    #expect(try await blocking { waiting.response()?.text } == "woken")
  }

  @Test("a deferred handler that ignores the cancellation is answered 503 in its place")
  func stubborn() async throws {
    let began = Counter()
    let ended = Counter()
    let client = Box<RawClient?>(nil)
    try await withServer(Self.router(began: began, ended: ended)) { server in
      let waiting = try await server.client()
      waiting.send("GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n")
      client.value = waiting
      try await eventually("the handler runs") { began.value == 1 }
    }
    // The server has waited for the handler, but not with the answer.
    #expect(ended.value == 1)
    let waiting = try #require(client.value)
    let answer = try await blocking { waiting.response() }
    #expect(answer?.status == 503)
    #expect(answer?.header("Connection") == "close")
  }

  @Test("many deferred requests in flight survive a stop", arguments: [1, 8, 16, 32, 64])
  func storm(inFlight: Int) async throws {
    var limits = Limits()
    limits.maxRequests = 0
    let held = Box<[RawClient]>([])
    let began = Counter()
    try await withServer(Self.router(began: began), limits: limits) { server in
      let clients = try await blocking {
        try (0..<64).map { _ in
          let client = try RawClient(server.address)
          client.send("GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n")
          return client
        }
      }
      held.value = clients
      try await eventually("\(inFlight) handlers run") { began.value >= inFlight }
    }
    let clients = held.value
    let statuses = try await blocking { clients.map { $0.response()?.status } }
    // Those that the stop came before have no answer.
    #expect(statuses.allSatisfy { $0 == nil || $0 == 200 || $0 == 503 })
    #expect(statuses.contains { $0 != nil })
  }

  @Test("a listener that does not start ends those that have, and answers what they were asked")
  func failedStart() async throws {
    let (jobs, continuation) = AsyncStream.makeStream(of: DeferredJob.self)
    let core = ServerCore(router: Self.router(), limits: Limits(), jobs: continuation) { _ in }
    let socket = try ListeningSocket(Listener(.tcp(host: "127.0.0.1", port: 0)))
    let isSuspended = DispatchSemaphore(value: 0)
    async let failure = #expect(throws: HTTPServerError.self) {
      try await core.serve(TakenTwice(socket: socket, second: isSuspended))
    }
    let client = try await blocking { try RawClient(socket.bound) }
    client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    for await _ in jobs { isSuspended.signal() }
    #expect(await failure?.code == .alreadyRun)
    #expect(try await blocking { client.response()?.status } == 503)
  }

  @Test("no client is taken while the server stops, and none can connect afterwards")
  func refused() async throws {
    var isRefused = false
    // A busy machine may let the grace pass before anybody has connected; then nothing was seen.
    for _ in 0..<10 where !isRefused { isRefused = try await isRefusedInGrace() }
    #expect(isRefused)
  }

  /// Whether a client was turned away while another one's request kept the stopping server waiting.
  private func isRefusedInGrace() async throws -> Bool {
    let began = Counter()
    let listener = Listener(.tcp(host: "127.0.0.1", port: 0))
    let server = try HTTPServer(listeners: [listener], router: Self.router(began: began)) { _ in }
    let address = server.boundAddresses[0]
    let running = Task { try await server.run() }
    let waiting = try await blocking { try RawClient(address) }
    waiting.send("GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n")
    try await eventually("the handler runs") { began.value == 1 }
    running.cancel()
    let isRefused = try await blocking {
      while (try? RawClient(address))?.get("/now") != nil {}
      // The server answers this one when the grace is over, and closes everything after that.
      return !waiting.hasSomethingToRead
    }
    try await running.value
    await #expect(throws: ClientError.self) { try await blocking { try RawClient(address) } }
    return isRefused
  }
}

/// The same socket twice, of which the second cannot be started; it waits to be asked for.
private struct TakenTwice: Sequence, Sendable {
  let socket: ListeningSocket
  let second: DispatchSemaphore

  func makeIterator() -> AnyIterator<ListeningSocket> {
    var given = 0
    return AnyIterator {
      given += 1
      if given == 2 { second.wait() }
      return given <= 2 ? socket : nil
    }
  }
}
