import Testing

@testable import DroverCore
@testable import DroverService

@Suite("Tables")
struct TablesTests {
  private static let fleet: [MigrationItem] = [
    sampleView(id: "1-1795453080123"), sampleView(id: "2-1795453080123", vm: "db-primary", notConverging),
    sampleView(id: "3-1795453080123", scope: .namespace("shop"), vm: "cache") { view in
      view.phase = .postcopy
      view.verdict = Verdict()
      view.completionDeadline = nil
      view.progressDeadline = nil
    },
    sampleView(
      id: "4-1795453080123", vm: "lost", ended(.failed, .connectionLost, text: "reset by peer")),
    sampleView(id: "5-1795453080123", vm: "done", ended(.succeeded)),
  ].map { sampleItem($0) }

  @Test("the list is aligned, and ends in identifiers that can be copied")
  func list() {
    #expect(
      MigrationTables(TerminalStyle(width: 60)).list(Self.fleet) == """
        VM                PHASE      VERDICT          PROGRESS  REMAINING        RATE  DEADLINE              AGE    ID
        rack1/web         precopy    converging            62%    3.0 GiB  42.0 MiB/s  progress 2m 27s left  2m 5s  1-1795453080123
        rack1/db-primary  precopy    not converging        62%    3.0 GiB  42.0 MiB/s  progress 2m 27s left  2m 5s  2-1795453080123
        shop/cache        postcopy   -                     62%    3.0 GiB  42.0 MiB/s  -                     2m 5s  3-1795453080123
        rack1/lost        failed     connection lost         -          -           -  -                     2m 5s  4-1795453080123
        rack1/done        succeeded  -                       -          -           -  -                     2m 5s  5-1795453080123

        """)
    #expect(MigrationTables(TerminalStyle()).list([]) == "No migrations.\n")
  }

  @Test("the live table has the most urgent first, with bars and reasons")
  func live() {
    #expect(
      MigrationTables(TerminalStyle(width: 120)).live(Self.fleet) == """
        3 running · 1 in trouble · 2 ended · 17:00:00 UTC
        VM                STATE           PROGRESS               DEADLINE              REMAINING        RATE    DIRTIED
        rack1/db-primary  not converging  ██████████░░░░░░  62%  progress 2m 27s left    3.0 GiB  42.0 MiB/s  5.0 MiB/s
          dirties 41.8 MiB/s of 42.0 MiB/s sent; 3 passes in a row began with no less than 62.0 MiB to send
        rack1/web         converging      ██████████░░░░░░  62%  progress 2m 27s left    3.0 GiB  42.0 MiB/s  5.0 MiB/s
        shop/cache        postcopy        ██████████░░░░░░  62%                          3.0 GiB  42.0 MiB/s  5.0 MiB/s
        rack1/lost        failed                                 ended 12s ago
          connection lost (reported): reset by peer
        rack1/done        succeeded                              ended 12s ago

        """)
  }

  @Test("the live table fits a narrow terminal without UTF-8")
  func narrow() {
    #expect(
      MigrationTables(TerminalStyle(width: 80, isUnicode: false)).live(Self.fleet) == """
        3 running, 1 in trouble, 2 ended, 17:00:00 UTC
        VM                STATE           PROGRESS           DEADLINE
        rack1/db-primary  not converging  [######....]  62%  progress 2m 27s left
          dirties 41.8 MiB/s of 42.0 MiB/s sent...gan with no less than 62.0 MiB to send
        rack1/web         converging      [######....]  62%  progress 2m 27s left
        shop/cache        postcopy        [######....]  62%
        rack1/lost        failed                             ended 12s ago
          connection lost (reported): reset by peer
        rack1/done        succeeded                          ended 12s ago

        """)
  }

  @Test(
    "no line of the live table is wider than the terminal", arguments: [40, 41, 60, 79, 80, 100, 119, 200])
  func width(columns: Int) {
    let wide = sampleView(id: "6", vm: "名前の長い仮想マシン-" + String(repeating: "x", count: 200), notConverging)
    for isUnicode in [true, false] {
      let style = TerminalStyle(width: columns, isUnicode: isUnicode)
      let lines = MigrationTables(style).live(Self.fleet + [sampleItem(wide)]).split(separator: "\n")
      #expect(lines.allSatisfy { displayWidth(String($0)) <= columns })
    }
  }

  @Test(
    "the live table fits the terminal's height, and says what is left out", arguments: [1, 4, 6, 7, 9, 12])
  func height(rows: Int) {
    let text = MigrationTables(TerminalStyle(width: 120)).live(Self.fleet, height: rows)
    let lines = text.split(separator: "\n")
    #expect(lines.count <= max(rows, 3))
    let shown = Self.fleet.count { text.contains("\n\($0.scope)/\($0.vm)") }
    if shown < Self.fleet.count { #expect(lines.last == "\(Self.fleet.count - shown) more") }
  }

  @Test("a guest that runs nowhere comes before everything else")
  func alarm() {
    let gone = sampleView(id: "9", vm: "gone") { view in
      ended(.failed, .vmLost)(&view)
      view.guest = .none
    }
    let lines = MigrationTables(TerminalStyle()).live(Self.fleet + [sampleItem(gone)]).split(separator: "\n")
    #expect(lines[0].contains("2 in trouble"))
    #expect(lines[2].hasPrefix("rack1/gone"))
    #expect(lines[3] == "  the guest runs nowhere; vm lost (reported)")
  }

  /// From the healthy one to the one whose network is lost.
  private static let watchedFleet: [MigrationItem] = [
    sampleView(id: "1-1795453080123", vm: "calm", watched()),
    sampleView(id: "2-1795453080123", vm: "hung") { view in
      view.verdict = Verdict(
        .stalled, .still(sent: .seconds(11), drop: .seconds(11), remaining: .gibibytes(3)))
    },
    sampleView(id: "3-1795453080123", vm: "cut", watched(control: 12, data: 9)),
    sampleView(id: "4-1795453080123", vm: "data", watched(control: 2, data: 9)),
  ].map { sampleItem($0) }

  @Test("a lost network stands before a stall, with the time until libvirt ends the migration")
  func lostNetwork() {
    #expect(
      MigrationTables(TerminalStyle(width: 120)).live(Self.watchedFleet) == """
        4 running · 3 in trouble · 0 ended · 17:00:00 UTC
        VM          STATE         PROGRESS               DEADLINE              REMAINING        RATE    DIRTIED
        rack1/cut   network lost  ██████████░░░░░░  62%  keepalive 18s left      3.0 GiB  42.0 MiB/s  5.0 MiB/s
          control connection: nothing received for 12s; data connect…nds the migration in 18s, and the guest stays at the source
        rack1/data  network lost  ██████████░░░░░░  62%  progress 2m 27s left    3.0 GiB  42.0 MiB/s  5.0 MiB/s
          data connection: nothing acknowledged for 9s; no keepalive guards it, so libvirt waits until it is back
        rack1/hung  stalled       ██████████░░░░░░  62%  progress 2m 27s left    3.0 GiB  42.0 MiB/s  5.0 MiB/s
          no bytes sent for 11s, remaining has not fallen for 11s; 3.0 GiB remaining
        rack1/calm  converging    ██████████░░░░░░  62%  progress 2m 27s left    3.0 GiB  42.0 MiB/s  5.0 MiB/s

        """)
    #expect(
      MigrationTables(TerminalStyle()).list(Self.watchedFleet) == """
        VM          PHASE    VERDICT       PROGRESS  REMAINING        RATE  DEADLINE              AGE    ID
        rack1/calm  precopy  converging         62%    3.0 GiB  42.0 MiB/s  progress 2m 27s left  2m 5s  1-1795453080123
        rack1/hung  precopy  stalled            62%    3.0 GiB  42.0 MiB/s  progress 2m 27s left  2m 5s  2-1795453080123
        rack1/cut   precopy  network lost       62%    3.0 GiB  42.0 MiB/s  keepalive 18s left    2m 5s  3-1795453080123
        rack1/data  precopy  network lost       62%    3.0 GiB  42.0 MiB/s  progress 2m 27s left  2m 5s  4-1795453080123

        """)
  }

  @Test("a lost network is as red as a stall")
  func lostNetworkColours() {
    let coloured = MigrationTables(TerminalStyle(width: 120, isColoured: true)).live(Self.watchedFleet)
    #expect(coloured.contains("\u{1B}[31mnetwork lost\u{1B}[0m"))
    #expect(coloured.contains("\u{1B}[31mstalled\u{1B}[0m"))
    let shown = MigrationTables(TerminalStyle(isColoured: true)).show(Self.watchedFleet[3])
    #expect(shown.contains("  data     \u{1B}[31mheard 9s ago"))
    #expect(shown.contains("  control  heard 2s ago"))
    #expect(shown.contains("  lost     \u{1B}[31mmigration\u{1B}[0m"))
  }

  private func block(_ title: String, of view: MigrationView) -> String {
    let text = MigrationTables(TerminalStyle()).show(sampleItem(view))
    let block = text.split(separator: "\n\n").first { $0.hasPrefix("\(title)\n") }
    return String(block?.dropFirst(title.count + 1) ?? "")
  }

  @Test("a measured keepalive stands among the budgets, the connections below")
  func measuredKeepalive() {
    let view = sampleView(watched(control: 2.25))
    #expect(
      block("Budgets", of: view) == """
          completion  ▎░░░░░░░░░░░░░░░ 2m 5s of 1h 46m, 1h 44m left (18:44:35 UTC), enforced by nobody
          progress    ▎░░░░░░░░░░░░░░░ 3s of 2m 30s, 2m 27s left (17:02:27 UTC), enforced by nobody
          keepalive   █▏░░░░░░░░░░░░░░ 2.2s of 30s, 27s left (17:00:27 UTC), enforced by libvirt; measured on the source host
        """)
    #expect(
      block("Network", of: view) == """
          control  heard 2s ago, all acknowledged, 1 retransmit
          data     heard now, 512 KiB unacknowledged, 17 retransmits
        """)
  }

  @Test("an inferred keepalive says why, and how much later it may be")
  func inferredKeepalive() {
    let view = sampleView { view in
      view.progress?.dropUncertainty = .seconds(60)
      watched(.inferred(.remote), control: nil, data: nil)(&view)
    }
    #expect(
      block("Budgets", of: view) == """
          completion  ▎░░░░░░░░░░░░░░░ 2m 5s of 1h 46m, 1h 44m left (18:44:35 UTC), enforced by nobody
          progress    ▎░░░░░░░░░░░░░░░ 3s of 2m 30s, 2m 27s left (17:02:27 UTC, or up to 1m later), enforced by nobody
          keepalive   ██▋░░░░░░░░░░░░░ 5s of 30s, 25s left (17:00:25 UTC, or up to 5s later), enforced by libvirt; \
        inferred: the source is watched from another machine
        """)
    #expect(block("Network", of: view) == "")
  }

  @Test("a keepalive that counts from nothing yet, and none at all, say so")
  func noKeepalive() {
    func line(_ basis: KeepaliveBasis, hasProgress: Bool = true) -> String? {
      let view = sampleView { view in
        if !hasProgress { view.progress = nil }
        watched(basis, control: nil)(&view)
      }
      return block("Budgets", of: view).split(separator: "\n").first { $0.hasPrefix("  keepalive") }.map(
        String.init)
    }
    #expect(line(.none(.notPeerToPeer)) == "  keepalive   none: not peer-to-peer")
    #expect(
      line(.inferred(.ssh), hasProgress: false)
        == "  keepalive   nothing to count from yet (time-out 30s); inferred: the daemons talk over ssh")
    #expect(!MigrationTables(TerminalStyle()).show(sampleItem()).contains("keepalive"))
    #expect(!MigrationTables(TerminalStyle()).show(sampleItem()).contains("Network"))
  }

  @Test("one migration in blocks of facts")
  func show() {
    let view = sampleView(vm: "db-primary") { view in
      notConverging(&view)
      view.interruptions.count = 2
      view.interruptions.total = .milliseconds(6500)
      view.sample.cpuThrottle = 0.4
      view.sample.expectedDowntime = .milliseconds(1820)
      view.sample.downtimeLimit = .milliseconds(300)
      view.sample.bandwidthLimit = BytesPerSecond(100 << 20)
    }
    #expect(
      MigrationTables(TerminalStyle()).show(sampleItem(view)) == """
        rack1/db-primary
          id             0b1f-1700000000000
          backend        qemu
          from           rack1
          to             rack2
          phase          precopy, for 2m
          started        2026-11-23T16:57:55.123Z, 2m 5s ago
          guest runs on  source
          last answer    now

        Verdict
          verdict  not converging
          because  dirties 41.8 MiB/s of 42.0 MiB/s sent; 3 passes in a row began with no less than 62.0 MiB to send

        Budgets
          completion  ▎░░░░░░░░░░░░░░░ 2m 5s of 1h 46m, 1h 44m left (18:44:35 UTC), enforced by nobody
          progress    ▎░░░░░░░░░░░░░░░ 3s of 2m 30s, 2m 27s left (17:02:27 UTC), enforced by nobody

        Copy
          progress         ██████████░░░░░░ 62%
          remaining        3.0 GiB of 8.0 GiB, best 3.0 GiB
          sent             7.0 GiB
          rate             42.0 MiB/s, capped at 100 MiB/s
          dirtied          5.0 MiB/s
          passes           2
          guest throttled  40%
          downtime         expected 1.8s, limit 300ms
          interruptions    2, 6.5s in all

        """)
  }

  @Test("an ended migration shows its end, and no budgets")
  func showEnded() {
    #expect(
      MigrationTables(TerminalStyle()).show(Self.fleet[3]) == """
        rack1/lost
          id             4-1795453080123
          backend        qemu
          from           rack1
          to             rack2
          started        2026-11-23T16:57:55.123Z, 2m 5s ago
          guest runs on  source
          last answer    now

        Copy
          sent      7.0 GiB
          passes    2
          downtime  87ms

        End
          outcome  failed
          cause    connection lost (reported)
          said     reset by peer
          ended    2026-11-23T16:59:48.123Z, 12s ago
          took     1m 53s

        """)
  }

  @Test("names and texts from outside cannot steer the terminal")
  func hostile() {
    let hostile = "a\u{1B}[2J\nb\u{9B}31m\u{202E}c"
    let item = sampleItem(sampleView(vm: hostile, ended(.failed, .other, text: hostile)))
    let tables = MigrationTables(TerminalStyle(width: 100))
    let shown = "a\u{FFFD}[2J\u{FFFD}b\u{FFFD}31m\u{FFFD}c"
    for text in [tables.list([item]), tables.live([item]), tables.show(item)] {
      #expect(text.contains("rack1/\(shown)"))
      #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || isPrintable($0) })
    }
  }

  @Test("colours stand around words, not around blanks")
  func colours() {
    let text = MigrationTables(TerminalStyle(width: 120, isColoured: true)).live([
      Self.fleet[0], Self.fleet[4],
    ])
    #expect(text.contains("  \u{1B}[32mconverging\u{1B}[0m  "))
    #expect(!text.contains(" \u{1B}[0m"))
  }
}

