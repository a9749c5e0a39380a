import Exposition
import Foundation
import FoundationXML
import Testing

@testable import DroverCore
@testable import DroverService

@Suite("The page")
struct PageTests {
  private func page(_ snapshot: FleetSnapshot, telemetryPath: String = "/metrics", refreshes: Bool = true)
    -> String
  {
    String(
      decoding: StatusPage.render(
        snapshot: snapshot, epochOffset: sampleOffset, now: noon, build: BuildInfo(version: "0.1.0"),
        telemetryPath: telemetryPath, refreshes: refreshes), as: UTF8.self)
  }

  private static let hostile = "<script>alert('x')</script>\"&\u{1B}[2J\u{202E}"

  private static let fleet = [
    sampleView(), sampleView(id: "2", vm: "db", notConverging),
    sampleView(id: "3", scope: .namespace("n"), vm: hostile, ended(.failed, .other, text: hostile)),
    sampleView(id: "6", watched(control: 12, data: 9)),
    sampleView(id: "4", vm: "post") { view in
      view.phase = .postcopy
      view.verdict = Verdict()
      view.completionDeadline = nil
      view.progressDeadline = nil
    },
    sampleView(id: "5", vm: hostile) { view in
      view.facts.source = hostile
      view.facts.target = hostile
      view.sampledAt = noon - .seconds(34)
    },
  ]

  @Test("is well-formed, whatever it shows")
  func wellFormed() {
    var backend = sampleBackend("b", isUp: false)
    backend.descriptor.endpoint = Self.hostile
    backend.version = Self.hostile
    for snapshot in [FleetSnapshot(), sampleSnapshot([]), sampleSnapshot(Self.fleet, backends: [backend])] {
      let parser = XMLParser(data: Data(page(snapshot).utf8))
      #expect(parser.parse(), "\(String(describing: parser.parserError)) in line \(parser.lineNumber)")
    }
  }

  @Test("escapes every name and text from outside")
  func escapes() {
    let text = page(sampleSnapshot(Self.fleet))
    #expect(!text.contains("<script"))
    #expect(!text.contains("\u{1B}"))
    #expect(!text.contains("\u{202E}"))
    let escaped = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\u{FFFD}[2J\u{FFFD}"
    #expect(text.contains("<h3>n/\(escaped) <span class=\"tag bad\">failed</span></h3>"))
    #expect(text.contains("aria-label=\"rack1/\(escaped)\""))
    #expect(text.contains("\(escaped) → \(escaped)"))
    #expect(text.contains("<p class=\"why\">other (reported): \(escaped)</p>"))
  }

  @Test("shows a running migration with its budgets and evidence")
  func running() {
    let text = page(sampleSnapshot([sampleView(id: "2", vm: "db", notConverging)]))
    for fragment in [
      "<h3>rack1/db <span class=\"tag warn\">not converging</span></h3>",
      "<b>precopy</b> for 2m · rack1 → rack2 · <span class=\"dim\">data 0s old</span>",
      "<p class=\"why\">dirties 41.8 MiB/s of 42.0 MiB/s sent; 3 passes in a row began with no less than 62.0 MiB to send</p>",
      "<div><dt>Progress</dt><dd><progress class=\"\" max=\"1000\" value=\"625\" aria-label=\"Progress\">62%</progress>"
        + "<b>62%</b> <span>3.0 GiB of 8.0 GiB remaining</span></dd></div>",
      "<div><dt>Completion budget</dt><dd><progress class=\"\" max=\"1000\" value=\"19\" aria-label=\"Completion budget\">"
        + "2m 5s</progress><b>2m 5s</b> <span>of 1h 46m; deadline 18:44:35 UTC: 1h 44m left, enforced by nobody</span>"
        + "</dd></div>",
      "<div><dt>Progress budget</dt><dd><progress class=\"\" max=\"1000\" value=\"20\" aria-label=\"Progress budget\">"
        + "3s</progress><b>3s</b> <span>of 2m 30s; deadline 17:02:27 UTC: 2m 27s left, enforced by nobody</span></dd></div>",
      "<span>sends <b>42.0 MiB/s</b></span>", "<span>dirties <b>5.0 MiB/s</b></span>",
      "<span>interruptions <b>none</b></span>", "<a href=\"./api/v1/migrations/2\">2</a>",
      "<b>1</b> running · <strong class=\"bad\">1 in trouble</strong> · <b>0</b> ended lately",
      "<title>(1!) 1 running - Drover</title>",
    ] {
      #expect(text.contains(fragment), "\(fragment)")
    }
  }

  @Test("shows the expected end of one that converges")
  func converging() {
    #expect(
      page(sampleSnapshot([sampleView()])).contains(
        "3.0 GiB of 8.0 GiB remaining; expected end in 1m 23s, 17:01:23 UTC"))
  }

