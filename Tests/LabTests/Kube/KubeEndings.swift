import DroverCore
import KubeLab
import KubeVirtBackend
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("KubeVirt: how migrations end")
  struct KubeEndings {
    @Test("a success goes through its phases, with KubeVirt's own budget, and is counted once")
    func success() async throws {
      try await KubeScene.with { scene in
        let vm = try await scene.cluster.addVMI(
          "db", on: "n1", memory: "8Gi", migrationMethod: "LiveMigration")
        let migration = try await scene.cluster.createVMIM(for: vm, origin: .ui, targetNode: "n2")
        try await scene.until("waiting", migration) { $0.phase == .pending }
        try await migration.pending()
        try await migration.scheduling()
        try await scene.until("scheduling", migration) { $0.phase == .scheduling }
        try await migration.scheduled("n2")
        try await scene.until("preparing", migration) { $0.phase == .preparing && !$0.hasStarted }
        try await migration.advance(to: .running, on: "n2")
        try await scene.cluster.handlers.begin(migration.copy, total: 8 << 30, rate: 200 << 20, dirtyRate: 0)
        let running = try await scene.until("bytes", migration) {
          $0.phase == .precopy && ($0.sample.transferred ?? 0) > 0
        }
        #expect(running.facts.origin == .manual && running.facts.requestedTarget == "n2")
        #expect(
          running.facts.source == "n1" && running.facts.target == "n2" && running.facts.network == "pod")
        #expect(running.facts.object == migration.name)
        #expect(running.completion?.timeout == .seconds(1350) && running.completion?.setBy == .vmi)
        #expect(running.completion?.enforcedBy == .kubevirt && running.completion?.action == .abort)
        #expect(running.progressBudget?.timeout == .seconds(150))
        #expect(running.guest == .source)
        try await scene.watcher.until("a migration leaving and arriving") { record in
          let nodes = record.snapshot.nodes
          return nodes.contains { $0.node == "n1" && $0.outbound == 1 && $0.pending == 0 }
            && nodes.contains { $0.node == "n2" && $0.inbound == 1 } ? true : nil
        }
        try await migration.succeed()
        let over = try await scene.untilOver(migration)
        #expect(over.phase == .succeeded && over.ending?.certainty == .reported)
        #expect(over.guest == .target)
        let record = scene.watcher.record
        #expect(record.countedStarts == 1 && record.countedEnds == 1)
        try await scene.watcher.until("the VM at its new node") { record in
          record.snapshot.nodes.contains { $0.node == "n2" && $0.vms == 1 && $0.inbound == 0 } ? true : nil
        }
      }
    }

    /// How a migration that copies ends, and what is made of it.
    struct End: Sendable {
      let name: String
      /// Seconds since it started, and since its bytes stopped; nil where they flow.
      var since = 100.0
      var silence: Double?
      let failure: Migration.Failure
      let cause: FailureCause
      /// Up to 1.8, and from 1.9 on.
      let certainty: (old: Certainty, new: Certainty)

      static func lost(_ name: String, _ text: String) -> [End] {
        let isNamed = name == "keepalive"
        return [
          End(
            name: "\(name)-30", silence: 28, failure: .libvirt(text), cause: .keepalive,
            certainty: isNamed ? (.reported, .reported) : (.inferred, .inferred)),
          End(
            name: "\(name)-150", since: 200, silence: 150, failure: .libvirt(text),
            cause: isNamed ? .keepalive : .progressTimeout,
            certainty: isNamed ? (.reported, .reported) : (.inferred, .inferred)),
        ]
      }

      static let all =
        [
          End(
            name: "completion", since: 451, failure: .completionTimeout(budget: 450),
            cause: .completionTimeout, certainty: (.reported, .inferred)),
          End(
            name: "progress", since: 200, silence: 150, failure: .progressTimeout(seconds: 151),
            cause: .progressTimeout, certainty: (.reported, .inferred)),
          End(
            name: "volume", failure: .volumeTooSmall, cause: .storage, certainty: (.reported, .reported)),
          End(
            name: "refused", failure: .libvirt("unsupported configuration: no such machine type"),
            cause: .targetRefused, certainty: (.reported, .reported)),
          End(
            name: "cut", failure: .libvirt("Connection reset by peer"), cause: .connectionLost,
            certainty: (.reported, .reported)),
          End(
            name: "strange", failure: .libvirt("words that nobody knows"), cause: .other,
            certainty: (.reported, .reported)),
        ]
        + lost("keepalive", "internal error: connection closed due to keepalive timeout")
        + lost("socket", "internal error: client socket is closed")
        + lost("eof", "Cannot recv data: End of file while reading data: Input/output error")
        + lost("reset", "Cannot recv data: Connection reset by peer")
        + lost("host", "operation failed: Lost connection to destination host")
    }

    @Test(
      "each text of a failure, old and new, is read for its cause, and what it does not tell is inferred",
      arguments: ["1.8.2", "1.9.0"])
    func failureTexts(version: String) async throws {
      let isOld = version == "1.8.2"
      try await KubeScene.after(version: version) { cluster in
        try await KubeScene.each(End.all) { end in
          let migration = try await cluster.migrating(end.name, since: end.since)
          try await cluster.handlers.begin(
            migration.copy, total: 2 << 30, rate: 1 << 20, dirtyRate: 0, isPolled: end.silence == nil)
          return migration
        }
      } _: { scene, migrations in
        try await KubeScene.each(Array(zip(End.all, migrations))) { end, migration in
          let running = try await scene.until("the copy", migration) { $0.phase == .precopy }
          #expect(running.guest == .source, "\(end.name)")
          if let silence = end.silence {
            try await scene.silence(migration, for: silence)
          } else {
            try await scene.until("bytes", migration) { $0.sample.transferred != nil }
          }
          try await migration.fail(end.failure)
          let over = try await scene.untilOver(migration)
          let certainty = isOld ? end.certainty.old : end.certainty.new
          #expect(over.phase == .failed, "\(end.name)")
          #expect(over.ending?.cause == end.cause, "\(end.name)")
          #expect(over.ending?.certainty == certainty, "\(end.name)")
          #expect(over.ending?.text == end.failure.text(version: version), "\(end.name)")
          #expect(over.guest == .source, "\(end.name)")
        }
        #expect(scene.watcher.record.counts.failed.values.reduce(0, +) == UInt64(End.all.count))
        #expect(scene.watcher.record.countedEnds == UInt64(End.all.count))
      }
    }

    @Test("from 1.9 one text stands for three causes: what nothing points to stays unknown")
    func oneText() async throws {
      try await KubeScene.after { cluster in
        let early = try await cluster.migrating("early", since: 60)
        try await cluster.handlers.begin(early.copy, total: 2 << 30, rate: 1 << 20, dirtyRate: 0)
        let down = try await cluster.migrating("down", since: 5, to: .targetReady)
        return (early, down)
      } _: { scene, played in
        let (early, down) = played
        try await scene.until("bytes", early) { ($0.sample.transferred ?? 0) > 0 }
        try await early.fail(.completionTimeout(budget: 450))
        let over = try await scene.untilOver(early)
        #expect(over.phase == .failed && over.ending?.cause == .unknown)
        #expect(over.ending?.certainty == .inferred && over.guest == .source)

        try await scene.until("preparing", down) { $0.phase == .preparing }
        try await down.fail(.targetPodDown)
        let dead = try await scene.untilOver(down)
        #expect(dead.ending?.cause == .targetLost && dead.ending?.certainty == .reported)
        #expect(dead.guest == .source && !dead.hasStarted)
      }
    }

    /// The phase in which somebody deletes the object.
    enum Deletion: String, CaseIterable, Sendable {
      case unset, pending, scheduling, scheduled, preparing, running, postcopy, late
    }

    @Test("an abort ends as its phase lets it, is told apart from a failure, and is counted once")
    func abort() async throws {
      try await KubeScene.with { scene in
        try await KubeScene.each(Deletion.allCases) { deletion in
          let name = deletion.rawValue
          let vm = try await scene.cluster.addVMI(name, on: "n1", migrationMethod: "LiveMigration")
          let migration = try await scene.cluster.createVMIM(for: vm)
          let phase: (Migration.Phase, Phase) =
            switch deletion {
            case .unset: (.unset, .pending)
            case .pending: (.pending, .pending)
            case .scheduling: (.scheduling, .scheduling)
            case .scheduled: (.scheduled, .preparing)
            case .preparing: (.preparingTarget, .preparing)
            case .running, .postcopy, .late: (.running, .precopy)
            }
          try await migration.advance(to: phase.0, on: "n2")
          if deletion == .postcopy { try await migration.postcopy() }
          try await scene.until("its phase", migration) {
            $0.phase == (deletion == .postcopy ? .postcopy : phase.1)
          }
          try await migration.requestAbort()
          switch deletion {
          case .postcopy:
            try await migration.succeed()
            let over = try await scene.untilOver(migration)
            #expect(over.phase == .succeeded && over.guest == .target, "\(name)")
          case .late:
            try await scene.until("aborting", migration) { $0.phase == .aborting }
            try await migration.succeed()
            let over = try await scene.untilOver(migration)
            #expect(over.phase == .succeeded && over.guest == .target, "\(name)")
          case .unset, .pending, .scheduling, .scheduled, .preparing, .running:
            try await scene.until("aborting", migration) { $0.phase == .aborting }
            if deletion == .preparing {
              // Nothing is aborted before the copy runs.
              try await migration.advance(to: .running, on: "n2")
              try await migration.acknowledgeAbort()
              #expect(scene.view(migration)?.isOver == false)
            }
            try await migration.finishAbort()
            let over = try await scene.untilOver(migration)
            #expect(over.phase == .aborted && over.ending?.cause == .userAbort, "\(name)")
            #expect(over.ending?.certainty == .reported && over.guest == .source, "\(name)")
          }
          #expect(try await migration.object() == nil, "\(name)")
        }
        let record = scene.watcher.record
        #expect(record.counts.aborted == [.userAbort: 6] && record.counts.succeeded == 2)
        #expect(record.counts.failed.isEmpty)
      }
    }

    @Test("post-copy has no deadlines and the guest at the target; broken, nobody knows where it is")
    func postcopy() async throws {
      try await KubeScene.with(migrations: ["allowPostCopy": true]) { scene in
        let migrations = try await KubeScene.each(["moves", "breaks", "aborts"]) { name in
          let migration = try await scene.migrating(name)
          let running = try await scene.until("the copy", migration) { $0.sample.transferred != nil }
          #expect(running.completion?.action == .postcopy && running.completionDeadline != nil)
          #expect(running.progressDeadline != nil)
          try await migration.postcopy()
          let moved = try await scene.until("post-copy", migration) { $0.phase == .postcopy }
          #expect(moved.completionDeadline == nil && moved.completion == nil)
          #expect(moved.progressDeadline == nil && moved.progressBudget == nil)
          #expect(moved.guest == .target)
          return migration
        }
        try await migrations[0].succeed()
        let over = try await scene.untilOver(migrations[0])
        #expect(over.phase == .succeeded && over.guest == .target)
        // Words that would be a time-out or a cut in pre-copy.
        for (migration, failure) in [
          (migrations[1], Migration.Failure.libvirt("Connection reset by peer")),
          (migrations[2], .text("Live migration has been aborted")),
        ] {
          try await migration.fail(failure)
          let broken = try await scene.untilOver(migration)
          #expect(broken.ending?.cause == .postcopyBroken && broken.ending?.certainty == .inferred)
          #expect(broken.guest != .source && broken.guest != .target)
        }
      }
    }

    @Test("a guest that is paused to let the copy end has twice the time, and then the copy is aborted")
    func paused() async throws {
      try await KubeScene.with(migrations: ["allowWorkloadDisruption": true]) { scene in
        let migrations = try await KubeScene.each(["ends", "aborts"]) { name in
          let migration = try await scene.migrating(name)
          let running = try await scene.until("the copy", migration) { $0.phase == .precopy }
          #expect(running.completion?.action == .pause && running.completion?.timeout == .seconds(450))
          try await migration.paused()
          let held = try await scene.until("the pause", migration) { $0.phase == .guestSuspended }
          #expect(held.completion?.timeout == .seconds(900) && held.completion?.action == .abort)
          #expect(held.completionDeadline == held.startedAt + .seconds(900))
          #expect(held.guest == .source)
          return migration
        }
        try await migrations[0].succeed()
        let over = try await scene.untilOver(migrations[0])
        #expect(over.phase == .succeeded && over.guest == .target)
        try await migrations[1].requestAbort()
        try await migrations[1].finishAbort()
        let aborted = try await scene.untilOver(migrations[1])
        #expect(aborted.phase == .aborted && aborted.guest == .source)
      }
    }
  }
}
