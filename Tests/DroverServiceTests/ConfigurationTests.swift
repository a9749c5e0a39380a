import DroverCore
import Exposition
import Foundation
import Journal
import Testing

@testable import DroverService

@Suite("Configuration")
struct ConfigurationTests {
  @Test(
    "a file without content is all defaults",
    arguments: [
      "", "# nothing\n", "---\n", "null\n", "backends:\n", "timeouts:\nverdict: {}\nbackends: []\n",
      "\u{FEFF}",
    ])
  func empty(text: String) throws {
    #expect(try Configuration.parse(text, file: "drover.yaml") == Configuration())
  }

  @Test("defaults are the documented ones")
  func defaults() {
    let configuration = Configuration()
    #expect(
      configuration.timeouts == BudgetSettings(completionPerGiB: .seconds(800), progress: .seconds(150)))
    #expect(configuration.stalledAfter == .seconds(10))
    #expect(configuration.passes == 3)
    #expect(configuration.dirtyRatio == 0.9)
    #expect(configuration.controlSilence == .seconds(7))
    #expect(configuration.dataSilence == .seconds(5))
    #expect(configuration.tracker.verdict == VerdictSettings())
    #expect(configuration.keepalive == nil)
    #expect(configuration.retention == .seconds(900))
    #expect(configuration.vms == .blocked)
    #expect(configuration.maxMigrations == 5000)
    #expect(configuration.journalPath == "")
    #expect(configuration.journal == JournalLimits(maxAge: .seconds(90 * 86_400), maxSize: .gibibytes(1)))
    #expect(configuration.backends.isEmpty)
  }

  @Test("every key is taken")
  func everyKey() throws {
    let configuration = try Configuration.parse(
      """
      backends:
        - qemu:
            name: rack1
            sockets: ["/run/guests/*.qmp", /run/other.qmp]
            events: true
            host: rack1.example
            timeouts: {completionPerGiB: 10m}
        - qemu: {sockets: [/run/x.qmp]}
        - libvirt:
            name: host-a
            uri: qemu+ssh://root@a.example/system
            host: a
            dirtyRate: true
            timeouts: {progress: 1m, keepalive: {count: 7}}
        - libvirt: {uri: "qemu:///system", name: here}
      timeouts: {completionPerGiB: 0, progress: 5m, keepalive: {interval: 3s, count: 4}}
      verdict: {stalledAfter: 20s, passes: 5, dirtyRatio: 0.8, controlSilence: 9s, dataSilence: 4s}
      retention: 1h
      metrics: {vms: none, maxMigrations: 100}
      journal: {path: /srv/j.db, maxAge: 30d, maxSize: 500MiB}
      """, file: "drover.yaml")
    #expect(configuration.timeouts == BudgetSettings(completionPerGiB: .zero, progress: .seconds(300)))
    #expect(configuration.stalledAfter == .seconds(20))
    #expect(configuration.passes == 5)
    #expect(configuration.dirtyRatio == 0.8)
    #expect(configuration.controlSilence == .seconds(9))
    #expect(configuration.dataSilence == .seconds(4))
    #expect(
      configuration.tracker.verdict
        == VerdictSettings(
          stalledAfter: .seconds(20), passes: 5, dirtyRatio: 0.8, controlSilence: .seconds(9),
          dataSilence: .seconds(4)))
    #expect(configuration.keepalive == KeepaliveSettings(interval: .seconds(3), count: 4))
    #expect(configuration.retention == .seconds(3600))
    #expect(configuration.vms == .none)
    #expect(configuration.maxMigrations == 100)
    #expect(configuration.journalPath == "/srv/j.db")
    #expect(
      configuration.journal == JournalLimits(maxAge: .seconds(30 * 86_400), maxSize: .mebibytes(500)))
    try #require(configuration.backends.count == 4)
    guard case .qemu(let first) = configuration.backends[0],
      case .qemu(let second) = configuration.backends[1],
      case .libvirt(let third) = configuration.backends[2],
      case .libvirt(let fourth) = configuration.backends[3]
    else {
      Issue.record("\(configuration.backends)")
      return
    }
    #expect(first.name == BackendName(rawValue: "rack1"))
    #expect(first.sockets == ["/run/guests/*.qmp", "/run/other.qmp"])
    #expect(first.events)
    #expect(first.host == "rack1.example")
    #expect(first.timeouts == BudgetSettings(completionPerGiB: .seconds(600), progress: .seconds(300)))
    #expect(second.name == BackendName(rawValue: "qemu"))
    #expect(second.timeouts == configuration.timeouts)
    #expect(third.name == BackendName(rawValue: "host-a"))
    #expect(third.uri == "qemu+ssh://root@a.example/system")
    #expect(third.host == "a")
    #expect(third.dirtyRate)
    #expect(third.timeouts == BudgetSettings(completionPerGiB: .zero, progress: .seconds(60)))
    #expect(third.keepalive == KeepaliveSettings(interval: .seconds(3), count: 7))
    #expect(fourth.host == "")
    #expect(!fourth.dirtyRate)
    #expect(fourth.timeouts == configuration.timeouts)
    #expect(fourth.keepalive == configuration.keepalive)
  }

  @Test("what is shown as in force is a file that says the same")
  func roundTrip() throws {
    let configuration = try Configuration.parse(
      """
      backends: [{qemu: {name: yes-1, sockets: ["/a \\"b\\" \\\\ c", "/5m"], host: "no"}}, {qemu: {sockets: [/b]}}]
      timeouts: {progress: 0}
      retention: 90m
      """, file: "drover.yaml")
    let text = EffectiveConfiguration(configuration).description
    #expect(try Configuration.parse(text, file: "effective") == configuration)
    #expect(
      EffectiveConfiguration(Configuration()).description == """
        backends: []
        timeouts:
          completionPerGiB: 800s
          progress: 150s
          # keepalive: what each libvirt host's qemu.conf says
        verdict:
          stalledAfter: 10s
          passes: 3
          dirtyRatio: 0.9
          controlSilence: 7s
          dataSilence: 5s
        retention: 15m
        metrics:
          vms: blocked
          maxMigrations: 5000
          vmLabels: []
        journal:
          # path: journal.db in the directory for the state of services
          maxAge: 90d
          maxSize: 1GiB
        access: []
        control:
          switches:
            manual: disabled
            drain: disabled
            policies: disabled
            alerts: disabled
          drain:
            parallel: 2
            attempts: 3
          alerts:
            names:
              - "DroverMigrationNotConverging"
              - "DroverMigrationStalled"
            namespaceLabel: "namespace"
          limits:
            aborts: 3
            window: 10m
            perVM: 30m
            sampleAge: 10s
            guard: 10s
            partition: 3
          rules:
            - name: "default"
              # match: every migration
              when:
                completion_timeout: observe
                progress_timeout: observe

        """)
    let json = String(decoding: try APICoding.encode(EffectiveConfiguration(Configuration())), as: UTF8.self)
    #expect(
      json
        == #"{"access":[],"backends":[],"control":{"alerts":{"names":["DroverMigrationNotConverging","#
        + #""DroverMigrationStalled"],"namespaceLabel":"namespace"},"drain":{"attempts":3,"parallel":2},"#
        + #""limits":{"aborts":3,"guard":"10s","#
        + #""partition":3,"perVM":"30m","sampleAge":"10s","window":"10m"},"rules":[{"name":"default","#
        + #""when":{"completion_timeout":"observe","progress_timeout":"observe"}}],"#
        + #""switches":{"alerts":"disabled","drain":"disabled","manual":"disabled","policies":"disabled"}},"#
        + #""journal":{"maxAge":"90d","maxSize":"1GiB"},"metrics":{"maxMigrations":5000,"#
        + #""vmLabels":[],"vms":"blocked"},"retention":"15m","#
        + #""timeouts":{"completionPerGiB":"800s","progress":"150s"},"#
        + #""verdict":{"controlSilence":"7s","dataSilence":"5s","dirtyRatio":0.9,"passes":3,"stalledAfter":"10s"}}"#
    )
  }

  @Test("back ends without a name get the first free one, over file and flags")
  func names() throws {
    let configuration = try Configuration.parse(
      """
      backends:
        - qemu: {sockets: [/a]}
        - qemu: {name: qemu-2, sockets: [/b]}
        - qemu: {sockets: [/c]}
      timeouts: {progress: 7m}
      """, file: "drover.yaml"
    ).adding(qemuSockets: ["/d", "/e"])
    #expect(configuration.backends.map(\.name.rawValue) == ["qemu", "qemu-2", "qemu-3", "qemu-4", "qemu-5"])
    guard case .qemu(let last) = configuration.backends[4] else { return }
    #expect(last.sockets == ["/e"])
    #expect(last.timeouts.progress == .seconds(420))
  }

  @Test("a socket given twice, or an empty one, is refused among flags")
  func flags() throws {
    let configuration = try Configuration().adding(qemuSockets: ["/a"])
    #expect(throws: ConfigurationError.self) { try configuration.adding(qemuSockets: ["/a"]) }
    let error = #expect(throws: ConfigurationError.self) {
      try configuration.adding(qemuSockets: ["/b", ""])
    }
    #expect(error?.description == "--qemu.socket: a path must be given, such as /run/guest.qmp")
  }
}

