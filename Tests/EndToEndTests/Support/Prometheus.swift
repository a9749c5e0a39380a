import Foundation
import Testing

@testable import ProgramSupport

/// A real Prometheus that scrapes drover twice: as it likes, and through a go-between that asks for the text format.
final class Prometheus: Sendable {
  private let program: Program
  private let directory: TemporaryDirectory
  private let web: Web
  private let textOnly: TextOnly

  static let jobs = ["openmetrics", "text"]

  init(scraping target: Web) async throws {
    directory = try TemporaryDirectory()
    textOnly = try TextOnly(of: target)
    let port = try freePort()
    let file = try directory.write(
      """
      global: {scrape_interval: 2s, scrape_timeout: 2s}
      scrape_configs:
        - job_name: openmetrics
          static_configs: [{targets: ["\(target.hostAndPort)"]}]
        - job_name: text
          static_configs: [{targets: ["\(textOnly.hostAndPort)"]}]
      """, to: "prometheus.yml")
    program = try Program(
      [
        "--config.file", file, "--storage.tsdb.path", "\(directory.path)/data", "--log.level", "warn",
        "--web.listen-address", "127.0.0.1:\(port)",
      ], executable: try Tool.path("prometheus", package: "prometheus"), in: directory)
    web = try Web("http://127.0.0.1:\(port)")
    let (web, program) = (web, program)
    try await eventually("Prometheus is ready") {
      try program.mustRun()
      return try await web.get("/-/ready").status == 200
    }
  }

  deinit { textOnly.stop() }

  /// The types that the go-between was answered with.
  var typesOfText: Set<String> { textOnly.types }

  struct Series: Decodable {
    var metric: [String: String]
    var value: Value

    struct Value: Decodable {
      var number: Double

      init(from decoder: any Decoder) throws {
        var list = try decoder.unkeyedContainer()
        _ = try list.decode(Double.self)
        number = Double(try list.decode(String.self)) ?? .nan
      }
    }
  }

  /// The answer to an instant query.
  func query(_ expression: String) async throws -> [Series] {
    struct Result: Decodable { var result: [Series] }
    return try await get("query", ["query": expression], Result.self).result
  }

  struct Target: Decodable {
    var scrapePool: String
    var health: String
    var lastError: String
  }

  func targets() async throws -> [Target] {
    struct Targets: Decodable { var activeTargets: [Target] }
    return try await get("targets", ["state": "active"], Targets.self).activeTargets
  }

  struct Metadata: Decodable {
    var type: String
    var unit: String
  }

  /// What one job's target has told of a family.
  func metadata(_ family: String, job: String) async throws -> Metadata? {
    try await get(
      "targets/metadata", ["match_target": "{job=\"\(job)\"}", "metric": family], [Metadata].self
    ).first
  }

  private func get<Answer: Decodable>(
    _ path: String, _ query: [String: String], _: Answer.Type
  ) async throws -> Answer {
    var components = URLComponents()
    components.queryItems = query.map { URLQueryItem(name: $0.key, value: $0.value) }
    let text = (components.percentEncodedQuery ?? "").replacing("+", with: "%2B")
    let answer = try await web.get("/api/v1/\(path)?\(text)")
    guard answer.status == 200 else { throw Missed(description: "Prometheus: \(answer.text)") }
    return try JSONDecoder().decode(Envelope<Answer>.self, from: Data(answer.body)).data
  }
}

private struct Envelope<Answer: Decodable>: Decodable {
  var data: Answer
}
