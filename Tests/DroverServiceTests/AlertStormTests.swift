import DroverCore
import Logging
import MicroHTTP
import MigrationControl
import PeerTools
import Synchronization
import Testing

@testable import DroverService

/// Takes every abort, and writes it down.
private final class Source: ControllableBackend {
  let aborts = Mutex<[MigrationID]>([])
  let descriptor = BackendDescriptor(
    name: BackendName(rawValue: "rack1"), type: "qemu", endpoint: "x", node: "a", origins: [.unknown],
    causes: [.alertAbort], errorKinds: [], budget: BudgetSettings())

  func run(telling sink: @escaping @Sendable (BackendMessage) -> Void) async {}
  func live(_ migration: MigrationTarget) async throws(ControlError) -> LiveMigration {
    LiveMigration(.running(.precopy), word: "active")
  }
  func abort(_ migration: MigrationTarget) async throws(ControlError) {
    aborts.withLock { $0.append(migration.id) }
  }
  func plan(_ order: StartOrder) async throws(ControlError) -> StartPlan { StartPlan() }
  func start(_ order: StartOrder) async throws(ControlError) -> StartReceipt { StartReceipt() }
}

/// Migrations that run, a receiver with the switch `alerts` enabled, and senders that are not to be relied upon.
@Suite("Alerts that come twice, late, in another order, cut off or forged")
struct AlertStormTests {
  private let scratch: Scratch
  private let source = Source()
  private let records = MemoryJournal()
  private let clock = Still()

  init() throws { scratch = try Scratch() }

  private func id(_ number: Int) throws -> MigrationID {
    let domain = try #require(DomainKey(uuid: "00000000-0000-4000-8000-\(100_000_000_000 + number)"))
    return MigrationID(domain: domain, startedUnixMilliseconds: 1_700_000_000_000 + Int64(number))
  }

  /// Lends `body` a receiver beside migrations 1 to 4 of the guests g1 to g4.
  private func serve(
    _ body:
      @Sendable (FleetMonitor, @escaping @Sendable (String) async throws -> CurlAnswer) async throws -> Void
  ) async throws {
    let log = Lines().logger()
    let monitor = FleetMonitor(settings: MigrationTracker.Settings(), clock: clock, log: log)
    monitor.register(source.descriptor)
    let now = clock.now()
    monitor.receive(.health(BackendHealth(backend: source.descriptor.name, isUp: true, lastSuccess: now)))
    for number in 1...4 { monitor.receive(.migration(try observation(number, .precopy))) }
    let source = source
    let control = MigrationControl(fleet: monitor, journal: records, clock: clock, log: log) { _ in source }
    let automatic = AutomaticControl(control, journal: records, log: log)
    automatic.apply(
      try Configuration.parse(
        "control: {switches: {alerts: enabled}, limits: {aborts: 1000}, alerts: {names: [Slow, Slower]}}",
        file: "f"
      ).automatic)
    let authorizer = Authorizer(web: nil, ownUID: 0, log: log)
    let token = try scratch.write("alerts.token", "alerts")
    authorizer.apply([AccessRule(.tokenFile(token), [.alerts])], [.alerts: .enabled])
    var router = Router()
    router.gate = authorizer.gate
    AutomaticRoutes(automatic: automatic, authorizer: authorizer).add(to: &router)
    let scratch = scratch
    try await withRights(router, at: [.tcp(host: "127.0.0.1", port: 0)]) { addresses in
      let url = "http://\(addresses[0])/api/v1/alerts"
      try await body(monitor) { body in
        try await curl(
          ["--request", "POST", "--header", "Authorization: Bearer alerts", "--data-binary", body, url],
          in: scratch)
      }
    }
  }

  private func observation(_ number: Int, _ phase: Phase, vm: Int? = nil) throws -> MigrationObservation {
    let now = clock.now()
    var sample = Sample()
    sample.memory = StreamCounters(transferred: Bytes(1000), remaining: 1000)
    let domain = try #require(DomainKey(uuid: "00000000-0000-4000-8000-\(100_000_000_000 + number)"))
    return MigrationObservation(
      id: try id(number),
      vm: VMRef(backend: source.descriptor.name, scope: .host("a"), name: "g\(vm ?? number)"),
      domain: domain, takenAt: now, startedAt: now - .seconds(5), phase: phase, sample: sample,
      facts: MigrationFacts())
  }

