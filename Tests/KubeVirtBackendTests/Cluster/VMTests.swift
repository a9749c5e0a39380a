import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("VMs of a cluster")
struct VMTests {
  private func shown(_ vmi: MadeVMI, kubeVirt: MadeKubeVirt = MadeKubeVirt()) throws -> VMView {
    let script = ClusterScript(kubeVirt: kubeVirt, vmis: [vmi])
    return try #require(script.snapshot.vms.first)
  }

  @Test(
    "What speaks against a migration is virt-handler's first reason",
    arguments: [
      ("InterfaceNotLiveMigratable", .networkInterface), ("CPUModeLiveMigratable", .cpuModel),
      ("NoTSCFrequencyNotLiveMigratable", .cpuModel), ("HostDeviceNotLiveMigratable", .hostDevice),
      ("SEVNotLiveMigratable", .confidential), ("TDXNotLiveMigratable", .confidential),
      ("SecureExecutionNotLiveMigratable", .confidential), ("HypervPassthroughNotLiveMigratable", .other),
      ("DisksNotLiveMigratable", .accessMode), ("SomethingNew", .other), ("", .other),
    ] as [(String, NotMigratableReason)])
  func blockers(reason: String, blocker: NotMigratableReason) throws {
    #expect(try shown(MadeVMI(migratable: ("False", reason))).blockers == [blocker])
  }

  @Test("A graphics card is one where nothing else is passed through")
  func graphics() throws {
    let reason = (status: "False", reason: "HostDeviceNotLiveMigratable")
    #expect(try shown(MadeVMI(gpus: 1, migratable: reason)).blockers == [.gpu])
    #expect(try shown(MadeVMI(hostDevices: 1, gpus: 1, migratable: reason)).blockers == [.hostDevice])
  }

  @Test("Nothing speaks against one that can be migrated; of one of which nobody says, nothing is known")
  func migratable() throws {
    #expect(try shown(MadeVMI()).blockers == [])
    #expect(try shown(MadeVMI(migratable: ("Unknown", ""))).blockers == nil)
    #expect(try shown(MadeVMI(migratable: ("", ""))).blockers == nil)
  }

  struct Drained: Sendable {
    var strategy: String
    var cluster = ""
    var status = "True"
    var outcome: DrainOutcome
  }

  @Test(
    "A drain does what the strategy says, the VM's own or the cluster's",
    arguments: [
      Drained(strategy: "LiveMigrate", outcome: .migrates),
      Drained(strategy: "LiveMigrateIfPossible", outcome: .migrates),
      Drained(strategy: "LiveMigrate", status: "False", outcome: .blocks),
      Drained(strategy: "LiveMigrate", status: "Unknown", outcome: .blocks),
      Drained(strategy: "LiveMigrateIfPossible", status: "False", outcome: .willBeShutDown),
      Drained(strategy: "External", outcome: .blocks), Drained(strategy: "None", outcome: .willBeShutDown),
      Drained(strategy: "", outcome: .willBeShutDown),
      Drained(strategy: "", cluster: "LiveMigrate", outcome: .migrates),
      Drained(strategy: "None", cluster: "LiveMigrate", outcome: .willBeShutDown),
    ])
  func drain(drained: Drained) throws {
    let vmi = MadeVMI(evictionStrategy: drained.strategy, migratable: (drained.status, "x"))
    let kubeVirt = MadeKubeVirt(evictionStrategy: drained.cluster)
    #expect(try shown(vmi, kubeVirt: kubeVirt).drainOutcome == drained.outcome)
  }

  @Test("One that ended, or has not begun, is none; failures in a row are those of its name")
  func life() throws {
    var script = ClusterScript()
    #expect(script.snapshot.vms.map(\.node) == ["node-a"] && script.node("node-a")?.vms == 1)
    script.put(MadeVMI(node: "node-b"))
    #expect(script.node("node-a")?.vms == 0 && script.node("node-b")?.vms == 1)
    for phase in ["Succeeded", "Failed", ""] {
      script.put(MadeVMI(phase: phase, node: "node-b"))
      #expect(script.snapshot.vms.isEmpty && script.node("node-b")?.vms == 0)
      script.put(MadeVMI(node: "node-b"))
    }
    for n in 1...3 {
      var vmim = MadeVMIM(name: "m\(n)").entering("Failed", at: 0)
      vmim.state = MadeState(uid: "m\(n)-uid", start: -9).failed("x", at: 0)
      script.put(vmim)
    }
    #expect(script.snapshot.vms.map(\.consecutiveFailures) == [3])
    script.remove(MadeVMI())
    #expect(script.snapshot.vms.isEmpty)
  }

  @Test("A VMI that is told again without change tells nothing, and one that comes back is told again")
  func again() {
    var script = ClusterScript()
    let before = script.messages.count
    script.put(MadeVMI(annotations: ["x": "y"]))
    #expect(script.messages.count == before)
    script.remove(MadeVMI())
    script.remove(MadeVMI())
    #expect(script.messages.dropFirst(before).count { if case .vmGone = $0 { true } else { false } } == 1)
    script.put(MadeVMI())
    #expect(script.snapshot.vms.count == 1)
  }
}

@Suite("VMs of a cluster after all were judged")
struct JudgedVMTests {
  private static let blocked = VMJudgement(reasons: ReasonSet(.noResources), targets: 0)

  @Test(
    "What was judged is told, with what KubeVirt has said since; a VM that is not there any more is not judged"
  )
  func judged() throws {
    let vmi = MadeVMI()
    var script = ClusterScript(vmis: [vmi])
    let uid = try #require(script.watch.vms.values.first?.uid)
    #expect(script.snapshot.vms.first?.targets == nil)
    script.take(.judged([uid: VMJudgement(reasons: [], targets: 3), "gone": Self.blocked]))
    #expect(script.snapshot.vms.first?.blockers == [] && script.snapshot.vms.first?.targets == 3)
    script.put(MadeVMI(migratable: ("False", "HostDeviceNotLiveMigratable")))
    #expect(script.snapshot.vms.first?.blockers?.isEmpty == false)
    #expect(script.snapshot.vms.first?.targets == 0)
    script.put(vmi)
    script.take(.judged([uid: Self.blocked]))
    #expect(script.snapshot.vms.first?.blockers == [.noResources])
    #expect(script.snapshot.vms.first?.isMigratable == false)
    script.take(.judged([uid: VMJudgement(reasons: .unknown, targets: 0)]))
    #expect(script.snapshot.vms.first?.isMigratable == nil)
    #expect(script.snapshot.vms.first?.blockers == [.unknown])
  }

  @Test("A node or VM that changes in a way that matters makes it outdated; a heartbeat does not")
  func outdated() {
    var script = ClusterScript(vmis: [MadeVMI()])
    script.put(MadeNode())
    script.watch.survey.isOutdated = false
    script.put(MadeNode())
    script.put(MadeVMI())
    #expect(!script.watch.survey.isOutdated)
    script.put(MadeNode(annotations: ["heartbeat": "2"]))
    #expect(!script.watch.survey.isOutdated)
    script.put(MadeVMI(migratable: ("False", "")))
    #expect(script.watch.survey.isOutdated)
    script.watch.survey.isOutdated = false
    script.remove(MadeVMI(migratable: ("False", "")))
    #expect(script.watch.survey.isOutdated)
  }
}