@Suite("What a terminal can show")
struct TerminalStyleTests {
  @Test(
    "is said by the environment",
    arguments: [
      (["LANG": "en_US.UTF-8"], true, true, true), (["LANG": "C"], true, false, true),
      ([:], true, false, true),
      (["LC_ALL": "C", "LANG": "en_US.UTF-8"], true, false, true),
      (["LC_ALL": "", "LANG": "C.utf8"], true, true, true),
      (["LANG": "C.UTF-8", "NO_COLOR": "1"], true, true, false), (["NO_COLOR": ""], true, false, true),
      (["TERM": "dumb"], true, false, false), (["LANG": "C.UTF-8"], false, true, false),
    ] as [([String: String], Bool, Bool, Bool)])
  func environment(environment: [String: String], isTerminal: Bool, isUnicode: Bool, isColoured: Bool) {
    let style = TerminalStyle(isTerminal: isTerminal, width: 80, environment: environment)
    #expect(
      style == TerminalStyle(width: isTerminal ? 80 : nil, isUnicode: isUnicode, isColoured: isColoured))
  }

  @Test(
    "bars fill from the left, and only the whole fills them",
    arguments: [
      (0, "░░░░", "[....]"), (0.5, "██░░", "[##..]"), (0.54, "██▏░", "[##..]"), (0.999, "███▉", "[###.]"),
      (1, "████", "[####]"), (9, "████", "[####]"), (-1, "░░░░", "[....]"), (.nan, "░░░░", "[....]"),
    ])
  func bars(ratio: Double, unicode: String, ascii: String) {
    #expect(TerminalStyle(isUnicode: true).bar(ratio, width: 4) == unicode)
    #expect(TerminalStyle(isUnicode: false).bar(ratio, width: 4) == ascii)
  }

  @Test(
    "long names lose their middle",
    arguments: [
      ("short", 5, "short"), ("abcdefghij", 7, "abc…hij"), ("abcdefghij", 6, "abc…ij"),
      ("abcdefghij", 1, "a"),
      ("名前名前", 5, "名…前"), ("e\u{301}e\u{301}e\u{301}", 3, "e\u{301}e\u{301}e\u{301}"), ("abc", 0, ""),
    ])
  func shortening(text: String, width: Int, short: String) {
    #expect(shortened(text, to: width, ellipsis: "…") == short)
    #expect(displayWidth(short) <= width)
  }
}