  private func alert(
    _ number: Int, name: String = "Slow", status: String = "firing", second: Int = 0,
    fingerprint: String = "f",
    _ change: (inout [String: String]) -> Void = { _ in }
  ) throws -> String {
    var labels = [
      "alertname": name, "drover_action": "abort", "backend": "rack1", "host": "a",
      "migration": "\(try id(number))",
    ]
    change(&labels)
    let text = labels.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \"\($0.value)\"" }.joined(
      separator: ", ")
    return """
      {"status": "\(status)", "startsAt": "2026-01-01T00:00:0\(second)Z", "endsAt": "0001-01-01T00:00:00Z",
       "fingerprint": "\(fingerprint)", "labels": {\(text)}, "annotations": {}}
      """
  }

  private func payload(_ alerts: [String], truncated: Int = 0) -> String {
    #"{"version": "4", "status": "firing", "truncatedAlerts": \#(truncated), "alerts": [\#(alerts.joined(separator: ","))]}"#
  }

  private var aborts: [MigrationID] { source.aborts.withLock(\.self) }

  @Test("the same from many senders at once ends it once, whatever its fingerprint and its name")
  func duplicates() async throws {
    try await serve { _, post in
      let bodies = try (0..<12).map { number in
        payload([try alert(1, name: number.isMultiple(of: 3) ? "Slower" : "Slow", fingerprint: "\(number)")])
      }
      let answers = try await withThrowingTaskGroup(of: CurlAnswer.self) { group in
        for body in bodies { group.addTask { try await post(body) } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      // What is being decided is to be sent again; it was.
      #expect(answers.allSatisfy { [200, 503].contains($0.status) }, "\(answers)")
      for body in bodies { #expect(try await post(body).status == 200) }
      #expect(aborts == [try id(1)])
      #expect(records.decisions.withLock { $0.count { $0.kind == .acted } } == 1)
    }
  }

  @Test("one that was resolved before it comes ends nothing; nor does one about a migration before this one")
  func late() async throws {
    try await serve { monitor, post in
      let over = payload([try alert(1, status: "resolved", second: 5)])
      #expect(try await post(over).status == 200)
      for second in [0, 3, 5] {
        #expect(try await post(payload([try alert(1, second: second)])).status == 200)
      }
      #expect(aborts.isEmpty)
      // The guest's next migration, which nobody has asked to end.
      monitor.receive(.migration(try observation(2, .succeeded)))
      monitor.receive(.migration(try observation(5, .precopy, vm: 2)))
      #expect(try await post(payload([try alert(2)])).status == 200)
      #expect(aborts.isEmpty)
      #expect(try await post(payload([try alert(1, second: 6)])).status == 200)
      #expect(aborts == [try id(1)])
    }
  }

  @Test(
    "a body that is cut off anywhere is refused as a whole; of a list that was shortened, what is there is done"
  )
  func truncated() async throws {
    try await serve { _, post in
      let whole = payload([try alert(1), try alert(2)])
      for length in stride(from: 1, to: whole.utf8.count, by: 23) {
        let answer = try await post(String(decoding: whole.utf8.prefix(length), as: UTF8.self))
        #expect(answer.status == 400, "\(length): \(answer)")
      }
      #expect(aborts.isEmpty && records.decisions.withLock(\.isEmpty))
      let answer = try await post(payload([try alert(1)], truncated: 1))
      #expect(answer.status == 200 && answer.body.contains(#""truncated":1"#))
      #expect(aborts == [try id(1)])
    }
  }

  @Test(
    "in any order, with forged ones among them, those are ended that are rightly asked for, once each, and no other"
  )
  func storm() async throws {
    try await serve { _, post in
      var bodies: [String] = []
      for number in [1, 2] {
        let right = try alert(number)
        bodies += [
          payload([right]), payload([right, right]), payload([try alert(number, name: "Slower"), right]),
        ]
      }
      for number in [3, 4] {
        bodies += [
          // A tenant's rule with a namespace, a host or a back end of others, and one that may not ask.
          payload([try alert(number) { $0["namespace"] = $0.removeValue(forKey: "host") }]),
          payload([try alert(number) { $0["host"] = "b" }]),
          payload([try alert(number) { $0["backend"] = "rack2" }]),
          payload([try alert(number, name: "Watchdog")]),
          payload([try alert(number) { $0["drover_action"] = nil }]),
          payload([try alert(number, status: "resolved")]),
          payload([try alert(number) { $0["migration"] = "g\(number)" }]),
        ]
      }
      // What was resolved is never right any more, in whichever order the two come.
      bodies.append(payload([try alert(3, status: "resolved", second: 9)]))
      for _ in 0..<3 {
        bodies.shuffle()
        for body in bodies { #expect([200, 503].contains(try await post(body).status)) }
      }
      #expect(Set(aborts) == [try id(1), try id(2)] && aborts.count == 2, "\(aborts)")
    }
  }
}
