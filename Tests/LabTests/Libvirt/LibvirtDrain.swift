import DroverCore
import LibvirtBackend
import LibvirtLab
import Logging
import MigrationControl
import QEMURig
import Synchronization
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("libvirt: a host that is emptied")
  struct LibvirtDrain {
    private let node = NodeRef(backend: BackendName(rawValue: "a"), node: "lab-a")

    private func runs(_ scene: Scene, on host: LabHosts.Host) async throws -> Set<String> {
      Set(try await scene.lab.virsh(host, ["list", "--name"]).split(separator: "\n").map(String.init))
    }

    @Test(
      "of ten guests eight arrive, one cannot move, one is timed out; Drover restarts on the way and begins none twice"
    )
    func whole() async throws {
      try await LabHosts.with(keepalive: .fast) { lab in
        try await Scene.watching(
          lab,
          configure: { configuration in
            configuration.peers = [.other(lab)]
            // 20 s for the one of 64 MiB, 10 s for the others.
            configuration.budget = BudgetSettings(completionPerGiB: .seconds(320))
          }
        ) { scene in
          let movers = (1...8).map { "g\($0)" }
          for name in movers { try await lab.guest(name, memoryMebibytes: 32) }
          try await lab.guest("disk", memoryMebibytes: 32, isPersistent: true, diskMebibytes: 16)
          try await scene.guest("busy", rate: 200, workingSet: 16, memory: 64, speed: 4)
          try await scene.watcher.until("ten guests") { record in
            record.node(.a)?.vms == 10 ? true : nil
          }

          let notes = Notes()
          let backend = try scene.control
          let control = MigrationControl(
            fleet: scene.watcher, journal: notes, clock: scene.watcher.clock,
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
          ) { $0.rawValue == "a" ? backend : nil }
          let first = DrainControl(control, store: notes)
          let asked = await first.begin(node, requester: "test", isDryRun: true)
          #expect(asked.forecast.count == 10)
          #expect(asked.forecast.filter { !$0.refusals.isEmpty }.map(\.vm.name) == ["disk"])
          #expect(asked.forecast.allSatisfy { $0.target == "b" || $0.vm.name == "disk" })
          let preflight = await preflight(backend)
          #expect(
            preflight?.vms.filter { $0.outcome == .blocks }.map(\.vm.name) == ["disk"],
            "\(preflight ?? Preflight())")

          let begun = ContinuousClock.now
          let answer = await first.begin(node, requester: "test")
          #expect(answer.isNew, "\(answer)")
          // The first Drover goes away once something is under way.
          let run = Task { await first.run() }
          let follow = Task { await control.keepFollowing() }
          defer { follow.cancel() }
          try await scene.watcher.until("a first that has arrived") { record in
            record.ends.contains { $0.phase == .succeeded } ? true : nil
          }
          run.cancel()
          await run.value
          // What it was just about to ask for is asked for: a process that has ended would not come to it.
          try await scene.watcher.until("what is under way has a name") { _ in
            let vms = first.status(node)?.record.vms ?? []
            return vms.allSatisfy { $0.sentAt == nil || $0.migration != nil } ? true : nil
          }
          let second = DrainControl(control, store: notes)
          let again = Task { await second.run() }
          defer { again.cancel() }
          try await scene.watcher.until("the end of the drain", within: .seconds(120)) { record in
            record.node(.a)?.ownDrain?.record.state == .incomplete ? true : nil
          }
          tell("ten guests, two at a time, one of them to be timed out: \(ContinuousClock.now - begun)")

          let record = try #require(second.status(node)?.record)
          #expect(record.text == "2 left: 1 timed_out, 1 blocked", "\(record)")
          #expect(record.vms.filter { $0.state == .done }.map(\.vm.name) == movers)
          #expect(record.vms.first { $0.vm.name == "busy" }?.timeout == .completionTimeout, "\(record)")
          #expect(
            record.vms.first { $0.vm.name == "disk" }?.text.contains("storage of this host only") == true)
          #expect(try await runs(scene, on: .a) == ["busy", "disk"])
          #expect(try await runs(scene, on: .b) == Set(movers))
          try await lab.heartbeat("busy", on: .a)
          // Each was begun once, also the one that Drover ended on the way.
          let starts = notes.decisions.filter { $0.action == .migrate && $0.kind == .acted }
          #expect(starts.map { $0.vm?.name ?? "" }.sorted() == ["busy"] + movers)
          #expect(scene.record.ids.count == 9)
          let aborts = notes.decisions.filter { $0.action == .abort && $0.kind == .acted }
          #expect(aborts.map(\.trigger) == [.completionTimeout])
          let most = scene.record.looks.map { look in look.views.count { !$0.isOver } }.max()
          #expect(most == 2)
          let view = try #require(scene.record.node(.a))
          #expect(view.isDraining == false && view.rebootBlockers == [.vm])
          #expect(
            view.drainVMs?[.done] == 8 && view.drainVMs?[.timedOut] == 1 && view.drainVMs?[.blocked] == 1)
          let outcome = notes.decisions.first { $0.action == .drain }
          #expect(outcome?.result == .endedOtherwise, "\(String(describing: outcome))")

          // What was in the way is shut down, and the next drain finds the host empty.
          for name in ["busy", "disk"] { try await lab.virsh(.a, ["destroy", name]) }
          #expect(await second.begin(node, requester: "test").isNew)
          try await scene.watcher.until("an empty host", within: .seconds(30)) { record in
            record.node(.a)?.ownDrain?.record.state == .complete && record.node(.a)?.isDrained == true
              ? true : nil
          }
        }
      }
    }

    private func preflight(_ backend: LibvirtBackend) async -> Preflight? {
      try? await backend.preflight(node: nil)
    }
  }
}
