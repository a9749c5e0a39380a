import CurlClient
import DroverCore
import Foundation
import MicroHTTP
import Synchronization
import Testing

@testable import KubeVirtBackend

@Suite("virt-handler's numbers from what speaks as Prometheus does", .timeLimit(.minutes(2)))
struct PrometheusHandlerSourceTests {
  @Test("the samples of all nodes come with the times that virt-handler gave them")
  func answers() async throws {
    let answer = """
      {"status":"success","warnings":["a\\nb"],"data":{"resultType":"matrix","result":[
      {"metric":{"__name__":"kubevirt_vmi_migration_data_processed_bytes","namespace":"default","name":"demo",
        "node":"harvester-node-0","job":"j"},"values":[[1772445615.112,"227540992"],[1772445620.113,"817889280"]]},
      {"metric":{"__name__":"kubevirt_vmi_migration_data_remaining_bytes","exported_namespace":"default",
        "namespace":"harvester-system","name":"demo","node":"harvester-node-0"},
        "values":[[1772445615.112,"7.9e9"],[1772445620.113,"NaN"]]},
      {"metric":{"__name__":"kubevirt_vmi_migration_data_processed_bytes","namespace":"default","name":"other",
        "node":"elsewhere"},"values":[[1772445615.112,"1"]]},
      {"metric":{"__name__":"kubevirt_vmi_dirty_rate_bytes_per_second","namespace":"default","name":"idle",
        "node":"harvester-node-1"},"values":[[1772445600,"1"],[1772445615,"3145728"],[1772445610,"2"]]},
      {"metric":{"__name__":"something_else","namespace":"a","name":"b","node":"c"},"histograms":[]}
      ]}}
      """
    let reading = try await Self.ask(answer, nodes: ["harvester-node-1", "harvester-node-0"]).get()
    let samples = try #require(reading.samples[.demo])
    #expect(reading.samples.count == 1)
    #expect(samples.map(\.at) == [1_772_445_615_112, 1_772_445_620_113])
    #expect(samples.map(\.processed) == [227_540_992, 817_889_280])
    #expect(samples.map(\.remaining) == [7_900_000_000, nil])
    #expect(reading.flaws == HandlerReading.Flaws(absurd: 1))
    #expect(reading.warnings == ["a b"])
    let idle = HandlerKey(namespace: "default", name: "idle", node: "harvester-node-1")
    #expect(reading.guestDirtyRates == [idle: GuestDirtyRate(at: 1_772_445_615_000, rate: 3_145_728)])
  }

