import DroverCore
import Testing

@testable import LibvirtBackend

private let vm = VMRef(backend: lab, scope: .host("a"), name: "vm1")

private func domain(_ xml: String = "<domain type='qemu'>\n  <memory unit='KiB'>65536</memory>\n</domain>")
  -> MoveSurvey.Domain
{
  MoveSurvey.Domain(
    name: named(), host: "a", hostUUID: "uuid-a", state: .running, job: .success(.idle), isPersistent: true,
    snapshots: 0, xml: DomainXML(xml))
}

private func target(_ name: String = "b", _ change: (inout MoveSurvey.Facts) -> Void = { _ in })
  -> MoveSurvey.Target
{
  var facts = MoveSurvey.Facts(
    host: "host-\(name)", hostUUID: "uuid-\(name)", fitsCPU: true, memory: .gibibytes(1))
  change(&facts)
  return MoveSurvey.Target(
    peer: LibvirtPeer(name: name, uri: "qemu+tls://\(name).example/system"), facts: .success(facts))
}

private let silent = MoveSurvey.Target(
  peer: LibvirtPeer(name: "c", uri: "qemu+tls://c.example/system"),
  facts: .failure(ControlError(.unreachable, call: "virConnectOpen", cause: "No route to host", remedy: "")))

@Suite struct MoveSurveyTests {
  @Test("where nothing speaks against it, what would be sent is shown")
  func fine() {
    let survey = MoveSurvey(domain: domain(), targets: [target()])
    let (plan, request) = survey.plan(StartOrder(vm: vm))
    #expect(plan.refusals.isEmpty && plan.warnings.isEmpty && plan.source == "a")
    #expect(
      plan.request
        == "virsh migrate --live --p2p --persistent --undefinesource vm1 qemu+tls://b.example/system")
    #expect(request?.words == plan.request)
    let eligibility = survey.eligibility(of: vm)
    #expect(eligibility.isMigratable == true && eligibility.node == "a")
    #expect(eligibility.targets == [Eligibility.Target(node: "b", obstacles: [])])
  }

  @Test("what the domain does now refuses it")
  func now() {
    func reasons(_ change: (inout MoveSurvey.Domain) -> Void) -> [RefusalReason] {
      var moved = domain()
      change(&moved)
      let (plan, request) = MoveSurvey(domain: moved, targets: [target()]).plan(StartOrder(vm: vm))
      #expect((request == nil) == !plan.refusals.isEmpty)
      return plan.refusals.map(\.reason)
    }
    #expect(reasons { _ in }.isEmpty)
    #expect(
      reasons {
        $0.state = .shutOff(.destroyed)
        $0.job = nil
      } == [.notRunning])
    #expect(reasons { $0.job = .success(.copying(100)) } == [.migrating])
    #expect(reasons { $0.job = .success(.preparing(100)) } == [.migrating])
    #expect(reasons { $0.job = .failure(.onlyAtSource) } == [.migrating])
    #expect(reasons { $0.state = .pausedPostcopyFailed } == [.migrating])
    #expect(reasons { $0.state = .runningPostcopy } == [.migrating])
    #expect(reasons { $0.job = .success(.saving(100)) } == [.system])
    #expect(reasons { $0.snapshots = 2 } == [.notMigratable])
  }

  @Test("what is fastened to its host refuses it, each with its remedy")
  func fastened() {
    var fastened = domain(describedDomain)
    fastened.shared = ["/images/a & b.disk": false, "/iso/x.iso": false]
    let survey = MoveSurvey(domain: fastened, targets: [target()])
    let eligibility = survey.eligibility(of: vm)
    #expect(
      eligibility.obstacles.map(\.reason) == [
        .hostDevice, .hostDevice, .hostDevice, .hostDevice, .accessMode, .other, .confidential,
      ])
    #expect(eligibility.obstacles.map(\.isEnforced) == [true, true, false, true, true, true, true])
    #expect(eligibility.obstacles.allSatisfy { !$0.remedy.isEmpty })
    #expect(eligibility.isMigratable == false)
    #expect(eligibility.notes == ["the cdrom hda must be at the target too: /iso/x.iso"])
    let plan = survey.plan(StartOrder(vm: vm)).plan
    #expect(plan.refusals.map(\.reason) == Array(repeating: .notMigratable, count: 6))
    #expect(plan.warnings.count == 2 && plan.request.contains("virsh migrate"))
    #expect(survey.plan(StartOrder(vm: vm)).request == nil)
  }

  @Test("a disk that is shared is no obstacle, and one that cannot be seen is a note")
  func storage() {
    let disk =
      "<domain type='kvm'>\n<devices>\n<disk type='%' device='disk'>\n<source file='/d'/>\n"
      + "<target dev='vda'/>\n</disk>\n</devices>\n</domain>"
    func told(_ type: String, _ shared: Bool?) -> (obstacles: Int, notes: Int) {
      var moved = domain(disk.replacing("%", with: type))
      moved.shared["/d"] = shared
      return (moved.obstacles.count, moved.notes.count)
    }
    #expect(told("file", false) == (1, 0))
    #expect(told("file", true) == (0, 0))
    #expect(told("file", nil) == (0, 1))
    #expect(told("block", nil) == (0, 1))
    #expect(told("network", nil) == (0, 0))
  }

  @Test("what a host lacks speaks against that host, and no other")
  func targets() {
    func reasons(_ change: (inout MoveSurvey.Facts) -> Void) -> [NotMigratableReason] {
      let survey = MoveSurvey(domain: domain(), targets: [target("b", change), target("d")])
      let found = survey.eligibility(of: vm)
      #expect(found.isMigratable == true && found.targets[1].obstacles.isEmpty)
      // Another that can take it is taken.
      #expect(
        survey.plan(StartOrder(vm: vm)).request?.peer.name == (found.targets[0].obstacles.isEmpty ? "b" : "d")
      )
      let plan = survey.plan(StartOrder(vm: vm, node: "b")).plan
      #expect(plan.refusals.count == found.targets[0].obstacles.count)
      return found.targets[0].obstacles.map(\.reason)
    }
    #expect(reasons { _ in }.isEmpty)
    #expect(reasons { $0.fitsCPU = false } == [.cpuModel])
    #expect(reasons { $0.fitsCPU = nil }.isEmpty)
    #expect(reasons { $0.memory = .mebibytes(63) } == [.noResources])
    #expect(reasons { $0.memory = .mebibytes(64) }.isEmpty)
    #expect(reasons { $0.memory = nil }.isEmpty)
    #expect(reasons { $0.missing = ["lan", "dmz"] } == [.networkInterface, .networkInterface])
    #expect(reasons { $0.conflict = "another domain is called so" } == [.other])
    #expect(reasons { $0.hostUUID = "uuid-a" } == [.noTargetNode])
    #expect(
      reasons {
        $0.hostUUID = nil
        $0.host = "a"
      } == [.noTargetNode])
  }

  @Test("a host that cannot be asked is unknown: taken where no other is, with a warning")
  func unknown() {
    let survey = MoveSurvey(domain: domain(), targets: [silent, target()])
    #expect(survey.eligibility(of: vm).targets[0].obstacles.map(\.reason) == [.unknown])
    #expect(survey.plan(StartOrder(vm: vm)).request?.peer.name == "b")
    let alone = MoveSurvey(domain: domain(), targets: [silent])
    #expect(alone.eligibility(of: vm).isMigratable == true)
    let (plan, request) = alone.plan(StartOrder(vm: vm))
    #expect(request?.peer.name == "c" && plan.warnings == ["c cannot be asked: No route to host"])
  }

  @Test("whether a CPU fits is unknown where one is described and the host does not tell")
  func unknownCPU() {
    let custom = domain(
      "<domain type='kvm'>\n<cpu mode='custom'>\n<model>qemu64</model>\n</cpu>\n</domain>")
    func reasons(_ fits: Bool?) -> [NotMigratableReason] {
      MoveSurvey(domain: custom, targets: [target { $0.fitsCPU = fits }]).eligibility(of: vm).targets[0]
        .obstacles.map(\.reason)
    }
    #expect(reasons(true).isEmpty && reasons(false) == [.cpuModel] && reasons(nil) == [.unknown])
  }

  @Test("of a start that failed it is told apart whether it may have begun all the same")
  func startErrors() {
    let broken = ControlError(start: .lost, isLost: true)
    #expect(broken.kind == .unreachable && broken.cause.hasSuffix("it may begin all the same"))
    let target = ControlError(start: .lost, isLost: false)
    #expect(target.kind == .unreachable && target.remedy.contains("can reach the target"))
    #expect(!target.cause.contains("may begin"))
    #expect(ControlError(start: .noConnection, isLost: false).remedy.contains("Drover may reach its socket"))
  }

  @Test(
    "a node is a peer's name, its URI's host, or what the host calls itself",
    arguments: ["b", "b.example", "host-b"])
  func names(node: String) {
    let survey = MoveSurvey(domain: domain(), targets: [target("d"), target()])
    #expect(survey.plan(StartOrder(vm: vm, node: node)).request?.peer.name == "b")
  }

  @Test("a node that is none, its own, or one where no host is named, is refused")
  func nowhere() {
    func reasons(_ node: String?, _ targets: [MoveSurvey.Target]) -> [RefusalReason] {
      let (plan, request) = MoveSurvey(domain: domain(), targets: targets).plan(
        StartOrder(vm: vm, node: node))
      #expect(request == nil)
      return plan.refusals.map(\.reason)
    }
    #expect(reasons("x", [target()]) == [.unknown])
    #expect(reasons("a", [target()]) == [.sameNode])
    #expect(reasons("me", [target("me") { $0.hostUUID = "uuid-a" }]) == [.sameNode])
    #expect(reasons(nil, []) == [.noTarget] && reasons("b", []) == [.noTarget])
    #expect(reasons(nil, [target("b") { $0.fitsCPU = false }]) == [.noTarget])
    #expect(reasons("b", [target("b") { $0.fitsCPU = false }]) == [.targetUnfit])
    let none = MoveSurvey(domain: domain(), targets: []).eligibility(of: vm)
    #expect(none.obstacles.map(\.reason) == [.noTargetNode] && none.isMigratable == false)
    let unfit = MoveSurvey(domain: domain(), targets: [target("b") { $0.fitsCPU = false }]).eligibility(
      of: vm)
    #expect(unfit.obstacles.map(\.reason) == [.noTargetNode] && unfit.isMigratable == false)
  }
}

