import DroverCore
import Foundation
import Logging
import MicroHTTP
import MigrationControl
import PeerTools
import Synchronization
import Testing

@testable import DroverService

@Suite("POST /api/v1/alerts")
struct AlertRouteTests {
  private let scratch: Scratch
  private let journal = MemoryJournal()

  init() throws { scratch = try Scratch() }

  private func serve(
    _ state: SwitchState = .enabled, _ body: @Sendable (_ post: Post) async throws -> Void
  ) async throws {
    let clock = Still()
    let log = Lines().logger()
    let monitor = FleetMonitor(settings: MigrationTracker.Settings(), clock: clock, log: log)
    monitor.register(
      BackendDescriptor(
        name: BackendName(rawValue: "rack1"), type: "qemu", endpoint: "x", node: "a", origins: [.unknown],
        causes: [], errorKinds: [], budget: BudgetSettings()))
    monitor.receive(
      .health(BackendHealth(backend: BackendName(rawValue: "rack1"), isUp: true, lastSuccess: clock.now())))
    let control = MigrationControl(fleet: monitor, journal: journal, clock: clock, log: log) { _ in nil }
    let automatic = AutomaticControl(control, journal: journal, log: log)
    let configuration = try Configuration.parse(
      "control: {switches: {alerts: \(state.rawValue)}}", file: "f")
    automatic.apply(configuration.automatic)
    let authorizer = Authorizer(web: nil, ownUID: 0, log: log)
    authorizer.apply(
      [
        AccessRule(.tokenFile(try scratch.write("alerts.token", "alerts")), [.alerts]),
        AccessRule(.tokenFile(try scratch.write("aborts.token", "aborts")), [.abort]),
      ], configuration.switches)
    var router = Router()
    router.gate = authorizer.gate
    AutomaticRoutes(automatic: automatic, authorizer: authorizer).add(to: &router)
    let scratch = scratch
    try await withRights(router, at: [.tcp(host: "127.0.0.1", port: 0)]) { addresses in
      try await body(Post(url: "http://\(addresses[0])/api/v1/alerts", scratch: scratch))
    }
  }

  struct Post: Sendable {
    let url: String
    let scratch: Scratch

    func callAsFunction(_ body: String, token: String = "alerts") async throws -> CurlAnswer {
      try await curl(
        ["--request", "POST", "--header", "Authorization: Bearer \(token)", "--data-binary", body, url],
        in: scratch)
    }
  }

  /// As Alertmanager sends it, with what later versions add.
  private static func payload(
    _ alerts: String..., version: String = #""4""#, truncated: Int = 0
  ) -> String {
    """
    {"version": \(version), "groupKey": "{}:{}", "truncatedAlerts": \(truncated), "status": "firing",
     "receiver": "abort", "notification_reason": "first", "routeLabels": {}, "groupLabels": {}, "commonLabels": {},
     "commonAnnotations": {}, "externalURL": "http://am:9093", "alerts": [\(alerts.joined(separator: ","))]}
    """
  }

  private static func alert(
    _ status: String = "firing", name: String = "DroverMigrationStalled", more: String = ""
  )
    -> String
  {
    """
    {"status": "\(status)", "labels": {"alertname": "\(name)", "backend": "rack1", "host": "a",
     "migration": "a-1700000000000", "drover_action": "abort"}, "annotations": {"summary": "x"},
     "startsAt": "2026-01-01T00:00:00+01:00", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://p/",
     "fingerprint": "0123456789abcdef"\(more)}
    """
  }

  private func items(_ answer: CurlAnswer) throws -> [AlertItem] {
    try APICoding.decode(AlertList.self, from: Array(answer.body.utf8)).alerts
  }

