import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("What waits, and the slots it waits for")
struct QueueTests {
  /// A cluster with some slots and a VM for each number, three of four on `node-a`.
  private func cluster(_ vms: Int, perCluster: Int64 = 5, perNode: Int64 = 2) -> ClusterScript {
    let limits: JSON = [
      "parallelMigrationsPerCluster": .int(perCluster), "parallelOutboundMigrationsPerNode": .int(perNode),
    ]
    return ClusterScript(
      kubeVirt: MadeKubeVirt(migrations: limits),
      vmis: (1...max(1, vms)).map { MadeVMI(name: "vm\($0)", node: node($0)) })
  }

  private func node(_ n: Int) -> String { n % 4 == 0 ? "node-b" : "node-a" }

  private func running(_ n: Int, in script: inout ClusterScript) {
    script.put(
      MadeVMI(name: "vm\(n)", node: node(n)).with(MadeState(uid: "m\(n)-uid", start: 0, sourceNode: node(n))))
    script.put(MadeVMIM.running("m\(n)", vmi: "vm\(n)", at: 0))
  }

  private func pending(_ n: Int, priority: String = "", created: Double = 0) -> MadeVMIM {
    MadeVMIM(name: "m\(n)", vmi: "vm\(n)", created: created, priority: priority).entering(
      "Pending", at: created)
  }

  private func wait(_ script: ClusterScript, _ n: Int = 1) -> String {
    guard let waiting = script.view("m\(n)")?.waiting else { return "-" }
    return waiting.reason.rawValue + (waiting.position.map { " \($0)" } ?? "")
  }

  @Test("Where all slots of the cluster are taken, places are given by priority, then by age")
  func cluster() {
    var script = cluster(12, perCluster: 3, perNode: 99)
    for n in 1...3 { running(n, in: &script) }
    let waiting = [
      (4, "", 9.0), (5, "user-triggered", 8), (6, "system-maintenance", 7), (7, "", 6),
      (8, "system-critical", 5),
      (9, "system-critical", 4), (10, "whatever", 3),
    ]
    for (n, priority, created) in waiting { script.put(pending(n, priority: priority, created: created)) }
    script.advance(to: 10)
    #expect(waiting.map { wait(script, $0.0) } == [7, 3, 4, 6, 2, 1, 5].map { "queue_cluster \($0)" })
    #expect(script.snapshot.backends.first?.slots == SlotUse(used: 3, limit: 3))
    // One of them is done.
    var done = MadeVMIM.running("m1", vmi: "vm1", at: 0).entering("Succeeded", at: 11)
    done.state = MadeState(uid: "m1-uid", start: 0).succeeded(at: 11)
    script.put(done)
    script.advance(to: 12)
    #expect(wait(script, 9) == "unknown")
    #expect(script.snapshot.backends.first?.slots == SlotUse(used: 2, limit: 3))
  }

