import CurlClient
import DroverCore
import Foundation
import Testing

@testable import KubeVirtBackend

@Suite("virt-handler asked at its pod", .timeLimit(.minutes(2)))
struct DirectHandlerSourceTests {
  @Test("its numbers are read, with its own clock, over IPv4 and IPv6", arguments: ["127.0.0.1", "::1"])
  func answers(address: String) async throws {
    let front = try await HandlerFront(on: address == "::1" ? "[::1]" : address)
    try front.answer(String(decoding: try fixture("virt-handler-metrics.txt"), as: UTF8.self))
    let authorities = try HandlerCertificates.all.authority
    let reading = try await read(front.port, authorities, at: address).get()
    #expect(reading.serverTime == 1_772_445_631_000)
    #expect(reading.samples[.demo]?.count == 4)
  }

  @Test("who signed its certificate is checked where that is known, and its name never")
  func trust() async throws {
    let front = try await HandlerFront()
    try front.answer("")
    let certificates = try HandlerCertificates.all
    #expect(try await read(front.port, certificates.authority).get().samples.isEmpty)
    #expect(await read(front.port, certificates.otherAuthority).kind == .tls)
    #expect(try await read(front.port, nil).get().samples.isEmpty)
  }

  @Test("a handler that too many ask is busy, and says for how long")
  func busy() async throws {
    let front = try await HandlerFront()
    try front.answer(
      "Limit of concurrent requests reached (3), try again later.\n", status: "503 Service Unavailable",
      headers: ["Retry-After: 7"])
    let error = try #require(await read(front.port, nil).error)
    #expect(error.kind == .busy && error.retryAfter == .seconds(7))
    #expect(error.description.contains("Limit of concurrent requests reached (3), try again later.;"))
    #expect(error.description.contains("node n1 (virt-handler-x, 127.0.0.1)"))
  }

  @Test(
    "other answers are told apart",
    arguments: [
      ("401 Unauthorized", "text/plain", .denied), ("404 Not Found", "text/plain", .missing),
      ("500 Internal Server Error", "text/plain", .status), ("200 OK", "text/html", .garbled),
    ] as [(String, String, HandlerError.Kind)])
  func others(status: String, type: String, kind: HandlerError.Kind) async throws {
    let front = try await HandlerFront()
    try front.answer("a\r\nb\u{7}c", status: status, headers: ["Content-Type: \(type)"])
    let error = try #require(await read(front.port, nil).error)
    #expect(error.kind == kind && !error.kind.isUnreachable)
    #expect(!error.description.unicodeScalars.contains { $0.properties.generalCategory == .control })
  }

  @Test("an answer that tells no time is one of now")
  func noDate() async throws {
    let front = try await HandlerFront()
    try front.answer("", headers: ["Content-Type: text/plain"])
    let reading = try await read(front.port, nil).get()
    #expect(abs(Double(reading.serverTime) / 1000 - Date().timeIntervalSince1970) < 60)
  }

  @Test("nobody there, nobody who talks, and nobody who answers are three things")
  func unreachable() async throws {
    let refusing = try DeafPort(listens: false)
    #expect(await read(refusing.port, nil).kind == .refused)
    let deaf = try DeafPort(listens: true)
    #expect(await read(deaf.port, nil, connect: .milliseconds(200)).kind == .connect)
    #expect(
      await read(deaf.port, nil, connect: .milliseconds(200), total: .milliseconds(200)).kind == .timeout)
    #expect(await read(deaf.port, nil, at: "not an address").kind == .settings)
  }

  @Test("a cancelled question is no failure of the handler")
  func cancelled() async throws {
    let deaf = try DeafPort(listens: true)
    let task = Task { await read(deaf.port, nil) }
    task.cancel()
    #expect(await task.value.kind == .cancelled)
  }

  private func read(
    _ port: UInt16, _ authorities: [UInt8]?, at address: String = "127.0.0.1",
    connect: Duration = .seconds(5), total: Duration = .seconds(20)
  ) async -> Result<HandlerReading, HandlerError> {
    let source = DirectHandlerSource(
      client: CurlClient(), authorities: authorities, port: port, connectDeadline: connect, deadline: total)
    #expect(source.grouping == .perNode && source.isVerified == (authorities != nil))
    return await outcome(source, at: address)
  }
}

