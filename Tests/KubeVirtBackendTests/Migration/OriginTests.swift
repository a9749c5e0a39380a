import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("Where a migration comes from and goes to")
struct OriginTests {
  private func origin(_ vmim: MadeVMIM, generateName: String = "") throws -> Origin? {
    var json = vmim.json
    json["metadata", "generateName"] = .string(generateName)
    var script = ClusterScript(vmis: [MadeVMI(name: vmim.vmi)])
    script.take(.vmim(try json.decoded(), isInitial: false))
    return script.view(vmim.name)?.facts.origin
  }

  @Test("Annotations tell who asked")
  func annotations() throws {
    let evacuation = ["kubevirt.io/evacuationMigration": "node-a"]
    #expect(try origin(MadeVMIM()) == .manual)
    #expect(try origin(MadeVMIM(annotations: evacuation)) == .evacuation)
    #expect(try origin(MadeVMIM(annotations: evacuation, priority: "system-critical")) == .evacuation)
    #expect(try origin(MadeVMIM(annotations: evacuation, priority: "system-maintenance")) == .descheduler)
    #expect(try origin(MadeVMIM(annotations: ["kubevirt.io/workloadUpdateMigration": ""])) == .workloadUpdate)
    #expect(try origin(MadeVMIM(annotations: ["drover.io/reason": "drain"])) == .drover)
    #expect(try origin(MadeVMIM(isSender: true)) == .decentralized)
    #expect(
      try origin(MadeVMIM(name: "kubevirt-migrate-vm-x"), generateName: "kubevirt-migrate-vm-") == .manual)
  }

  @Test("A name is a convention that anybody may follow")
  func names() throws {
    #expect(try origin(MadeVMIM(), generateName: "kubevirt-evacuation-") == .evacuation)
    #expect(try origin(MadeVMIM(), generateName: "kubevirt-workload-update-") == .workloadUpdate)
    // Harvester names the migration after the VM.
    for vm in ["kubevirt-evacuation", "kubevirt-evacuation-x", "kubevirt-workload-update"] {
      #expect(try origin(MadeVMIM(name: "\(vm)-abcde", vmi: vm), generateName: "\(vm)-") == .manual)
    }
    #expect(try origin(MadeVMIM(name: "kubevirt-evacuation-by-hand")) == .manual)
  }

  @Test("The VM's labels, also when they change on the way")
  func labels() throws {
    var vmi = MadeVMI().with(MadeState(start: 5))
    vmi.labels = ["app": "db"]
    var script = ClusterScript(kubeVirt: MadeKubeVirt())
    script.put(vmi)
    script.put(MadeVMIM.running())
    #expect(script.view()?.facts.labels == ["app": "db"])
    vmi.labels = ["app": "web", "tier": "gold"]
    script.put(vmi)
    #expect(script.view()?.facts.labels == ["app": "web", "tier": "gold"])
  }

  @Test("The node that was asked for, the network, and the name of the object")
  func facts() throws {
    let network = MadeKubeVirt(migrations: ["network": "harvester-system/vm-migration-network-7kq2x"])
    for (kubeVirt, type, shown) in [
      (network, "Migration", "harvester-system/vm-migration-network-7kq2x"), (network, "Pod", "pod"),
      (network, "", "harvester-system/vm-migration-network-7kq2x"),
      (MadeKubeVirt(), "Migration", "migration"),
      (MadeKubeVirt(), "Pod", "pod"), (MadeKubeVirt(), "", "pod"),
    ] {
      var script = ClusterScript(kubeVirt: kubeVirt)
      script.put(MadeVMI().with(MadeState(start: 5, networkType: type)))
      var vmim = MadeVMIM.running()
      vmim.addedNodeSelector = ["kubernetes.io/hostname": "node-b", "other": "x"]
      script.put(vmim)
      let facts = try #require(script.view()).facts
      #expect(facts.network == shown && facts.requestedTarget == "node-b" && facts.object == "m1")
      #expect(facts.source == "node-a" && facts.target == "node-b" && facts.memory == .gibibytes(8))
    }
  }

  @Test("Harvester's word is shown for the migration that it names, and no other")
  func statusWord() {
    var script = ClusterScript()
    var vmi = MadeVMI(annotations: [
      "harvesterhci.io/migrationUID": "m1-uid", "harvesterhci.io/migrationState": "Pending migration",
    ])
    script.put(MadeVMIM().entering("Pending", at: 0))
    script.put(vmi)
    #expect(script.view()?.statusWord == "Pending migration")
    vmi.annotations["harvesterhci.io/migrationState"] = "Migrating"
    script.put(vmi)
    #expect(script.view()?.statusWord == "Migrating")
    vmi.annotations["harvesterhci.io/migrationUID"] = "m0-uid"
    script.put(vmi)
    #expect(script.view()?.statusWord == "")
    vmi.annotations = ["harvesterhci.io/migrationState": "Migrating"]
    script.put(vmi)
    #expect(script.view()?.statusWord == "")
  }

  @Test("The target is known from its pod on, before the VMI names it")
  func targetFromPod() {
    var script = ClusterScript()
    script.put(MadeVMIM().entering("Scheduling", at: 1))
    script.put(MadePod(node: "node-c", phase: "Running"))
    #expect(script.view()?.facts.target == "node-c")
    script.put(MadeVMI().with(MadeState(targetNode: "")))
    #expect(script.view()?.facts.target == "node-c")
    script.put(MadeVMI().with(MadeState(targetNode: "node-b")))
    #expect(script.view()?.facts.target == "node-b")
  }

  @Test("A VM that arrives from elsewhere is inbound and no migration of this cluster's")
  func receiver() {
    var script = ClusterScript(vmis: [])
    let vmi = MadeVMI(
      domainUUID: "b0c1d2e3-f4a5-4b6c-8d7e-9f0a1b2c3d4e", phase: "WaitingForSync", node: "node-b")
    script.put(vmi)
    var vmim = MadeVMIM(isReceiver: true).entering("WaitingForSync", at: 1)
    script.put(vmim)
    for targetNode in ["", "node-b"] {
      vmim.enter("Running", at: 5)
      script.put(vmi.with(MadeState(start: 5, sourceNode: "elsewhere", targetNode: targetNode)))
      script.put(vmim)
      #expect(script.node("node-b")?.inbound == 1)
    }
    script.advance(to: 10)
    #expect(script.snapshot.trackedCount == 0)
    #expect(script.node("node-b")?.inbound == 1 && script.node("node-b")?.outbound == 0)
    vmim.enter("Succeeded", at: 60)
    script.put(vmim)
    #expect(script.node("node-b")?.inbound == 0 && script.counters == [0, 0, 0, 0])
    #expect(script.watch.migrations.isEmpty)
  }

  @Test("One between two namespaces of this cluster is told by its source, and arrives at its target")
  func bothEnds() throws {
    let uuid = "b0c1d2e3-f4a5-4b6c-8d7e-9f0a1b2c3d4e"
    var script = ClusterScript(vmis: [])
    script.put(MadeVMI(domainUUID: uuid).with(MadeState(start: 5, targetNode: "node-b")))
    var arriving = MadeVMI(name: "copy", domainUUID: uuid, node: "node-b")
    arriving.state = MadeState(uid: "r-uid", start: 5, targetNode: "node-b")
    script.put(arriving)
    var source = MadeVMIM.running()
    source.isSender = true
    var target = MadeVMIM.running("r", vmi: "copy")
    target.isReceiver = true
    script.put(source)
    script.put(target)
    #expect(script.snapshot.trackedCount == 1)
    #expect(try #require(script.view()).facts.origin == .decentralized)
    #expect(script.view()?.facts.target == "node-b" && script.counters == [1, 0, 0, 0])
  }
}
