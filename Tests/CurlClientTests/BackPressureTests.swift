import Testing

@testable import CurlClient

/// A body in which every byte tells its place, roughly, and how many of them have left the server.
private struct Flood {
  static let total = 48 << 20
  private static let piece = 1 << 16

  let sent = Counter()

  /// Answers a request that was read.
  func answer(_ connection: Connection) {
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(Self.total)\r\n\r\n")
    for number in 0..<(Self.total / Self.piece) {
      guard connection.send([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: Self.piece)) else {
        return
      }
      sent.add(Self.piece)
    }
  }

  /// Waits until nothing more goes out for a while.
  func waitUntilHeldUp() async throws {
    var last = -1
    _ = try await eventually {
      defer { last = sent.value }
      try await Task.sleep(for: .milliseconds(500))
      return sent.value == last && last > 0 ? true : nil
    }
  }

  func expectWhole(_ stream: ResponseStream) async throws {
    var received = 0
    while let bytes = try await stream.next() {
      #expect(bytes.count <= Backlog.limit)
      let first = received
      let isRight = stride(from: 0, to: bytes.count, by: 997).allSatisfy {
        bytes[$0] == UInt8(truncatingIfNeeded: (first + $0) / Self.piece)
      }
      #expect(isRight)
      received += bytes.count
    }
    #expect(received == Self.total)
  }
}

@Suite struct BackPressureTests {
  @Test(
    "a server is held up by a reader that is behind, which is no silence, and nothing is lost",
    .timeLimit(.minutes(3)), arguments: TestServer.Place.allCases)
  func heldUp(place: TestServer.Place) async throws {
    let flood = Flood()
    try await withServer(place) { connection in
      _ = connection.request()
      flood.answer(connection)
    } test: { server, client in
      var request = Request(.get, server.endpoint())
      request.totalDeadline = nil
      request.idleDeadline = .milliseconds(400)
      let stream = try await client.open(request)
      try await flood.waitUntilHeldUp()
      // What the kernel holds at both ends comes on top of the client's own.
      #expect(flood.sent.value < 16 << 20)
      try await flood.expectWhole(stream)
    }
  }

  @Test("a compressed body that expands beyond measure waits for its reader")
  func bomb() async throws {
    let zeros = 8 << 20
    let bomb = gzipBomb(zeros: zeros)
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(bomb.count)\r\n\r\n")
      connection.send(bomb)
      _ = connection.waitForClose()
    } test: { server, client in
      let stream = try await client.open(Request(.get, server.endpoint()))
      var received = 0
      while received < zeros, let bytes = try await stream.next() {
        #expect(bytes.count <= Backlog.limit)
        received += bytes.count
      }
      #expect(received >= zeros)
    }
  }

  @Test("a piece that does not fit waits, and comes after what was there")
  func backlog() throws {
    var backlog = Backlog()
    #expect(backlog.take() == nil)
    #expect([UInt8](repeating: 1, count: Backlog.limit).withUnsafeBytes { backlog.offer($0) })
    #expect(![2].withUnsafeBytes { backlog.offer($0) })
    guard case .bytes(let bytes, resumes: true) = backlog.take() else { return #expect(Bool(false)) }
    #expect(bytes.count == Backlog.limit)
    #expect([UInt8(2)].withUnsafeBytes { backlog.offer($0) })
    backlog.finish(.success(()))
    guard case .bytes([2], resumes: false) = backlog.take() else { return #expect(Bool(false)) }
    guard case .end(.success) = backlog.take() else { return #expect(Bool(false)) }
  }

  @Test("a piece larger than the limit is taken when nothing else is there")
  func largePiece() {
    var backlog = Backlog()
    #expect([UInt8](repeating: 1, count: Backlog.limit + 1).withUnsafeBytes { backlog.offer($0) })
  }
}

extension BehindTLS {
  @Suite struct BackPressure {
    @Test("a reader that is behind may catch up through TLS", .timeLimit(.minutes(3)))
    func heldUpInTLS() async throws {
      let flood = Flood()
      try await withTLS { connection in
        _ = connection.request()
        flood.answer(connection)
      } test: { front, client in
        var request = try trusting(.get, front.endpoint())
        request.totalDeadline = nil
        let stream = try await client.open(request)
        try await flood.waitUntilHeldUp()
        #expect(flood.sent.value < 32 << 20)
        try await flood.expectWhole(stream)
      }
    }

    @Test("a reader that is behind holds up nobody else")
    func othersGoOn() async throws {
      let flood = Flood()
      try await withTLS { connection in
        while let request = connection.request() {
          if request.hasPrefix("GET /flood ") { return flood.answer(connection) }
          connection.answer()
        }
      } test: { front, client in
        let stream = try await client.open(trusting(.get, front.endpoint("/flood")))
        for _ in 0..<20 {
          var other = try trusting(.get, front.endpoint())
          other.totalDeadline = .seconds(10)
          #expect(await outcome(client, other).response?.status == 200)
        }
        stream.cancel()
      }
    }
  }
}