@Suite("What a drain of a host would do")
struct HostPreflightTests {
  private func node(_ targets: [MoveSurvey.Target]) throws -> (Preflight.VM, Preflight.Node) {
    let guest = NodeReading.Guest(
      vm: vm, domain: try #require(DomainKey(uuid: named().uuid)), memory: .mebibytes(64))
    let preflight = HostPreflight(
      host: "a", guests: [(guest, .success(MoveSurvey(domain: domain(), targets: targets).choices))]
    ).preflight
    return (try #require(preflight.vms.first), try #require(preflight.nodes.first))
  }

  @Test("with a peer that has room")
  func fine() throws {
    let (guest, room) = try node([target()])
    #expect(guest.outcome == .migrates && !guest.isOpen)
    #expect(room.withoutRoom == [] && room.text.isEmpty)
  }

  @Test("without a peer there is no room, whatever speaks against the guests")
  func alone() throws {
    let (guest, room) = try node([])
    #expect(guest.outcome == .blocks)
    #expect(room.withoutRoom == [vm] && room.text.contains("libvirt.peers"))
  }

  @Test("where the only peer is silent nothing is known, and why is said")
  func open() throws {
    let (guest, room) = try node([silent])
    #expect(guest.isOpen && guest.causes.map(\.reason) == [.unknown])
    #expect(room.withoutRoom == nil)
    #expect(room.text == "c cannot be asked: No route to host")
  }
}
