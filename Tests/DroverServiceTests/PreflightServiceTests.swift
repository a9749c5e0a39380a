import Logging
import MicroHTTP
import MigrationControl
import Testing

@testable import DroverCore
@testable import DroverService

@Suite("What the API and the table tell of a preflight")
struct PreflightServiceTests {
  private static let prod = BackendName(rawValue: "prod")

  private static func vm(
    _ name: String, _ outcome: DrainOutcome = .migrates, _ causes: [Eligibility.Obstacle] = []
  ) -> Preflight.VM {
    Preflight.VM(
      vm: VMRef(backend: prod, scope: .namespace("shop"), name: name), node: "a", outcome: outcome,
      causes: causes)
  }

  private static let unread = Eligibility.Obstacle(
    .unknown, "its pod may not be read", remedy: "grant list on pods")
  private static let device = Eligibility.Obstacle(
    .hostDevice, "device nic0 is passed through", remedy: "take it out")
  private static let shown = Eligibility.Obstacle(.cdrom, "a CD-ROM", remedy: "eject it", isEnforced: false)
  private static let room = Preflight.Node(node: "a", guests: 2, withoutRoom: [], text: "room for all 2")
  private static let full = Preflight.Node(
    node: "a", guests: 2, withoutRoom: [vm("db").vm], text: "no room for 1")
  private static let open = Preflight.Node(node: "a", guests: 2, text: "not known")

  private static func item(
    _ vms: [Preflight.VM] = [vm("db")], _ nodes: [Preflight.Node] = [room], error: ControlError.Kind? = nil
  ) -> PreflightItem {
    var answers: [(backend: BackendName, answer: Result<Preflight, ControlError>)] = [
      (prod, .success(Preflight(vms: vms, nodes: nodes, notes: ["a note"])))
    ]
    if let error {
      answers.append(
        (
          BackendName(rawValue: "rack"),
          .failure(ControlError(error, call: "read", cause: "a cause", remedy: "a remedy"))
        ))
    }
    return PreflightItem(answers, tookSeconds: 1.5)
  }

