import DroverCore
import Testing

@testable import KubeVirtBackend
@testable import Kubernetes

@Suite("What speaks against a migration that somebody wishes for")
struct StartPlannerTests {
  private func reading(
    _ vmi: MadeVMI? = MadeVMI(), vmims: [MadeVMIM] = [], version: String = "1.8.0", to target: String? = nil,
    change: (inout JSON) -> Void = { _ in }
  ) throws -> StartReading {
    var other = try Fixture.json("node-target-compatible.json")
    other["metadata", "name"] = "node-b"
    change(&other)
    var source = try Fixture.json("node-source.json")
    source["metadata", "name"] = "node-a"
    return StartReading(
      name: VMName(namespace: "default", name: "vm1"), vmi: try vmi?.decoded(),
      vmims: try vmims.map { try $0.decoded() }, nodes: [try source.decoded(), try other.decoded()],
      version: KubeVirtVersion(version), target: target)
  }

  private func reasons(_ reading: StartReading) -> [RefusalReason] { reading.refusals.map(\.reason) }

  @Test("A running VM with another node that is ready may go, anywhere or there")
  func fine() throws {
    #expect(try reasons(reading()) == [])
    #expect(try reasons(reading(to: "node-b")) == [])
  }

  @Test("One that does not run, or is being shut down, does not migrate")
  func notRunning() throws {
    #expect(try reasons(reading(nil)) == [.notRunning])
    var vmi = MadeVMI()
    vmi.phase = "Scheduled"
    #expect(try reasons(reading(vmi)) == [.notRunning])
    vmi.phase = "Running"
    vmi.deleted = 3
    #expect(try reasons(reading(vmi)) == [.notRunning])
  }

  @Test("What KubeVirt calls not migratable is not sent; what it does not know yet is")
  func migratable() throws {
    var vmi = MadeVMI()
    vmi.migratable = ("False", "DisksNotLiveMigratable")
    let refusal = try #require(try reading(vmi).refusals.first)
    #expect(refusal.reason == .notMigratable && refusal.text.contains("DisksNotLiveMigratable"))
    vmi.migratable = ("", "")
    #expect(try reasons(reading(vmi)) == [])
  }

  @Test("One that migrates, or waits for it, is not asked twice; one whose migration is over is")
  func migrating() throws {
    for phase in ["", "Pending", "Scheduling", "Running"] {
      #expect(try reasons(reading(vmims: [MadeVMIM().entering(phase, at: 1)])) == [.migrating])
    }
    #expect(try reasons(reading(vmims: [MadeVMIM().entering("Succeeded", at: 1)])) == [])
    #expect(try reasons(reading(vmims: [MadeVMIM(vmi: "vm2").entering("Running", at: 1)])) == [])
  }

  @Test("A node selector that names one node, and a cluster of one node")
  func oneNode() throws {
    var bound = MadeVMI().json
    bound["spec", "nodeSelector"] = ["kubernetes.io/hostname": "node-a"]
    var reading = try reading()
    reading.vmi = try bound.decoded()
    #expect(reasons(reading) == [.notMigratable])
    reading = try self.reading()
    reading.nodes.removeLast()
    #expect(reasons(reading) == [.noTarget])
  }

  @Test(
    "A node that is not ready, cordoned or in maintenance takes nobody, whether it is wished for or not",
    arguments: [
      { $0["spec", "unschedulable"] = true },
      { $0["status", "conditions"] = [["type": "Ready", "status": "Unknown"]] },
      { $0["metadata", "annotations", "harvesterhci.io/maintain-status"] = "running" },
      { $0["metadata", "annotations", "harvesterhci.io/drain-requested"] = "true" },
      { $0["metadata", "labels", "kubevirt.io/schedulable"] = "false" },
      { $0["spec", "taints"] = [["key": "kubevirt.io/drain", "effect": "NoSchedule"]] },
    ] as [@Sendable (inout JSON) -> Void])
  func unfit(change: @Sendable (inout JSON) -> Void) throws {
    #expect(try reasons(reading(to: "node-b", change: change)) == [.targetUnfit])
    #expect(try reasons(reading(change: change)) == [.noTarget])
  }

  @Test("The taint of a drain is the one that KubeVirt is set to")
  func ownTaint() throws {
    let usual: @Sendable (inout JSON) -> Void = {
      $0["spec", "taints"] = [["key": "kubevirt.io/drain", "effect": "NoSchedule"]]
    }
    var reading = try reading(to: "node-b", change: usual)
    #expect(reading.refusals.first?.text.contains("carries the taint kubevirt.io/drain") == true)
    reading.taintKey = "own/drain"
    #expect(reasons(reading) == [])
  }

  @Test("A wish for a node: there is none of that name, it is there already, or KubeVirt would ignore it")
  func wish() throws {
    let unknown = try #require(try reading(to: "node-x").refusals.first)
    #expect(unknown.reason == .targetUnfit && unknown.text.contains("node-a, node-b"))
    #expect(try reasons(reading(to: "node-a")) == [.sameNode])
    #expect(try reasons(reading(version: "1.5.2", to: "node-b")) == [.unsupported])
    #expect(try reasons(reading(version: "1.5.2")) == [])
    #expect(try reasons(reading(version: "", to: "node-b")) == [.unreadable])
  }

  @Test("What is sent has the VM's name, the mark of its origin and no priority")
  func order() throws {
    let order = MigrationOrder(name: VMName(namespace: "default", name: "vm1"), node: "node-b")
    #expect(
      order.text
        == #"{"apiVersion":"kubevirt.io/v1","kind":"VirtualMachineInstanceMigration","metadata":"#
        + #"{"annotations":{"drover.io/reason":"requested"},"generateName":"vm1-","namespace":"default"},"#
        + #""spec":{"addedNodeSelector":{"kubernetes.io/hostname":"node-b"},"vmiName":"vm1"}}"#)
    #expect(
      !MigrationOrder(name: VMName(namespace: "d", name: "v"), node: nil).text.contains("addedNodeSelector"))
  }
}
