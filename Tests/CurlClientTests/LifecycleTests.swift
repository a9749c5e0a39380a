import Foundation
import Glibc
import Testing

@testable import CurlClient

@Suite struct LifecycleTests {
  @Test(
    "cancelling the task closes the connection, and does not wait for a timer",
    .timeLimit(.minutes(2)), arguments: TestServer.Place.allCases)
  func cancellation(place: TestServer.Place) async throws {
    let arrived = Box<Bool>()
    let closed = Box<ContinuousClock.Instant>()
    try await withServer(place) { connection in
      _ = connection.request()
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
      // libcurl's timers of connecting end 200 ms after its start: any of them would do what the cancellation must.
      connection.pause(milliseconds: 1000)
      arrived.set(true)
      if let instant = connection.waitForClose() { closed.set(instant) }
    } test: { server, client in
      var request = Request(.get, server.endpoint())
      request.connectDeadline = .seconds(30)
      let task = Task { [request] in await failure(client, request) }
      _ = try await arrived.wait()
      let start = ContinuousClock.now
      task.cancel()
      let error = try #require(await task.value)
      #expect(error.code == .cancelled)
      #expect(error.shortDescription == "cancelled")
      // A busy machine needs some of it; the next timer would be the deadline, after 30 s.
      #expect(try await closed.wait() - start < .seconds(5))
    }
  }

  @Test("a task cancelled before it sends never connects")
  func cancelledBefore() async throws {
    try await withServer {
      $0.answerAll()
    } test: { server, client in
      let task = Task {
        while !Task.isCancelled { await Task.yield() }
        return await failure(client, Request(.get, server.endpoint()))
      }
      task.cancel()
      #expect(await task.value?.code == .cancelled)
      #expect(server.connections == 0)
    }
  }

  @Test("requests cancelled at any moment end exactly once")
  func cancellationRace() async throws {
    try await withServer {
      $0.answerAll()
    } test: { server, client in
      await withTaskGroup(of: Void.self) { group in
        for number in 0..<300 {
          group.addTask {
            let task = Task { await failure(client, Request(.get, server.endpoint())) }
            for _ in 0..<(number % 30) { await Task.yield() }
            task.cancel()
            let error = await task.value
            #expect(error == nil || error?.code == .cancelled)
          }
        }
      }
      #expect(await outcome(client, Request(.get, server.endpoint())).response?.status == 200)
    }
  }

  @Test("shutdown fails what is in flight and what comes later, and closes connections")
  func shutdownInFlight() async throws {
    let arrived = Mailbag()
    let closed = Mailbag()
    try await withServer { connection in
      arrived.put(connection.request() ?? "")
      _ = connection.waitForClose()
      closed.put("closed")
    } test: { server, client in
      let tasks = (0..<10).map { _ in Task { await failure(client, Request(.get, server.endpoint())) } }
      _ = try await eventually { arrived.all.count == 10 ? true : nil }
      await client.shutdown()
      for task in tasks { #expect(await task.value?.shortDescription == "shutdown") }
      _ = try await eventually { closed.all.count == 10 ? true : nil }
      #expect(await failure(client, Request(.get, server.endpoint()))?.code == .shutDown)
      await client.shutdown()
    }
  }

  @Test("a multi handle that could not be woken is not used")
  func cannotStart() async throws {
    await #expect(processExitsWith: .success) {
      var limit = rlimit(rlim_cur: 3, rlim_max: 3)
      setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      let error = try #require(throws: CurlError.self) { try CurlMulti(idleConnections: 1) }
      #expect(error.code == .unusable)
      #expect(error.call == "curl_multi_wakeup")
    }
  }

  @Test("the sockets are not passed on to child processes", arguments: TestServer.Place.allCases)
  func closeOnExec(place: TestServer.Place) async throws {
    let arrived = Mailbag()
    try await withServer(place) { connection in
      arrived.put(connection.request() ?? "")
      let flags = connection.clientDescriptor().map { fcntl($0, F_GETFD) & FD_CLOEXEC }
      connection.answer(flags.map { "\($0)" } ?? "not found")
    } test: { server, client in
      let response = await outcome(client, Request(.get, server.endpoint())).response
      #expect(response.map { String(decoding: $0.body, as: UTF8.self) } == "\(FD_CLOEXEC)")
    }
  }