  @Test(
    "one query asks for the raw samples of all nodes, below the path of the server, with the token of now")
  func question() async throws {
    let directory = try HandlerDirectory()
    let tokenFile = try directory.write("token", "first\n")
    let asked = Asked()
    let server = try FakePrometheus { request in
      asked.add(request)
      return .text(Self.empty, contentType: "application/json")
    }
    defer { server.stop() }
    var settings = PrometheusHandlerSource.Settings(server: try server.address(), tokenFile: tokenFile)
    settings.deadline = .seconds(9)
    let source = PrometheusHandlerSource(client: CurlClient(), settings: settings)
    #expect(source.grouping == .together)
    #expect(try await source.read([.x(node: "b.example.org"), .x(node: "a")]).samples.isEmpty)
    try directory.write("token", "second")
    _ = try await source.read([.x(node: "a")])
    #expect(
      asked.queries.first
        == """
        {__name__=~"kubevirt_vmi_migration_data_.*|kubevirt_migrate_vmi_.*\
        |kubevirt_vmi_migration_(dirty_memory|memory_transfer|disk_transfer)_rate_bytes",\
        node=~"a|b[.]example[.]org"}[120s]
        """)
    #expect(asked.tokens == ["Bearer first", "Bearer second"] && asked.timeouts == ["9s", "9s"])
  }

  @Test(
    "errors are told apart, those of servers before it included",
    arguments: [
      (
        400, "application/json", error("bad_data", "1:5: parse error"), .status,
        "status 400: bad_data: 1:5: parse error"
      ),
      (
        422, "application/json", error("execution", "too many samples"), .status,
        "execution: too many samples"
      ),
      (503, "application/json", error("timeout", "query timed out"), .busy, "timeout: query timed out"),
      (429, "text/plain", "slow down", .busy, "slow down"),
      (
        200, "application/json", error("execution", "expanding series"), .status,
        "execution: expanding series"
      ),
      (401, "text/html", "<h1>who?</h1>", .denied, "status 401"),
      (403, "text/plain", "Forbidden", .denied, "Forbidden"),
      (404, "text/plain", "404 page not found", .missing, "status 404"),
      (502, "text/html", "", .status, "status 502"),
      (200, "text/html", "<html>log in</html>", .garbled, "text/html"),
      (200, "application/json", "{}", .garbled, "JSON"),
      (200, "application/json", "{\"status\":\"success\"}", .garbled, "JSON"),
      (200, "application/json", vector, .garbled, "vector"), (302, "text/html", "", .status, "status 302"),
    ] as [(Int, String, String, HandlerError.Kind, String)])
  func errors(
    status: Int, type: String, body: String, kind: HandlerError.Kind, words: String
  ) async throws {
    let error = try #require(await Self.ask(body, status: status, type: type).error)
    #expect(error.kind == kind)
    #expect(error.description.contains(words) && !error.kind.isUnreachable)
  }

  @Test("a token that cannot be read is a fault of the settings, and nothing is asked")
  func token() async throws {
    let directory = try HandlerDirectory()
    let asked = Asked()
    let server = try FakePrometheus { request in
      asked.add(request)
      return .text(Self.empty)
    }
    defer { server.stop() }
    for file in [directory.file("missing"), try directory.write("empty", "\n")] {
      let settings = PrometheusHandlerSource.Settings(server: try server.address(), tokenFile: file)
      let error = await outcome(PrometheusHandlerSource(client: CurlClient(), settings: settings)).error
      #expect(error?.kind == .settings && error?.description.contains(file) == true)
    }
    #expect(asked.queries.isEmpty)
  }

  @Test("so many nodes that the address became too long are asked about with all others, and sorted out")
  func manyNodes() {
    let nodes = (0..<300).map { "node-\($0)" }
    let query = PrometheusQuery.expression(nodes: nodes, window: .seconds(60), guestDirtyRates: true)
    #expect(query.hasSuffix("|kubevirt_vmi_dirty_rate_bytes_per_second\"}[60s]"))
    #expect(PrometheusQuery.path(query, deadline: .milliseconds(10)).utf8.count < 1000)
  }

  @Test("a node's name is never more than a name", arguments: [("a\"} or b", "a...or.b"), ("a.b", "a[.]b")])
  func quoting(name: String, pattern: String) {
    let query = PrometheusQuery.expression(nodes: [name], window: .seconds(60), guestDirtyRates: false)
    #expect(query.hasSuffix("node=~\"\(pattern)\"}[60s]"))
  }

  private static let empty = #"{"status":"success","data":{"resultType":"matrix","result":[]}}"#
  private static let vector =
    #"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#

  private static func error(_ kind: String, _ text: String) -> String {
    #"{"status":"error","errorType":"\#(kind)","error":"\#(text)"}"#
  }

  private static func ask(
    _ body: String, status: Int = 200, type: String = "application/json", nodes: [String] = ["n1"]
  ) async throws -> Result<HandlerReading, HandlerError> {
    let server = try FakePrometheus { _ in .text(body, status: status, contentType: type) }
    defer { server.stop() }
    let source = PrometheusHandlerSource(
      client: CurlClient(), settings: .init(server: try server.address()))
    do {
      return .success(try await source.read(nodes.map { .x(node: $0) }))
    } catch {
      return .failure(error)
    }
  }
}

/// What a server was asked.
private final class Asked: Sendable {
  private let requests = Mutex<[MicroHTTP.Request]>([])

  func add(_ request: MicroHTTP.Request) { requests.withLock { $0.append(request) } }

  var queries: [String] { requests.withLock { $0.flatMap { $0.queryValues("query") } } }
  var timeouts: [String] { requests.withLock { $0.flatMap { $0.queryValues("timeout") } } }
  var tokens: [String] { requests.withLock { $0.flatMap { $0.headers.values(of: "Authorization") } } }
}

/// A server with one page, where a Prometheus below the path `/prom` has its queries.
final class FakePrometheus: Sendable {
  private let url: String
  private let task: Task<Void, Never>

  init(
    path: String = "/prom/api/v1/query",
    _ answer: @escaping @Sendable (MicroHTTP.Request) -> MicroHTTP.Response
  ) throws {
    var router = Router()
    router.on(.get, path, .immediate(answer))
    let server = try HTTPServer(listeners: [Listener(.tcp(host: "127.0.0.1", port: 0))], router: router) {
      _ in
    }
    url = "http://\(server.boundAddresses[0])/prom/"
    task = Task { try? await server.run() }
  }

  func address() throws -> ServerAddress { try ServerAddress(parsing: url) }

  /// Its host and port.
  var hostAndPort: Substring { url.dropFirst("http://".count).dropLast("/prom/".count) }

  func stop() { task.cancel() }
}
