import Foundation

/// A real Prometheus with the rules that are shipped, and a real Alertmanager with the routes that are shipped, as they would
/// stand beside drover.
final class AlertingStack: Sendable {
  private let programs: [Program]
  private let directory: TemporaryDirectory
  let prometheus: Web

  /// What is shipped.
  static let alerts = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../alerts").standardizedFileURL

  init(scraping target: Web, tokenFile: String) async throws {
    directory = try TemporaryDirectory()
    let (prometheusPort, managerPort) = (try freePort(), try freePort())
    let shipped = try String(
      contentsOf: Self.alerts.appending(path: "alertmanager.yml"), encoding: .utf8)
    let routes = shipped.replacing("http://localhost:10950", with: target.url)
      .replacing("/etc/alertmanager/drover.token", with: tokenFile)
    guard routes.contains(tokenFile), routes.contains(target.url) else {
      throw Missed(description: "alertmanager.yml has no place for the token and the address")
    }
    let manager = try directory.write(routes, to: "alertmanager.yml")
    let rules = ["drover-recording.yml", "drover-abort.yml"].map { "\"\(Self.alerts.path)/\($0)\"" }
    let file = try directory.write(
      """
      global: {scrape_interval: 5s, scrape_timeout: 4s, evaluation_interval: 5s}
      rule_files: [\(rules.joined(separator: ", "))]
      alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:\(managerPort)"]}]}]}
      scrape_configs:
        - job_name: drover-migrations
          honor_labels: true
          params: {"collect[]": [migrations]}
          static_configs: [{targets: ["\(target.hostAndPort)"]}]
      """, to: "prometheus.yml")
    programs = [
      try Program(
        [
          "--config.file", file, "--storage.tsdb.path", "\(directory.path)/data", "--log.level", "warn",
          "--web.listen-address", "127.0.0.1:\(prometheusPort)",
        ], executable: try Tool.path("prometheus", package: "prometheus"), in: directory),
      try Program(
        [
          "--config.file", manager, "--storage.path", "\(directory.path)/alerts", "--cluster.listen-address",
          "",
          "--web.listen-address", "127.0.0.1:\(managerPort)",
        ], executable: try Tool.path("prometheus-alertmanager", package: "prometheus-alertmanager"),
        in: directory),
    ]
    prometheus = try Web("http://127.0.0.1:\(prometheusPort)")
    let webs = [prometheus, try Web("http://127.0.0.1:\(managerPort)")]
    for (program, web) in zip(programs, webs) {
      try await eventually("\(web.url) is ready") {
        try program.mustRun()
        return try await web.get("/-/ready").status == 200
      }
    }
  }

  /// Waits until the rules have been evaluated once.
  func untilEvaluated() async throws {
    try await eventually("the rules have been evaluated") {
      try await prometheus.get("/api/v1/query?query=drover:sample_age_seconds:limit").text.contains(
        "\"value\"")
    }
  }

  /// What both have logged.
  var log: String { programs.map(\.errors).joined() }
}