@Suite("Errors of a configuration")
struct ConfigurationErrorTests {
  @Test("all of them are told, in the order of the lines")
  func all() {
    #expect(
      errors(
        """
        retention: 15
        backends:
          - qemu: {name: rack 1, sockets: []}
        verdict: {passes: 0, dirty_ratio: 0.5}
        timeout: {}
        """) == [
          #"f:1:12: retention: "15" has no unit; write it as Prometheus does, such as 15s, 1h30m or 500ms"#,
          #"f:3:18: qemu.name may have up to 63 of A-Z a-z 0-9 _ . - in it, not "rack 1"; such as rack1"#,
          #"f:3:35: qemu.sockets names no socket; such as sockets: ["/run/guests/*.qmp"]"#,
          #"f:4:19: verdict.passes must be a whole number from 1 to 1000 without quotes, not "0"; such as 3"#,
          #"f:4:22: unknown key "dirty_ratio" in verdict; did you mean "dirtyRatio"? "#
            + "allowed here: controlSilence, dataSilence, dirtyRatio, passes, stalledAfter",
          #"f:5:1: unknown key "timeout" at the top; did you mean "timeouts"? "#
            + "allowed at the top: access, backends, control, journal, metrics, retention, timeouts, verdict",
        ])
  }

  @Test(
    "a key that is given twice is told with both lines, and hides nothing else",
    arguments: [
      "retention: 1m\nverdict: {passes: 0}\nretention: 2m\n",
      "\"retention\": 1m\nverdict: {passes: 0}\n'retention': 2m\n",
    ])
  func duplicates(text: String) {
    #expect(
      errors(text) == [
        #"f:2:19: verdict.passes must be a whole number from 1 to 1000 without quotes, not "0"; such as 3"#,
        #"f:3:1: the key "retention" at the top stands twice, on lines 1 and 3; remove one"#,
      ])
  }

  @Test("a key given three times, in two mappings, is told each time")
  func manyDuplicates() {
    let told = errors(
      "verdict: {passes: 1, passes: 2, passes: 3}\nmetrics:\n  vms: all\n  vms: none\nverdict: {}\n")
    #expect(
      told == [
        #"f:1:22: the key "passes" in verdict stands twice, on lines 1 and 1; remove one"#,
        #"f:1:33: the key "passes" in verdict stands twice, on lines 1 and 1; remove one"#,
        #"f:4:3: the key "vms" in metrics stands twice, on lines 3 and 4; remove one"#,
        #"f:5:1: the key "verdict" at the top stands twice, on lines 1 and 5; remove one"#,
      ])
  }

  @Test(
    "a bad value says what is expected",
    arguments: [
      ("- a", #"f:1:1: the file must be keys with values, not a list; allowed at the top: "#),
      ("hello", #"f:1:1: the file must be keys with values, not "hello"; allowed at the top: "#),
      ("timeouts: 3", #"f:1:11: timeouts must be keys with values, not "3"; allowed here: "#),
      ("backends: {qemu: 1}", #"f:1:11: backends must be a list, not keys with values; such as - qemu: "#),
      (
        "backends: [3]",
        #"f:1:12: backends must be keys with values, not "3"; allowed here: kubevirt, libvirt, qemu"#
      ),
      ("backends: [{}]", #"f:1:12: an entry of backends is empty; such as - qemu: "#),
      ("backends:\n  -", #"f:2:4: an entry of backends is empty; such as - qemu: "#),
      ("backends: [{qemu: }]", #"f:1:19: qemu.sockets names no socket; such as "#),
      ("backends: [{qemu: {sockets: /x}}]", #"f:1:29: qemu.sockets must be a list, not "/x"; such as "#),
      ("backends: [{qemu: {sockets: [\"\"]}}]", #"f:1:30: an entry of qemu.sockets is empty; such as "#),
      (
        "backends: [{qemu: {sockets: [[]]}}]",
        #"f:1:30: an entry of qemu.sockets must be a text, not a list; such as "#
      ),
      (
        "backends: [{qemu: {sockets: [\"a\\nb\"]}}]",
        #"f:1:30: an entry of qemu.sockets has control characters"#
      ),
      ("retention:", #"f:1:11: retention must be a duration, not nothing; such as 15m"#),
      ("retention: [1m]", #"f:1:12: retention must be a duration, not a list; such as 15m"#),
      ("retention: 0", #"f:1:12: retention must be from 1s to 30d, not 0; such as 15m"#),
      ("retention: 9y", #"f:1:12: retention must be from 1s to 30d, not 9y; such as 15m"#),
      (
        "timeouts: {progress: 1ms}",
        #"f:1:22: timeouts.progress must be from 1s to 30d, or 0 for no time-out, not 1ms; such as 150s"#
      ),
      ("retention: -1m", #"f:1:12: retention: "-1m" is below 0; "#),
      ("retention: 99999999999999999y", #"f:1:12: retention: "99999999999999999y" is too long; "#),
      (
        "verdict: {passes: 2.5}",
        #"f:1:19: verdict.passes must be a whole number from 1 to 1000 without quotes"#
      ),
      (
        "verdict: {passes: \"2\"}",
        #"f:1:19: verdict.passes must be a whole number from 1 to 1000 without quotes"#
      ),
      ("verdict: {dirtyRatio: nan}", #"f:1:23: verdict.dirtyRatio must be a number from 0.01 to 10.0"#),
      ("verdict: {dirtyRatio: 0x1}", #"f:1:23: verdict.dirtyRatio must be a number from 0.01 to 10.0"#),
      ("verdict: {dirtyRatio: []}", #"f:1:23: verdict.dirtyRatio must be a number, not a list; such as 0.9"#),
      (
        "metrics: {maxMigrations: 1000000}",
        #"f:1:26: metrics.maxMigrations must be a whole number from 1 to 100000"#
      ),
      (
        "metrics: {vms: blocke}",
        #"f:1:16: metrics.vms must be one of blocked, all, none, not "blocke"; did you mean blocked?"#
      ),
      ("metrics: {vms: {}}", #"f:1:16: metrics.vms must be one of blocked, all, none, not keys with values"#),
      ("? [a, b]\n: 1", #"f:1:3: a key at the top must be a plain word; allowed at the top: "#),
      ("<<: {retention: 1m}", "f:1:1: merge keys (<<) are not supported; write the keys out"),
      ("retention: !foo 1m", "f:1:12: tags (!foo) are not supported; write the plain value"),
      (
        "web: {listen: 1}",
        #"f:1:1: unknown key "web" at the top; addresses are given by --web.listen-address; allowed"#
      ),
    ])
  func values(text: String, beginning: String) {
    let told = errors(text)
    #expect(told.count == 1)
    #expect(told.first?.hasPrefix(beginning) == true, "\(told)")
  }

  @Test(
    "words that YAML reads as booleans are refused with a remedy",
    arguments: [
      ("events: yes", #"f:1:43: qemu.events must be true or false without quotes, not "yes"; write true"#),
      ("events: Off", #"f:1:43: qemu.events must be true or false without quotes, not "Off"; write false"#),
      (
        "events: \"true\"",
        #"f:1:43: qemu.events must be true or false without quotes, not "true"; write true"#
      ),
      ("events: 1", #"f:1:43: qemu.events must be true or false without quotes, not "1""#),
      ("host: no", #"f:1:41: qemu.host: YAML reads no as a boolean; put it in quotes: "no""#),
    ])
  func booleans(pair: String, error: String) {
    #expect(errors("backends: [{qemu: {sockets: [/a], \(pair)}}]") == [error])
  }

  @Test("two back ends share neither name nor socket")
  func unique() {
    #expect(
      errors(
        """
        backends:
          - qemu: {name: a, sockets: [/x]}
          - qemu: {name: a, sockets: [/x]}
        """) == [
          #"f:3:18: the name "a" is given to two back ends, on lines 2 and 3; rename one"#,
          #"f:3:31: the socket "/x" is named twice, on lines 2 and 3, and a monitor takes one client; remove one"#,
        ])
  }

  @Test(
    "what is not YAML names its line",
    arguments: [
      ("a: [1\nb: 2\n", "f:2:2: not valid YAML: "), ("verdict:\n\tpasses: 1\n", "f:2:1: not valid YAML: "),
      (
        "retention: 1m\n---\nretention: 2m\n",
        "f:2:1: a second document begins; a configuration is one document"
      ),
      ("retention: *x\n", "f:1:12: not valid YAML: found undefined alias"),
      ("a: 1\nb: \u{1}", "f:2:1: not valid YAML: control characters are not allowed"),
    ])
  func syntax(text: String, beginning: String) {
    let told = errors(text)
    #expect(told.count == 1)
    #expect(told.first?.hasPrefix(beginning) == true, "\(told)")
  }

  @Test("what is nested beyond reason is refused", arguments: ["[", "{a: ", "- ", "? "])
  func nesting(opening: String) {
    let told = errors(String(repeating: opening, count: 100_000))
    #expect(told.count == 1)
    #expect(told.first?.contains("not valid YAML: ") == true)
  }

  @Test("a tab in the indentation is said to be one")
  func tab() {
    #expect(errors("verdict:\n\tpasses: 1\n").first?.hasSuffix("; indent with spaces, not with tabs") == true)
  }

  @Test("an alias stands for what it names, and a bomb of them is refused at once", .timeLimit(.minutes(1)))
  func aliases() throws {
    let text = "timeouts: {completionPerGiB: &t 90s, progress: *t}\n"
    #expect(try Configuration.parse(text, file: "f").timeouts.progress == .seconds(90))
    var bomb = "a0: &a0 [x]\n"
    for level in 1...40 { bomb += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
    bomb += "? *a40\n: 1\n"
    let told = errors(bomb)
    #expect(told.first?.contains("more than 16 aliases (*name)") == true)
  }

  @Test("a file with more values than anybody writes is refused")
  func manyValues() {
    let text = "backends: [{qemu: {sockets: [\((0..<11_000).map { "/\($0)" }.joined(separator: ", ")), []]}}]"
    let told = errors(text)
    #expect(told.count == 1)
    #expect(told.first?.contains("the file has more than 10000 values; shorten it") == true)
  }

  @Test("of very many errors the first hundred are told")
  func manyErrors() {
    let told = errors((0..<500).map { "k\($0): 1\n" }.joined())
    #expect(told.count == 101)
    #expect(told[99].hasPrefix("f:100:1: unknown key \"k99\""))
    #expect(told.last == "f: 400 more errors; mend these first")
  }

  @Test("a value cannot forge a line of the error")
  func forgery() {
    let told = errors("\"a\\nf:9:9: all is well\": 1\n")
    #expect(told.count == 1)
    #expect(told.first?.contains("a\u{FFFD}f:9:9") == true)
  }
}

@Suite("A configuration file")
struct ConfigurationFileTests {
  private func withFile<Result>(_ bytes: [UInt8], _ body: (String) throws -> Result) throws -> Result {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent(
      "drover-\(UUID().uuidString).yaml"
    ).path
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
  }

  private func error(_ path: String) -> ConfigurationError? {
    do {
      _ = try Configuration.load(file: path)
      return nil
    } catch {
      return error
    }
  }

  @Test("is read")
  func reads() throws {
    let configuration = try withFile(Array("retention: 20m\n".utf8)) { try Configuration.load(file: $0) }
    #expect(configuration.retention == .seconds(1200))
  }

  @Test("that is not there, or no file, says so with the remedy")
  func unreadable() {
    let missing = error("/nonexistent/drover.yaml")
    #expect(missing?.code == .unreadable)
    #expect(missing?.shortDescription == "unreadable")
    #expect(
      missing?.description == "/nonexistent/drover.yaml: cannot be read: No such file or directory; "
        + "create it, or give the right path")
    #expect(error("/")?.description == "/: not a regular file; give the path of a YAML file")
  }

  @Test("of up to 1 MiB is read, and no byte more")
  func size() throws {
    let largest = [UInt8](repeating: UInt8(ascii: "#"), count: Configuration.largestFile)
    #expect(try withFile(largest) { error($0) } == nil)
    #expect(try withFile(largest + [UInt8(ascii: "#")]) { error($0) }?.code == .tooLarge)
    #expect(error("/dev/zero")?.code == .unreadable)
  }

  @Test("that is not UTF-8 names the line")
  func encoding() throws {
    let told = try withFile(Array("a: 1\nb: ".utf8) + [0xFF, 0x0A]) { error($0) }
    #expect(told?.problems.map(\.line) == [2])
    #expect(told?.description.hasSuffix(":2: not UTF-8; save the file as UTF-8") == true)
  }
}
