import DroverCore
import Testing

@testable import KubeVirtBackend
@testable import Kubernetes

@Suite("What is read of a migration before it is ended")
struct LiveReadingTests {
  private func reading(
    _ vmim: MadeVMIM, _ vmi: MadeVMI? = copying, node: Node? = nil, kubeVirt: KubeVirtCR? = nil
  ) throws -> LiveReading {
    LiveReading(vmim: try vmim.decoded(), vmi: try vmi?.decoded(), node: node, kubeVirt: kubeVirt)
  }

  /// A VM that is being copied.
  private static let copying = MadeVMI().with(MadeState(start: 5))

  private func live(_ reading: LiveReading, uid: String = "m1-uid") throws -> LiveMigration {
    reading.migration(try #require(MigrationID(uid)), at: TestTime.instant(10))
  }

  @Test("An object of that name with another uid is another migration")
  func identity() throws {
    let live = try live(reading(.running()), uid: "older-uid")
    #expect(live.state == .replaced(MigrationID("m1-uid")))
    #expect(try self.live(LiveReading()).state == .gone)
  }

  @Test(
    "Each phase is read from VMIM and VMI together",
    arguments: [
      ("", nil, .running(.pending)), ("Pending", nil, .running(.pending)),
      ("Scheduling", nil, .running(.scheduling)), ("TargetReady", nil, .running(.preparing)),
      ("Running", MadeState(start: 5), .running(.precopy)),
      ("Running", MadeState(start: 5, mode: "PostCopy"), .running(.postcopy)),
      ("Running", MadeState(start: 5, mode: "Paused"), .running(.guestSuspended)),
      ("Running", MadeState(start: 5, end: 8, isCompleted: true), .running(.switchover)),
      ("Running", MadeState(start: 5, isAbortRequested: true), .running(.aborting)),
      // Post-copy is what matters, whatever somebody has asked for.
      ("Running", MadeState(start: 5, isAbortRequested: true, mode: "PostCopy"), .running(.postcopy)),
      ("Succeeded", MadeState(start: 5), .finished(.succeeded)), ("Failed", nil, .finished(.failed)),
      ("Levitating", nil, .unclear),
    ] as [(String, MadeState?, LiveMigration.State)])
  func phases(phase: String, state: MadeState?, expected: LiveMigration.State) throws {
    var vmim = MadeVMIM()
    vmim.phase = phase
    let live = try live(reading(vmim, MadeVMI().with(state)))
    #expect(live.state == expected)
  }

  @Test("The state of another migration, which stays on the VMI, says nothing of this one")
  func previous() throws {
    var vmim = MadeVMIM()
    vmim.phase = "Scheduling"
    let live = try live(
      reading(vmim, MadeVMI().with(MadeState(uid: "older-uid", start: 1, mode: "PostCopy"))))
    #expect(live.state == .running(.scheduling))
  }

  private func evacuation(by source: String? = nil) -> MadeVMIM {
    var vmim = MadeVMIM.running()
    vmim.annotations = ["kubevirt.io/evacuationMigration": "node-a"]
    vmim.annotations["kubevirt.io/eviction-source"] = source
    return vmim
  }

  @Test("An evacuation comes back while its VM is to leave its node, and no longer")
  func evacuations() throws {
    var vmi = Self.copying
    vmi.evacuationNode = "node-a"
    let node: Node = try Fixture.object("node-source.json")
    #expect(try live(reading(evacuation(), vmi, node: node)).comesBack == .evacuation(node: "node-a"))
    #expect(
      try live(reading(evacuation(by: "descheduler"), vmi, node: node)).comesBack == .descheduler)
    #expect(try live(reading(evacuation(), Self.copying, node: node)).comesBack == nil)
  }

  @Test("What runs, and of which the VMI says nothing, may be in post-copy: it is not touched")
  func unclear() throws {
    #expect(try live(reading(.running(), MadeVMI())).state == .unclear)
    #expect(
      try live(reading(.running(), MadeVMI().with(MadeState(uid: "older-uid", start: 1)))).state == .unclear)
    #expect(try live(reading(.running(), nil)).state == .gone)
  }

  @Test("An end that was asked for is seen in whatever phase the guest is")
  func ending() throws {
    let paused = MadeVMI().with(MadeState(start: 5, isAbortRequested: true, mode: "Paused"))
    #expect(try live(reading(.running(), paused)).isEnding)
    #expect(try live(reading(.running())).isEnding == false)
  }

  @Test(
    "Under the taint of a drain it comes back also where its VM was not evicted, and in an upgrade above all")
  func drains() throws {
    let upgraded: Node = try Fixture.object("node-draining-upgrade.json")
    #expect(
      try live(reading(evacuation(), Self.copying, node: upgraded)).comesBack
        == .harvesterUpgrade(node: "node-a"))
    // Harvester's maintenance mode evicts again, whether the VM is marked at this moment or not.
    for sample in ["node-entering-maintenance.json", "node-drain-requested.json"] {
      let maintained: Node = try Fixture.object(sample)
      #expect(
        try live(reading(evacuation(), Self.copying, node: maintained)).comesBack
          == .harvesterMaintenance(node: "node-a"))
    }
    var tainted = try Fixture.json("node-source.json")
    tainted["spec", "taints"] = [["key": "kubevirt.io/drain", "value": "x", "effect": "NoSchedule"]]
    #expect(
      try live(reading(evacuation(), Self.copying, node: tainted.decoded())).comesBack
        == .drainTaint(node: "node-a"))
    // With another key in KubeVirt's settings, that one counts.
    var kubeVirt = try Fixture.json("kubevirt-cr-upstream-unset.json")
    kubeVirt["spec", "configuration", "migrations", "nodeDrainTaintKey"] = "own/drain"
    #expect(
      try live(reading(evacuation(), Self.copying, node: tainted.decoded(), kubeVirt: kubeVirt.decoded()))
        .comesBack == nil)
  }

  @Test("An update comes back while KubeVirt updates by migrating; where that cannot be read it may")
  func updates() throws {
    var vmim = MadeVMIM.running()
    vmim.annotations = ["kubevirt.io/workloadUpdateMigration": ""]
    #expect(try live(reading(vmim)).comesBack == .workloadUpdate)
    var kubeVirt = try Fixture.json("kubevirt-cr-upstream-unset.json")
    kubeVirt["spec", "workloadUpdateStrategy"] = ["workloadUpdateMethods": ["LiveMigrate"]]
    #expect(try live(reading(vmim, kubeVirt: kubeVirt.decoded())).comesBack == .workloadUpdate)
    kubeVirt["spec", "workloadUpdateStrategy"] = ["workloadUpdateMethods": ["Evict"]]
    #expect(try live(reading(vmim, kubeVirt: kubeVirt.decoded())).comesBack == nil)
  }

  @Test("What an abort does is said for the phase: one before the copy takes effect later")
  func consequences() throws {
    var vmim = MadeVMIM()
    vmim.phase = "PreparingTarget"
    #expect(try live(reading(vmim, MadeVMI())).consequence.contains("only when the copy begins"))
    vmim.phase = "Pending"
    #expect(try live(reading(vmim, MadeVMI())).consequence.contains("deletes the target's pod"))
  }
}
