import Logging
import Testing

@testable import DroverCore
@testable import DroverService

@Suite("What the API, the tables and the lookup tell of eligibility")
struct EligibilityServiceTests {
  private static let vm = VMRef(backend: BackendName(rawValue: "prod"), scope: .namespace("shop"), name: "db")

  private static let answer = Eligibility(
    vm: vm, node: "a",
    obstacles: [
      Obstacle(.hostDevice, "device nic0 is passed through", remedy: "take it out"),
      Obstacle(.cdrom, "disk iso is a CD-ROM", remedy: "eject it", isEnforced: false),
    ],
    targets: [
      Eligibility.Target(node: "b", obstacles: []),
      Eligibility.Target(
        node: "node-c",
        obstacles: [Obstacle(.noTargetNode, "it is cordoned", remedy: "kubectl uncordon node-c")]),
      Eligibility.Target(
        node: "d",
        obstacles: [Obstacle(.unknown, "what is free there is not known", remedy: "grant list on pods")]),
    ], notes: ["Migrations that may begin now: 5 of 5"])
  private typealias Obstacle = Eligibility.Obstacle

  @Test("the answer, exactly")
  func json() throws {
    let item = EligibilityItem(Self.answer)
    let text = String(decoding: try APICoding.encode(item), as: UTF8.self)
    #expect(
      text
        == #"{"backend":"prod","host":null,"isMigratable":false,"namespace":"shop","node":"a","#
        + #""notes":["Migrations that may begin now: 5 of 5"],"obstacles":["#
        + #"{"isEnforced":true,"reason":"host_device","remedy":"take it out","text":"device nic0 is passed through"},"#
        + #"{"isEnforced":false,"reason":"cdrom","remedy":"eject it","text":"disk iso is a CD-ROM"}],"targets":["#
        + #"{"isPossible":true,"node":"b","obstacles":[]},"#
        + #"{"isPossible":false,"node":"node-c","obstacles":[{"isEnforced":true,"reason":"no_target_node","#
        + #""remedy":"kubectl uncordon node-c","text":"it is cordoned"}]},"#
        + #"{"isPossible":true,"node":"d","obstacles":[{"isEnforced":true,"reason":"unknown","#
        + #""remedy":"grant list on pods","text":"what is free there is not known"}]}],"vm":"db"}"#)
    #expect(try APICoding.decode(EligibilityItem.self, from: Array(text.utf8)) == item)
  }

