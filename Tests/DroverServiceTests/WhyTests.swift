import DroverCore
import Testing

@testable import DroverCore
@testable import DroverService

@Suite("One screen for whoever was woken")
struct WhyTests {
  private func why(_ views: [MigrationView] = [], decisions: [Decision] = []) -> Why {
    var snapshot = FleetSnapshot()
    snapshot.groups = [MigrationGroup(revision: 1, views: views)]
    return Why(snapshot: snapshot, epochOffset: sampleOffset, now: noon, decisions: decisions)
  }

  @Test("A migration: what happens, the nearest limit first with what follows, and what one can do")
  func migration() {
    let view = sampleView()
    let item = why([view]).migration(view, abort: (nil, "the guest runs on"))
    #expect(item.name == "rack1/web, 0b1f-1700000000000")
    #expect(item.now.first == "precopy for 2m, from rack1 to rack2, by whose wish is not known")
    #expect(item.now.contains { $0.hasPrefix("converging: ") })
    #expect(item.now.contains("it ends in 1m 23s if this goes on"))
    #expect(item.now.last == "the guest runs at the source, rack1")
    #expect(item.next.map(\.name) == ["progress", "completion"])
    #expect(item.next.allSatisfy { $0.then == "nothing happens by itself" })
    #expect(
      item.possible.first == .init(command: "drover abort 0b1f-1700000000000", text: "the guest runs on"))
    #expect(item.impossible.isEmpty)
  }

  @Test("The rule that governs a migration is said, what it comes to, and that automatic aborts hold")
  func governed() {
    let view = sampleView()
    var screen = why([view])
    var automatic = AutomaticSettings()
    automatic.rules = [
      PolicyRule(
        name: "night", reason: "batch",
        wishes: [
          .progressTimeout: PolicyWish(.abort), .notConverging: PolicyWish(.abort, after: .seconds(60)),
        ])
    ]
    screen.automatic = automatic
    screen.holds = [.breaker]
    #expect(
      screen.migration(view, abort: nil).now.last
        == "rule night (batch) governs it: progress timeout: observe (the switch policies allows no more), "
        + "not converging: observe after 1m (the switch policies allows no more)")
    automatic.policies = .abort
    screen.automatic = automatic
    let lines = screen.migration(view, abort: nil).now.suffix(2)
    #expect(
      lines.first == "rule night (batch) governs it: progress timeout: abort, not converging: abort after 1m")
    #expect(lines.last?.hasPrefix("AUTOMATIC ABORTS HOLD: there were as many") == true)
    #expect(lines.last?.contains("drover decisions --reset-hold") == true)
  }

  @Test("What must not be done is said with its reason, and what cannot be asked is not said at all")
  func refused() {
    let view = sampleView { $0.phase = .postcopy }
    let item = why([view]).migration(view, abort: (Refusal(.postcopy, "the guest would be lost"), ""))
    #expect(item.impossible.map(\.text) == ["the guest would be lost"])
    #expect(!item.possible.contains { $0.command.hasPrefix("drover abort") })
    #expect(item.now.contains { $0.contains("if the connection breaks") })
    #expect(
      !why([view]).migration(view, abort: nil).possible.contains { $0.command.hasPrefix("drover abort") })
  }

  @Test(
    "Who acts at a deadline is named as it is",
    arguments: [
      (Enforcer.kubevirt, DeadlineAction.abort, "KubeVirt ends it, and the guest stays at the source"),
      (.kubevirt, .postcopy, "KubeVirt switches to post-copy"),
      (.kubevirt, .pause, "KubeVirt pauses the guest until the rest is sent"),
      (.drover, .abort, "Drover ends it, and the guest stays at the source"),
      (.none, .abort, "nothing happens by itself"),
    ])
  func consequences(enforcer: Enforcer, action: DeadlineAction, words: String) throws {
    let view = sampleView {
      $0.completion = CompletionBudget(
        timeout: .seconds(1350), setBy: .config, enforcedBy: enforcer, action: action)
      $0.progressDeadline = nil
    }
    #expect(why([view]).migration(view, abort: nil).next.map(\.then) == [words])
  }

  private static func outlook(
    _ trigger: Trigger, _ action: PolicyAction = .abort,
    _ change: (inout AutomaticOutlook) -> Void = { _ in }
  ) -> AutomaticOutlook {
    var outlook = AutomaticOutlook(
      trigger: trigger, rule: "databases", action: action, patience: .zero, at: noon + .seconds(12),
      holds: true)
    change(&outlook)
    return outlook
  }

  private func next(_ outlook: AutomaticOutlook, holds: Set<HoldReason> = []) -> [WhyItem.Limit] {
    let view = sampleView {
      $0.completion = CompletionBudget(
        timeout: .seconds(1350), setBy: .config, enforcedBy: .drover, action: .abort)
    }
    var screen = why([view])
    screen.holds = holds
    screen.outlook = { _ in [outlook] }
    return screen.migration(view, abort: nil).next
  }

  @Test("A rule that is counting is told with its own moment, the nearest of all")
  func counting() throws {
    let first = try #require(next(Self.outlook(.notConverging)).first)
    #expect(first.name == "rule databases" && first.inSeconds == 12)
    #expect(first.then == "ends it if it still does not converge")
    // One that does not hold now counts nothing.
    #expect(
      next(Self.outlook(.notConverging) { $0.holds = false }).map(\.name) == ["progress", "completion"])
  }

  @Test("What is held is told with what holds it and until when, and never as what Drover does")
  func held() throws {
    let perVM = Refusal(.perVM, "a migration of this VM was ended 60 s ago: not again within 1800 s")
    func completion(_ limits: [WhyItem.Limit]) -> String? { limits.first { $0.name == "completion" }?.then }
    let held = next(
      Self.outlook(.completionTimeout) {
        $0.obstacle = perVM
        $0.obstacleEnds = noon + .seconds(600)
      })
    #expect(completion(held) == "held: until 17:10:00 UTC: \(perVM.text)")
    let hold = Refusal(.hold, "there were 3")
    let breaker = next(
      Self.outlook(.completionTimeout) {
        $0.obstacle = hold
        $0.obstacleEnds = noon + .seconds(600)
      })
    #expect(completion(breaker) == "held: until 17:10:00 UTC at the earliest: there were 3")
    let claimed = next(Self.outlook(.completionTimeout) { $0.obstacle = Refusal(.claimed, "never twice") })
    #expect(completion(claimed) == "held: never twice")
    #expect(
      completion(next(Self.outlook(.completionTimeout), holds: [.journal]))
        == "held: nothing can be recorded now")
    #expect(
      completion(next(Self.outlook(.completionTimeout)))
        == "Drover ends it, and the guest stays at the source")
    var item = why().vm(VMView(vm: sampleView().identity.vm), start: nil)
    item.next = held
    let style = TerminalStyle(isTerminal: false, width: nil, environment: [:])
    #expect(WhyTables(style).show(item).contains("UTC), held: until 17:10:00 UTC"))
  }

  @Test("In the shadow, and where a rule only notes, it is said that nothing is done")
  func shadow() {
    func then(_ outlook: AutomaticOutlook) -> String? {
      next(outlook).first { $0.name == "completion" || $0.name == "rule databases" }?.then
    }
    #expect(
      then(Self.outlook(.completionTimeout, .shadow))
        == "rule databases would end it, but is in the shadow: nothing is sent")
    #expect(
      then(Self.outlook(.notConverging, .shadow))
        == "would end it if it still does not converge, but is in the shadow: nothing is sent")
    #expect(
      then(Self.outlook(.completionTimeout, .shadow) { $0.isShown = true })?.hasPrefix("nothing is sent")
        == true)
    #expect(
      then(Self.outlook(.completionTimeout, .observe))?.hasSuffix("rule databases only notes it") == true)
    #expect(
      then(Self.outlook(.notConverging, .shadow) { $0.obstacle = Refusal(.hold, "there were 3") })
        == "held (in the shadow): there were 3")
  }

  @Test("Of a node it is told which VM each limit is about")
  func nodeLimits() {
    let view = NodeView(
      backend: BackendName(rawValue: "qemu"), node: "rack1", vms: 1, outbound: 1, inbound: 0,
      failedOutbound: 0)
    let item = why([sampleView()]).node(view)
    #expect(item.next.map(\.vm) == ["web", "web"])
    #expect(item.now.first?.hasPrefix("1 VM on it") == true)
    let style = TerminalStyle(isTerminal: false, width: nil, environment: [:])
    #expect(WhyTables(style).show(item).contains("\n  web progress: "))
  }

  @Test("A record that was written anew is as late as what it says")
  func sorted() {
    let view = sampleView()
    func made(_ id: Int64, _ ago: Int64, _ text: String) -> Decision {
      var decision = Decision(
        madeAt: sampleOffset.unixMilliseconds(noon) - ago * 1000, action: .abort, trigger: .progressTimeout,
        kind: .held, migration: view.identity.id, requester: "r", text: text)
      decision.id = DecisionID(rawValue: id)
      return decision
    }
    let item = why([view], decisions: [made(3, 60, "c"), made(2, 5, "b"), made(1, 90, "a")])
      .migration(view, abort: nil)
    #expect(item.decided.map { String($0.suffix(1)) } == ["b", "c", "a"])
  }

  @Test("A guest that runs twice or nowhere is shouted about")
  func lost() {
    let twice = sampleView { $0.guest = .both }
    #expect(why([twice]).migration(twice, abort: nil).now.last?.hasPrefix("THE GUEST RUNS TWICE") == true)
    let nowhere = sampleView { $0.guest = .none }
    #expect(why([nowhere]).migration(nowhere, abort: nil).now.last == "THE GUEST RUNS NOWHERE")
  }

  @Test("Decisions about it are told, newest first, with what became of them")
  func decisions() throws {
    let view = sampleView()
    var decision = Decision(
      madeAt: sampleOffset.unixMilliseconds(noon) - 90_000, action: .abort, trigger: .person, kind: .refused,
      migration: view.identity.id, vm: view.identity.vm, requester: "uid 0", refusal: .postcopy, text: "no")
    decision.result = .error
    var other = decision
    other.migration = MigrationID("other-1")
    other.vm = nil
    let item = why([view], decisions: [other, decision]).migration(view, abort: nil)
    #expect(item.decided == ["1m 30s ago: abort refused by uid 0: no; error"])
    decision.node = "rack1"
    let node = NodeView(
      backend: BackendName(rawValue: "qemu"), node: "rack1", vms: 1, outbound: 0, inbound: 0,
      failedOutbound: 0)
    let atNode = why([view], decisions: [decision]).node(node)
    #expect(atNode.decided == ["1m 30s ago: abort of web refused by uid 0: no; error"])
  }

  @Test("Decisions about its VM are told if no other migration is meant, from its beginning on")
  func decisionsAboutVM() {
    let view = sampleView()
    let began = sampleOffset.unixMilliseconds(view.startedAt)
    func made(_ at: Int64, _ migration: MigrationID?, _ text: String) -> Decision {
      Decision(
        madeAt: at, action: .migrate, trigger: .person, kind: .refused, migration: migration,
        vm: view.identity.vm, requester: "r", text: text)
    }
    let item = why(
      [view],
      decisions: [
        made(began, nil, "b"), made(began - 1, nil, "before"), made(began, MigrationID("other-1"), "other"),
        made(began - 1, view.identity.id, "a"),
      ]
    ).migration(view, abort: nil)
    #expect(item.decided.map { String($0.suffix(1)) } == ["b", "a"])
  }

  @Test("A VM: where it is, what speaks against it, and whether it could go")
  func vm() {
    let view = sampleView()
    let vm = VMView(
      vm: view.identity.vm, node: "rack1", blockers: [.hostDevice], consecutiveFailures: 3,
      drainOutcome: .blocks)
    let refused = why([view]).vm(vm, start: ([Refusal(.migrating, "it migrates")], []))
    #expect(refused.name == "qemu/rack1/web")
    #expect(refused.now.contains { $0.contains("drover why 0b1f-1700000000000") })
    #expect(refused.now.contains("cannot be migrated: host device"))
    #expect(refused.now.contains("3 of its migrations failed in a row"))
    #expect(refused.impossible.map(\.text) == ["it migrates"])
    #expect(refused.next.map(\.name) == ["progress", "completion"])
    let over = sampleView {
      $0.ending = Ending(
        outcome: .failed, cause: .keepalive, certainty: .reported, endedAt: noon - .seconds(60))
      $0.phase = .failed
    }
    #expect(
      why([over]).vm(vm, start: nil).now.contains(
        "no migration of it is under way; its last failed 1m ago (keepalive)"))
    #expect(why().vm(vm, start: nil).now.contains("no migration of it is under way"))
    let free = why().vm(vm, start: ([], ["a CD-ROM"]))
    #expect(
      free.possible.first == .init(command: "drover migrate qemu/rack1/web", text: "migrates it; a CD-ROM"))
    #expect(!why().vm(vm, start: nil).possible.contains { $0.command.hasPrefix("drover migrate") })
  }

  @Test("What QEMU alone cannot tell is not offered")
  func qemuVM() {
    let vm = VMView(vm: sampleView().identity.vm)
    func offers(_ type: String) -> Bool {
      var screen = why()
      screen = Why(
        snapshot: {
          var snapshot = FleetSnapshot()
          snapshot.backends = [
            BackendView(
              BackendDescriptor(
                name: vm.vm.backend, type: type, endpoint: "", node: nil, origins: [], causes: [],
                errorKinds: [], budget: BudgetSettings()))
          ]
          return snapshot
        }(), epochOffset: screen.epochOffset, now: screen.now)
      return screen.vm(vm, start: nil).possible.contains { $0.command.hasPrefix("drover explain") }
    }
    #expect(!offers("qemu") && offers("libvirt"))
  }

  @Test("A node: who is on it, how far its drain is, and what speaks against a reboot")
  func node() {
    let backend = BackendName(rawValue: "qemu")
    var drain = NodeDrain(blockers: [.vm, .lastReplica])
    drain.isDraining = true
    drain.startedAt = noon - .seconds(60)
    drain.vms = [.pending: 2, .migrating: 1, .done: 0]
    let state = NodeObservation(
      backend: backend, node: "rack1", takenAt: noon, isReady: false, heartbeat: noon - .seconds(30),
      drain: drain)
    let view = NodeView(
      backend: backend, node: "rack1", vms: 3, outbound: 1, inbound: 0, pending: 2, failedOutbound: 0,
      state: state)
    let item = why([sampleView()]).node(view)
    #expect(item.now.contains("NOT READY"))
    #expect(item.now.contains("being drained since 1m: 2 pending, 1 migrating"))
    #expect(
      item.now.contains(
        "a reboot now is wrong: VMs are on it, it may hold the last healthy replica of a volume"))
    #expect(item.possible.map(\.command) == ["drover why 0b1f-1700000000000"])
  }

  @Test("A host that Drover empties: for whom, how far, what is in the way, and how it ended")
  func drained() throws {
    let backend = BackendName(rawValue: "hv")
    var record = DrainRecord(
      id: DecisionID(rawValue: 7), node: NodeRef(backend: backend, node: "hv-1"), requester: "uid 0",
      startedAt: 0)
    var vm = DrainVM(vm: VMRef(backend: backend, scope: .host("hv-1"), name: "disk"), domain: "d")
    vm.state = .blocked
    vm.text = "its disk is here only"
    record.vms = [vm]
    var view = NodeView(
      backend: backend, node: "hv-1", vms: 1, outbound: 0, inbound: 0, failedOutbound: 0)
    view.ownDrain = DrainStatus(record, startedAt: noon - .seconds(60), hold: "the switch is disabled")
    let item = why().node(view)
    #expect(item.now.contains("being drained by Drover since 1m, for uid 0: 1 blocked"), "\(item.now)")
    #expect(item.now.contains("nothing is begun: the switch is disabled"))
    #expect(item.now.contains("disk blocked: its disk is here only"))
    #expect(item.now.contains("a reboot now is wrong: VMs are on it"))
    record.state = .incomplete
    record.text = "1 left: 1 blocked"
    view.ownDrain = DrainStatus(
      record, startedAt: noon - .seconds(60), endedAt: noon - .seconds(30))
    let ended = why().node(view)
    #expect(
      ended.now.contains("Drover's drain of it, begun 1m ago, was incomplete 30s ago: 1 blocked"),
      "\(ended.now)")
    let shown = try #require(NodeItem(view, epochOffset: sampleOffset).drain)
    #expect(!shown.isDraining && shown.rebootBlockers == ["vm"] && shown.vms?["blocked"] == 1)
  }

  @Test("Everything stands on one screen, in sections that are left out where they are empty")
  func table() {
    let view = sampleView()
    let style = TerminalStyle(isTerminal: false, width: nil, environment: [:])
    let text = WhyTables(style).show(why([view]).migration(view, abort: (nil, "the guest runs on")))
    #expect(text.contains("\nNext\n  progress: 2m 27s left (17:02:27 UTC), then nothing happens by itself\n"))
    #expect(text.contains("\nYou can\n  drover abort 0b1f-1700000000000: the guest runs on\n"))
    #expect(!text.contains("You cannot") && !text.contains("Decided"))
  }
}

@Suite("Which VM somebody meant")
struct VMLookupTests {
  private func view(_ backend: String, _ scope: Scope, _ name: String) -> VMView {
    VMView(vm: VMRef(backend: BackendName(rawValue: backend), scope: scope, name: name))
  }

  @Test("A name that stands for one VM is enough; for several it takes more")
  func names() {
    let vms = [
      view("prod", .namespace("shop"), "web"), view("prod", .namespace("bank"), "web"),
      view("lab", .namespace("shop"), "web"), view("prod", .namespace("shop"), "db"),
    ]
    func found(_ typed: String) -> String {
      switch VMLookup(typed, in: vms) {
      case .found(let path): path.description
      case .none: "none"
      case .ambiguous(let names): names.map(\.description).sorted().joined(separator: " ")
      }
    }
    #expect(found("db") == "prod/shop/db")
    #expect(found("bank/web") == "prod/bank/web")
    #expect(found("shop/web") == "lab/shop/web prod/shop/web")
    #expect(found("lab/shop/web") == "lab/shop/web")
    #expect(found("mail") == "none")
  }
}