  @Test("a connection is given up when its other end is gone without a word")
  func deadPeer() async throws {
    let arrived = Mailbag()
    try await withServer { connection in
      arrived.put(connection.request() ?? "")
      func option(_ option: Int32, _ level: Int32 = Int32(IPPROTO_TCP)) -> Int32 {
        var value: Int32 = -1
        var length = socklen_t(MemoryLayout<Int32>.size)
        if let fd = connection.clientDescriptor() { getsockopt(fd, level, option, &value, &length) }
        return value
      }
      connection.answer(
        "\(option(TCP_USER_TIMEOUT)) \(option(SO_KEEPALIVE, SOL_SOCKET)) \(option(TCP_KEEPIDLE))")
    } test: { server, client in
      let response = await outcome(client, Request(.get, server.endpoint())).response
      #expect(response.map { String(decoding: $0.body, as: UTF8.self) } == "10000 1 20")
    }
  }

  @Test("the client's thread blocks SIGPIPE and no fault")
  func sigpipe() async throws {
    let (fd, address) = try TestServer.bindOnLoopback()
    defer { close(fd) }
    let client = CurlClient()
    _ = await failure(client, Request(.get, Endpoint(address, path: "/")))
    func isSet(_ signal: Int32, _ mask: UInt64) -> Bool { mask & (1 << UInt64(signal - 1)) != 0 }
    // glibc blocks every signal while a thread starts and while it ends, which other tests' clients do meanwhile.
    _ = try await eventually {
      try threads(named: "drover-curl").lazy.compactMap {
        let status = (try? String(contentsOfFile: "/proc/self/task/\($0)/status", encoding: .utf8)) ?? ""
        return status.firstMatch(of: /SigBlk:\s*([0-9a-f]+)/).flatMap { UInt64($0.1, radix: 16) }
      }.first { isSet(SIGPIPE, $0) && !isSet(SIGSEGV, $0) }
    }
    await client.shutdown()
  }

  @Test("1,000 requests leave no file descriptor and no thread behind", .timeLimit(.minutes(2)))
  func noGrowth() async throws {
    await #expect(processExitsWith: .success) {
      let server = try TestServer { $0.answerAll() }
      // Clients go with their last reference, without a call of shutdown.
      try await use(CurlClient(), server, requests: 10)
      try await allGone(server)
      let before = try (sockets: sockets(), all: entries("/proc/self/fd").count)
      try await use(CurlClient(), server, requests: 1000)
      try await allGone(server)
      let after = try (sockets: sockets(), all: entries("/proc/self/fd").count)
      #expect(after.sockets <= before.sockets)
      // The runtime opens a few timers and event queues when it first needs them.
      #expect(after.all < before.all + 10)
      server.stop()
    }
  }
}

/// Sends requests of several kinds, some of which run out of time, and looks at what stays open between them.
private func use(_ client: CurlClient, _ server: TestServer, requests: Int) async throws {
  for number in 0..<requests {
    var request = Request(number % 10 == 0 ? .post : .get, server.endpoint())
    request.totalDeadline = number % 100 == 7 ? .nanoseconds(1) : .seconds(30)
    let error = await failure(client, request)
    #expect(error == nil || error?.code == .timedOut)
  }
  #expect(try threads(named: "drover-curl").count == 1)
  let kept = CurlClient.Configuration().idleConnections
  _ = try await eventually { server.openConnections <= kept ? true : nil }
}

private func allGone(_ server: TestServer) async throws {
  _ = try await eventually {
    try server.openConnections == 0 && threads(named: "drover-curl").isEmpty ? true : nil
  }
}

private func entries(_ directory: String) throws -> [String] {
  try FileManager.default.contentsOfDirectory(atPath: directory)
}

private func sockets() throws -> Int {
  try entries("/proc/self/fd").filter {
    let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")
    return target?.hasPrefix("socket:") ?? false
  }.count
}

/// The ids of this process's threads of a name.
private func threads(named name: String) throws -> [String] {
  try entries("/proc/self/task").filter {
    (try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8)) == "\(name)\n"
  }
}
