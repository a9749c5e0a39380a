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

  @Test("a server is held up by a reader that is behind, and nothing is lost", .timeLimit(.minutes(2)))
  func backPressure() async throws {
    let sent = Counter()
    let total = 64 << 20
    try await withServer { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(total)\r\n\r\n")
      for number in 0..<(total >> 16) {
        guard connection.send([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 1 << 16)) else {
          return
        }
        sent.add(1 << 16)
      }
    } test: { server, client in
      let stream = try await client.open(Request(.get, server.endpoint()))
      var last = -1
      _ = try await eventually {
        defer { last = sent.value }
        try await Task.sleep(for: .milliseconds(200))
        return sent.value == last && last > 0 ? true : nil
      }
      // What the kernel holds on both ends comes on top of the client's own.
      #expect(sent.value < 16 << 20)
      var received = 0
      while let bytes = try await stream.next() {
        #expect(bytes.count <= Backlog.limit)
        let isWhole = bytes.enumerated().allSatisfy { $1 == UInt8(truncatingIfNeeded: (received + $0) >> 16) }
        #expect(isWhole)
        received += bytes.count
      }
      #expect(received == total)
    }
  }
}
