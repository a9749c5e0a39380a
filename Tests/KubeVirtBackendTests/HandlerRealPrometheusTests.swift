import CurlClient
import DroverCore
import Foundation
import MicroHTTP
import Synchronization
import Testing

@testable import KubeVirtBackend

@Suite("virt-handler's numbers from a real Prometheus", .timeLimit(.minutes(3)))
struct RealPrometheusTests {
  private static let node = "node-0.example.org"
  private static let honoured = HandlerKey(namespace: "default", name: "honoured", node: node)
  private static let moved = HandlerKey(namespace: "default", name: "moved", node: node)

  @Test(
    "every sample comes once with its own time, from whatever was scraped, and the rule of old names adds none"
  )
  func samples() async throws {
    let exporter = try Exporter(node: Self.node)
    defer { exporter.stop() }
    let prometheus = try await Prometheus(scraping: exporter)
    let source = PrometheusHandlerSource(client: CurlClient(), settings: prometheus.settings)
    let targets = [HandlerTarget.x(node: Self.node), .x(node: "another")]

    var freshness = Freshness()
    var passed: [HandlerKey: [HandlerSample]] = [:]
    func read() async throws -> HandlerReading {
      try prometheus.mustRun()
      let reading = try await source.read(targets)
      try #require(reading.flaws.count == 0 && reading.warnings.isEmpty)
      try #require(Set(reading.samples.keys).isSubset(of: [Self.honoured, Self.moved]))
      for (key, samples) in freshness.take(reading) { passed[key, default: []] += samples }
      return reading
    }
    // More than the exporter remembers.
    _ = try await eventually("15 samples of each guest") {
      _ = try await read()
      return [Self.honoured, Self.moved].allSatisfy { passed[$0, default: []].count >= 15 } ? true : nil
    }
    for key in [Self.honoured, Self.moved] {
      let samples = try #require(passed[key])
      #expect(samples == samples.map { Exporter.sample(at: $0.at) })
      #expect(zip(samples, samples.dropFirst()).allSatisfy { $1.at - $0.at == Exporter.step })
    }

    // The migration is over: its samples are history, and the rule repeats the total as of now.
    exporter.end()
    let lastScraped = try #require(try await read().samples[Self.honoured]?.last?.at) + 2 * Exporter.step
    _ = try await eventually("the rule's samples after the end") {
      try await prometheus.lastTotalOfRule() > lastScraped + 2 * Exporter.step ? true : nil
    }
    let reading = try await read()
    #expect(try #require(reading.samples[Self.honoured]?.last?.at) <= lastScraped)
  }

  @Test("it is trusted by its authority only")
  func trust() async throws {
    let exporter = try Exporter(node: Self.node)
    defer { exporter.stop() }
    let prometheus = try await Prometheus(scraping: exporter)
    var settings = prometheus.settings
    let directory = try HandlerDirectory()
    settings.caFile = try directory.write(
      "other.pem", String(decoding: HandlerCertificates.all.otherAuthority, as: UTF8.self))
    #expect(await outcome(PrometheusHandlerSource(client: CurlClient(), settings: settings)).kind == .tls)
    settings.caFile = "/nowhere/ca.pem"
    let error = await outcome(PrometheusHandlerSource(client: CurlClient(), settings: settings)).error
    #expect(error?.kind == .tls || error?.kind == .settings)
  }
}

/// A stand-in for virt-handler: two guests that migrate, each with the last ten samples under times of their own.
private final class Exporter: Sendable {
  /// Milliseconds from one sample to the next.
  static let step: Int64 = 500

  private final class State: Sendable {
    let isOver = Mutex(false)
  }

  private let state: State
  private let server: FakePrometheus

  init(node: String) throws {
    let state = State()
    self.state = state
    server = try FakePrometheus(path: "/metrics") { request in
      let guest = request.queryValues("guest").first ?? ""
      let now = WallClock.unixMilliseconds / Exporter.step
      let ring = state.isOver.withLock(\.self) ? [] : (now - 9...now).map { $0 * Exporter.step }
      return .text(Exporter.text(guest: guest, node: node, at: ring))
    }
  }

  var hostAndPort: Substring { server.hostAndPort }

  /// Ends the migrations.
  func end() { state.isOver.withLock { $0 = true } }

