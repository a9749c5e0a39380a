import DroverCore
import KubeLab
import KubeVirtBackend
import Logging
import MigrationControl
import QEMURig
import Synchronization
import Testing

@testable import ScenarioSupport

/// The migration that a person ends.
private final class Held: Sendable {
  let migration = Mutex<Migration?>(nil)
}

extension LabTests {
  @Suite("KubeVirt: a node that Drover empties")
  struct KubeDrain {
    private static let node = NodeRef(backend: KubeScene.backend, node: "n1")

    /// What becomes of a migration that Drover has asked for, by its VM's name.
    private static func play(_ migration: Migration) async throws {
      try await migration.advance(to: .running, on: "n2")
      switch migration.vm.name {
      case "bad": try await migration.fail(.libvirt("operation failed: the target does not take it"))
      case "held": break
      default: try await migration.succeed()
      }
    }

    /// Plays KubeVirt for every VMIM that Drover makes, until cancelled.
    private static func answer(_ vms: [String: VM], in cluster: Cluster, held: Held) async throws {
      var known: Set<String> = []
      while !Task.isCancelled {
        for object in try await cluster.api.list(.vmims) where known.insert(object.uid).inserted {
          guard object[path: "metadata", "annotations", "drover.io/reason"] != nil,
            let vm = vms[object[path: "spec", "vmiName"]?.string ?? ""]
          else { continue }
          let migration = try await cluster.migration(of: object, for: vm)
          if vm.name == "held" { held.migration.withLock { $0 = migration } }
          try await play(migration)
        }
        try await Task.sleep(for: .milliseconds(100))
      }
    }

    @Test(
      "cordoned, two at a time with those of others, one that fails is given up, one that a person ended is left; over a restart"
    )
    func whole() async throws {
      try await KubeNodes().with { stage in
        let cluster = stage.cluster
        var vms: [String: VM] = [:]
        for name in ["a", "b", "c", "bad", "held", "foreign"] {
          vms[name] = try await stage.plain(name, on: "n1")
        }
        let foreign = try await cluster.createVMIM(for: try #require(vms["foreign"]))
        try await foreign.advance(to: .running, on: "n3")
        try await stage.scene.until("it", foreign) { $0.phase == .precopy }

        let notes = Notes()
        let control = MigrationControl(
          fleet: stage.scene.watcher, journal: notes, clock: stage.scene.watcher.clock,
          log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { [backend = stage.backend] in $0 == KubeScene.backend ? backend : nil }
        let settings = DrainSettings(parallel: 2, attempts: 2)
        let held = Held()
        let all = vms
        try await withThrowingTaskGroup { group in
          defer { group.cancelAll() }
          group.addTask { await control.keepFollowing() }
          group.addTask { try await Self.answer(all, in: cluster, held: held) }
          let first = DrainControl(control, store: notes, settings: settings)
          #expect(await first.begin(Self.node, requester: "test").isNew)
          let run = Task { await first.run() }
          // The first Drover goes away once something is under way.
          try await stage.scene.watcher.until("a first that has arrived") { record in
            record.ends.contains { $0.phase == .succeeded && $0.facts.origin == .drover } ? true : nil
          }
          run.cancel()
          await run.value
          #expect(try await stage.node("n1")[path: "spec", "unschedulable"] != nil)
          try await foreign.succeed()
          let second = DrainControl(control, store: notes, settings: settings)
          let again = Task { await second.run() }
          defer { again.cancel() }

          try await stage.scene.eventually(seconds: 60) { held.migration.withLock { $0?.phase == .running } }
          let kept = held.migration.withLock { $0 }
          let migration = try #require(kept)
          try await stage.scene.until("the one that is held", migration) { $0.phase == .precopy }
          let answer = await control.abort(
            AbortOrder(try #require(MigrationID(migration.uid)), trigger: .person, requester: "somebody"))
          #expect(answer.decision.kind == .acted, "\(answer.decision.text)")
          try await migration.acknowledgeAbort()
          try await migration.finishAbort()
          try await stage.scene.eventually(seconds: 90) {
            second.status(Self.node)?.record.state.isInForce == false
          }

          let record = try #require(second.status(Self.node)?.record)
          #expect(record.state == .incomplete && record.isCordoned, "\(record)")
          func vm(_ name: String) -> DrainVM? { record.vms.first { $0.vm.name == name } }
          #expect(
            ["a", "b", "c"].allSatisfy { vm($0)?.state == .done && vm($0)?.attempts == 1 }, "\(record)")
          #expect(
            vm("bad")?.attempts == 2 && vm("bad")?.isSettled == true && vm("bad")?.state == .failed,
            "\(record)")
          #expect(vm("held")?.attempts == 1 && vm("held")?.isSettled == true, "\(record)")
          let starts = notes.decisions.filter { $0.action == .migrate && $0.kind == .acted }.map {
            $0.vm?.name ?? ""
          }
          #expect(starts.sorted() == ["a", "b", "bad", "bad", "c", "held"], "\(starts)")
          let most = stage.scene.watcher.record.looks.map { look in look.views.count { !$0.isOver } }.max()
          #expect(most == 2, "\(most ?? 0) at a time")
        }
      }
    }
  }
}
