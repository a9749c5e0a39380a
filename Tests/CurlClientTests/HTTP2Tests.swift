import Testing

@testable import CurlClient

extension BehindTLS {
  @Suite struct HTTP2 {
    @Test("requests at the same time share a connection")
    func multiplexed() async throws {
      let arrived = Counter()
      try await withTLS { connection in
        while let request = connection.request() {
          if request.hasPrefix("GET /together ") {
            arrived.add(1)
            while arrived.value < 20 { connection.pause(milliseconds: 1) }
          }
          connection.answer()
        }
      } test: { front, client in
        #expect(await outcome(client, try trusting(.get, front.endpoint())).response?.status == 200)
        await withTaskGroup(of: Int?.self) { group in
          for _ in 0..<20 {
            group.addTask {
              guard let request = try? trusting(.get, front.endpoint("/together")) else { return nil }
              return await outcome(client, request).response?.status
            }
          }
          for await status in group { #expect(status == 200) }
        }
        let records = try await eventually { try front.records.count == 21 ? front.records : nil }
        #expect(Set(records.map(\.port)).count == 1)
        #expect(Set(records.map(\.alpn)) == ["h2"])
      }
    }

    @Test("a server, or a request, that knows HTTP/1.1 only is served in it", arguments: [true, false])
    func oldVersion(isServer: Bool) async throws {
      try await withTLS(.init(protocols: isServer ? "http/1.1" : "h2,http/1.1")) { front, client in
        var request = try trusting(.get, front.endpoint())
        request.allowsHTTP2 = isServer
        for _ in 0..<3 { #expect(await outcome(client, request).response?.status == 200) }
        let records = try await eventually { try front.records.count == 3 ? front.records : nil }
        #expect(Set(records.map(\.port)).count == 1)
        #expect(Set(records.map(\.alpn)) == ["http/1.1"])
      }
    }

    @Test("a request never lands on the HTTP/1.1 connection of a stream that goes on")
    func apartFromStreams() async throws {
      try await withTLS { connection in
        while let request = connection.request() {
          if request.hasPrefix("GET /stream ") {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            return _ = connection.waitForClose()
          }
          connection.answer()
        }
      } test: { front, client in
        // First, so that it is the first that would be found.
        let stream = try await client.open(trusting(.get, front.endpoint("/stream")))
        let first = try await stream.next()
        #expect(first == Array("abc".utf8))
        var request = try trusting(.get, front.endpoint())
        request.totalDeadline = .seconds(10)
        for method in [Request.Method.get, .get, .post, .get] {
          request.method = method
          #expect(await outcome(client, request).response?.status == 200)
        }
        stream.cancel()
      }
    }

    @Test("a POST takes a connection of its own, and may be followed on it")
    func freshConnection() async throws {
      try await withTLS { front, client in
        for (index, method) in [Request.Method.get, .post, .patch, .get].enumerated() {
          #expect(await outcome(client, try trusting(method, front.endpoint())).response?.status == 200)
          _ = try await eventually { try front.records.count > index ? true : nil }
        }
        let ports = try front.records.map(\.port)
        #expect(Set(ports.prefix(3)).count == 3)
        #expect(ports.prefix(3).contains(ports[3]))
      }
    }

    @Test("cancelling a request leaves the others on its connection alone")
    func cancellation() async throws {
      let arrived = Box<Bool>()
      let closed = Box<ContinuousClock.Instant>()
      let go = Box<Bool>()
      try await withTLS { connection in
        while let request = connection.request() {
          if request.hasPrefix("GET /never ") {
            arrived.set(true)
            if let instant = connection.waitForClose() { closed.set(instant) }
            return
          }
          if request.hasPrefix("GET /later ") { while go.now == nil { connection.pause(milliseconds: 1) } }
          connection.answer()
        }
      } test: { front, client in
        #expect(await outcome(client, try trusting(.get, front.endpoint())).response?.status == 200)
        let other = try trusting(.get, front.endpoint("/later"))
        let later = Task { await outcome(client, other) }
        let request = try trusting(.get, front.endpoint("/never"))
        let never = Task { await failure(client, request) }
        _ = try await arrived.wait()
        never.cancel()
        #expect(await never.value?.code == .cancelled)
        // libcurl 7.88 tells the server together with the next request.
        #expect(await outcome(client, try trusting(.get, front.endpoint())).response?.status == 200)
        _ = try await closed.wait()
        go.set(true)
        #expect(await later.value.response?.status == 200)
        let records = try await eventually { try front.records.count == 3 ? front.records : nil }
        #expect(Set(records.map(\.port)).count == 1)
      }
    }
  }
}
