import Exposition
import Testing

@testable import DroverCore
@testable import DroverService

@Suite("What people are shown of a cluster")
struct ClusterShownTests {
  private static func view(
    id: String = "7b0e", vm: String = "web", _ changes: ((inout MigrationView) -> Void)...
  ) -> MigrationView {
    sampleView(id: id, scope: .namespace("shop"), vm: vm) { view in for change in changes { change(&view) } }
  }

  private static let queued: @Sendable (inout MigrationView) -> Void = waiting(
    .queueNode, position: 3, text: "2 of 2 slots of rack1 are taken")
  private static let unschedulable: @Sendable (inout MigrationView) -> Void = waiting(
    .unschedulable, text: "0/3 nodes are available")

  private static let fleet = [
    view(clustered), view(id: "9c41", vm: "db", queued), view(id: "a07d", vm: "gpu", unschedulable),
  ].map { sampleItem($0) }

  private func page(_ views: [MigrationView]) -> String {
    String(
      decoding: StatusPage.render(
        snapshot: sampleSnapshot(views), epochOffset: sampleOffset, now: noon,
        build: BuildInfo(version: "0.1.0")), as: UTF8.self)
  }

  @Test("a list says why and where in the queue what waits stands")
  func list() {
    #expect(
      MigrationTables(TerminalStyle()).list(Self.fleet) == """
        VM        PHASE    VERDICT        PROGRESS  REMAINING        RATE  DEADLINE              AGE    ID
        shop/web  precopy  converging          62%    3.0 GiB  42.0 MiB/s  progress 2m 27s left  2m 5s  7b0e
        shop/db   pending  queue node            -          -           -  place 3 in the queue  3m     9c41
        shop/gpu  pending  unschedulable         -          -           -  -                     3m     a07d

        """)
  }

  @Test("a live table does, too, and what waits is not running")
  func live() {
    #expect(
      MigrationTables(TerminalStyle(width: 120)).live(Self.fleet) == """
        1 running · 2 waiting · 0 ended · 17:00:00 UTC
        VM        STATE       PROGRESS               DEADLINE              REMAINING        RATE    DIRTIED
        shop/db   pending                            place 3 in the queue
        shop/gpu  pending
          waits for a node that it fits on: 0/3 nodes are available
        shop/web  converging  ██████████░░░░░░  62%  progress 2m 27s left    3.0 GiB  42.0 MiB/s  5.0 MiB/s

        """)
  }

  @Test("all of one that runs: the page's figure beside the one in force, who enforces it and how")
  func show() {
    #expect(
      MigrationTables(TerminalStyle()).show(Self.fleet[0]) == """
        shop/web
          id              7b0e
          object          web-x7k2p
          backend         qemu
          from            rack1
          to              rack2
          asked for by    evacuation
          network         harvester-system/vm-migration
          policy          slow-ones
          product status  Migrating
          phase           precopy, for 2m
          created         2026-11-23T16:57:00.123Z, 3m ago
          started         2026-11-23T16:57:55.123Z, 2m 5s ago
          guest runs on   source
          last counters   now

        Verdict
          verdict       converging
          because       3.0 GiB remaining; dirties 5.0 MiB/s of 42.0 MiB/s sent
          expected end  2026-11-23T17:01:23.123Z, in 1m 23s

        Budgets
          completion  █▍░░░░░░░░░░░░░░ 2m 5s of 22m 30s, 20m 25s left (17:20:25 UTC, or up to 2m 30s later), \
        enforced by KubeVirt, which aborts it
          documented  6400 s, in force 1350 s, set by KubeVirt's default
          progress    ▎░░░░░░░░░░░░░░░ 3s of 2m 30s, 2m 27s left (17:02:27 UTC), enforced by KubeVirt

        Copy
          progress   ██████████░░░░░░ 62%
          remaining  3.0 GiB of 8.0 GiB, best 3.0 GiB
          sent       7.0 GiB
          rate       42.0 MiB/s
          dirtied    5.0 MiB/s

        """)
  }

  @Test("all of one that waits")
  func showPending() {
    let text = MigrationTables(TerminalStyle()).show(Self.fleet[1])
    #expect(
      text.contains(
        "  pending         waits for a slot of its node, place 3 in the queue: 2 of 2 slots of rack1 are taken\n"
      ))
    #expect(text.contains("  product status  Pending migration\n"))
    #expect(text.contains("  to, as asked    rack2\n"))
    for absent in ["started", "last counters", "documented"] { #expect(!text.contains("  \(absent)  ")) }
  }

  @Test(
    "what happens at the deadline is said, and by whom",
    arguments: [
      (DeadlineAction.abort, ", which aborts it"), (.postcopy, ", which goes over to post-copy"),
      (.pause, ", which pauses the guest"), (.none, ""),
    ])
  func actions(action: DeadlineAction, words: String) {
    let view = Self.view(clustered, { $0.completion?.action = action })
    #expect(
      sampleItem(view).completion.map(MigrationItem.enforcement) == "enforced by KubeVirt\(words)")
  }

  @Test("who set the time-out in force is said", arguments: TimeoutOrigin.allCases.filter { $0 != .config })
  func setBy(origin: TimeoutOrigin) throws {
    let view = Self.view(clustered, { $0.completion?.setBy = origin })
    let words = try #require(sampleItem(view).completion.flatMap(Words.documented))
    #expect(words.hasPrefix("6400 s, in force 1350 s, set by ") && !words.hasSuffix(origin.rawValue))
  }

  @Test("each reason to wait has its words", arguments: PendingReason.allCases)
  func reasons(reason: PendingReason) {
    let pending = MigrationItem.Pending(reason: reason.rawValue, position: nil, text: nil)
    #expect(Words.wait(pending).hasPrefix("waits for ") && !Words.wait(pending).contains("_"))
    let newer = MigrationItem.Pending(reason: "full_moon", position: 2, text: "said")
    #expect(Words.wait(newer) == "waits for full moon, place 2 in the queue: said")
  }

  @Test("a network that is reported lost is told in other words than a silent connection")
  func reported() {
    func words(_ network: LostNetwork, deadline: Moment?) -> String {
      var report = NetworkReport(settings: KeepaliveSettings(), keepalive: .inferred(.remote))
      report.reported = [NetworkLoss(network: network, silence: .seconds(42), limit: .seconds(40))]
      let losses = report.losses(at: noon, settings: VerdictSettings())
      return Words.evidence(.networkSilent(losses, keepaliveDeadline: deadline), now: noon)
    }
    #expect(words(.management, deadline: nil) == "management network: a node has not been heard for 42s")
    #expect(
      words(.migration, deadline: nil) == "migration network: no bytes for 42s, and both ends are well")
    #expect(words(.unknown, deadline: nil) == "nothing heard for 42s")
    // A node that is not reached says nothing of the control connection.
    #expect(
      words(.management, deadline: noon + .seconds(18))
        == "management network: a node has not been heard for 42s; if the control connection is silent, too, "
        + "libvirt ends the migration in 18s, and the guest stays at the source")
  }

  @Test("counters that come in seldom are old when they are older than they should be")
  func oldCounters() {
    func item(_ age: Int) -> MigrationItem {
      sampleItem(
        Self.view(
          clustered,
          { view in
            view.sampledAt = noon - .seconds(age)
            view.sampleAgeLimit = .seconds(45)
          }))
    }
    #expect(!item(44).isOld && item(44).urgency == .calm)
    #expect(item(45).isOld && item(45).urgency == .unheard && item(45).state == "no counters")
    #expect(item(45).remark == "no new counters for 45s")
  }

  @Test("a keepalive that is inferred from them does not press while they say that bytes flow")
  func seldomSampled() {
    func urgency(sampled: Double, sent: Double) -> Urgency {
      let view = Self.view(
        clustered,
        { view in
          view.sampledAt = noon - .seconds(Int(sampled))
          view.sampleAgeLimit = .seconds(45)
          view.progress = ProgressClocks(
            lastSent: noon - .seconds(Int(sent)), lastDrop: noon, lastBest: noon,
            sentUncertainty: .seconds(5))
          let report = NetworkReport(settings: KeepaliveSettings(), keepalive: .inferred(.remote))
          view.network = report
          view.keepalive = KeepaliveBudget(
            report, lastSent: view.progress?.lastSent, sentUncertainty: .seconds(5))
        })
      #expect(Urgency(view, now: noon) == sampleItem(view).urgency)
      return sampleItem(view).urgency
    }
    #expect(urgency(sampled: 30, sent: 30) == .calm)
    #expect(urgency(sampled: 4, sent: 9) == .calm)
    #expect(urgency(sampled: 4, sent: 14) == .keepaliveShort)
  }

  @Test("a management network that is reported lost makes no inferred keepalive the nearest deadline")
  func inferredDeadline() {
    let view = Self.view(
      clustered,
      { view in
        var report = NetworkReport(settings: KeepaliveSettings(), keepalive: .inferred(.remote))
        report.reported = [NetworkLoss(network: .management, silence: .seconds(42), limit: .seconds(40))]
        view.network = report
        view.keepalive = KeepaliveBudget(report, lastSent: view.progress?.lastSent)
        view.networkLosses = report.losses(at: noon, settings: VerdictSettings())
      })
    #expect(sampleItem(view).nearestDeadline?.name == "progress")
    #expect(sampleItem(view).urgency == .networkLost)
  }

  @Test("the page shows a card of one that runs, with the documented figure")
  func runningCard() {
    let text = page([Self.view(clustered)])
    for fragment in [
      "<b>precopy</b> for 2m · rack1 → rack2 · <span class=\"dim\">data 0s old</span></p>",
      "of 22m 30s; deadline 17:20:25 UTC, or up to 2m 30s later: 20m 25s left, enforced by KubeVirt, which aborts it; "
        + "documented 6400 s, in force 1350 s, set by KubeVirt&#39;s default</span>",
      "<span>asked for by <b>evacuation</b></span>", "<span>object <b>web-x7k2p</b></span>",
      "<span>network <b>harvester-system/vm-migration</b></span>", "<span>policy <b>slow-ones</b></span>",
      "<span>product status <b>Migrating</b></span>",
    ] {
      #expect(text.contains(fragment), "\(fragment)")
    }
  }

  @Test("and one of one that waits, which is not running")
  func waitingCard() {
    let text = page([Self.view(Self.queued), Self.view(id: "2", clustered)])
    for fragment in [
      "<span class=\"tag \">pending</span>", "<b>pending</b> for 2m · rack1 → rack2 (asked for)</p>",
      "<p class=\"why\">waits for a slot of its node, place 3 in the queue: 2 of 2 slots of rack1 are taken</p>",
      "<b>1</b> running · <b>1</b> waiting · <b>0</b> ended lately", "<title>1 running - Drover</title>",
    ] {
      #expect(text.contains(fragment), "\(fragment)")
    }
  }
}