  @Test("Where those of a node are, it has places of its own")
  func node() {
    var script = cluster(9, perCluster: 99, perNode: 2)
    for n in 1...2 { running(n, in: &script) }
    for n in 3...8 { script.put(pending(n, created: Double(n))) }
    script.advance(to: 10)
    #expect(
      (3...8).map { wait(script, $0) } == [
        "queue_node 1", "unknown", "queue_node 2", "queue_node 3", "queue_node 4", "unknown",
      ])
    #expect(script.node("node-a")?.state?.slots == SlotUse(used: 2, limit: 2))
    #expect(script.node("node-b")?.state?.slots == SlotUse(used: 0, limit: 2))
    #expect(script.node("node-a")?.pending == 4)
  }

  @Test(
    "Defaults are five slots and two for each node; without KubeVirt's object nobody knows",
    arguments: [(MadeKubeVirt(), 5, 2), (nil, nil, nil)] as [(MadeKubeVirt?, UInt64?, UInt64?)])
  func defaults(kubeVirt: MadeKubeVirt?, perCluster: UInt64?, perNode: UInt64?) {
    var script = ClusterScript(kubeVirt: kubeVirt)
    script.put(MadeVMIM().entering("Pending", at: 0))
    script.advance(to: 5)
    #expect(script.snapshot.backends.first?.slots?.limit == perCluster)
    #expect(script.node("node-a")?.state?.slots?.limit == perNode)
    #expect(wait(script) == "unknown")
  }

  struct Holder: Sendable {
    var phase: String
    var isSender = false
    var isReceiver = false
    var hasPod = false
    var holds: Bool
  }

  @Test(
    "A slot is held as virt-controller counts it",
    arguments: [
      Holder(phase: "", holds: false), Holder(phase: "Pending", holds: false),
      Holder(phase: "Pending", hasPod: true, holds: true),
      Holder(phase: "WaitingForSync", isReceiver: true, holds: false),
      Holder(phase: "Synchronizing", isSender: true, holds: false), Holder(phase: "Scheduling", holds: true),
      Holder(phase: "Scheduling", isSender: true, holds: false),
      Holder(phase: "Scheduling", isReceiver: true, holds: true),
      Holder(phase: "Scheduled", isSender: true, holds: true), Holder(phase: "Scheduled", holds: true),
      Holder(phase: "PreparingTarget", holds: true), Holder(phase: "TargetReady", holds: true),
      Holder(phase: "Running", holds: true), Holder(phase: "Running", isReceiver: true, holds: true),
    ])
  func holders(holder: Holder) {
    var script = cluster(2)
    var vmim = MadeVMIM(isSender: holder.isSender, isReceiver: holder.isReceiver)
    if !holder.phase.isEmpty { vmim.enter(holder.phase, at: 1) }
    script.put(vmim)
    if holder.hasPod {
      script.put(MadeEvent(reason: "SuccessfulCreate", message: "Created migration target pod x"))
    }
    script.advance(to: 5)
    #expect(script.snapshot.backends.first?.slots?.used == (holder.holds ? 1 : 0))
    #expect(script.node("node-a")?.state?.slots?.used == (holder.holds ? 1 : 0))
  }

  @Test("A guest that has moved counts where it was and where it is until its VMIM is over")
  func moved() {
    var script = cluster(1)
    script.put(MadeVMI().with(MadeState(start: 5).succeeded(at: 9), node: "node-b"))
    script.put(.running())
    script.advance(to: 10)
    #expect(script.snapshot.backends.first?.slots?.used == 1)
    #expect(script.node("node-a")?.state?.slots?.used == 1 && script.node("node-b")?.state?.slots?.used == 1)
    #expect(script.node("node-c")?.state?.slots?.used == 0)
  }

  @Test("What waits for something else says so, and has no place in the queue")
  func otherReasons() {
    var script = cluster(9, perCluster: 1, perNode: 1)
    running(1, in: &script)
    let conditions: [(Int, String, String)] = [
      (2, "migrationRejectedByResourceQuota", "quota"), (3, "migrationBlockedByBackup", "backup"),
      (4, "migrationBlockedByUtilityVolumes", "utility_volumes"),
      (5, "decentralizedMigrationBlocked", "unknown"),
    ]
    for (n, condition, _) in conditions {
      var vmim = pending(n)
      vmim.conditions = [(condition, "because \(n)")]
      script.put(vmim)
    }
    script.put(MadeVMIM(name: "m6", vmi: "vm6", isSender: true).entering("Synchronizing", at: 0))
    script.put(pending(7, created: 50))
    script.advance(to: 3)
    for (n, _, reason) in conditions {
      #expect(wait(script, n) == reason)
      #expect(script.view("m\(n)")?.waiting?.text == "because \(n)")
    }
    #expect(wait(script, 6) == "unknown")
    #expect(wait(script, 7) == "queue_cluster 1")
  }

  @Test("In Scheduling it waits for a node or for its pod, and the two can be told apart")
  func scheduling() {
    var script = cluster(1)
    script.put(MadeVMIM().entering("Scheduling", at: 0))
    #expect(wait(script) == "pod_pending")
    script.put(MadePod(unschedulable: "0/3 nodes are available"))
    #expect(wait(script) == "unschedulable" && script.view()?.waiting?.text == "0/3 nodes are available")
    script.put(MadePod(node: "node-b"))
    #expect(wait(script) == "pod_pending" && script.view()?.waiting?.text == "")
    script.put(MadeVMIM().entering("Scheduled", at: 9))
    #expect(wait(script) == "-")
  }

  @Test("A pod that is there while it is still pending is what it waits for")
  func pendingPod() {
    var script = cluster(2, perCluster: 1, perNode: 1)
    running(2, in: &script)
    script.put(pending(1))
    script.put(MadeEvent(reason: "SuccessfulCreate", message: "Created attachment pod"))
    script.advance(to: 3)
    #expect(wait(script) == "pod_pending")
  }

  @Test("The pod is asked for while it is scheduled, every ten seconds, and for no other")
  func questions() {
    var script = cluster(2)
    script.put(MadeVMIM().entering("Scheduling", at: 0))
    script.put(pending(2))
    var asked: [Double] = []
    for second in 0...25 {
      script.advance(to: Double(second))
      let questions = script.watch.questions(at: TestTime.moment(Double(second)))
      for question in questions {
        #expect(question == .targetPod(uid: "m1-uid", namespace: "default"))
        asked.append(Double(second))
      }
    }
    #expect(asked == [3, 14, 25])
  }

  @Test("virt-controller waits longer with each failure of its own, and that is a reason")
  func backoff() {
    var script = cluster(1)
    func evacuation(_ n: Int, _ phase: String, at: Double) -> MadeVMIM {
      MadeVMIM(name: "e\(n)", created: at - 1, annotations: ["kubevirt.io/evacuationMigration": "node-a"])
        .entering(phase, at: at)
    }
    var second = 10.0
    for (n, wait) in [20.0, 40, 80, 160, 320, 320].enumerated() {
      script.advance(to: second)
      var failed = evacuation(n, "Failed", at: second)
      failed.state = MadeState(uid: "e\(n)-uid", start: second - 1).failed("x", at: second)
      script.put(failed)
      script.put(evacuation(n + 100, "Pending", at: second + 1))
      script.advance(to: second + wait - 1)
      #expect(script.view("e\(n + 100)")?.waiting?.reason == .backoff)
      #expect(script.view("e\(n + 100)")?.waiting?.text == "\(n + 1) failed in a row")
      script.advance(to: second + wait + 1)
      #expect(script.view("e\(n + 100)")?.waiting?.reason == .unknown)
      script.remove(evacuation(n + 100, "Pending", at: second + 1), last: false)
      script.answer()
      script.advance(to: script.now + 8)
      second = script.now + 1
    }
  }

  @Test("One whose back-off is over has a place in the queue, though nothing has come since")
  func placeAfterBackoff() {
    var script = cluster(2, perNode: 1)
    running(2, in: &script)
    func evacuation(_ name: String, _ phase: String, at second: Double) -> MadeVMIM {
      MadeVMIM(name: name, vmi: "vm1", annotations: ["kubevirt.io/evacuationMigration": "node-a"]).entering(
        phase, at: second)
    }
    script.advance(to: 12)
    var failed = evacuation("e1", "Failed", at: 12)
    failed.state = MadeState(uid: "e1-uid", start: 5).failed("x", at: 12)
    script.put(failed)
    script.put(evacuation("m1", "Pending", at: 13))
    script.advance(to: 31)
    #expect(wait(script) == "backoff")
    script.advance(to: 33)
    #expect(wait(script) == "queue_node 1")
  }

  @Test("A person's migration does not wait for that, nor does one of another VM, nor one after a success")
  func noBackoff() {
    var script = cluster(2)
    func evacuation(_ name: String, _ phase: String, vm: String = "vm1") -> MadeVMIM {
      MadeVMIM(name: name, vmi: vm, annotations: ["kubevirt.io/evacuationMigration": "node-a"]).entering(
        phase, at: 9)
    }
    script.advance(to: 10)
    var failed = evacuation("e1", "Failed")
    failed.state = MadeState(uid: "e1-uid", start: 5).failed("x", at: 9)
    script.put(failed)
    script.put(pending(1))
    script.put(evacuation("e2", "Pending", vm: "vm2"))
    script.advance(to: 11)
    #expect(wait(script) == "unknown" && script.view("e2")?.waiting?.reason == .unknown)
    var succeeded = evacuation("e3", "Succeeded")
    succeeded.state = MadeState(uid: "e3-uid", start: 5).succeeded(at: 9)
    script.put(succeeded)
    script.put(evacuation("e4", "Pending"))
    script.advance(to: 13)
    #expect(script.view("e4")?.waiting?.reason == .unknown)
  }

  @Test("A thousand that wait are looked at in no time")
  func many() {
    var script = cluster(1000, perCluster: 1, perNode: 1)
    running(1, in: &script)
    for n in 2...1000 { script.put(pending(n, created: Double(n))) }
    script.advance(to: 3)
    #expect(wait(script, 1000) == "queue_cluster 999")
  }
}
