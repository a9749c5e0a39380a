import DroverCore
import KubeLab
import KubeVirtBackend
import Logging
import MigrationControl
import QEMURig
import Synchronization
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("KubeVirt: nodes, what moves their VMs away, and what a drain would do")
  struct KubeNodes {
    /// A cluster that is watched by a back end which can be asked to act.
    struct Stage: Sendable {
      let scene: KubeScene
      let control: MigrationControl
      let backend: KubeVirtBackend

      var cluster: Cluster { scene.cluster }

      func stop(_ subject: EvacuationSubject, isDryRun: Bool = false) async -> StopAnswer {
        await control.stopEvacuation(
          of: subject, at: KubeScene.backend, requester: "the test", withoutJournal: true, isDryRun: isDryRun)
      }

      func subject(_ vm: VM) -> EvacuationSubject {
        .vm(VMRef(backend: KubeScene.backend, scope: .namespace(vm.namespace), name: vm.name))
      }

      /// A VM that was evicted, in the copy of the migration that KubeVirt began for it.
      func evicted(_ name: String, on node: String = "n1", to target: String = "n2") async throws -> (
        VM, Migration
      ) {
        let vm = try await cluster.addVMI(name, on: node)
        try await vm.markForEviction()
        let migration = try await cluster.createVMIM(for: vm, origin: .evacuation(node))
        try await migration.advance(to: .running, on: target)
        try await scene.until("it", migration) { $0.phase == .precopy }
        return (vm, migration)
      }

      /// How an eviction and its migration are.
      struct Eviction: Hashable {
        var isMarked: Bool
        var isDeleted: Bool
        static let evicted = Eviction(isMarked: true, isDeleted: false)
        static let ended = Eviction(isMarked: false, isDeleted: true)
      }

      func state(_ vm: VM, _ migration: Migration) async throws -> Eviction {
        let vmi = try await cluster.api.get(.vmis, vm.name, in: vm.namespace)
        let vmim = try await cluster.api.get(.vmims, migration.name, in: migration.namespace)
        return Eviction(
          isMarked: vmi[path: "status", "evacuationNodeName"] != nil,
          isDeleted: vmim[path: "metadata", "deletionTimestamp"] != nil)
      }

      func isDeleted(_ migration: Migration) async throws -> Bool {
        try await state(migration.vm, migration).isDeleted
      }

      /// What it ends with; nil where it does what it is asked.
      func failure(_ body: @Sendable () async throws(ControlError) -> Void) async -> ControlError? {
        do throws(ControlError) { try await body() } catch { return error }
        return nil
      }

      func node(_ name: String) async throws -> JSONValue { try await cluster.api.get(.nodes, name) }

      func taints(_ name: String) async throws -> [String] {
        (try await node(name)[path: "spec", "taints"]?.array ?? []).compactMap { $0["key"]?.string }
      }
    }

    func with(as user: User = .admin, version: String = "1.9.0", _ body: (Stage) async throws -> Void)
      async throws
    {
      try await Cluster.withShared { cluster in
        try await KubeScene.acting(cluster, version: version, as: user) { scene, control, backend in
          try await body(Stage(scene: scene, control: control, backend: backend))
        }
      }
    }

    @Test("a node is read with its guests and with what is on its way; cordoned and uncordoned, once")
    func cordon() async throws {
      try await with { stage in
        let cluster = stage.cluster
        try await cluster.addVMI("b", on: "n1", memory: "4Gi")
        try await cluster.addVMI("a", on: "n1", memory: "2Gi")
        let coming = try await cluster.addVMI("coming", on: "n2")
        try await cluster.createVMIM(for: coming).advance(to: .scheduled, on: "n1")
        var node = try await stage.backend.node("n1")
        #expect(node.guests.map(\.vm.name) == ["a", "b", "coming"] && node.isCordoned == false)
        #expect(
          node.guests.map(\.memory) == [Bytes(2 << 30), Bytes(4 << 30), Bytes(2 << 30)]
            && node.drainedBy == nil)
        try await stage.backend.cordon("n1", isCordoned: true)
        node = try await stage.backend.node("n1")
        #expect(node.isCordoned == true)
        let version = try await stage.node("n1")[path: "metadata", "resourceVersion"]
        try await stage.backend.cordon("n1", isCordoned: true)
        #expect(try await stage.node("n1")[path: "metadata", "resourceVersion"] == version)
        try await stage.backend.cordon("n1", isCordoned: false)
        #expect(try await stage.node("n1")[path: "spec", "unschedulable"] == nil)

        // Harvester keeps it closed: nobody else opens it.
        try await stage.backend.cordon("n1", isCordoned: true)
        try await cluster.annotate("n1", ["harvesterhci.io/maintain-status": "running"])
        #expect(try await stage.backend.node("n1").drainedBy == .harvesterMaintenance)
        let held = await #expect(throws: ControlError.self) {
          try await stage.backend.cordon("n1", isCordoned: false)
        }
        #expect(held?.kind == .refused)
        #expect(try await stage.node("n1")[path: "spec", "unschedulable"] != nil)
        let gone = await #expect(throws: ControlError.self) { try await stage.backend.node("n9") }
        #expect(gone?.kind == .gone)
      }
    }

    @Test("an API server that hangs is told within the deadline, and nothing is sent to it later")
    func hangs() async throws {
      try await with { stage in
        try await stage.cluster.server.suspend()
        let clock = ContinuousClock()
        let began = clock.now
        let node = Task {
          await stage.failure { () async throws(ControlError) in _ = try await stage.backend.node("n1") }
        }
        let cordon = await stage.failure { () async throws(ControlError) in
          try await stage.backend.cordon("n1", isCordoned: true)
        }
        #expect(cordon?.kind == .timeout && cordon?.mayBeDone == true)
        #expect(await node.value?.kind == .timeout)
        #expect(await stage.stop(.node("n1")).refusals.map(\.reason) == [.unreadable])
        let took = clock.now - began
        #expect(took < .seconds(25))
        try await stage.cluster.server.resume()
        #expect(try await stage.backend.node("n1").isCordoned == false)
      }
    }

    @Test("the evacuation of a VM is ended: the mark first, then its migration; nothing else is touched")
    func stopVM() async throws {
      try await with { stage in
        try await VirtAPIStandIn.with(stage.cluster) { api in
          let (vm, migration) = try await stage.evicted("one")
          let (other, untouched) = try await stage.evicted("other", to: "n3")
          let asked = await stage.stop(stage.subject(vm), isDryRun: true)
          #expect(asked.steps.count == 2 && asked.found.count == 2)
          #expect(try await api.requests.isEmpty)

          let done = await stage.stop(stage.subject(vm))
          #expect(done.decision.result == .done && done.steps.count == 2, "\(done.decision.resultText)")
          #expect(try await stage.state(vm, migration) == .ended)
          #expect(try await stage.state(other, untouched) == .evicted)
          #expect(try await api.requests.map { "\($0.vmi) \($0.status)" } == ["default/one 202"])
          let again = await stage.stop(stage.subject(vm))
          #expect(again.decision.kind == .observed)

          // In post-copy the migration is left to its end; the mark goes all the same.
          try await untouched.postcopy()
          let left = await stage.stop(stage.subject(other))
          #expect(
            left.decision.result == .done && left.steps.contains { $0.hasPrefix("left VMIM") },
            "\(left.steps)")
          #expect(try await stage.state(other, untouched) == .init(isMarked: false, isDeleted: false))
        }
      }
    }

    @Test(
      "the evacuation of a node is ended: taint, marks, migrations; during a Harvester upgrade nothing is touched"
    )
    func stopNode() async throws {
      try await with { stage in
        try await VirtAPIStandIn.with(stage.cluster) { api in
          let (marked, first) = try await stage.evicted("marked")
          let swept = try await stage.cluster.addVMI("swept", on: "n1")
          let second = try await stage.cluster.createVMIM(for: swept, origin: .evacuation("n1"))
          try await second.pending()
          let elsewhere = try await stage.evicted("elsewhere", on: "n2", to: "n3")
          let person = try await stage.cluster.addVMI("person", on: "n1")
          let own = try await stage.cluster.createVMIM(for: person)
          try await own.pending()

          // What an upgrade of Harvester puts there.
          try await stage.cluster.label("n1", ["harvesterhci.io/managed": "true"])
          try await stage.cluster.taint("n1", value: "draining")
          for subject in [EvacuationSubject.node("n1"), stage.subject(marked)] {
            #expect(await stage.stop(subject).refusals.map(\.reason) == [.harvesterUpgrade])
          }
          #expect(try await stage.state(marked, first) == .evicted)
          #expect(try await api.requests.isEmpty)
          #expect(try await stage.taints("n1").contains("kubevirt.io/drain"))

          try await stage.cluster.untaint("n1")
          try await stage.cluster.taint("n1", value: nil)
          #expect(await stage.stop(stage.subject(marked)).refusals.map(\.reason) == [.drainTaint])
          let before = try await stage.node("n1")[path: "spec", "unschedulable"]
          let done = await stage.stop(.node("n1"))
          #expect(done.decision.result == .done, "\(done.decision.resultText)")
          #expect(done.steps.count == 4 && done.steps[0].hasPrefix("took the taint"), "\(done.steps)")
          #expect(try await !stage.taints("n1").contains("kubevirt.io/drain"))
          #expect(try await stage.node("n1")[path: "spec", "unschedulable"] == before)
          #expect(try await stage.state(marked, first) == .ended)
          #expect(try await stage.state(swept, second) == .ended)
          #expect(try await stage.state(elsewhere.0, elsewhere.1) == .evicted)
          #expect(try await !stage.isDeleted(own))
        }
      }
    }

    @Test(
      "an abort with its cause is sent: the eviction is taken back first; not under maintenance mode or a taint"
    )
    func andItsCause() async throws {
      try await with { stage in
        try await VirtAPIStandIn.with(stage.cluster) { api in
          let (vm, migration) = try await stage.evicted("one")
          let id = try #require(MigrationID(migration.uid))
          func abort() async -> AbortAnswer {
            await stage.control.abort(
              AbortOrder(id, trigger: .person, requester: "the test", endsCause: true, withoutJournal: true))
          }
          try await stage.cluster.annotate("n1", ["harvesterhci.io/maintain-status": "running"])
          #expect(await abort().decision.refusal == .harvesterMaintenance)
          try await stage.cluster.annotate("n1", ["harvesterhci.io/maintain-status": .null])
          // A node that is drained takes nobody.
          try await stage.cluster.taint("n2", value: nil)
          let order = StartOrder(vm: try #require(stage.vmRef(vm)), node: "n2")
          let wish = await stage.control.migrate(order, requester: "x", isDryRun: true)
          #expect(wish.refusals.map(\.reason).contains(.targetUnfit), "\(wish.refusals)")
          let none = try await api.requests
          #expect(none.isEmpty)
          let answer = await abort()
          #expect(
            answer.decision.kind == .acted && answer.decision.result == nil, "\(answer.decision.resultText)")
          #expect(try await stage.state(vm, migration) == .ended)
          let asked = try await api.requests
          #expect(asked.map(\.status) == [202] && asked.map(\.node) == ["n1"])

          // A KubeVirt before 1.7 knows no such part: then the migration stays, too.
          try await api.setOld(true)
          let (late, second) = try await stage.evicted("two")
          let refused = await stage.control.abort(
            AbortOrder(
              try #require(MigrationID(second.uid)), trigger: .person, requester: "the test", endsCause: true,
              withoutJournal: true))
          #expect(refused.error?.kind == .unsupported, "\(refused.decision.resultText)")
          #expect(try await stage.state(late, second) == .evicted)
        }
      }
    }

    @Test(
      "each right that is left out: what it makes impossible is said, with the right, and nothing is half done"
    )
    func rights() async throws {
      try await with(as: .drover) { stage in
        try await VirtAPIStandIn.with(stage.cluster) { api in
          let (vm, migration) = try await stage.evicted("one")
          try await stage.cluster.taint("n1", value: nil)
          let cordoned = await #expect(throws: ControlError.self) {
            try await stage.backend.cordon("n1", isCordoned: true)
          }
          #expect(
            cordoned?.kind == .denied && cordoned?.cause.contains("'patch' on 'nodes'") == true,
            "\(cordoned?.cause ?? "")")

          // Without the node's file nothing of the rest is done.
          var answer = await stage.stop(.node("n1"))
          #expect(answer.error?.kind == .denied && answer.decision.resultText.contains("'patch' on 'nodes'"))
          #expect(try await stage.state(vm, migration) == .evicted)

          // Without that of evictions the taint goes, and the migration stays.
          try await stage.cluster.grant("nodes", [Cluster.Rule([""], ["nodes"], ["patch"])])
          answer = await stage.stop(.node("n1"))
          #expect(answer.error?.kind == .denied, "\(answer.decision.resultText)")
          #expect(answer.decision.resultText.contains("done before: took the taint"))
          #expect(try await stage.state(vm, migration) == .evicted)
          #expect(try await api.requests.isEmpty)

          // Without that of aborts the eviction is taken back, and it is said that the migration goes on.
          try await stage.cluster.grant(
            "evictions",
            [
              Cluster.Rule(
                ["subresources.kubevirt.io"],
                ["virtualmachineinstances/evacuate", "virtualmachineinstances/evacuate/cancel"],
                ["update"])
            ])
          answer = await stage.stop(.node("n1"))
          #expect(
            answer.error?.kind == .denied && answer.decision.resultText.contains("'delete'"),
            "\(answer.decision.resultText)")
          #expect(try await stage.state(vm, migration) == .init(isMarked: false, isDeleted: false))
          #expect(try await api.requests.map(\.user) == ["drover"])

          try await stage.cluster.grant(
            "abort", [Cluster.Rule(["kubevirt.io"], ["virtualmachineinstancemigrations"], ["delete"])])
          answer = await stage.stop(.node("n1"))
          #expect(
            answer.decision.result == .done, "\(answer.decision.resultText)")
          #expect(try await stage.state(vm, migration) == .ended)
          for name in ["nodes", "evictions", "abort"] { try await stage.cluster.revoke(name) }
        }
      }
    }

    @Test("what a drain would do to a small cluster, node by node; with a right left out it is not known")
    func preflight() async throws {
      try await with { stage in
        for number in 1...3 { try await stage.plain("vm-\(number)", on: "n1") }
        var preflight = try await stage.backend.preflight(node: nil)
        #expect(preflight.vms.map(\.outcome) == [.migrates, .migrates, .migrates], "\(preflight.vms)")
        #expect(
          preflight.vms.flatMap(\.causes) == [] && preflight.nodes.map(\.withoutRoom) == [[]], "\(preflight)")

        let stuck = try await stage.plain("stuck", on: "n2")
        try await stuck.setLiveMigratable(false, reason: "DisksNotLiveMigratable")
        try await stage.plain("lost", on: "n2", strategy: "None")
        try await stage.plain("fine", on: "n2")
        // Nobody but Drover itself lets it read anew within 10 s.
        try await stage.backend.cordon("n3", isCordoned: true)
        preflight = try await stage.backend.preflight(node: "n2")
        let outcomes = Dictionary(uniqueKeysWithValues: preflight.vms.map { ($0.vm.name, $0.outcome) })
        #expect(outcomes == ["stuck": .blocks, "lost": .willBeShutDown, "fine": .migrates])
        #expect(
          preflight.nodes.map(\.withoutRoom) == [[]] && preflight.nodes[0].guests == 3, "\(preflight.nodes)")
        #expect(
          preflight.vms.filter { $0.outcome != .migrates }.allSatisfy {
            $0.causes.contains { !$0.remedy.isEmpty }
          })
        let gone = await #expect(throws: ControlError.self) { try await stage.backend.preflight(node: "n9") }
        #expect(gone?.kind == .gone)
      }
      try await with(as: .drover) { stage in
        try await stage.plain("vm", on: "n1")
        // All but the list of pods.
        try await stage.cluster.revoke("read")
        let kinds: [(String, [String])] = [
          ("kubevirt.io", ["*"]), ("", ["nodes", "persistentvolumeclaims", "persistentvolumes"]),
          ("storage.k8s.io", ["*"]),
          ("longhorn.io", ["*"]), ("k8s.cni.cncf.io", ["*"]),
        ]
        try await stage.cluster.grant(
          "preflight", kinds.map { Cluster.Rule([$0.0], $0.1, ["get", "list", "watch"]) })
        let preflight = try await stage.backend.preflight(node: nil)
        #expect(
          preflight.vms.allSatisfy { $0.isOpen } && preflight.nodes.map(\.withoutRoom) == [nil],
          "\(preflight)")
        #expect(preflight.nodes[0].text.contains("grant"), "\(preflight.nodes)")
        try await stage.cluster.revoke("preflight")
      }
    }
  }
}

extension LabTests.KubeNodes.Stage {
  /// A VM that nothing speaks against: no claims and no networks, which are not there.
  @discardableResult
  func plain(_ name: String, on node: String, strategy: String = "LiveMigrate") async throws -> VM {
    try await cluster.addVMI(name, on: node, evictionStrategy: strategy) { object in
      for part in ["volumes", "networks"] { object[path: "spec", part] = nil }
      for part in ["disks", "interfaces"] { object[path: "spec", "domain", "devices", part] = nil }
    }
  }

  func vmRef(_ vm: VM) -> VMRef? {
    if case .vm(let ref) = subject(vm) { ref } else { nil }
  }
}
