import Foundation
import Testing

@testable import DroverCore
@testable import KubeVirtBackend
@testable import Kubernetes

@Suite("Objects as a cluster sends them")
struct FixtureTests {
  private static func names(_ prefix: String) -> [String] { Fixture.names.filter { $0.hasPrefix(prefix) } }

  @Test("VMIs can be read", arguments: names("vmi-"))
  func vmi(name: String) throws {
    let vmi: VMI = try Fixture.object(name)
    #expect(vmi.metadata.name == "demo" && vmi.phase == "Running" && !vmi.node.isEmpty)
    #expect(vmi.memory == .gibibytes(8) && !vmi.hasAbsurdMemory)
    #expect(vmi.conditions["LiveMigratable"] != nil)
    #expect(vmi.domainUUID == "b0c1d2e3-f4a5-4b6c-8d7e-9f0a1b2c3d4e")
  }

  @Test("The decoder of objects reads what Foundation's reads", arguments: Fixture.names)
  func everything(name: String) throws {
    #expect(try Fixture.object(name, as: JSON.self) == Fixture.json(name))
  }

  @Test("A VMI that is cut off is refused; one of which a byte is another is read as Foundation does")
  func damaged() throws {
    func read(_ bytes: [UInt8]) -> VMI? {
      bytes.withUnsafeBufferPointer { try? LazyDecoder.decode(VMI.self, from: $0) }
    }
    let whole = Array(try Fixture.data("vmi-migrating.json"))
    let end = try #require(whole.lastIndex(of: UInt8(ascii: "}")))
    for length in stride(from: 0, through: end, by: 31) { #expect(read(Array(whole[..<length])) == nil) }
    var damaged = whole
    for index in stride(from: 0, to: end, by: 29) {
      damaged[index] = [0x22, 0x2C, 0x5B, 0x5C, 0x7D, 0xFF, 0x31][index % 7]
      _ = read(damaged)
      let own = damaged.withUnsafeBufferPointer { try? LazyDecoder.decode(JSON.self, from: $0) }
      // Foundation's takes some texts that are no JSON.
      let same = try? JSONDecoder().decode(JSON.self, from: Data(damaged))
      if let own, let same { #expect(own == same, "byte \(index)") }
      damaged[index] = whole[index]
    }
  }

  @Test("VMIMs can be read, and their phases are known", arguments: names("vmim-"))
  func vmim(name: String) throws {
    let vmim: VMIM = try Fixture.object(name)
    #expect(vmim.vmiName == "demo" && vmim.role == .local)
    let record = try #require(MigrationRecord(vmim, isInitial: false, at: TestTime.instant(100)))
    #expect(record.phase != nil)
    if !vmim.phase.isEmpty { #expect(vmim.entered(vmim.phase) != nil) }
  }

  @Test("Nodes can be read", arguments: names("node-"))
  func node(name: String) throws {
    let node: Node = try Fixture.object(name)
    #expect(node.isReady == true && node.heartbeat != nil)
  }

  @Test("So can pods, policies, settings and events")
  func others() throws {
    for name in Self.names("pod-") {
      let pod: Pod = try Fixture.object(name)
      #expect(pod.isUnschedulable == name.contains("unschedulable"))
    }
    let policy: MigrationPolicy = try Fixture.object("migrationpolicy.json")
    #expect(policy.limits.completionPerGiB == 800 && policy.limits.bandwidth == "512Mi")
    #expect(policy.vmiLabels == ["workload": "database"] && policy.namespaceLabels == ["env": "prod"])
    let harvester: KubeVirtCR = try Fixture.object("kubevirt-cr-harvester.json")
    #expect(harvester.migrations.network == "harvester-system/vm-migration-network-7kq2x")
    #expect(harvester.migrations.completionPerGiB == 150 && harvester.version == "1.6.0")
    let list = try Fixture.json("events.json")
    guard case .array(let items) = list["items"] else {
      Issue.record("no events")
      return
    }
    let events = try items.map { try $0.decoded(as: ClusterEvent.self) }
    #expect(events.allSatisfy { !$0.reason.isEmpty && !$0.name.isEmpty && !$0.kind.isEmpty })
    #expect(events.contains { $0.reason == "FailedMigration" })
  }

  @Test(
    "What a VMI says of its migration",
    arguments: [
      ("vmi-migrating.json", "PreCopy", false, false),
      ("vmi-migrating-postcopy.json", "PostCopy", false, false),
      ("vmi-migrating-paused.json", "Paused", false, false), ("vmi-completed.json", "PreCopy", true, false),
      ("vmi-failed-network.json", "PreCopy", true, true),
    ] as [(String, String, Bool, Bool)])
  func state(name: String, mode: String, isCompleted: Bool, hasFailed: Bool) throws {
    let state = try #require(try Fixture.object(name, as: VMI.self).state)
    #expect(state.uid == "1d6d7273-275d-48e0-bb76-62e240b42aaf")
    #expect(state.mode == mode && state.isCompleted == isCompleted && state.hasFailed == hasFailed)
    #expect(state.sourceNode == "harvester-node-0" && state.targetNode == "harvester-node-1")
    #expect(state.configuration?.completionPerGiB != nil && ClusterTime(state.start) != nil)
  }
}

@Suite("Malformed objects")
struct LenientTests {
  private static let wrong: [JSON] = ["nonsense", -1, [[1]], [:]]

  /// Every value of an object replaced by one of another type, one at a time.
  private func mutants(_ json: JSON) -> [JSON] {
    switch json {
    case .object(let members):
      return members.sorted { $0.key < $1.key }.flatMap { key, value in
        (Self.wrong + mutants(value)).map { mutant -> JSON in
          var changed = members
          changed[key] = mutant
          return .object(changed)
        }
      }
    case .array(let values):
      return values.enumerated().flatMap { index, value in
        mutants(value).map { mutant -> JSON in
          var changed = values
          changed[index] = mutant
          return .array(changed)
        }
      }
    default: return []
    }
  }

  private func check<Object: KubernetesObject>(_ name: String, as type: Object.Type) throws {
    let json = try Fixture.json(name)
    var lost = 0
    for mutant in mutants(json) {
      do { _ = try mutant.decoded(as: Object.self) } catch {
        // Without a name or a uid nothing can be made of it.
        if case .string = mutant["metadata", "name"], case .string = mutant["metadata", "uid"] { lost += 1 }
      }
    }
    #expect(lost == 0, "\(name): \(lost) objects were lost for one field")
  }

  @Test("No field but name and uid is worth losing an object for")
  func lenient() throws {
    try check("vmi-migrating.json", as: VMI.self)
    try check("vmim-08-failed-timeout.json", as: VMIM.self)
    try check("node-draining-upgrade.json", as: Node.self)
    try check("kubevirt-cr-harvester.json", as: KubeVirtCR.self)
    try check("migrationpolicy.json", as: MigrationPolicy.self)
    try check("pod-virt-launcher-target-unschedulable.json", as: Pod.self)
  }

  @Test("A watch takes every such object without being led astray")
  func watched() throws {
    let whole = try Fixture.json("vmi-migrating.json")
    for mutant in mutants(whole["status"]) {
      var json = whole
      json["status"] = mutant
      guard let vmi = try? json.decoded(as: VMI.self) else { continue }
      var script = ClusterScript(vmis: [])
      var vmim = MadeVMIM.running("m", vmi: "demo", at: -100)
      vmim.entered = []
      script.put(vmim, isInitial: true)
      script.take(.vmi(vmi))
      script.advance(to: 2)
      let view = try #require(script.view("m"))
      #expect(!view.isOver)
      if let deadline = view.completionDeadline {
        #expect(deadline > TestTime.moment(-7200) && deadline < TestTime.moment(1e10))
      }
    }
  }

  @Test("An object without a name cannot be kept")
  func nameless() {
    #expect(throws: (any Error).self) { try JSON.object(["metadata": ["uid": "x"]]).decoded(as: VMI.self) }
    #expect(throws: (any Error).self) { try JSON.object([:]).decoded(as: VMIM.self) }
  }

  @Test("A uid that is none is noted and skipped")
  func absurdUID() {
    var script = ClusterScript()
    var json = MadeVMIM().json
    json["metadata", "uid"] = "m1/../uid"
    if let vmim = try? json.decoded(as: VMIM.self) { script.take(.vmim(vmim, isInitial: false)) }
    #expect(script.snapshot.trackedCount == 0)
    #expect(script.watch.problems.takeNews().map(\.kind) == [.malformed])
  }

  @Test("An unknown phase is noted once and skipped; the next known one goes on")
  func unknownPhase() {
    var script = ClusterScript()
    var vmim = MadeVMIM().entering("Pending", at: 0)
    script.put(vmim)
    for _ in 1...3 {
      vmim.enter("Dreaming", at: 1)
      script.put(vmim)
      script.advance(to: script.now + 1)
    }
    #expect(script.view()?.phase == .pending)
    #expect(script.watch.problems.takeNews().map(\.kind) == [.unknownPhase])
    vmim.enter("Scheduling", at: 4)
    script.put(vmim)
    #expect(script.view()?.phase == .scheduling)
  }

  @Test("One that vanishes in an unknown phase ends all the same")
  func unknownVanishes() {
    var script = ClusterScript()
    script.put(MadeVMIM().entering("Dreaming", at: 1))
    script.advance(to: 3)
    script.remove(MadeVMIM().entering("Dreaming", at: 1), last: false)
    script.advance(to: 100)
    #expect(script.watch.migrations.isEmpty)
    #expect(script.endings == ["failed unknown inferred"])
  }

  @Test(
    "Memory that is none makes no budget and is noted",
    arguments: ["-1", "lots", "99999Ei", "", true, ["8Gi"], ["guest": "8Gi"]] as [JSON])
  func absurdMemory(memory: JSON) {
    var script = ClusterScript(vmis: [])
    var vmi = MadeVMI().with(MadeState(start: 5)).json
    vmi["spec", "domain", "memory", "guest"] = memory
    vmi["spec", "domain", "resources"] = ["requests": ["memory": "4Gi"]]
    if let vmi = try? vmi.decoded(as: VMI.self) { script.take(.vmi(vmi)) }
    script.put(.running())
    #expect(script.view()?.completion == nil)
    #expect(script.view()?.phase == .precopy)
    #expect(script.watch.problems.takeNews().map(\.kind) == [.quantity])
  }

  @Test(
    "A memory that is nothing does not make what is requested the guest's; one without a size does",
    arguments: [(JSON.null, false), (7, false), (["guest": nil], true), ([:], true)] as [(JSON, Bool)])
  func memory(memory: JSON, isRequested: Bool) throws {
    var vmi = MadeVMI().json
    // By itself, a null would be taken away.
    var domain = vmi["spec", "domain"].members
    domain["memory"] = memory
    domain["resources"] = ["requests": ["memory": "4Gi"]]
    vmi["spec", "domain"] = .object(domain)
    let read = try vmi.decoded(as: VMI.self)
    #expect(read.memory == (isRequested ? .gibibytes(4) : nil) && read.hasAbsurdMemory == !isRequested)
  }
}