  @Test("what it comes to: unread is never fine, and what is bad is bad whatever could not be read")
  func verdicts() {
    #expect(Self.item().verdict == .ready)
    #expect(Self.item([], []).verdict == .ready)
    #expect(Self.item([Self.vm("db", .migrates, [Self.shown])]).verdict == .ready)
    #expect(Self.item([Self.vm("db", .blocks)]).verdict == .notReady)
    #expect(Self.item([Self.vm("db", .willBeShutDown)]).verdict == .notReady)
    #expect(Self.item([Self.vm("db")], [Self.full]).verdict == .notReady)
    #expect(Self.item([Self.vm("db", .migrates, [Self.unread])]).verdict == .unknown)
    #expect(Self.item([Self.vm("db")], [Self.open]).verdict == .unknown)
    #expect(Self.item(error: .timeout).verdict == .unknown)
    #expect(Self.item(error: .unsupported).verdict == .ready)
    #expect(
      Self.item([Self.vm("db", .blocks), Self.vm("x", .migrates, [Self.unread])], [Self.open]).verdict
        == .notReady)
    // A block for want of knowledge is one all the same.
    #expect(Self.item([Self.vm("db", .blocks, [Self.unread])]).vms[0].outcome == "blocks")
  }

  @Test("the answer, exactly")
  func json() throws {
    let item = Self.item(
      [Self.vm("db", .migrates, [Self.unread])], [Self.full, Self.open], error: .unsupported)
    let text = String(decoding: try APICoding.encode(item), as: UTF8.self)
    #expect(
      text
        == #"{"failures":[],"nodes":[{"backend":"prod","guests":2,"hasRoom":false,"node":"a","text":"no room for 1","#
        + #""withoutRoom":["shop/db"]},{"backend":"prod","guests":2,"node":"a","text":"not known","withoutRoom":[]}],"#
        + #""notes":["prod: a note","rack is not looked at: a cause"],"tookSeconds":1.5,"verdict":"not_ready","vms":["#
        + #"{"backend":"prod","causes":[{"isEnforced":true,"reason":"unknown","remedy":"grant list on pods","#
        + #""text":"its pod may not be read"}],"host":null,"namespace":"shop","node":"a","outcome":"unknown","vm":"db"}]}"#
    )
    #expect(try APICoding.decode(PreflightItem.self, from: Array(text.utf8)) == item)
  }

  @Test("the table: verdict, nodes, what does not simply migrate with its remedy, and the notes")
  func table() {
    let tables = PreflightTables(TerminalStyle())
    let item = Self.item(
      [Self.vm("db", .blocks, [Self.device]), Self.vm("web")], [Self.full], error: .timeout)
    #expect(
      tables.preflight(item) == """
        not ready: 1 migrates, 1 blocks its node, 1 of 1 nodes without room; looked at within 1.5s

        Nodes
        NODE  BACKEND  GUESTS  ROOM
        a     prod          2  no    no room for 1

        VMs
          shop/db on a  blocks
            - host device: device nic0 is passed through
              remedy: take it out
          and 1 that migrates (--all shows them)

        No answer
          rack: read: a cause; a remedy

        Notes
          - prod: a note

        """)
    #expect(tables.preflight(item, showsAll: true).contains("\n  shop/web on a  migrates\n"))
    #expect(tables.preflight(Self.item([], [])).hasPrefix("ready: no VM runs; "))
    #expect(tables.preflight(Self.item(error: .timeout)).hasPrefix("not known: 1 migrates; "))
  }

  // MARK: the route

  /// Answers, or does not.
  private struct Source: ControllableBackend {
    let descriptor: BackendDescriptor
    var error: ControlError.Kind?
    var names = ["db", "web"]

    init(_ name: String, _ error: ControlError.Kind? = nil, names: [String] = ["db", "web"]) {
      descriptor = BackendDescriptor(
        name: BackendName(rawValue: name), type: "kubevirt", endpoint: "", origins: [.unknown], causes: [],
        errorKinds: [])
      self.error = error
      self.names = names
    }

    func run(telling sink: @escaping @Sendable (BackendMessage) -> Void) async {}
    func live(_: MigrationTarget) async throws(ControlError) -> LiveMigration {
      LiveMigration(.gone, word: "")
    }
    func abort(_: MigrationTarget) async throws(ControlError) {}
    func plan(_: StartOrder) async throws(ControlError) -> StartPlan { StartPlan() }
    func start(_: StartOrder) async throws(ControlError) -> StartReceipt { StartReceipt() }
    func preflight(node: String?) async throws(ControlError) -> Preflight {
      if let error { throw ControlError(error, call: "read", cause: "cause", remedy: "remedy") }
      if let node, node != "a" {
        throw ControlError(.gone, call: "read", cause: "no such node", remedy: "look")
      }
      return Preflight(
        vms: names.map {
          Preflight.VM(
            vm: VMRef(backend: descriptor.name, scope: .namespace("shop"), name: $0), node: "a",
            outcome: .migrates)
        }, nodes: [PreflightServiceTests.room])
    }
  }

  private struct Mute: MigrationBackend {
    let descriptor = BackendDescriptor(
      name: BackendName(rawValue: "qemu"), type: "qemu", endpoint: "", origins: [.unknown], causes: [],
      errorKinds: [])
    func run(telling sink: @escaping @Sendable (BackendMessage) -> Void) async {}
  }

  private func ask(_ query: String, _ sources: [Source], hasMute: Bool = false) async -> (
    Int, String, PreflightItem?
  ) {
    let monitor = FleetMonitor(
      settings: MigrationTracker.Settings(), clock: Still(),
      log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let supervisor = BackendSupervisor(monitor: monitor)
    for source in sources { supervisor.start(source) }
    if hasMute { supervisor.start(Mute()) }
    let control = MigrationControl(
      fleet: monitor, journal: nil, clock: Still(),
      log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    ) { supervisor.controllable($0) }
    let route = PreflightRoute(monitor: monitor, control: control)
    switch await route.answer(Request(.get, "/api/v1/preflight\(query)")) {
    case .success(let item): return (200, "", item)
    case .failure(let refusal): return (refusal.status, refusal.detail, nil)
    }
  }

  @Test("every back end is asked; one that cannot is told, one that fails leaves it open, the others go on")
  func several() async {
    var (code, detail, item) = await ask("", [Source("prod"), Source("test")], hasMute: true)
    #expect(code == 200 && item?.vms.count == 4 && item?.verdict == .ready)
    #expect(item?.notes == ["qemu is not looked at: this back end cannot be asked to drain anything"])
    (code, detail, item) = await ask("", [Source("prod"), Source("test", .denied)])
    #expect(code == 200 && item?.verdict == .unknown && item?.failures.map(\.backend) == ["test"])
    (code, detail, item) = await ask("?backend=test", [Source("prod"), Source("test")])
    #expect(item?.vms.map(\.backend) == ["test", "test"])
    (code, detail, item) = await ask("", [], hasMute: true)
    #expect(code == 501 && detail.contains("qemu"))
    (code, detail, item) = await ask("", [])
    #expect(code == 404)
  }

  @Test("a node, a VM, and names that mean nothing or several")
  func names() async {
    var (code, detail, item) = await ask("?node=a", [Source("prod"), Source("test", .gone)])
    #expect(code == 200 && item?.vms.count == 2 && item?.verdict == .ready)
    (code, detail, item) = await ask("?node=b", [Source("prod"), Source("test")])
    #expect(code == 404 && detail.contains("no node is called b"))
    (code, detail, item) = await ask("?node=b", [], hasMute: true)
    #expect(code == 404 && detail.contains("no node is called b"))
    (code, detail, item) = await ask("?vm=shop/web", [Source("prod")])
    #expect(item?.vms.map(\.vm) == ["web"] && item?.nodes == [])
    (code, detail, item) = await ask("?vm=web", [Source("prod"), Source("test")])
    #expect(code == 409 && detail.contains("prod/shop/web, test/shop/web"))
    (code, detail, item) = await ask("?vm=test/shop/web", [Source("prod"), Source("test")])
    #expect(item?.vms.map(\.backend) == ["test"])
    (code, detail, item) = await ask("?vm=none", [Source("prod")])
    #expect(code == 404)
    (code, detail, item) = await ask("?vm=none", [Source("prod"), Source("test", .timeout)])
    #expect(code == 503 && detail.contains("test gave no answer"))
    (code, detail, item) = await ask("?backend=none", [Source("prod")])
    #expect(code == 404 && detail.contains("there are prod"))
    (code, detail, item) = await ask("?nodes=a", [Source("prod")])
    #expect(code == 400 && detail.contains("did you mean node?"))
  }

  @Test(
    "where nobody answers, the status tells why",
    arguments: [(.timeout, 504), (.unreachable, 503), (.denied, 502), (.gone, 404), (.unsupported, 501)]
      as [(ControlError.Kind, Int)])
  func errors(kind: ControlError.Kind, code: Int) async {
    #expect(await ask("", [Source("prod", kind)]).0 == code)
    #expect(await ask("", [Source("prod", kind)], hasMute: true).0 == code)
  }
}
