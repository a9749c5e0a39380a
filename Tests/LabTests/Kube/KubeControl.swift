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
  @Suite("KubeVirt: what is started and ended through the API server")
  struct KubeControl {
    /// A cluster that is watched by a back end which can be asked to act.
    struct Stage: Sendable {
      let scene: KubeScene
      let control: MigrationControl
      let backend: KubeVirtBackend

      func abort(_ migration: Migration, endsCause: Bool = false) async throws -> AbortAnswer {
        let id = try #require(MigrationID(migration.uid))
        return await control.abort(
          AbortOrder(id, trigger: .person, requester: "the test", endsCause: endsCause, withoutJournal: true))
      }

      func start(_ vm: VM, to node: String? = nil) async -> StartAnswer {
        await control.migrate(
          StartOrder(
            vm: VMRef(backend: KubeScene.backend, scope: .namespace(vm.namespace), name: vm.name), node: node),
          requester: "the test", withoutJournal: true)
      }
    }

    private func with(
      version: String = "1.9.0", as user: User = .admin, _ body: (Stage) async throws -> Void
    ) async throws {
      try await Cluster.with { cluster in
        try await KubeScene.acting(cluster, version: version, as: user) { scene, control, backend in
          try await withThrowingTaskGroup { group in
            defer { group.cancelAll() }
            group.addTask { await control.keepFollowing() }
            try await body(Stage(scene: scene, control: control, backend: backend))
          }
        }
      }
    }

    @Test(
      "an abort deletes the VMIM in each phase before post-copy, and is followed as KubeVirt carries it out")
    func abortEach() async throws {
      try await with { stage in
        let phases: [Migration.Phase] = [.pending, .scheduling, .targetReady, .running]
        for phase in phases {
          let vm = try await stage.scene.cluster.addVMI("vm-\(phase)".lowercased(), on: "n1")
          let migration = try await stage.scene.cluster.createVMIM(for: vm)
          try await migration.advance(to: phase, on: "n2")
          try await stage.scene.until("it", migration) { _ in true }
          let answer = try await stage.abort(migration)
          #expect(answer.decision.kind == .acted, "\(phase): \(answer.decision.text)")
          #expect(answer.decision.result == nil, "\(phase): \(answer.decision.resultText)")
          let object = try await stage.scene.cluster.api.get(.vmims, migration.name, in: migration.namespace)
          #expect(object[path: "metadata", "deletionTimestamp"] != nil, "\(phase)")
          try await migration.acknowledgeAbort()
          if phase == .targetReady { try await migration.advance(to: .running, on: "n2") }
          try await migration.finishAbort()
          let over = try await stage.scene.untilOver(migration)
          #expect(
            over.phase == .aborted && over.ending?.cause == .userAbort && over.guest == .source, "\(phase)")
        }
        try await stage.scene.eventually { stage.control.totals.aborts[.init(.person, .aborted)] == 4 }
      }
    }

    @Test("in post-copy and in the switchover nobody ends it; one that succeeded all the same says so")
    func refusedPhases() async throws {
      try await with { stage in
        let postcopy = try await stage.scene.migrating("post")
        try await postcopy.postcopy()
        try await stage.scene.until("post-copy", postcopy) { $0.phase == .postcopy }
        #expect(try await stage.abort(postcopy).decision.refusal == .postcopy)

        let switching = try await stage.scene.migrating("switch")
        try await switching.complete()
        #expect(try await stage.abort(switching).decision.refusal == .switchover)

        let late = try await stage.scene.migrating("late")
        #expect(try await stage.abort(late).decision.kind == .acted)
        try await late.succeed()
        try await stage.scene.untilOver(late)
        try await stage.scene.eventually { stage.control.totals.aborts[.init(.person, .endedOtherwise)] == 1 }
        for migration in [postcopy, switching] {
          let object = try await stage.scene.cluster.api.get(.vmims, migration.name, in: migration.namespace)
          #expect(object[path: "metadata", "deletionTimestamp"] == nil)
        }
      }
    }

    @Test("a VMIM of the same name that has taken its place is not touched")
    func replaced() async throws {
      try await with { stage in
        let first = try await stage.scene.migrating("vm")
        let name = first.name
        let target = MigrationTarget(
          id: try #require(MigrationID("00000000-0000-4000-8000-000000000000")),
          vm: VMRef(backend: KubeScene.backend, scope: .namespace(first.namespace), name: "vm"),
          domain: try #require(DomainKey(uuid: "6f2d8f0e-0000-4000-8000-000000000001")), object: name)
        #expect(try await stage.backend.live(target).state == .replaced(MigrationID(first.uid)))
        let error = await #expect(throws: ControlError.self) { try await stage.backend.abort(target) }
        #expect(error?.kind == .replaced)
        let object = try await stage.scene.cluster.api.get(.vmims, name, in: first.namespace)
        #expect(object[path: "metadata", "deletionTimestamp"] == nil)
      }
    }

    @Test("an evacuation under the taint of a drain and a workload update are refused, and stay untouched")
    func comesBack() async throws {
      try await with { stage in
        let cluster = stage.scene.cluster
        let vm = try await cluster.addVMI("drained", on: "n1")
        let evacuation = try await cluster.createVMIM(for: vm, origin: .evacuation("n1"))
        try await evacuation.advance(to: .running, on: "n2")
        try await stage.scene.until("it", evacuation) { $0.phase == .precopy }
        try await cluster.taint("n1", value: nil)
        let tainted = try await stage.abort(evacuation, endsCause: true).decision
        #expect(tainted.refusal == .drainTaint, "\(tainted.text)")
        // On a node of Harvester this value is that of its upgrade.
        try await cluster.taint("n1")
        #expect(try await stage.abort(evacuation, endsCause: true).decision.refusal == .harvesterUpgrade)
        let updated = try await cluster.addVMI("updated", on: "n2")
        let update = try await cluster.createVMIM(for: updated, origin: .workloadUpdate)
        try await update.advance(to: .running, on: "n3")
        try await cluster.edit(.kubeVirts, "kubevirt", in: cluster.kubeVirtNamespace) {
          $0[path: "spec", "workloadUpdateStrategy"] = ["workloadUpdateMethods": ["LiveMigrate"]]
        }
        try await stage.scene.until("it", update) { $0.phase == .precopy }
        #expect(try await stage.abort(update, endsCause: true).decision.refusal == .comesBack)
        try await cluster.untaint("n1")
        try await vm.markForEviction()
        #expect(try await stage.abort(evacuation).decision.refusal == .comesBack)
        let object = try await cluster.api.get(.vmims, evacuation.name, in: evacuation.namespace)
        #expect(object[path: "metadata", "deletionTimestamp"] == nil)
      }
    }

    @Test("a VM is migrated by a VMIM whose origin everybody sees, to the node that was wished for")
    func starts() async throws {
      try await with { stage in
        let vm = try await stage.scene.cluster.addVMI("web", on: "n1")
        let answer = await stage.start(vm, to: "n2")
        #expect(answer.decision.result == .done, "\(answer.decision.text) \(answer.decision.resultText)")
        let view = try await stage.scene.watcher.until("the migration") { record in
          record.snapshot.migrations.first { $0.identity.id == answer.decision.migration }
        }
        #expect(view.facts.origin == .drover && view.facts.requestedTarget == "n2")
        #expect(view.facts.object == answer.object && answer.object.hasPrefix("web-"))
        let second = await stage.start(vm)
        #expect(second.refusals.map(\.reason) == [.migrating])
        #expect(try await stage.scene.cluster.api.count(.vmims) == 1)
      }
    }

    @Test(
      "what cannot migrate is refused before anything is sent, and without the right to create nothing is")
    func startRefused() async throws {
      try await with { stage in
        let bound = try await stage.scene.cluster.addVMI("bound", on: "n1")
        try await bound.setLiveMigratable(false, reason: "DisksNotLiveMigratable")
        #expect(await stage.start(bound).refusals.map(\.reason) == [.notMigratable])
        let fine = try await stage.scene.cluster.addVMI("fine", on: "n1")
        #expect(await stage.start(fine, to: "n9").refusals.map(\.reason) == [.targetUnfit])
        #expect(await stage.start(fine, to: "n1").refusals.map(\.reason) == [.sameNode])
        #expect(try await stage.scene.cluster.api.count(.vmims) == 0)
      }
      try await with(as: .drover) { stage in
        let fine = try await stage.scene.cluster.addVMI("fine", on: "n1")
        let answer = await stage.start(fine)
        #expect(answer.refusals.map(\.reason) == [.system] && answer.decision.text.contains("create"))
        let migration = try await stage.scene.cluster.createVMIM(for: fine)
        try await migration.pending()
        try await stage.scene.until("it", migration) { _ in true }
        let aborted = try await stage.abort(migration)
        #expect(aborted.decision.result == .error && aborted.decision.resultText.contains("delete"))
      }
    }

    @Test(
      "an abort is told at the VMI by an event; without the right to that it is sent all the same, which is said once"
    )
    func notes() async throws {
      let events = Resource("", "v1", "Event", "events")
      for maySay in [true, false] {
        try await with(as: .drover) { stage in
          let cluster = stage.scene.cluster
          try await cluster.grant(
            "abort", [Cluster.Rule(["kubevirt.io"], ["virtualmachineinstancemigrations"], ["delete"])])
          if maySay { try await cluster.grant("events", [Cluster.Rule([""], ["events"], ["create"])]) }
          try await cluster.api.settle("the right to delete") {
            try await cluster.api.request(
              "DELETE", Resource.vmims.path("none", in: "default"), token: User.drover.token
            ).status == 404
          }
          let migration = try await stage.scene.migrating("web")
          func own() async throws -> [JSONValue] {
            try await cluster.api.list(events, in: migration.namespace).filter {
              $0[path: "source", "component"]?.string == "drover"
            }
          }
          let began = ContinuousClock.now
          let answer = try await stage.abort(migration)
          #expect(answer.decision.kind == .acted && answer.decision.result == nil, "\(answer.decision)")
          #expect(ContinuousClock.now - began < .seconds(4), "nothing waits for a note")
          let said = try await stage.scene.watcher.until("a note, or why there is none") { record in
            record.lines.contains { $0.contains("no events about VMs") } || maySay ? true : nil
          }
          guard maySay else {
            let lines = stage.scene.watcher.record.lines.filter { $0.contains("no events about VMs") }
            #expect(
              said && lines.count == 1 && lines.first?.contains("grant the verb 'create' on") == true,
              "\(lines)")
            #expect(try await own().isEmpty)
            return
          }
          var found: [JSONValue] = []
          let end = ContinuousClock.now + .seconds(10)
          while found.isEmpty, ContinuousClock.now < end {
            found = try await own()
          }
          let event = try #require(found.first)
          #expect(event["reason"]?.string == "DroverAbortSent" && event["type"]?.string == "Normal")
          #expect(event[path: "involvedObject", "name"]?.string == "web")
          let vmi = try await cluster.api.get(.vmis, "web", in: migration.namespace)
          #expect(event[path: "involvedObject", "uid"]?.string == vmi.uid)
          #expect(event["message"]?.string?.contains(migration.name) == true)
        }
      }
    }

    @Test("a VMIM whose creation was not answered is found by its mark, and not made twice")
    func unanswered() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        for node in ["n1", "n2"] { try await cluster.addNode(node) }
        let vm = try await cluster.addVMI("web", on: "n1")
        try await AnswerRelay.with(cluster.server) { relay in
          let kubeconfig = try cluster.server.kubeconfig(.token(User.admin.token), address: relay.address)
          let made = Mutex<KubeVirtBackend?>(nil)
          try await Watcher.with(backends: { clock, log in
            let backend = KubeVirtBackend(
              configuration: KubeVirtConfiguration(
                name: KubeScene.backend, access: .kubeconfig(path: kubeconfig, context: nil)), clock: clock,
              log: log)
            made.withLock { $0 = backend }
            return [backend]
          }) { watcher in
            try await watcher.until("the first complete look") { $0.isClusterUp ? true : nil }
            let held = made.withLock { $0 }
            let backend = try #require(held)
            var order = StartOrder(
              vm: VMRef(backend: KubeScene.backend, scope: .namespace(vm.namespace), name: vm.name))
            order.mark = "7-1700000000000"
            try await relay.hold()
            let asking = Task { [order] in try await backend.start(order) }
            try await cluster.api.settle("the VMIM") { try await cluster.api.count(.vmims) == 1 }
            try await relay.drop()
            let receipt = try await asking.value
            #expect(
              receipt.warnings.first?.contains("found by its mark 7-1700000000000") == true, "\(receipt)")
            let all = try await cluster.api.list(.vmims)
            #expect(all.map(\.name) == [receipt.object])
            #expect(all.first?[path: "metadata", "annotations", "drover.io/decision"]?.string == order.mark)
            #expect(receipt.migration?.description == all.first?.uid)
          }
        }
      }
    }

    @Test("a KubeVirt that knows no wish for a node is not sent one")
    func old() async throws {
      try await with(version: "1.5.2") { stage in
        let vm = try await stage.scene.cluster.addVMI("web", on: "n1")
        #expect(await stage.start(vm, to: "n2").refusals.map(\.reason) == [.unsupported])
        #expect(await stage.start(vm).decision.result == .done)
      }
    }
  }
}

extension KubeScene {
  /// Waits for something that no message tells.
  func eventually(seconds: Int = 10, _ holds: @escaping @Sendable () -> Bool) async throws {
    for _ in 0..<seconds * 50 where !holds() { try await Task.sleep(for: .milliseconds(20)) }
    #expect(holds())
  }
}