  @Test("marks a budget that is nearly used or overdue")
  func budgets() {
    func text(_ left: Int) -> String {
      page(sampleSnapshot([sampleView { $0.progressDeadline = noon + .seconds(left) }]))
    }
    #expect(text(45).contains("<progress class=\"warn\" max=\"1000\" value=\"700\""))
    #expect(text(15).contains("<progress class=\"bad\" max=\"1000\" value=\"900\""))
    #expect(text(-20).contains("<progress class=\"bad\" max=\"1000\" value=\"1000\""))
    #expect(text(-20).contains("deadline 16:59:40 UTC: overdue by 20s, enforced by nobody"))
  }

  @Test("shows a keepalive with what it rests on, and the connections")
  func keepalive() {
    let text = page(sampleSnapshot([sampleView(watched(control: 2.25, data: 0.5))]))
    for fragment in [
      "<div><dt>Keepalive</dt><dd><progress class=\"\" max=\"1000\" value=\"75\" aria-label=\"Keepalive\">2s</progress>"
        + "<b>2s</b> <span>of 30s; deadline 17:00:27 UTC: 27s left, enforced by libvirt; measured on the source host</span>"
        + "</dd></div>",
      "<div><dt>Control connection</dt><dd><b></b> <span>heard 2s ago, all acknowledged, 1 retransmit</span></dd></div>",
      "<div><dt>Data connection</dt><dd><b></b> <span>heard now, 512 KiB unacknowledged, 17 retransmits</span></dd></div>",
    ] {
      #expect(text.contains(fragment), "\(fragment)")
    }
    #expect(!text.contains("Network lost"))
    let none = page(sampleSnapshot([sampleView(watched(.none(.notPeerToPeer), control: nil))]))
    #expect(none.contains("<dt>Keepalive</dt><dd><b></b> <span>none: not peer-to-peer</span>"))
    let inferred = page(sampleSnapshot([sampleView(watched(.inferred(.ssh), control: nil, data: nil))]))
    #expect(
      inferred.contains(
        "deadline 17:00:25 UTC, or up to 5s later: 25s left, enforced by libvirt; inferred: the daemons talk over ssh"
      ))
    #expect(!inferred.contains("connection</dt>"))
    #expect(!page(sampleSnapshot([sampleView()])).contains("Keepalive"))
  }

  @Test("makes a lost network stand out, first of all that go wrong in a copy")
  func lostNetwork() {
    let stalled = sampleView(id: "still", vm: "still") { view in
      view.verdict = Verdict(.stalled, .still(sent: .seconds(11), drop: .seconds(11), remaining: nil))
    }
    let text = page(
      sampleSnapshot([stalled, sampleView(id: "cut", vm: "cut", watched(control: 24, data: 1))]))
    for fragment in [
      "<article class=\"bad\" aria-label=\"rack1/cut\">",
      "<h3>rack1/cut <span class=\"tag bad\">network lost</span></h3>",
      "<p class=\"why\">control connection: nothing received for 24s; libvirt ends the migration in 6s, "
        + "and the guest stays at the source</p>",
      "<progress class=\"bad\" max=\"1000\" value=\"800\" aria-label=\"Keepalive\">",
      "<dt>Control connection</dt><dd><b></b> <span class=\"bad\">heard 24s ago, ",
      "<dt>Data connection</dt><dd><b></b> <span>heard 1s ago, ",
      "<dt>Network lost</dt><dd><b></b> <span class=\"bad\">management</span>", "2 in trouble",
    ] {
      #expect(text.contains(fragment), "\(fragment)")
    }
    let order = ["rack1/cut ", "rack1/still "].compactMap { text.range(of: "<h3>\($0)")?.lowerBound }
    #expect(order.count == 2 && order == order.sorted())
    let early = page(sampleSnapshot([sampleView(watched(control: 8))]))
    #expect(early.contains("<progress class=\"warn\" max=\"1000\" value=\"266\" aria-label=\"Keepalive\">"))
  }

  @Test("says so where no deadline applies")
  func noDeadline() {
    let text = page(sampleSnapshot([Self.fleet[4]]))
    #expect(text.contains("<dt>Completion budget</dt><dd><b></b> <span>no deadline in this phase</span>"))
    #expect(text.contains("<span class=\"tag \">postcopy</span>"))
  }

  @Test("makes old data stand out")
  func oldData() {
    let text = page(sampleSnapshot([sampleView { $0.sampledAt = noon - .seconds(34) }]))
    #expect(text.contains("<span class=\"tag bad\">no answer</span>"))
    #expect(text.contains("<span class=\"bad\">data 34s old</span>"))
    #expect(text.contains("no answer from the source for 34s"))
  }

  @Test("shows ended migrations with outcome and cause, and alarms about the guest")
  func ends() {
    let text = page(
      sampleSnapshot([
        sampleView(id: "1", ended(.aborted, .userAbort)),
        sampleView(id: "2") { view in
          ended(.failed, .vmLost)(&view)
          view.guest = .none
        },
      ]))
    #expect(text.contains("<p class=\"why\">user abort (reported)</p>"))
    #expect(
      text.contains("<p class=\"where\">ended 12s ago at 16:59:48 UTC, took 1m 53s · rack1 → rack2</p>"))
    #expect(text.contains("<p class=\"alarm\" role=\"alert\">the guest runs nowhere; vm lost (reported)</p>"))
    #expect(text.contains("1 in trouble"))
  }

  @Test("shows back ends with their state and age")
  func backends() {
    var rack9 = sampleBackend("rack9", isUp: false, lastSuccess: noon - .seconds(600))
    rack9.downSince = noon - .seconds(90)
    rack9.problem = "connect: <refused>"
    let text = page(
      sampleSnapshot(
        [],
        backends: [
          sampleBackend(), rack9,
          sampleBackend("new", isUp: false, hasAttempted: false, lastSuccess: nil),
        ]))
    #expect(text.contains("<span class=\"tag good\">up</span> <b>qemu</b>"))
    #expect(text.contains("answered 1s ago</span>"))
    #expect(text.contains("<span class=\"tag bad\">down</span> <b>rack9</b>"))
    #expect(text.contains("<span class=\"bad\">down for 1m 30s: connect: &lt;refused&gt;</span>"))
    #expect(text.contains("answered 10m ago · 4 errors</span>"))
    #expect(text.contains("<span class=\"tag\">not asked yet</span> <b>new</b>"))
    #expect(text.contains("Nothing is migrating."))
  }

  @Test("tells what to do where there is no back end")
  func empty() {
    let text = page(FleetSnapshot())
    #expect(text.contains("No back end is configured"))
    #expect(text.contains("drover serve --qemu.socket /run/guests/web.qmp"))
  }

  @Test("draws at most 200, the most urgent first, and says how many are left out")
  func bounded() {
    var views = (0..<250).map { sampleView(id: "calm-\($0)", vm: "calm\($0)") }
    views += (0..<20).map { sampleView(id: "over-\($0)", ended(.succeeded, ago: .seconds($0))) }
    views.append(sampleView(id: "urgent", vm: "urgent", startedAt: noon, notConverging))
    views.append(
      sampleView(id: "still", vm: "still", startedAt: noon) { view in
        view.verdict = Verdict(.stalled, .still(sent: .seconds(11), drop: .seconds(11), remaining: nil))
      })
    let text = page(sampleSnapshot(views))
    #expect(text.components(separatedBy: "<article").count - 1 == StatusPage.mostDrawn)
    #expect(
      text.contains("<p class=\"empty\">52 more are not drawn; <a href=\"./api/v1/migrations\">the API</a>"))
    #expect(text.contains("<p class=\"empty\">20 more are not drawn;"))
    let order = ["rack1/still ", "rack1/urgent ", "rack1/calm0 "].compactMap {
      text.range(of: "<h3>\($0)")?.lowerBound
    }
    #expect(order.count == 3)
    #expect(order == order.sorted())
  }

  @Test("the latest of the ended ones come first")
  func endedOrder() {
    let text = page(
      sampleSnapshot([
        sampleView(id: "old", vm: "old", ended(.succeeded, ago: .seconds(300))),
        sampleView(id: "new", vm: "new", ended(.failed, .other, ago: .seconds(3))),
      ]))
    let order = ["rack1/new ", "rack1/old "].compactMap { text.range(of: "<h3>\($0)")?.lowerBound }
    #expect(order.count == 2)
    #expect(order == order.sorted())
  }

  @Test("refreshes itself, unless asked to stand still")
  func refresh() {
    #expect(page(FleetSnapshot()).contains("<meta http-equiv=\"refresh\" content=\"2\"/>"))
    let still = page(FleetSnapshot(), refreshes: false)
    #expect(!still.contains("http-equiv"))
    #expect(still.contains("<a href=\"./\">Refresh by itself</a>"))
  }

  @Test("links relatively, so that it works behind a prefix")
  func links() {
    let text = page(sampleSnapshot(Self.fleet), telemetryPath: "/scrape/\"me")
    #expect(text.contains("<a href=\"./scrape/&quot;me\">Metrics</a>"))
    #expect(!text.contains("href=\"/"))
    #expect(!text.contains("//"))
  }

  @Test("is allowed exactly its own style sheet")
  func policy() throws {
    let text = page(FleetSnapshot())
    let start = try #require(text.range(of: "<style>")?.upperBound)
    let end = try #require(text.range(of: "</style>")?.lowerBound)
    let hash = try sha256(Data(text[start..<end].utf8)).base64EncodedString()
    #expect(
      StatusPage.headers.first { $0.name == "Content-Security-Policy" }?.value
        == "default-src 'none'; style-src 'sha256-\(hash)'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    #expect(!text.contains("style="))
  }

  private func sha256(_ data: Data) throws -> Data {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/sha256sum")
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    input.fileHandleForWriting.write(data)
    try input.fileHandleForWriting.close()
    let hex = Array(output.fileHandleForReading.readDataToEndOfFile().prefix(64))
    process.waitUntilExit()
    return Data(
      stride(from: 0, to: hex.count - 1, by: 2).compactMap {
        UInt8(String(decoding: hex[$0...($0 + 1)], as: UTF8.self), radix: 16)
      })
  }
}
