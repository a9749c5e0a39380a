import DroverCore
import LibvirtLab
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("libvirt: how migrations end")
  struct LibvirtEndings {
    @Test(
      "a success is told as libvirt tells it, once for both hosts; the guest is at the target",
      arguments: [false, true])
    func success(isPersistent: Bool) async throws {
      try await Scene.with { scene in
        let listener = try scene.lab.listen(.a)
        try await scene.guest(speed: 8, isPersistent: isPersistent)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let running = try await scene.untilCopying()
        #expect(running.guest == .source)
        #expect(running.facts.size == .mebibytes(64) && running.facts.memory == .mebibytes(64))
        #expect(running.completion?.timeout == .seconds(50))
        try await scene.untilShown("a downtime limit", running.identity.id) {
          $0.sample.downtimeLimit == .milliseconds(300)
        }
        try await scene.watcher.until("a guest on its way out and in") { record in
          record.node(.a)?.outbound == 1 && record.node(.b)?.inbound == 1 ? true : nil
        }
        await scene.hurry()
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        let view = try await scene.untilOver(running.identity.id)
        let told = try #require(try await listener.stop().last { $0.name == "job-completed" })
        expectSuccess(view, as: told.figures)
        if isPersistent { expectSuccess(view, as: try await scene.lab.completedFigures("g")) }
        expectNoLongerRunning(view)
        #expect(view.facts.source == "lab-a" && view.facts.target == "lab-b")
        try await scene.lab.heartbeat("g", on: .b)

        let ended = try #require(view.ending?.endedAt)
        #expect((scene.moment(of: outcome.endedAt) - ended).magnitude < .seconds(2))
        try await scene.watcher.until("one guest, on the other host") { record in
          record.node(.a)?.vms == 0 && record.node(.b)?.vms == 1 && record.node(.a)?.outbound == 0
            && record.node(.b)?.inbound == 0 ? true : nil
        }
        let record = scene.record
        #expect(record.ids == [view.identity.id] && record.ends.count == 1)
        #expect(record.counts == Counts(started: 1, succeeded: 1))
        #expect(record.essentials(of: view.identity.id) == [.precopy, .succeeded])
        #expect(record.trail(of: view.identity.id).allSatisfy { !$0.guest.isAlarming })
        #expect(view.identity.vm.backend.rawValue == "a")
      }
    }

    @Test("where only the source is watched a success is the same, but the target has an address for a name")
    func sourceOnly() async throws {
      try await Scene.with(sight: .source) { scene in
        let listener = try scene.lab.listen(.a)
        try await scene.guest(speed: 8)
        let migration = try await scene.lab.migrate("g", over: .mig)
        try await scene.untilCopying()
        await scene.hurry()
        #expect(await migration.result().hasSucceeded)
        let view = try await scene.untilOver()
        expectSuccess(
          view, as: try #require(try await listener.stop().last { $0.name == "job-completed" }).figures)
        #expect(view.facts.source == "lab-a" && view.facts.target == scene.lab.address(.b, on: .ctl))
        #expect(scene.record.counts == Counts(started: 1, succeeded: 1))
      }
    }

    @Test("a disk that is copied along counts in the size, in the budget and in the bytes")
    func storage() async throws {
      try await Scene.with { scene in
        try await scene.guest(rate: 1, speed: 20, isPersistent: true, disk: 128)
        try await scene.lab.write("g", mebibytes: 64)
        let migration = try await scene.lab.migrate("g", over: .mig, ["--copy-storage-all"])
        let running = try await scene.watcher.until("bytes of the disk") { record in
          record.snapshot.migrations.first { $0.sample.disk?.transferred ?? 0 > 0 && $0.facts.size != nil }
        }
        #expect(running.phase == .precopy && running.guest == .source)
        #expect(running.facts.size == .mebibytes(64 + 128))
        #expect(running.completion?.timeout == .seconds(150))
        // Memory has not begun, and all of it is still to be sent.
        #expect(running.sample.memory?.transferred == 0 && running.sample.memory?.remaining == .mebibytes(64))
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        let view = try await scene.untilOver(running.identity.id)
        let figures = try await scene.lab.completedFigures("g")
        expectSuccess(view, as: figures)
        #expect(view.sample.disk?.transferred ?? 0 >= .mebibytes(128))
        #expect(view.sample.transferred?.count == figures["data_processed"])
        try await scene.lab.heartbeat("g", on: .b)
        let record = scene.record
        #expect(record.essentials(of: view.identity.id) == [.precopy, .succeeded])
        let sizes = record.trail(of: view.identity.id).compactMap(\.facts.size)
        #expect(sizes.allSatisfy { $0 <= .mebibytes(64 + 128) } && sizes == sizes.sorted())
        #expect(record.counts == Counts(started: 1, succeeded: 1))
        #expect(record.interruptions.isEmpty)
      }
    }

    @Test("migrations that nobody has time to look at are counted all the same, there and back")
    func short() async throws {
      try await Scene.with { scene in
        let listeners = try [scene.lab.listen(.a), scene.lab.listen(.b)]
        try await scene.guest(rate: 0)
        for turn in 1...4 {
          #expect(await (try scene.lab.migrate("g", over: .mig)).result().hasSucceeded)
          try await scene.watcher.until("end \(turn)") { $0.ends.count == turn ? true : nil }
        }
        let record = scene.record
        #expect(record.counts == Counts(started: 4, succeeded: 4))
        var said: [LabEvent] = []
        for listener in listeners {
          said += try await listener.stop().filter { $0.name == "job-completed" }
        }
        said.sort { $0.unixMilliseconds < $1.unixMilliseconds }
        #expect(said.count == 4)
        for (view, said) in zip(record.ends, said) {
          #expect(view.ending?.certainty == .reported)
          #expect(view.ending?.duration?.milliseconds == said.figures["time_elapsed"].map { Int64($0) })
          #expect(view.sample.downtime?.milliseconds == said.figures["downtime"].map { Int64($0) })
          #expect(view.sample.memory?.transferred.count == said.figures["memory_processed"])
        }
        #expect(record.ends.map(\.facts.source) == ["lab-a", "lab-b", "lab-a", "lab-b"])
        let lengths = record.ends.compactMap(\.ending?.duration?.milliseconds)
        tell("short migrations took \(lengths) ms")
        let downtimes = record.snapshot.totals.outcomes.map(\.downtime.count).reduce(0, +)
        #expect(downtimes == 4)
      }
    }

    @Test("an abort is one each time it is asked for, and the guest runs on at the source")
    func abort() async throws {
      try await Scene.with { scene in
        try await scene.guest(speed: 4)
        for turn in 1...3 {
          let migration = try await scene.lab.migrate("g", over: .mig)
          let running = try await scene.watcher.until("migration \(turn)") { record in
            record.ids.count == turn
              ? record.last(record.ids[turn - 1]).flatMap { $0.phase == .precopy ? $0 : nil } : nil
          }
          try await scene.lab.abort("g")
          // What it says depends on who notices first.
          let outcome = await migration.result()
          #expect(!outcome.hasSucceeded)
          let view = try await scene.untilOver(running.identity.id)
          #expect(view.phase == .aborted && view.ending?.cause == .userAbort, "\(view.ending?.text ?? "")")
          #expect(view.ending?.certainty == .inferred)
          #expect(view.guest == .source)
          expectNoLongerRunning(view)
          let ended = try #require(view.ending?.endedAt)
          #expect((scene.moment(of: outcome.endedAt) - ended).magnitude < .seconds(2))
          try await scene.lab.heartbeat("g", on: .a)
          #expect(
            scene.record.counts == Counts(started: UInt64(turn), aborted: [.userAbort: UInt64(turn)]))
        }
        try await scene.watcher.until("one guest, nothing under way") { record in
          record.node(.a)?.vms == 1 && record.node(.a)?.outbound == 0 && record.node(.b)?.vms == 0
            && record.node(.b)?.inbound == 0 ? true : nil
        }
      }
    }

    enum Loss: CaseIterable { case qemu, daemon, guest }

    @Test("a target that is lost is told so, and the guest runs on at the source", arguments: Loss.allCases)
    func targetLost(_ loss: Loss) async throws {
      try await Scene.with { scene in
        try await scene.guest(speed: 4)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let running = try await scene.untilCopying()
        switch loss {
        case .qemu: try await scene.lab.killQEMU("g", on: .b)
        case .daemon: try await scene.lab.killDaemon(.b)
        case .guest: try await scene.lab.virsh(.b, ["destroy", "g"])
        }
        let outcome = await migration.result()
        #expect(!outcome.hasSucceeded)
        let view = try await scene.untilOver(running.identity.id)
        #expect(view.phase == .failed && view.ending?.cause == .targetLost, "\(view.ending?.text ?? "")")
        #expect(view.ending?.certainty == .inferred)
        #expect(view.guest == .source)
        expectNoLongerRunning(view)
        let ended = try #require(view.ending?.endedAt)
        #expect((scene.moment(of: outcome.endedAt) - ended).magnitude < .seconds(2))
        try await scene.lab.heartbeat("g", on: .a)
        let record = scene.record
        #expect(record.counts == Counts(started: 1, failed: [.targetLost: 1]))
        #expect(record.node(.a)?.failedOutbound == 1)
        #expect(record.essentials(of: view.identity.id) == [.precopy, .failed])
      }
    }

    @Test("a guest that is ended at the source in mid-migration takes its migration along")
    func guestLost() async throws {
      try await Scene.with { scene in
        try await scene.guest(speed: 4)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let running = try await scene.untilCopying()
        try await scene.lab.virsh(.a, ["destroy", "g"])
        #expect(await !migration.result().hasSucceeded)
        let view = try await scene.untilOver(running.identity.id)
        #expect(view.phase == .failed && view.ending?.cause == .vmLost, "\(view.ending?.text ?? "")")
        #expect(view.ending?.certainty == .reported)
        try await scene.watcher.until("no guest anywhere") { record in
          record.node(.a)?.vms == 0 && record.node(.b)?.vms == 0 && record.node(.b)?.inbound == 0 ? true : nil
        }
        // It may have been on its way over: that is said once it has lasted.
        try await scene.untilShown("a guest that runs nowhere", view.identity.id) {
          $0.guest == GuestLocation.none
        }
        #expect(scene.record.counts == Counts(started: 1, failed: [.vmLost: 1]))
      }
    }
  }
}