@Suite("virt-handler asked through the API server")
struct ProxyHandlerSourceTests {
  private struct Getter: RawGetter {
    var answer: @Sendable (String) throws -> RawAnswer

    func get(_ path: String) async throws -> RawAnswer { try answer(path) }
  }

  private struct Broken: Error {}

  @Test("its numbers are read, at the path that names the pod and its port")
  func answers() async throws {
    let body = Array(try fixture("virt-handler-metrics.txt"))
    let source = ProxyHandlerSource(
      getter: Getter { path in
        #expect(path == "/api/v1/namespaces/harvester-system/pods/https:virt-handler-x:8443/proxy/metrics")
        return RawAnswer(
          status: 200,
          headers: ["Content-Type": "text/plain; version=0.0.4", "Date": "Mon, 02 Mar 2026 10:00:31 GMT"],
          body: body)
      })
    let reading = try await source.read([.x()])
    #expect(source.grouping == .perNode)
    #expect(reading.serverTime == 1_772_445_631_000 && reading.samples[.demo]?.count == 4)
  }

  @Test(
    "an API server that does not reach the pod is told from a busy handler",
    arguments: [
      (503, "Limit of concurrent requests reached (3), try again later.\n", .busy),
      (503, status("error trying to reach service: dial tcp 10.52.0.9:8443: i/o timeout"), .connect),
      (
        503, status("error trying to reach service: dial tcp 10.52.0.9:8443: connect: no route to host"),
        .connect
      ),
      (
        500, status("error trying to reach service: dial tcp 10.52.0.9:8443: connect: connection refused"),
        .refused
      ),
      (
        503,
        "Error: 'dial tcp 10.52.0.9:8443: connect: connection refused'\nTrying to reach: 'https://10.52.0.9:8443/'",
        .refused
      ),
      (502, status("error trying to reach service: x509: certificate signed by unknown authority"), .tls),
      (429, status("too many requests"), .busy), (403, status("pods \\\"x\\\" is forbidden"), .denied),
      (404, status("pods \\\"x\\\" not found"), .missing), (500, "oops", .status), (504, "", .status),
    ] as [(Int, String, HandlerError.Kind)])
  func failures(status: Int, body: String, kind: HandlerError.Kind) async {
    let source = ProxyHandlerSource(
      getter: Getter { _ in RawAnswer(status: status, headers: [:], body: Array(body.utf8)) })
    #expect(await outcome(source).kind == kind)
  }

  @Test("an API server that cannot be asked says nothing of the node")
  func apiServer() async {
    let broken = await outcome(ProxyHandlerSource(getter: Getter { _ in throw Broken() }))
    #expect(broken.kind == .apiServer && broken.kind?.isUnreachable == false)
    let cancelled = await outcome(ProxyHandlerSource(getter: Getter { _ in throw CancellationError() }))
    #expect(cancelled.kind == .cancelled)
  }

  @Test("it is asked about one node at a time")
  func single() async {
    let source = ProxyHandlerSource(getter: Getter { _ in throw Broken() })
    for targets in [[], [.x(), .x()]] as [[HandlerTarget]] {
      await #expect(throws: HandlerError.self) { try await source.read(targets) }
    }
  }

  private static func status(_ message: String) -> String {
    #"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"\#(message)","code":503}"#
  }
}

/// What one question brings.
func outcome(
  _ source: some HandlerSource, at address: String = "127.0.0.1"
) async -> Result<HandlerReading, HandlerError> {
  do {
    return .success(try await source.read([.x(at: address)]))
  } catch {
    return .failure(error)
  }
}

extension HandlerTarget {
  /// The virt-handler of node n1.
  static func x(at address: String = "127.0.0.1", node: String = "n1") -> HandlerTarget {
    HandlerTarget(node: node, namespace: "harvester-system", pod: "virt-handler-x", address: address)
  }
}

extension Result where Success == HandlerReading, Failure == HandlerError {
  var error: HandlerError? { if case .failure(let error) = self { error } else { nil } }

  /// The kind of failure; nil for a success.
  var kind: HandlerError.Kind? { error?.kind }
}
