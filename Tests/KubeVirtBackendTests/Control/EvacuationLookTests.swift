import DroverCore
import Testing

@testable import KubeVirtBackend
@testable import Kubernetes

@Suite("What moves VMs away by itself, and what ending it takes")
struct EvacuationLookTests {
  static let vm = VMRef(backend: BackendName(rawValue: "prod"), scope: .namespace("default"), name: "vm1")

  /// A VM that was evicted, and the migration that KubeVirt began for it.
  static func evicted(_ name: String = "vm1") -> MadeVMI {
    MadeVMI(name: name, evacuationNode: "node-a")
  }

  static func evacuation(_ name: String = "m1", of vmi: String = "vm1") -> MadeVMIM {
    var vmim = MadeVMIM.running(name, vmi: vmi)
    vmim.annotations = ["kubevirt.io/evacuationMigration": "node-a"]
    return vmim
  }

  static func look(
    _ subject: EvacuationSubject = .vm(vm), node: Node? = nil, _ vmis: [MadeVMI] = [evicted()],
    _ vmims: [MadeVMIM] = [evacuation()], version: String = "1.8.0"
  ) throws -> EvacuationLook {
    EvacuationLook(
      subject: subject, node: try node ?? MadeNode().decoded(), vmis: try vmis.map { try $0.decoded() },
      vmims: try vmims.map { try $0.decoded() }, kubeVirt: try MadeKubeVirt(version: version).decoded())
  }

  static func tainted(_ key: String = "kubevirt.io/drain", value: String = "") throws -> Node {
    var node = MadeNode()
    node.taints = [(key, "NoSchedule")]
    node.tainted.value = value
    return try node.decoded()
  }

  @Test("Of a VM: its mark, then its migration")
  func vm() throws {
    let look = try Self.look()
    #expect(look.refusals == [])
    #expect(look.steps.count == 2 && look.steps[0].hasPrefix("take back that default/vm1"))
    #expect(look.steps[1].hasPrefix("delete VMIM default/m1, uid m1-uid"))
    #expect(look.found.count == 2 && look.found[1].contains("default/m1 (Running)"))
  }

  @Test("Of a node: the taint first, then each VM's mark, then the migrations")
  func node() throws {
    let look = try Self.look(
      .node("node-a"), node: Self.tainted(), [Self.evicted("b"), Self.evicted("a"), MadeVMI(name: "c")],
      [Self.evacuation("m1", of: "c"), Self.evacuation("m2", of: "b")])
    #expect(look.refusals == [])
    #expect(
      look.steps.map { $0.prefix(30) } == [
        "take the taint kubevirt.io/dra", "take back that default/a is to", "take back that default/b is to",
        "delete VMIM default/m1, uid m1", "delete VMIM default/m2, uid m2",
      ])
  }

  @Test("What is not of an evacuation stays: other origins, ends, VMs elsewhere, marks of another node")
  func others() throws {
    var update = MadeVMIM.running("m2")
    update.annotations = ["kubevirt.io/workloadUpdateMigration": ""]
    var deleted = Self.evacuation("m3")
    deleted.deleted = 4
    let look = try Self.look(
      .vm(Self.vm), [MadeVMI(evacuationNode: "node-x")],
      [
        MadeVMIM.running(), update, deleted, Self.evacuation("m4").entering("Failed", at: 9),
        Self.evacuation("m5", of: "elsewhere"),
      ])
    #expect(look.steps == [] && look.refusals == [] && look.found == [])
    #expect(try Self.look(.vm(Self.vm), [MadeVMI(phase: "Failed", evacuationNode: "node-a")], []).steps == [])
  }

  @Test("The descheduler's eviction is one, too")
  func descheduled() throws {
    var vmim = Self.evacuation()
    vmim.annotations["kubevirt.io/eviction-source"] = "descheduler"
    #expect(try Self.look(.vm(Self.vm), [Self.evicted()], [vmim]).steps.count == 2)
  }

  @Test("A VM alone is not taken back from a node with the taint; the node's name is said")
  func taintOfVM() throws {
    let look = try Self.look(node: Self.tainted())
    #expect(look.refusals.map(\.reason) == [.drainTaint] && look.steps == [])
    #expect(look.refusals[0].text.contains("drover stop-evacuation node-a"))
  }

  @Test("During a Harvester upgrade and in its maintenance mode nothing is ended, for a VM and for a node")
  func harvester() throws {
    for (sample, reason) in [
      ("node-draining-upgrade", RefusalReason.harvesterUpgrade),
      ("node-entering-maintenance", .harvesterMaintenance), ("node-drain-requested", .harvesterMaintenance),
    ] {
      let node: Node = try Fixture.object("\(sample).json")
      for subject in [EvacuationSubject.vm(Self.vm), .node("harvester-node-0")] {
        let look = try Self.look(subject, node: node)
        #expect(look.refusals.map(\.reason) == [reason], "\(sample)")
        #expect(look.steps == [] && !look.found.isEmpty)
      }
    }
  }

  @Test("KubeVirt before 1.7 can take no mark back: where there is one it is refused, without it goes")
  func old() throws {
    #expect(try Self.look(version: "1.6.3").refusals.map(\.reason) == [.unsupported])
    #expect(
      try Self.look(.node("node-a"), node: Self.tainted(), [MadeVMI()], version: "1.6.3").steps.count == 2)
    #expect(try Self.look(version: "a build of our own").refusals == [])
  }

  @Test("A VM that is not there")
  func unknown() throws {
    #expect(try Self.look(.vm(Self.vm), []).refusals.map(\.reason) == [.unknown])
  }
}
