import DroverCore
import LibvirtLab
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("libvirt: post-copy")
  struct LibvirtPostcopy {
    @Test("post-copy goes from precopy over postcopy to success, without a deadline once the guest has moved")
    func success() async throws {
      try await Scene.with { scene in
        let listener = try scene.lab.listen(.a)
        let (migration, moved) = try await postcopy(scene, over: .mig)
        let id = moved.identity.id
        #expect(moved.completionDeadline == nil && moved.progressDeadline == nil)
        #expect(moved.verdict.kind == .unknown && moved.verdict.evidence == .notInPrecopy)
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        let view = try await scene.untilOver(id)
        let told = try #require(try await listener.stop().last { $0.name == "job-completed" })
        expectSuccess(view, as: told.figures)
        try await scene.lab.heartbeat("g", on: .b)
        let record = scene.record
        let trail = record.trail(of: id)
        // The two hosts are not heard at the same moment.
        let after = trail.drop { $0.phase != .postcopy || $0.guest != .target }.filter { !$0.isOver }
        #expect(after.allSatisfy { $0.guest == .target }, "\(after.map { ($0.phase, $0.guest) })")
        #expect(
          trail.filter { $0.phase == .postcopy }.allSatisfy {
            $0.completionDeadline == nil && $0.completion == nil
          })
        #expect(record.essentials(of: id) == [.precopy, .postcopy, .succeeded])
        #expect(trail.allSatisfy { !$0.guest.isAlarming })
        #expect(record.counts == Counts(started: 1, succeeded: 1))
      }
    }

    @Test("a post-copy that loses its connection is paused, not over, until its source is ended")
    func broken() async throws {
      try await Scene.with { scene in
        let (migration, moved) = try await postcopy(scene, over: .ctl, megabitsPerSecond: 16)
        let id = moved.identity.id
        try await scene.lab.cut(.ctl)
        let paused = try await scene.untilShown("postcopy_paused", id) { $0.phase == .postcopyPaused }
        #expect(paused.guest == .target && !paused.isOver)
        #expect(paused.completionDeadline == nil && paused.progressDeadline == nil)
        _ = await migration.result()
        try await scene.wait(.seconds(5), since: paused.phaseEnteredAt)
        let later = try #require(scene.record.last(id))
        #expect(later.phase == .postcopyPaused && later.guest == .target && !later.isOver)
        #expect(scene.record.counts == Counts(started: 1))
        #expect(try await scene.lab.virsh(.a, ["domstate", "--reason", "g"]).contains("post-copy failed"))

        try await scene.lab.virsh(.a, ["destroy", "g"])
        let view = try await scene.untilOver(id)
        #expect(view.phase == .failed && view.ending?.cause == .postcopyBroken, "\(view.ending?.text ?? "")")
        #expect(view.guest == .target)
        let record = scene.record
        #expect(record.essentials(of: id) == [.precopy, .postcopy, .postcopyPaused, .failed])
        #expect(record.counts == Counts(started: 1, failed: [.postcopyBroken: 1]))
      }
    }

    /// A guest that has gone over in post-copy while its memory follows slowly.
    private func postcopy(
      _ scene: Scene, over wire: LabHosts.Wire, megabitsPerSecond megabits: Int? = nil
    ) async throws -> (LabMigration, MigrationView) {
      try await scene.guest(workingSet: 32, speed: 8)
      let migration = try await scene.lab.migrate(
        "g", over: wire, ["--postcopy", "--postcopy-bandwidth", "2"])
      let running = try await scene.untilCopying()
      #expect(running.completionDeadline != nil)
      let id = running.identity.id
      try await scene.untilShown("a second pass", id) { $0.sample.iterations ?? 0 >= 2 }
      // Pages that the guest asks for do not count for the bandwidth of post-copy: it would soon have them all.
      if let megabits { try await scene.lab.shape(wire, megabitsPerSecond: megabits) }
      try await scene.lab.virsh(.a, ["migrate-postcopy", "g"])
      let moved = try await scene.untilShown("the guest on the target", id) {
        $0.phase == .postcopy && $0.guest == .target
      }
      return (migration, moved)
    }
  }
}