  func stop() { server.stop() }

  /// What is told of a moment.
  static func sample(at: Int64) -> HandlerSample {
    HandlerSample(
      at: at, total: 8_606_609_920, processed: Bytes(UInt64(at % 1_000_000_000)),
      remaining: Bytes(UInt64(1_000_000_000 - at % 1_000_000_000)), dirtyRate: 7,
      memoryRate: BytesPerSecond(UInt64(at % 1000)))
  }

  private static func text(guest: String, node: String, at times: [Int64]) -> String {
    let values: [(String, (HandlerSample) -> UInt64?)] = [
      ("kubevirt_vmi_migration_data_bytes_total", { $0.total?.count }),
      ("kubevirt_vmi_migration_data_processed_bytes", { $0.processed?.count }),
      ("kubevirt_vmi_migration_data_remaining_bytes", { $0.remaining?.count }),
      ("kubevirt_vmi_migration_dirty_memory_rate_bytes", { $0.dirtyRate?.value }),
      ("kubevirt_vmi_migration_memory_transfer_rate_bytes", { $0.memoryRate?.value }),
    ]
    var text = "up_of_exporter 1\n"
    for (name, value) in values {
      text += "# TYPE \(name) gauge\n"
      for time in times {
        let number = value(sample(at: time)) ?? 0
        text +=
          "\(name){name=\"\(guest)\",namespace=\"default\",node=\"\(node)\"} \(Double(number)) \(time)\n"
      }
    }
    return text
  }
}

/// Scrapes one guest with its labels honoured, as two that share the work would, and one without.
private final class Prometheus {
  let settings: PrometheusHandlerSource.Settings
  private let program: HandlerProgram
  private let client = CurlClient()

  init(scraping exporter: Exporter) async throws {
    let directory = try HandlerDirectory()
    let certificates = try HandlerCertificates.all
    let pair = try certificates.server.write(to: directory)
    let authority = try directory.write(
      "authority.pem", String(decoding: certificates.authority, as: UTF8.self))
    try directory.write(
      "rules.yml",
      """
      groups:
        - name: kubevirt
          rules:
            - record: kubevirt_vmi_migration_data_total_bytes
              expr: kubevirt_vmi_migration_data_bytes_total
      """)
    let jobs = [("honoured", true), ("honoured", true), ("moved", false)].enumerated().map {
      """
        - job_name: job\($0)
          honor_labels: \($1.1)
          params: {guest: [\($1.0)]}
          static_configs: [{targets: ["\(exporter.hostAndPort)"], labels: {namespace: harvester-system, pod: p}}]
      """
    }
    let configuration = try directory.write(
      "prometheus.yml",
      """
      global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
      rule_files: [rules.yml]
      scrape_configs:
      \(jobs.joined(separator: "\n"))
      """)
    let web = try directory.write(
      "web.yml",
      "tls_server_config: {cert_file: \(pair.certificate), key_file: \(pair.key)}")
    let port = try DeafPort(listens: false).port
    let program = try HandlerProgram(
      [
        "prometheus", "--config.file", configuration, "--storage.tsdb.path", directory.file("data"),
        "--log.level",
        "warn", "--web.config.file", web, "--web.listen-address", "127.0.0.1:\(port)",
      ], in: directory)
    self.program = program
    settings = PrometheusHandlerSource.Settings(
      server: try ServerAddress(parsing: "https://127.0.0.1:\(port)"), caFile: authority)
    _ = try await eventually("Prometheus (package prometheus) is ready: \(program.output)") {
      try program.mustRun()
      return try? await get("/-/ready").status == 200 ? true : nil
    }
  }

  func mustRun() throws { try program.mustRun() }

  /// When the rule of the old name last made a sample, milliseconds since 1970.
  func lastTotalOfRule() async throws -> Int64 {
    let query = "kubevirt_vmi_migration_data_total_bytes[60s]".percentEncoded
    let answer = try #require(PrometheusAnswer(json: try await get("/api/v1/query?query=\(query)").body))
    return answer.series?.compactMap(\.values.last?.at).max() ?? 0
  }

  private func get(_ path: String) async throws -> (status: Int, body: [UInt8]) {
    try await client.get(Endpoint(settings.server, path: path), trusting: HandlerCertificates.all.authority)
  }
}