  @Test("what is stored is answered 200, refused or not, each alert by itself; a repeat is no new record")
  func stored() async throws {
    try await serve { post in
      let body = Self.payload(
        Self.alert(), Self.alert("resolved", name: "Other"),
        Self.alert(name: "Watchdog", more: #", "new": [1]"#),
        truncated: 7)
      for _ in 0..<2 {
        let answer = try await post(body)
        #expect(answer.status == 200, "\(answer)")
        let items = try self.items(answer)
        #expect(items.map(\.status) == ["refused", "ignored", "refused"], "\(answer)")
        #expect(items.map(\.refusal) == ["unknown", nil, "not_listed"])
        #expect(items.map(\.decision) == [1, nil, 2] || items.map(\.decision) == [2, nil, 1])
        #expect(items.first?.fingerprint == "0123456789abcdef")
        #expect(answer.body.contains(#""truncated":7"#))
      }
      #expect(journal.decisions.withLock(\.count) == 2)
    }
  }

  @Test("what another try would not make better is answered 4xx, and nothing is recorded")
  func malformed() async throws {
    try await serve { post in
      for body in [
        "", "{", "[]", "{}", #"{"version": "4"}"#, #"{"version": "4", "alerts": 1}"#,
        #"{"version": "4", "alerts": [{}]}"#, Self.payload(Self.alert(), version: #""5""#),
        Self.payload(Self.alert(), version: "4"), Self.payload(Self.alert()).dropLast(20).description,
      ] {
        let answer = try await post(body)
        #expect(answer.status == 400, "\(body) \(answer)")
        #expect(!answer.body.contains("CodingKeys") && !answer.body.contains("DecodingError"))
        #expect(answer.header("Content-Type") == "application/problem+json")
      }
      let large = try scratch.write(
        "large.json", Self.payload(Self.alert(more: #", "x": "\#(String(repeating: "x", count: 70_000))""#)))
      let tooLarge = try await post("@\(large)")
      #expect(tooLarge.status == 413)
      let stranger = try await post(Self.payload(Self.alert()), token: "wrong")
      #expect(stranger.status == 401)
      #expect(journal.decisions.withLock(\.count) == 0)
    }
  }

  @Test("what could not be stored is answered 503, so that it is sent again, and is then decided")
  func unstored() async throws {
    try await serve { post in
      journal.isFull.withLock { $0 = true }
      for _ in 0..<2 {
        let answer = try await post(Self.payload(Self.alert()))
        #expect(answer.status == 503)
        #expect(answer.header("Connection")?.lowercased() == "close")
      }
      journal.isFull.withLock { $0 = false }
      let answer = try await post(Self.payload(Self.alert()))
      #expect(answer.status == 200)
      #expect(try items(answer).first?.decision == 1)
    }
  }

  @Test("none at all is fine; a switch that is disabled lets none in, its shadow does")
  func switches() async throws {
    try await serve { post in
      let answer = try await post(Self.payload())
      #expect(answer.status == 200)
    }
    try await serve(.shadow) { post in
      let answer = try await post(Self.payload(Self.alert()))
      #expect(answer.status == 200)
    }
    try await serve(.disabled) { post in
      let answer = try await post(Self.payload(Self.alert()))
      #expect(answer.status == 403 && answer.body.contains("control.switches.alerts is disabled"))
    }
  }

  @Test("one webhook may serve many Drovers: what is about another one's back end is ignored")
  func foreign() async throws {
    try await serve { post in
      let body = Self.payload(Self.alert().replacing(#""backend": "rack1""#, with: #""backend": "rack9""#))
      let answer = try await post(body)
      #expect(answer.status == 200)
      let item = try #require(try items(answer).first)
      #expect(item.status == "ignored" && item.refusal == nil && item.decision == nil)
      #expect(item.text?.contains("rack9") == true)
      #expect(journal.decisions.withLock(\.count) == 0)
    }
  }

  @Test("a hold is ended by an empty body only: who asks for anything else meant something else")
  func resetBodies() async throws {
    try await serve { post in
      let reset = Post(
        url: post.url.replacing("/alerts", with: "/decisions/reset-hold"), scratch: post.scratch)
      for body in [
        #"{"dryRun": "true"}"#, #"{"dryrun": true}"#, #"{"holds": ["partition"]}"#, "garbage", "[]",
      ] {
        let answer = try await reset(body, token: "aborts")
        #expect(answer.status == 400 && answer.body.contains("empty, or {}"), "\(body) \(answer)")
      }
      for body in ["", "{}"] {
        let answer = try await reset(body, token: "aborts")
        #expect(answer.status == 200 && answer.body == #"{"ended":[]}"#, "\(body) \(answer)")
      }
    }
  }

  @Test("times are read with the zone of whoever wrote them")
  func times() {
    let utc = AlertPayload.Alert.unixMilliseconds("2026-01-01T00:00:00Z")
    #expect(utc != nil)
    #expect(AlertPayload.Alert.unixMilliseconds("2026-01-01T01:30:00.000+01:30") == utc)
    #expect(AlertPayload.Alert.unixMilliseconds("2025-12-31T19:00:00-05:00") == utc)
    for text in ["", "yesterday", "+01:00", "2026-01-01T00:00:00+1:00"] {
      #expect(AlertPayload.Alert.unixMilliseconds(text) == nil)
    }
  }
}