  @Test("the table has the verdict, each obstacle with its remedy, each node, and the notes")
  func table() {
    #expect(
      EligibilityTables(TerminalStyle()).explain(EligibilityItem(Self.answer)) == """
        shop/db on a
        cannot be migrated, for 1 reason

        Obstacles
          host device
            device nic0 is passed through
            remedy: take it out
          cdrom (no obstacle)
            disk iso is a CD-ROM
            remedy: eject it

        Nodes
          b       yes
          node-c  no
            - no target node: it is cordoned
              remedy: kubectl uncordon node-c
          d       unknown
            - unknown: what is free there is not known
              remedy: grant list on pods

        Notes
          - Migrations that may begin now: 5 of 5

        """)
  }

  @Test("the verdict in its three forms; a terminal's width breaks between words; nothing moves its cursor")
  func verdicts() {
    var answer = Self.answer
    answer.obstacles.removeFirst()
    var text = EligibilityTables(TerminalStyle()).explain(EligibilityItem(answer))
    #expect(text.contains("\ncan be migrated, to 2 of 3 nodes, of which 1 not for certain\n"))
    answer.obstacles = [Obstacle(.unknown, "one two three four five\u{1B}[2J", remedy: "grant it")]
    text = EligibilityTables(TerminalStyle(width: 20)).explain(EligibilityItem(answer))
    #expect(text.contains("\nnot known to be migratable: "))
    #expect(text.contains("\n    one two three\n    four five\u{FFFD}[2J\n"))
  }

  @Test("only a node of which all could be read makes it certain that a VM can go")
  func certain() {
    func item(_ targets: [Bool]) -> EligibilityItem {
      let unknown = EligibilityItem.Obstacle(
        reason: NotMigratableReason.unknown.rawValue, text: "t", remedy: "r", isEnforced: true)
      return EligibilityItem(
        backend: "b", host: "h", vm: "v", isMigratable: true, obstacles: [],
        targets: targets.map { .init(node: "n", isPossible: true, obstacles: $0 ? [] : [unknown]) }, notes: []
      )
    }
    #expect(!item([false]).isSurelyMigratable)
    #expect(item([false, true]).isSurelyMigratable && item([]).isSurelyMigratable)
    var refused = item([true])
    refused.isMigratable = nil
    #expect(!refused.isSurelyMigratable)
  }

  @Test("a VM is named by its name, namespace/name or backend/namespace/name; what can be several is refused")
  func lookup() {
    func item(_ backend: String, _ namespace: String, _ vm: String) -> VMItem {
      VMItem(backend: backend, namespace: namespace, host: nil, vm: vm, consecutiveFailures: 0)
    }
    let items = [
      item("p", "shop", "db"), item("p", "test", "db"), item("q", "test", "db"), item("p", "shop", "web"),
    ]
    func path(_ backend: String, _ scope: String, _ name: String) -> VMPath {
      VMPath(backend: backend, scope: scope, name: name)
    }
    #expect(VMLookup("web", in: items) == .found(path("p", "shop", "web")))
    #expect(VMLookup("shop/db", in: items) == .found(path("p", "shop", "db")))
    #expect(VMLookup("test/db", in: items) == .ambiguous([path("p", "test", "db"), path("q", "test", "db")]))
    #expect(VMLookup("q/test/off", in: items) == .found(path("q", "test", "off")))
    for typed in ["none", "shop/none", "", "a/b/c/d", "//"] { #expect(VMLookup(typed, in: items) == .none) }
    guard case .ambiguous(let all) = VMLookup("db", in: items) else {
      Issue.record("not refused")
      return
    }
    #expect(all.map(\.description) == ["p/shop/db", "p/test/db", "q/test/db"])
  }

  // MARK: the route

  /// Answers, or does not.
  private struct Source: EligibilitySource {
    let descriptor = BackendDescriptor(
      name: BackendName(rawValue: "prod"), type: "kubevirt", endpoint: "", origins: [.unknown], causes: [],
      errorKinds: [])
    var error: ControlError.Kind?
    func run(telling sink: @escaping @Sendable (BackendMessage) -> Void) async {}
    func eligibility(of vm: VMRef) async throws(ControlError) -> Eligibility {
      if let error { throw ControlError(error, call: "read", cause: "cause", remedy: "remedy") }
      return Eligibility(vm: vm)
    }
  }

  private struct Mute: MigrationBackend {
    let descriptor = BackendDescriptor(
      name: BackendName(rawValue: "rack"), type: "qemu", endpoint: "", origins: [.unknown], causes: [],
      errorKinds: [])
    func run(telling sink: @escaping @Sendable (BackendMessage) -> Void) async {}
  }

  private func route(_ error: ControlError.Kind? = nil) -> EligibilityRoute {
    let monitor = FleetMonitor(
      settings: MigrationTracker.Settings(), clock: Still(),
      log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let supervisor = BackendSupervisor(monitor: monitor)
    supervisor.start(Source(error: error))
    supervisor.start(Mute())
    monitor.receive(
      .vm(
        VMObservation(key: VMKey(backend: Self.vm.backend, text: "uid"), vm: Self.vm, node: "a", blockers: [])
      ))
    return EligibilityRoute(monitor: monitor, supervisor: supervisor)
  }

  private func status(_ path: VMPath, _ error: ControlError.Kind? = nil) async -> (Int, String) {
    switch await route(error).answer(path) {
    case .success(let item): (200, item.scope)
    case .failure(let refusal): (refusal.status, refusal.detail)
    }
  }

  @Test("the route finds the back end, and says what exists where it does not")
  func found() async {
    let path = VMPath(backend: "prod", scope: "shop", name: "db")
    #expect(await status(path) == (200, "shop"))
    var other = path
    other.backend = "none"
    var (code, detail) = await status(other)
    #expect(code == 404 && detail == "no back end is called none; there are prod, rack")
    other.backend = "rack"
    (code, detail) = await status(other)
    #expect(code == 501 && detail.contains("rack (qemu) cannot tell"))
    (code, detail) = await status(path, .gone)
    #expect(code == 404 && detail == "read: cause; remedy; there are shop/db")
  }

  @Test(
    "an error of the back end is an answer of its own kind",
    arguments: [
      (.timeout, 504), (.unreachable, 503), (.denied, 502), (.unsupported, 501), (.other, 502),
    ] as [(ControlError.Kind, Int)])
  func errors(kind: ControlError.Kind, code: Int) async {
    #expect(await status(VMPath(backend: "prod", scope: "shop", name: "db"), kind).0 == code)
  }
}
