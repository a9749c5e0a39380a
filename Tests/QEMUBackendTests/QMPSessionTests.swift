import DroverCore
import Logging
import Testing

@testable import QEMUBackend

@Suite struct QMPSessionTests {
  @Test("a connection begins with the handshake, asks for names and size, and changes nothing in QEMU")
  func handshake() {
    let driver = SessionDriver.connected()
    #expect(
      driver.commands == [
        "qmp_capabilities", "query-name", "query-uuid", "query-memory-size-summary", "query-migrate",
        "query-status",
      ])
    #expect(driver.vms.map(\.vm.name) == ["guest1"])
    #expect(driver.vms.first?.blockers == [])
    #expect(driver.session.health.version == "7.2.22")
    #expect(driver.session.health.lastSuccess == driver.now)
  }

  @Test("the capability `events` is switched on only where it is configured")
  func eventsCapability() {
    let driver = SessionDriver.connected(events: true)
    #expect(driver.lines.contains { $0.contains(#""capabilities":[{"capability":"events","state":true}]"#) })
    #expect(!SessionDriver.connected().commands.contains("migrate-set-capabilities"))
  }

  @Test("events that QEMU refuses during a migration are asked for again after it, with one warning")
  func eventsAgain() {
    var driver = SessionDriver(events: true)
    driver.refusals = ["migrate-set-capabilities"]
    driver.migrate(Trace.firstPass)
    driver.feed(.tick)
    func asked() -> Int { driver.commands.filter { $0 == "migrate-set-capabilities" }.count }
    for answer in [Trace.cancelled, Trace.firstPass, Trace.cancelled, Trace.firstPass] {
      driver.migrate(answer)
      driver.advance(3_000)
    }
    #expect(asked() == 3)
    #expect(driver.logs.filter { $0.level == .warning }.count == 1)
    driver.refusals = []
    driver.migrate(Trace.cancelled)
    driver.advance(3_000)
    #expect(asked() == 4)
    driver.migrate(Trace.firstPass)
    driver.advance(3_000)
    driver.migrate(Trace.cancelled)
    driver.advance(3_000)
    #expect(asked() == 4)
    #expect(driver.failures.isEmpty)
  }

  @Test("what QEMU calls itself by is bounded, and a UUID must be one")
  func bounds() throws {
    var driver = SessionDriver()
    driver.returns["query-name"] = #"{"name": "\#(String(repeating: "ä", count: 200))"}"#
    driver.returns["query-uuid"] = #"{"UUID": "\#(String(repeating: "1", count: 64))"}"#
    driver.migrate(Trace.firstPass)
    driver.feed(.tick)
    driver.migrate(#"{"status": "failed", "error-desc": "\#(String(repeating: "x", count: 100_000))"}"#)
    driver.advance(500)
    let last = try #require(driver.migrations.last)
    #expect(last.vm.name == String(repeating: "ä", count: 127))
    #expect(!last.domain.isShared)
    #expect(last.ending?.text.utf8.count == 1024)
    for uuid in ["11111111-2222-4333-8444-55555555555", "11111111-2222-4333-8444-55555555555g"] {
      var driver = SessionDriver()
      driver.returns["query-uuid"] = #"{"UUID": "\#(uuid)"}"#
      driver.migrate(Trace.firstPass)
      driver.feed(.tick)
      #expect(driver.migrations.last?.domain.isShared == false)
    }
  }

  @Test("a QEMU says by what it is known: its UUID, else its name, else nothing")
  func identity() {
    var driver = SessionDriver.connected()
    #expect(driver.identities == ["11111111-2222-4333-8444-555555555555"])
    driver = SessionDriver()
    driver.refusals = ["query-uuid"]
    driver.feed(.tick)
    #expect(driver.identities == ["guest1"])
    driver = SessionDriver()
    driver.refusals = ["query-uuid", "query-name"]
    driver.feed(.tick)
    #expect(driver.identities.isEmpty)
  }

  @Test(
    "a socket whose QEMU is watched over another one is left, told once in the log, and tried again seldom")
  func twin() {
    var driver = SessionDriver.connected()
    #expect(driver.vms.count == 1)
    for _ in 1...3 {
      driver.feed(.closed(.twin("/run/guests/two.qmp")))
      driver.advance(60_000)
    }
    #expect(driver.connects.count == 4)
    #expect(driver.gone.count >= 1)
    #expect(driver.failures.isEmpty)
    #expect(driver.logs.map(\.text) == ["not watched: the same QEMU as behind /run/guests/two.qmp"])
  }

  @Test("an idle socket is asked every two seconds, with one command only")
  func idlePoll() {
    var driver = SessionDriver.connected()
    driver.commands = []
    driver.advance(20_000)
    #expect(driver.commands == Array(repeating: "query-migrate", count: 10))
    #expect(driver.polls == 11)
    #expect(driver.session.health.lastSuccess == driver.now)
  }

  @Test("a running job is asked every half second, its parameters every five")
  func activePoll() {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    driver.commands = []
    for step in 1...20 {
      driver.migrate(
        Trace.active(total: 16 + step * 500, transferred: 10_000_000 + UInt64(step), remaining: 5))
      driver.advance(500)
    }
    #expect(driver.commands.filter { $0 == "query-migrate" }.count == 20)
    #expect(driver.commands.filter { $0 == "query-status" }.count == 20)
    #expect(driver.commands.filter { $0 == "query-migrate-parameters" }.count == 2)
    #expect(driver.migrations.count == 21)
    #expect(Set(driver.migrations.map(\.id)).count == 1)
  }

  @Test("a QEMU that does not answer in time is left and tried again with growing pauses")
  func timeout() throws {
    var driver = SessionDriver.connected()
    driver.returns["query-migrate"] = nil
    driver.greets = false
    driver.advance(2_000)
    #expect(driver.failures == [])
    driver.advance(2_000)
    #expect(driver.failures == [.timeout])
    #expect(driver.session.health.isBad)
    driver.advance(120_000)
    let pauses = zip(driver.connects.dropFirst(), driver.connects.dropFirst(2)).map { $1 - $0 }
    // Each attempt waits 2 s for the greeting.
    #expect(try #require(pauses.first) >= .milliseconds(2_000 + 750))
    #expect(try #require(pauses.max()) <= .seconds(17))
    #expect(try #require(pauses.last) >= .seconds(2 + 11))
    #expect(driver.logs.filter { $0.level == .warning }.count == 1)
    driver.greets = true
    driver.migrate("{}")
    driver.advance(20_000)
    #expect(!driver.session.health.isBad)
    #expect(driver.logs.filter { $0.level == .info }.map(\.text) == ["QEMU answers again"])
  }

  @Test("an answer with another id is ignored, the right one still counts")
  func wrongID() {
    var driver = SessionDriver.connected()
    driver.returns["query-migrate"] = nil
    driver.advance(2_000)
    driver.feed(.line(Array(#"{"return": {"status": "setup"}, "id": "drover-00000001"}"#.utf8)))
    driver.feed(.line(Array(#"{"return": {"status": "setup"}, "id": 7}"#.utf8)))
    driver.feed(.line(Array(#"{"return": {"status": "setup"}}"#.utf8)))
    #expect(driver.migrations.isEmpty)
    #expect(driver.failures.isEmpty)
    let id = driver.lines.last.map { String($0.split(separator: "\"")[7]) } ?? ""
    driver.returns["query-migrate"] = Trace.setup
    driver.feed(.line(Array(#"{"return": {"status": "setup"}, "id": "\#(id)"}"#.utf8)))
    #expect(driver.phases == [.preparing])
  }

  @Test(
    "what is not QMP is a protocol error, and the connection is closed",
    arguments: [
      "hello", "{", "[]", "1", "{}", "\u{0}\u{1}\u{ff}", "{\"id\": 1}", "[{\"QMP\": {}}]",
    ])
  func garbage(line: String) {
    var driver = SessionDriver()
    driver.greets = false
    driver.feed(.tick)
    driver.feed(.line(Array(line.utf8)))
    #expect(driver.failures == [.protocol])
    #expect(driver.closes == 1)
  }

  @Test(
    "absurd answers to query-migrate end as protocol errors or absent numbers, never in a crash",
    arguments: [
      (#"{"status": 5}"#, true), (#"{"status": "active", "ram": 7}"#, true), ("[]", true), ("null", true),
      (#"{"status": "active", "ram": {"transferred": -1, "remaining": 1e30, "total": "x"}}"#, false),
      (#"{"status": "active", "total-time": -5, "ram": {"transferred": 99999999999999999999}}"#, false),
      (#"{"status": "active", "total-time": 1.5, "ram": {"transferred": 0.5}}"#, false),
      (
        #"{"status": "active", "ram": {"transferred": 18446744073709551615, "precopy-bytes": 18446744073709551615, "multifd-bytes": 18446744073709551615, "dirty-pages-rate": 18446744073709551615, "page-size": 4096, "dirty-sync-count": 3}}"#,
        false
      ),
      (#"{"status": "active", "total-time": 18446744073709551615, "ram": {}, "disk": {}}"#, false),
    ])
  func absurd(answer: String, isError: Bool) {
    var driver = SessionDriver.connected()
    driver.migrate(answer)
    driver.advance(2_000)
    #expect(driver.failures == (isError ? [.protocol] : []))
    #expect(driver.migrations.isEmpty == isError)
    for one in driver.migrations {
      #expect(one.sample.dirtyRate == nil)
      #expect(one.startedAt == one.takenAt)
    }
    driver.migrate(Trace.cancelled)
    driver.advance(20_000)
    #expect(driver.migrations.isEmpty || driver.migrations.last?.phase == .aborted)
  }

  @Test("deep nesting and long numbers are read without harm")
  func hostile() {
    for (line, errors) in [
      (String(repeating: "[", count: 100_000), [QMPErrorKind.protocol]),
      (#"{"a":"# + String(repeating: #"{"a":"#, count: 10_000), [.protocol]),
      // An answer to nobody, whose content is not looked at.
      (#"{"return": "# + String(repeating: "9", count: 50_000) + "}", []),
    ] {
      var driver = SessionDriver.connected()
      driver.feed(.line(Array(line.utf8)))
      #expect(driver.failures == errors)
    }
  }

  @Test("events ask for a poll at once, at most every 50 ms")
  func events() {
    var driver = SessionDriver.connected()
    driver.advance(1_000)
    driver.commands = []
    driver.event("STOP")
    driver.advance(0)
    #expect(driver.commands == ["query-migrate", "query-status"])
    for _ in 1...100 {
      driver.event("RESUME")
      driver.advance(2)
    }
    let polls = driver.commands.filter { $0 == "query-migrate" }.count
    #expect((4...6).contains(polls))
    driver.commands = []
    driver.event("RTC_CHANGE")
    driver.advance(50)
    driver.event("BALLOON_CHANGE")
    driver.advance(100)
    #expect(driver.commands.filter { $0 == "query-migrate" }.isEmpty)
  }

  @Test("the switchover is watched closely for two seconds, then as before")
  func switchover() {
    var driver = SessionDriver.connected(migrate: Trace.firstPass)
    func polls() -> Int { driver.commands.filter { $0 == "query-migrate" }.count }
    driver.migrate(#"{"status": "pre-switchover", "ram": {"transferred": 1}}"#, "finish-migrate")
    driver.advance(500)
    driver.commands = []
    driver.advance(1_000)
    #expect((18...21).contains(polls()))
    driver.advance(1_500)
    driver.commands = []
    driver.advance(5_000)
    #expect((9...11).contains(polls()))
  }

  @Test("commands that an old QEMU lacks cost only what they would tell")
  func refusals() {
    var driver = SessionDriver()
    driver.version = (2, 9, 0)
    driver.refusals = ["query-name", "query-uuid", "query-memory-size-summary", "query-migrate-parameters"]
    driver.migrate(Trace.firstPass)
    driver.feed(.tick)
    #expect(driver.failures.isEmpty)
    #expect(driver.vms.first?.vm.name == "one.qmp")
    #expect(driver.vms.first?.blockers == nil)
    #expect(driver.migrations.first?.facts.size == nil)
    #expect(driver.migrations.first?.sample.downtimeLimit == nil)
    #expect(driver.migrations.first?.domain.isShared == false)
  }

  @Test("a refused query-migrate is a protocol error")
  func refusedQuery() {
    var driver = SessionDriver()
    driver.refusals = ["query-migrate"]
    driver.feed(.tick)
    #expect(driver.failures == [.protocol])
  }

  @Test("what blocks a migration is told with the VM, and again when it changes")
  func blockers() {
    var driver = SessionDriver.connected(
      migrate:
        #"{"blocked-reasons": ["0000:01:00.0: VFIO device doesn't support migration", "The vvfat format"]}"#)
    driver.migrate("{}")
    driver.advance(2_000)
    #expect(driver.vms.map(\.blockers) == [[.hostDevice, .other], []])
    #expect(driver.logs.contains { $0.text.contains("VFIO device doesn't support migration") })
  }

  @Test("two nameless QEMUs are two domains, named after their sockets")
  func nameless() {
    let ids = ["/run/guests/one.qmp", "/run/guests/two.qmp"].map { path in
      var driver = SessionDriver(path: path)
      driver.returns["query-name"] = "{}"
      driver.returns["query-uuid"] = #"{"UUID": "00000000-0000-0000-0000-000000000000"}"#
      driver.migrate(Trace.firstPass)
      driver.feed(.tick)
      #expect(driver.vms.first?.vm.name == (path.hasSuffix("one.qmp") ? "one.qmp" : "two.qmp"))
      return driver.migrations.first?.id
    }
    #expect(ids[0] != nil)
    #expect(ids[0] != ids[1])
  }

  @Test("an idle session is small")
  func size() {
    #expect(MemoryLayout<QMPSession>.size <= 1024)
  }

  @Test("pauses double to their limit, differ between sockets and are the same on each run")
  func pauses() {
    let schedule = RetrySchedule()
    let one = (0...10).map { schedule.pause(after: $0, name: "/run/a.qmp") }
    let other = (0...10).map { schedule.pause(after: $0, name: "/run/b.qmp") }
    #expect(one == (0...10).map { schedule.pause(after: $0, name: "/run/a.qmp") })
    #expect(one != other)
    for (attempt, pause) in one.enumerated() {
      let full = min(15_000, 500 << attempt)
      #expect((Int64(full * 3 / 4)...Int64(full)).contains(pause.milliseconds))
    }
  }
}
