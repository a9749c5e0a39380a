import DroverCore
import DroverService
import Exposition
import Logging
import MicroHTTP

extension Benchmark {
  static let scrape = Benchmark("scrape", "an unchanged fleet against libmicrohttpd's own static buffer") {
    let model = try FleetModel(count: 10_000, began: SystemTimepiece().now() - .seconds(600))
    return try await LocalService.run(migrations: 20_000) { service in
      service.fill(model)
      var figures: [Figure] = []
      for (name, headers) in [("text", [:]), ("gzip", ["Accept-Encoding": "gzip"])] {
        let (bytes, fixed) = try service.copy(headers: headers)
        for clients in [1, 4] {
          let trial = try ScrapeTrial(
            ours: service.port, theirs: fixed.port, clients: clients, headers: headers, bytes: bytes)
          for _ in 0..<trial.usefulRounds { try trial.round() }
          // Small bodies are reported only: what they cost is the request, which Drover answers and a buffer does not.
          figures += trial.figures(name, goal: name == "text" ? 0.8 : nil)
        }
        withExtendedLifetime(fixed) {}
      }
      return figures
    }
  }
}

/// The service as `drover serve` runs it, in this process, without back ends.
final class LocalService: Sendable {
  let port: UInt16
  private let service: Service

  private init(migrations: Int, scratch: Scratch) throws {
    var options = ServiceOptions(build: BuildInfo(version: "0.0.0", revision: "benchmark"))
    options.listeners = [Listener(.tcp(host: "127.0.0.1", port: 0))]
    let configuration = try Configuration.parse("metrics: {maxMigrations: \(migrations)}", file: "benchmark")
    service = try Service(
      options, configuration: configuration, log: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
    guard case .tcp(_, let port)? = service.addresses.first else { throw BenchError("no port") }
    self.port = port
  }

  /// Serves while the body runs.
  static func run(
    migrations: Int, _ body: @escaping @Sendable (LocalService) throws -> [Figure]
  ) async throws -> [Figure] {
    let scratch = try Scratch()
    let local = try LocalService(migrations: migrations, scratch: scratch)
    let serving = Task { try await local.service.run() }
    let result = await Task.onThread { try body(local) }
    serving.cancel()
    _ = await serving.result
    return try result.get()
  }

  /// Its samples are too old for a verdict from the start, so that no tick changes anything.
  func fill(_ model: FleetModel) {
    service.monitor.register(FleetModel.descriptor)
    for step in 0..<4 {
      for index in 0..<model.count {
        service.monitor.receive(.migration(model.observation(index, step: step)))
      }
    }
  }

  /// The bytes of a scrape, and libmicrohttpd serving as many of the same kind.
  func copy(headers: [String: String]) throws -> (count: Int, server: StaticServer) {
    let agreed = Negotiation(acceptEncoding: headers["Accept-Encoding"])
    let count = try RawClient.connected(port: port, headers: headers).get().length
    let clock = SystemTimepiece()
    let scrape = ScrapeRenderer().render(
      service.monitor.snapshot(), as: agreed,
      in: RenderContext(
        now: clock.now(), epochOffset: clock.epochOffset(),
        build: BuildInfo(version: "0.0.0", revision: "benchmark")))
    var bytes = scrape.bytes
    // The service adds what it says of its process.
    bytes += [UInt8](repeating: UInt8(ascii: "\n"), count: max(0, count - bytes.count))
    return (count, try StaticServer(bytes, contentType: scrape.contentType))
  }
}

/// Two servers, asked in turn by the same clients.
private final class ScrapeTrial {
  private struct Taken {
    var seconds: Double
    var processor: Double
  }

  private let ours: UInt16
  private let theirs: UInt16
  private let clients: Int
  private let headers: [String: String]
  private let bytes: Int
  private var rounds: [(ours: Taken, theirs: Taken)] = []

  init(ours: UInt16, theirs: UInt16, clients: Int, headers: [String: String], bytes: Int) throws {
    self.ours = ours
    self.theirs = theirs
    self.clients = clients
    self.headers = headers
    self.bytes = bytes
    for _ in 0..<3 { keep(try (time(ours), time(theirs))) }
  }

  /// As many as pass some gigabytes.
  var usefulRounds: Int { max(41, min(301, (4 << 30) / bytes / clients)) }

  func round() throws {
    // Whoever comes first finds the caches as the other left them, so they take turns in that too.
    if rounds.count.isMultiple(of: 2) {
      let ours = try time(ours)
      rounds.append((ours, try time(theirs)))
    } else {
      let theirs = try time(theirs)
      rounds.append((try time(ours), theirs))
    }
  }

  /// One scrape by each client, all at once.
  ///
  /// Connections are new each time: which of its threads a server gives one to is luck, and would stay so.
  private func time(_ port: UInt16) throws -> Taken {
    let clients = try (0..<clients).map { _ in try RawClient.connected(port: port, headers: headers) }
    let failures = Failures()
    let (began, processor) = (Meters.nanoseconds, Meters.processNanoseconds)
    onThreads(clients.count) { index in
      do { _ = try clients[index].get() } catch { failures.add(error) }
    }
    try failures.rethrow()
    return Taken(
      seconds: Double(Meters.nanoseconds - began) / 1e9,
      processor: Double(Meters.processNanoseconds - processor) / 1e9)
  }

  func figures(_ name: String, goal: Double?) -> [Figure] {
    let name = "\(name), \(clients == 1 ? "1 client" : "\(clients) clients")"
    let (mine, others) = (rounds.map(\.ours.seconds).middleMean, rounds.map(\.theirs.seconds).middleMean)
    let processor = rounds.map(\.ours.processor).middleMean / rounds.map(\.theirs.processor).middleMean
    return [
      Figure("\(name), speed by that of a static buffer", others / mine, atLeast: goal),
      Figure("\(name), processor time by that of a static buffer", processor),
      Figure("\(name)", Double(bytes * clients) / mine / 1e6, "MB/s"),
    ]
  }
}
