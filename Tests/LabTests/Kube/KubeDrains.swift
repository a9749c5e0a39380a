import DroverCore
import FoundationEssentials
import KubeLab
import KubeVirtBackend
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("KubeVirt: nodes that are emptied")
  struct KubeDrains {
    @Test(
      "20 VMs leave a node, with two slots, as KubeVirt 1.8 and 1.9 let them", arguments: ["1.8.0", "1.9.0"])
    func evacuation(version: String) async throws {
      try await KubeScene.with(version: version) { scene in
        let cluster = scene.cluster
        var vms: [VM] = []
        for number in 0..<19 { vms.append(try await cluster.addVMI("vm-\(number)", on: "n1")) }
        let stuck = try await cluster.addVMI("stuck", on: "n1", evictionStrategy: "LiveMigrate")
        try await stuck.setLiveMigratable(false, reason: "DisksNotLiveMigratable")
        try await scene.until("20 VMs", node: "n1") { $0.vms == 20 && $0.state?.drain.isDraining == false }
        let begin = scene.watcher.clock.now()
        try await cluster.taint("n1")
        try await cluster.cordon("n1")
        let first = try await scene.until("the drain", node: "n1") {
          $0.states == [.pending: 19, .blocked: 1]
        }
        let startedAt = try #require(first.state?.drain.startedAt)
        #expect(startedAt >= begin - .seconds(2) && startedAt <= scene.watcher.clock.now())

        // From 1.9 on all at once; before, as many as may run.
        let atOnce = version == "1.9.0" ? 19 : 2
        var waiting: [Migration] = []
        for vm in vms[..<atOnce] {
          let migration = try await cluster.createVMIM(for: vm, origin: .evacuation("n1"))
          try await migration.pending()
          waiting.append(migration)
        }
        try await scene.until("migrations that wait", node: "n1") {
          $0.pending == UInt64(atOnce) && $0.states == [.pending: 19, .blocked: 1]
        }
        let (good, late) = (waiting[0], waiting[1])
        for migration in [good, late] { try await migration.advance(to: .running, on: "n2") }
        try await scene.until("two that move", node: "n1") {
          $0.states == [.pending: 17, .migrating: 2, .blocked: 1] && $0.outbound == 2
        }
        if version == "1.9.0" {
          let next = try await scene.until("the next in the queue", waiting[2]) {
            $0.waiting?.reason == .queueNode
          }
          #expect(try #require(next.waiting?.position) >= 1)
          #expect(next.facts.origin == .evacuation)
        }
        try await good.succeed()
        try await scene.until("one that has left", node: "n1") {
          $0.states == [.pending: 17, .migrating: 1, .done: 1, .blocked: 1] && $0.vms == 19
        }
        try await late.fail(.completionTimeout(budget: 450))
        if version == "1.8.0" {
          // The text says which of the two it was; from 1.9 on the time has to.
          try await scene.until("one that was too late", node: "n1") {
            $0.states == [.pending: 17, .timedOut: 1, .done: 1, .blocked: 1]
          }
        }
        let broken = try await evacuation(of: vms[2], waiting, in: cluster)
        try await broken.advance(to: .running, on: "n3")
        try await broken.fail(.libvirt("internal error: qemu unexpectedly closed the monitor"))
        try await scene.until("one that failed", node: "n1") {
          $0.states[.failed, default: 0] >= 1 && $0.states[.pending] == 16 && $0.failedOutbound == 2
        }
        let again = try await cluster.createVMIM(for: vms[1], origin: .evacuation("n1"))
        try await again.advance(to: .running, on: "n2")
        try await scene.until("another attempt", node: "n1") { $0.states[.migrating] == 1 }
        try await again.succeed()
        try await scene.until("that attempt's end", node: "n1") {
          $0.states[.done] == 2 && $0.states[.timedOut] == nil
        }
        let last = try await scene.until("the same drain", node: "n1") { $0.vms == 18 }
        #expect(last.state?.drain.startedAt == startedAt)

        // The rest goes, two at a time; what cannot go stays, and the drain with it.
        guard version == "1.8.0" else { return }
        try await withThrowingTaskGroup(of: Void.self) { group in
          for (number, vm) in vms.enumerated() where number >= 2 {
            if number >= 4 { try await group.next() }
            group.addTask {
              let migration = try await cluster.createVMIM(for: vm, origin: .evacuation("n1"))
              try await migration.advance(to: .running, on: number % 2 == 0 ? "n2" : "n3")
              try await migration.succeed()
            }
          }
          try await group.waitForAll()
        }
        let left = try await scene.until("all that could leave", node: "n1") {
          $0.states == [.done: 19, .blocked: 1]
        }
        #expect(left.vms == 1 && left.isDrained == false && left.rebootBlockers == [.vm])
        #expect(left.state?.drain.startedAt == startedAt)
        #expect(!scene.watcher.record.hasBeenDrained("n1"))
        try await stuck.delete()
        let empty = try await scene.until("an empty node", node: "n1") { $0.isDrained == true }
        #expect(empty.vms == 0)
      }
    }

    /// In 1.9 a migration waits already; in 1.8 the next is made when there is room.
    private func evacuation(of vm: VM, _ waiting: [Migration], in cluster: Cluster) async throws -> Migration
    {
      if let migration = waiting.first(where: { $0.vm.name == vm.name }) { return migration }
      return try await cluster.createVMIM(for: vm, origin: .evacuation("n1"))
    }

    @Test("each thing that speaks against a reboot, alone, and gone again")
    func blockers() async throws {
      try await KubeScene.with { scene in
        let cluster = scene.cluster
        try await cluster.cordon("n3")
        try await scene.until("an empty node", node: "n3") { $0.isDrained == true && $0.rebootBlockers == [] }

        let vm = try await cluster.addVMI("vm", on: "n3")
        try await scene.blocks([.vm], node: "n3")
        try await vm.delete()
        try await scene.blocks([], node: "n3")

        let arriving = try await cluster.createVMIM(for: try await cluster.addVMI("guest", on: "n1"))
        try await arriving.advance(to: .scheduled, on: "n3")
        try await arriving.preparingTarget()
        try await scene.blocks([.inbound], node: "n3")
        try await arriving.advance(to: .running, on: "n3")
        try await arriving.fail(.libvirt("internal error: no more room"))
        try await scene.blocks([], node: "n3")

        try await cluster.uncordon("n3")
        try await scene.blocks([.notCordoned], node: "n3")
        try await cluster.cordon("n3")
        try await scene.blocks([], node: "n3")

        try await cluster.addVolume("pvc-1")
        try await cluster.addReplica(of: "pvc-1", on: "n3")
        try await scene.blocks([.lastReplica], node: "n3")
        try await cluster.addReplica(of: "pvc-1", on: "n1")
        try await scene.blocks([], node: "n3")
        try await cluster.setReplica(of: "pvc-1", on: "n1", isHealthy: false)
        try await scene.blocks([.lastReplica], node: "n3")
        try await cluster.setReplica(of: "pvc-1", on: "n1", isHealthy: true)
        try await scene.blocks([], node: "n3")

        // The server is there for nobody: what is known grows old.
        let start = ContinuousClock.now
        try await cluster.server.suspend()
        try await scene.until("old data", node: "n3", within: .seconds(120)) {
          // Of the replicas, too, nobody can tell any more.
          $0.rebootBlockers == [.lastReplica, .dataStale] && $0.isDrained == false
        }
        print("lab: data is old \(ContinuousClock.now - start) after the server stopped")
        try await cluster.server.resume()
        try await scene.until("new data", node: "n3") { $0.isDrained == true }
        try await scene.blocks([], node: "n3")
      }
    }

    @Test(
      "Longhorn that may not be read blocks, and one that is not there does not; VMs elsewhere do not count")
    func replicas() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        for node in ["n1", "n2"] { try await cluster.addNode(node) }
        try await cluster.cordon("n2")
        let readable = Cluster.Rule.read(
          .vmis, .vmims, .nodes, .kubeVirts, .policies, .namespaces, .events, .pods, .configMaps)
        try await cluster.grant("most", readable)
        try await Self.untilReadable(.configMaps, in: cluster)
        let kubeconfig = try cluster.server.kubeconfig(User.drover)
        try await KubeScene.watch(cluster, kubeconfig: kubeconfig) { scene in
          try await scene.blocks([.lastReplica], node: "n2")
          try await scene.watcher.until("what is missing") { record in
            record.lines.contains { $0.contains("replicas") && $0.contains("longhorn.io") } ? true : nil
          }
        }
        try await cluster.grant("storage", Cluster.Rule.read(.replicas))
        try await Self.untilReadable(.replicas, in: cluster)
        try await KubeScene.watch(cluster, kubeconfig: kubeconfig) { scene in
          try await scene.blocks([], node: "n2")
        }
        try await cluster.api.delete(.customResourceDefinitions, "replicas.longhorn.io")
        try await KubeScene.watch(cluster, kubeconfig: kubeconfig) { scene in
          try await scene.blocks([], node: "n2")
          #expect(scene.watcher.record.snapshot.backends.first?.isUp == true)
        }
        // One namespace says nothing of the others.
        try await cluster.addVMI("seen", in: "team", on: "n1")
        try await cluster.addVMI("unseen", on: "n2")
        let elsewhere = try await cluster.createVMIM(for: try await cluster.addVMI("other", on: "n1"))
        try await elsewhere.advance(to: .running, on: "n2")
        try await KubeScene.watch(
          cluster, kubeconfig: kubeconfig, configure: { $0.namespaces = ["team"] }
        ) { scene in
          try await scene.until("one VM", node: "n1") { $0.vms == 1 }
          try await scene.until("a node of which too little is known", node: "n2") {
            $0.rebootBlockers == [.dataStale] && $0.isDrained == false && $0.vms == 0
          }
          #expect(scene.view(elsewhere) == nil)
          #expect(!scene.watcher.record.hasBeenDrained("n2"))
        }
      }
    }

    /// What is granted counts within a moment; what is refused is asked for again after a minute only.
    private static func untilReadable(_ resource: Resource, in cluster: Cluster) async throws {
      let deadline = ContinuousClock.now + .seconds(20)
      while try await cluster.api.request("GET", resource.path(), token: User.drover.token).status != 200 {
        try #require(ContinuousClock.now < deadline)
        try await Task.sleep(for: .milliseconds(20))
      }
    }

    @Test("what says that a node is emptied: KubeVirt's own taint, another key, Harvester's maintenance")
    func signs() async throws {
      try await KubeScene.with(migrations: ["nodeDrainTaintKey": "example.test/empty"]) { scene in
        let cluster = scene.cluster
        let vm = try await cluster.addVMI("vm", on: "n1")
        try await scene.until("a VM", node: "n1") { $0.vms == 1 }
        try await cluster.taint("n1")
        try await cluster.setHeartbeat("n1", at: .now.addingTimeInterval(-7))
        try await scene.until("a taint that means nothing", node: "n1") {
          $0.state?.heartbeat != nil && $0.state?.drain.isDraining == false
        }
        try await cluster.taint("n1", "example.test/empty")
        try await scene.until("the key that counts", node: "n1") { $0.states[.pending] == 1 }
        try await cluster.untaint("n1", "example.test/empty")
        try await scene.until("no drain", node: "n1") { $0.state?.drain.isDraining == false }
        try await cluster.configureMigrations(["nodeDrainTaintKey": .null])
        try await scene.until("the usual key", node: "n1") { $0.state?.drain.isDraining == true }
        try await cluster.untaint("n1")
        try await scene.until("no drain again", node: "n1") { $0.state?.drain.isDraining == false }

        try await cluster.annotate("n1", ["harvesterhci.io/drain-requested": "true"])
        try await scene.until("maintenance that is asked for", node: "n1") { $0.states[.pending] == 1 }
        try await cluster.cordon("n1")
        try await cluster.annotate(
          "n1", ["harvesterhci.io/drain-requested": .null, "harvesterhci.io/maintain-status": "running"])
        try await scene.until("maintenance", node: "n1") {
          $0.states[.pending] == 1 && $0.rebootBlockers == [.vm]
        }
        let migration = try await cluster.createVMIM(for: vm, origin: .evacuation("n1"))
        try await migration.advance(to: .running, on: "n2")
        try await migration.succeed()
        try await scene.until("a VM that has left", node: "n1") {
          $0.states[.done] == 1 && $0.isDrained == true
        }
        try await cluster.annotate("n1", ["harvesterhci.io/maintain-status": "completed"])
        try await scene.until("the end of the drain", node: "n1") {
          $0.state?.drain.isDraining == false && $0.isDrained == true
        }
      }
    }
  }
}

extension NodeView {
  /// How many VMs are in each state, those with none left out.
  fileprivate var states: [DrainVMState: UInt64] {
    (state?.drain.vms ?? [:]).filter { $0.value > 0 }
  }
}

extension KubeScene {
  /// Waits until exactly this speaks against a reboot; as long as anything does, the node is not told to be drained.
  fileprivate func blocks(_ blockers: [RebootBlocker], node: String) async throws {
    let view = try await until("\(blockers.map(\.rawValue))", node: node) { $0.rebootBlockers == blockers }
    #expect(view.isDrained == blockers.isEmpty)
  }
}

extension Watcher.Record {
  /// Whether a node was ever told to have nothing against a reboot.
  fileprivate func hasBeenDrained(_ name: String) -> Bool {
    messages.contains { message in
      if case .nodeState(let node) = message {
        node.node == name && node.drain.blockers.isEmpty
      } else {
        false
      }
    }
  }
}
