import DroverCore
import Testing

@testable import KubeVirtBackend
@testable import Kubernetes

@Suite("What is read of a node and of what is on it")
struct NodeLookTests {
  private func look(
    _ node: MadeNode = MadeNode(), _ vmis: [MadeVMI] = [], pods: [JSON] = [], taintKey: String? = nil
  ) throws -> NodeLook {
    var look = NodeLook(
      node: try node.decoded(), vmis: try vmis.map { try $0.decoded() },
      pods: try pods.map { try $0.decoded() })
    if let taintKey { look.taintKey = taintKey }
    return look
  }

  private func names(_ look: NodeLook) -> [String] { reading(look).guests.map(\.vm.name) }

  private func reading(_ look: NodeLook) -> NodeReading { look.reading(BackendName(rawValue: "prod")) }

  /// A launcher on the node.
  private func launcher(of vmi: String = "vm1-vmi", migration: String? = nil, deleted: Bool = false) -> JSON {
    var labels = ["kubevirt.io/created-by": vmi]
    labels["kubevirt.io/migrationJobUID"] = migration
    return [
      "metadata": .present([
        "name": "virt-launcher-vm1", "namespace": "default", "uid": "pod", "labels": .strings(labels),
        "deletionTimestamp": deleted ? "2026-03-02T10:00:00Z" : nil,
      ]), "status": ["phase": "Running"],
    ]
  }

  @Test("The cordon, the VMs in the order of their names, and the memory that each needs elsewhere")
  func plain() throws {
    var node = MadeNode()
    node.isUnschedulable = true
    let uuid = "6f2d8f0e-0000-4000-8000-000000000001"
    let found = reading(
      try look(
        node, [MadeVMI(name: "b", domainUUID: uuid), MadeVMI(name: "a"), MadeVMI(name: "c", namespace: "b")]))
    #expect(found.node == "node-a" && found.isCordoned == true && found.drainedBy == nil)
    #expect(found.guests.map(\.vm.name) == ["c", "a", "b"])
    #expect(found.guests.allSatisfy { $0.memory == Bytes(8 << 30) })
    #expect(found.guests.last?.domain == DomainKey(uuid: uuid))
    #expect(reading(try look()).isCordoned == false)
  }

  @Test("Where only some namespaces are watched, a guest of another is told as not watched")
  func namespaces() throws {
    let look = try look(MadeNode(), [MadeVMI(name: "a"), MadeVMI(name: "c", namespace: "b")])
    let found = look.reading(BackendName(rawValue: "prod"), namespaces: ["default"])
    #expect(found.guests.map(\.isWatched) == [false, true])
    #expect(reading(look).guests.map(\.isWatched) == [true, true])
  }

  @Test("A guest that is over is none; one that is started there, or on its way there, is")
  func coming() throws {
    #expect(try names(look(vmis: MadeVMI(phase: "Succeeded"))) == [])
    #expect(try names(look(vmis: MadeVMI(phase: "Failed"))) == [])
    let starting = MadeVMI(phase: "Scheduling", node: "")
    #expect(try names(look(vmis: starting)) == [])
    #expect(try names(look(vmis: starting, pods: [launcher()])) == ["vm1"])
    let away = MadeVMI(node: "node-b")
    let target = launcher(migration: "m1-uid")
    // Not handed over yet: only the pod tells.
    #expect(try names(look(vmis: away, pods: [target])) == ["vm1"])
    #expect(try names(look(vmis: away.with(MadeState(start: 1)), pods: [target])) == ["vm1"])
    // Completed a moment ago, and not told to be there yet.
    #expect(try names(look(vmis: away.with(MadeState(start: 1).succeeded(at: 2)), pods: [target])) == ["vm1"])
  }

  @Test("A launcher that a failed migration left behind, and the source's of one that is over, are no guests")
  func leftOver() throws {
    let away = MadeVMI(node: "node-b")
    let failed = away.with(MadeState(start: 1).failed("x", at: 2))
    #expect(try names(look(vmis: failed, pods: [launcher(migration: "m1-uid")])) == [])
    #expect(try names(look(vmis: away, pods: [launcher(migration: "m1-uid", deleted: true)])) == [])
    #expect(try names(look(vmis: away, pods: [launcher()])) == [])
    #expect(try names(look(vmis: away, pods: [launcher(of: "another", migration: "m1-uid")])) == [])
  }

  private func look(vmis: MadeVMI, pods: [JSON] = []) throws -> NodeLook {
    try look(MadeNode(), [vmis], pods: pods)
  }

  @Test(
    "Who empties it: the taint that counts, with this effect, Harvester's maintenance, and its upgrade above all"
  )
  func drainedBy() throws {
    var node = MadeNode()
    node.taints = [("kubevirt.io/drain", "NoSchedule")]
    #expect(try reading(look(node)).drainedBy == .taint("kubevirt.io/drain"))
    #expect(try reading(look(node, taintKey: "own/drain")).drainedBy == nil)
    node.taints = [("own/drain", "NoSchedule")]
    #expect(try reading(look(node, taintKey: "own/drain")).drainedBy == .taint("own/drain"))
    node.taints = [("kubevirt.io/drain", "NoExecute")]
    #expect(try reading(look(node)).drainedBy == nil)
    for (sample, by) in [
      ("node-draining-upgrade", NodeReading.DrainedBy.harvesterUpgrade),
      ("node-entering-maintenance", .harvesterMaintenance), ("node-drain-requested", .harvesterMaintenance),
    ] {
      let look = NodeLook(node: try Fixture.object("\(sample).json"), vmis: [], pods: [])
      #expect(reading(look).drainedBy == by, "\(sample)")
    }
  }

  @Test("Harvester holds a node in its maintenance, also once that is complete, and in its upgrade")
  func holder() throws {
    for sample in ["node-draining-upgrade", "node-entering-maintenance", "node-drain-requested"] {
      let node: Node = try Fixture.object("\(sample).json")
      #expect(node.holder != nil, "\(sample)")
    }
    var node = MadeNode()
    node.annotations = ["harvesterhci.io/maintain-status": "completed"]
    #expect(try node.decoded().holder == "Harvester's maintenance mode")
    #expect(try MadeNode(isUnschedulable: true).decoded().holder == nil)
  }
}
