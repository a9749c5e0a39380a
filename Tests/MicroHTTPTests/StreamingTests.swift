import Glibc
import KeptBytes
import MicroHTTP
import Synchronization
import Testing

/// Segments whose blocks tell when they are gone.
private final class Store: Sendable {
  let slices: Mutex<[ByteSlice]>
  let expected: [UInt8]

  init(count: Int, size: Int) {
    var slices: [ByteSlice] = []
    var expected: [UInt8] = []
    for number in 0..<count {
      let bytes = (0..<size + number % 7).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0) }
      slices.append(ByteSlice(ByteBlock(bytes)))
      expected += bytes
    }
    self.slices = Mutex(slices)
    self.expected = expected
  }

  func router() -> Router {
    var router = Router()
    router.on(
      .get, "/metrics",
      .immediate { [self] _ in
        Response(body: .segments(slices.withLock { $0 }))
      })
    return router
  }
}

@Suite("Segments", .timeLimit(.minutes(3)))
struct StreamingTests {
  @Test(
    "any number of segments of any size arrives as the bytes they are",
    arguments: [
      (1, 10), (255, 100), (256, 3), (256, 509), (256, 510), (257, 3), (257, 600), (1024, 2000), (1025, 1),
      (5000, 1),
      (50_000, 20),
    ])
  func segments(count: Int, size: Int) async throws {
    let store = Store(count: count, size: size)
    try await withServer(store.router(), at: ["127.0.0.1:0"]) { server in
      let client = try await server.client()
      let (first, head, second) = try await blocking {
        (client.get("/metrics")?.body, client.get("/metrics", method: "HEAD"), client.get("/metrics")?.body)
      }
      #expect(first == store.expected)
      #expect(head?.header("Content-Length") == "\(store.expected.count)")
      #expect(second == store.expected)
    }
  }

  @Test(
    "as many segments as are sent as they lie fit beside headers of half the memory",
    arguments: [1, 256, 300])
  func segmentsBesideHeaders(count: Int) async throws {
    // Together more than what is copied into one.
    let store = Store(count: count, size: count == 1 ? 150_000 : 600)
    try await withServer(store.router()) { server in
      let large = String(repeating: "x", count: 15 << 10)
      let answer = try await server.get("/metrics", headers: "X-Large: \(large)\r\n")
      #expect(answer.body == store.expected)
    }
  }

  @Test("segments go through a Unix socket too", arguments: [(10, 100_000), (3000, 500)])
  func unixSegments(count: Int, size: Int) async throws {
    let store = Store(count: count, size: size)
    let directory = try temporaryDirectory()
    defer { rmdir(directory) }
    try await withServer(store.router(), at: ["\(directory)/s"]) { server in
      let answer = try await server.get("/metrics")
      #expect(answer.body == store.expected)
    }
  }

  @Test("slices of one block that follow each other are the block, and gaps are left out")
  func slices() async throws {
    let block = ByteBlock(Array("0123456789".utf8))
    let slices = [0..<3, 3..<5, 5..<5, 7..<20, 0..<1].map { ByteSlice(block, range: $0) }
    var router = Router()
    router.on(.get, "/", .immediate { _ in Response(body: .segments(slices)) })
    router.on(.get, "/none", .immediate { _ in Response(body: .segments([])) })
    try await withServer(router) { server in
      #expect(try await server.get("/").text == "012347890")
      let none = try await server.get("/none")
      #expect(none.header("Content-Length") == "0")
    }
  }

  @Test("scrapes at once share the buffers, which go after the last response", arguments: [20, 2000])
  func released(count: Int) async throws {
    let store = Store(count: count, size: 400_000 / count)
    weak let probe = store.slices.withLock { $0[0].block }
    #expect(probe != nil)
    try await withServer(store.router()) { server in
      try await withThrowingTaskGroup { group in
        for _ in 0..<16 {
          group.addTask {
            let answer = try await server.get("/metrics")
            #expect(answer.body == store.expected)
          }
        }
        try await group.waitForAll()
      }
      // A client that has its headers and goes away in the middle.
      let client = try await server.client(receiveBuffer: 2048)
      client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
      try await blocking { client.waitForFirstByte() }
      store.slices.withLock { $0 = [] }
      shutdown(client.descriptor, Int32(SHUT_RDWR))
      try await eventually("the block is released") { [weak probe] in probe == nil }
    }
  }

  @Test("a client that resets in the middle of a large response does no harm")
  func reset() async throws {
    let block = ByteBlock([UInt8](repeating: 66, count: 32 << 20))
    let many = (0..<4096).map { ByteSlice(block, range: $0 * 8192..<$0 * 8192 + 8191) }
    var router = Router()
    router.on(.get, "/one", .immediate { _ in Response(body: .segments([ByteSlice(block)])) })
    router.on(.get, "/many", .immediate { _ in Response(body: .segments(many)) })
    try await withServer(router) { server in
      for round in 0..<20 {
        let client = try await server.client()
        try await blocking {
          client.send("GET \(round % 2 == 0 ? "/one" : "/many") HTTP/1.1\r\nHost: x\r\n\r\n")
          client.waitForFirstByte()
          var linger = linger(l_onoff: 1, l_linger: 0)
          setsockopt(client.descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        }
      }
      #expect(try await server.get("/one").body.count == 32 << 20)
      #expect(try await server.get("/many").body.count == 4096 * 8191)
    }
  }

  @Test("a block keeps what its initializer wrote, and no more than its capacity")
  func block() {
    let block = ByteBlock(capacity: 8) { memory in
      memory[0] = 1
      memory[1] = 2
      return 2
    }
    #expect(block.count == 2)
    #expect(block.withUnsafeBytes { Array($0) } == [1, 2])
    #expect(ByteBlock(capacity: 1) { _ in 5 }.count == 1)
    #expect(ByteSlice(block, range: 1..<9).count == 1)
    struct Failure: Error {}
    func failing() throws -> ByteBlock {
      try ByteBlock(capacity: 4) { _ throws(Failure) in throw Failure() }
    }
    #expect(throws: Failure.self) { try failing() }
  }
}
