import Testing
import Foundation
@testable import DroverCore
@testable import DroverService

@Test func scratch() throws {
  func bar(_ s: String, _ b: [UInt8]) throws { try Data(b).write(to: URL(fileURLWithPath: "/tmp/w/page/\(s).html")) }
  let long = String(repeating: "averyveryverylongname-", count: 6)
  let views = [
    sampleView(),
    sampleView(id: "7b0de2d4-3a5c-4b27-8f55-0a8f1ee7c0d1-1795453020123", vm: "db-primary", notConverging),
    sampleView(id: "3c1f0a77-5d9e-4a31-b0a7-11c2f83e9b52-1795453080123", scope: .namespace("shop"), vm: "cache <b>", startedAt: noon - .seconds(6100)) { v in
      v.verdict = Verdict(.stalled, .still(sent: .seconds(42), drop: .seconds(130), remaining: .mebibytes(740)))
      v.sample.memory = StreamCounters(transferred: .gibibytes(31), remaining: .mebibytes(740), total: .gibibytes(8))
      v.progressDeadline = noon + .seconds(12)
      v.transferRate = 0
      v.interruptions = { var i = Interruptions(); i.count = 2; i.total = .milliseconds(6500); return i }()
      v.sample.cpuThrottle = 0.4
      v.sample.expectedDowntime = .milliseconds(1820)
      v.sample.downtimeLimit = .milliseconds(300)
    },
    sampleView(id: "55-1795453080123", vm: long) { v in
      v.sampledAt = noon - .seconds(34); v.verdict = Verdict(.unknown, .sampleTooOld(limit: .seconds(10)))
      v.progressDeadline = noon - .seconds(20)
    },
    sampleView(id: "9", vm: "post") { v in
      v.phase = .postcopy; v.verdict = Verdict(); v.completionDeadline = nil; v.progressDeadline = nil; v.guest = .target
      v.sample.postcopyRequests = 400
    },
    sampleView(id: "10", vm: "done", ended(.succeeded)),
    sampleView(id: "11", vm: "lost", ended(.failed, .connectionLost, text: "Unable to write to socket: Connection reset by peer", ago: .seconds(300))),
    sampleView(id: "12", vm: "stopped", ended(.aborted, .userAbort, ago: .seconds(100))),
    sampleView(id: "13", vm: "gone") { v in ended(.failed, .vmLost)(&v); v.guest = .none },
  ]
  let backends = [sampleBackend(), sampleBackend("rack9", isUp: false, lastSuccess: noon - .seconds(600)), sampleBackend("new", isUp: false, hasAttempted: false, lastSuccess: nil)]
  try bar("full", StatusPage.render(snapshot: sampleSnapshot(views, backends: backends), epochOffset: sampleOffset, now: noon, build: BuildInfo(version: "0.1.0")))
  try bar("idle", StatusPage.render(snapshot: sampleSnapshot([]), epochOffset: sampleOffset, now: noon, build: BuildInfo(version: "0.1.0")))
  try bar("empty", StatusPage.render(snapshot: FleetSnapshot(), epochOffset: sampleOffset, now: noon, build: BuildInfo(version: "0.1.0")))
  let items = views.map { sampleItem($0) }
  for style in [TerminalStyle(width: 120, isUnicode: true, isColoured: true), TerminalStyle(width: 80, isUnicode: false), TerminalStyle()] {
    let t = MigrationTables(style)
    print(t.list(items)); print(t.live(items, height: 30)); print(t.show(items[2])); print(t.show(items[6]))
  }
  print(String(decoding: try APICoding.encode(items[1]), as: UTF8.self))
  print(ProcessStatistics.current())
  let c = try Configuration.parse("backends:\n  - qemu: {sockets: ['/a\"b']}\n", file: "x").adding(qemuSockets: ["/x.sock"])
  print(EffectiveConfiguration(c))
  do { _ = try Configuration.parse("""
    backends:
      - qemu: {name: a b, sockets: [/x, /x], event: yes, events: on}
      - libvirt: {uri: x}
      - qemu:
    timeouts: {completionPerGiB: 800, progress: 2h30, keepalive: 3}
    timeout: 3
    verdict: {passes: 0, dirtyRatio: x, stalled_after: 4s, stalledAfter: 9000h}
    retention: 15m
    retention: 16m
    metrics: [3]
    control: 4
    """, file: "drover.yaml") } catch { print(error) }
}
