import DroverCore
import LibvirtLab
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("libvirt: guests and daemons in trouble")
  struct LibvirtTrouble {
    @Test("a guest that dirties as fast as is sent does not converge; once more is allowed, it does")
    func notConverging() async throws {
      try await Scene.with { scene in
        let listener = try scene.lab.listen(.a)
        try await scene.guest(speed: 12)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let id = try await scene.untilCopying().identity.id
        let view = try await scene.untilShown("not_converging", id) { $0.verdict.kind == .notConverging }
        tell("not converging was told \((view.sampledAt - view.startedAt).milliseconds) ms after the start")
        #expect(view.sampledAt - view.startedAt < .seconds(25))
        guard case .passesDoNotShrink(let passes, let best, let dirty, let transfer) = view.verdict.evidence
        else {
          Issue.record("the evidence is \(view.verdict.evidence)")
          return
        }
        #expect(passes == VerdictSettings().passes)
        #expect(best > .mebibytes(8) && best <= .mebibytes(24))
        let ratio = Double(dirty.value) / Double(max(1, transfer.value))
        #expect(ratio >= 0.9 && ratio < 2)
        // What is sent is what was allowed, as libvirt counts MiB.
        #expect(transfer.value > 8 << 20 && transfer.value < 16 << 20)
        #expect(view.verdict.expectedEnd == nil)

        // It may end before it is known that the guest has understood.
        try? await scene.lab.setRate("g", DirtyRate(atLeastMebibytesPerSecond: 1))
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        let end = try await scene.untilOver(id)
        expectSuccess(
          end, as: try #require(try await listener.stop().last { $0.name == "job-completed" }).figures)
        let record = scene.record
        #expect(record.counts == Counts(started: 1, succeeded: 1) && record.interruptions.isEmpty)
        #expect(record.trail(of: id).allSatisfy { $0.verdict.kind != .stalled })
      }
    }

    @Test(
      "a disk that is rewritten faster than it is copied does not converge, and it is the disk that says so")
    func diskNotConverging() async throws {
      try await Scene.with { scene in
        try await scene.guest(rate: 1, speed: 16, isPersistent: true, disk: 64)
        try await scene.lab.write("g", mebibytes: 64)
        let migration = try await scene.lab.migrate("g", over: .mig, ["--copy-storage-all"])
        let running = try await scene.watcher.until("bytes of the disk") { record in
          record.snapshot.migrations.first { $0.sample.disk?.transferred ?? 0 > 0 }
        }
        let id = running.identity.id
        let rewriting = Task { [lab = scene.lab] in
          while !Task.isCancelled { try await lab.write("g", mebibytes: 64) }
        }
        defer { rewriting.cancel() }
        let view = try await scene.untilShown("not_converging", id, within: .seconds(120)) {
          $0.verdict.kind == .notConverging
        }
        guard case .diskDoesNotShrink(let best, let sent, let transfer) = view.verdict.evidence else {
          Issue.record("the evidence is \(view.verdict.evidence)")
          return
        }
        tell(
          "a disk's not converging was told \((view.sampledAt - view.startedAt).milliseconds) ms after the start"
        )
        #expect(best > 0 && best <= .mebibytes(64) && sent.count >= 3 * best.count && transfer.value > 0)
        rewriting.cancel()
        _ = await rewriting.result
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        let end = try await scene.untilOver(id)
        expectSuccess(end, as: try await scene.lab.completedFigures("g"))
        #expect(end.facts.size == .mebibytes(128))
        #expect(scene.record.counts == Counts(started: 1, succeeded: 1))
      }
    }

    @Test("a QEMU that hangs for 40 s hides itself only, and goes on as the same migration")
    func hungQEMU() async throws {
      try await Scene.with { scene in
        for name in ["hung", "fine"] { try await scene.guest(name, speed: 4) }
        let migrations = [
          try await scene.lab.migrate("hung", over: .mig), try await scene.lab.migrate("fine", over: .mig),
        ]
        let hung = try await scene.untilCopying("hung").identity.id
        let fine = try await scene.untilCopying("fine").identity.id
        let errors = scene.record.backend(.a)?.errors.first { $0.kind == "timeout" }?.count
        try await scene.lab.hang("hung")
        let hangs = scene.now
        try await scene.wait(.seconds(40), since: hangs)
        var record = scene.record
        let resumed = scene.now
        try await scene.lab.resume("hung")
        #expect(record.last(hung)?.isOver == false && record.last(hung)?.phase == .precopy)
        #expect(try #require(record.last(hung)).sampledAt < hangs + .seconds(3))
        #expect(record.looks(at: hung, from: hangs).allSatisfy { $0.view.verdict.kind != .stalled })
        #expect(record.last(hung)?.verdict.kind == .unknown)
        let ages = record.looks(at: fine, from: hangs, to: resumed).map {
          ($0.at - $0.view.sampledAt).milliseconds
        }
        tell("beside a QEMU that hung for 40 s, the oldest sample of another was \(ages.max() ?? -1) ms old")
        #expect(ages.count > 100 && ages.allSatisfy { $0 <= 2000 })
        #expect(record.looks(at: fine, from: hangs).allSatisfy { $0.view.phase == .precopy })
        #expect(record.backend(.a)?.isUp == true)
        let timeouts = record.backend(.a)?.errors.first { $0.kind == "timeout" }?.count
        #expect(timeouts == errors.map { $0 + 1 })

        try await scene.untilShown("new samples of the one that hung", hung) { $0.sampledAt > resumed }
        for name in ["hung", "fine"] { await scene.hurry(name) }
        for migration in migrations { #expect(await migration.result().hasSucceeded) }
        for id in [hung, fine] { #expect(try await scene.untilOver(id).phase == .succeeded) }
        record = scene.record
        #expect(Set(record.ids) == [hung, fine])
        #expect(record.counts == Counts(started: 2, succeeded: 2))
        for name in ["hung", "fine"] { try await scene.lab.heartbeat(name, on: .b) }
      }
    }

    @Test("the source's daemon is killed and comes back: the migration ended, the rest goes on")
    func sourceDaemonKilled() async throws {
      try await Scene.with { scene in
        try await scene.guest("other", rate: 1)
        try await scene.guest(speed: 4)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let id = try await scene.untilCopying().identity.id
        try await scene.lab.killDaemon(.a)
        try await scene.watcher.until("a back end that is down") {
          $0.backend(.a)?.isUp == false ? true : nil
        }
        #expect(scene.record.backend(.b)?.isUp == true)
        #expect(scene.record.last(id)?.isOver == false)
        #expect(await !migration.result().hasSucceeded)
        try await scene.lab.startDaemon(.a)
        let view = try await scene.untilOver(id)
        #expect(view.phase == .failed && view.ending?.cause == .sourceLost, "\(view.ending?.text ?? "")")
        #expect(view.ending?.certainty == .inferred && view.guest == .source)
        try await scene.watcher.until("a back end that is up again") { record in
          record.backend(.a)?.isUp == true && record.node(.a)?.vms == 2 && record.node(.a)?.outbound == 0
            ? true : nil
        }
        #expect(scene.record.counts == Counts(started: 1, failed: [.sourceLost: 1]))
        try await scene.lab.heartbeat("g", on: .a)

        // And the next one is seen as ever.
        let again = try await scene.lab.migrate("other", over: .mig)
        #expect(await again.result().hasSucceeded)
        try await scene.watcher.until("the other guest's success") { record in
          record.counts == Counts(started: 2, succeeded: 1, failed: [.sourceLost: 1]) ? true : nil
        }
        #expect(scene.record.backend(.a)?.errors.first { $0.kind == "lost" }?.count == 1)
      }
    }

    @Test("a daemon of the target that hangs leaves what its source says as it was")
    func targetDaemonHangs() async throws {
      // With the keepalive off the migration outlives it.
      try await Scene.with(keepalive: .disabled) { scene in
        try await scene.guest(speed: 4)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let id = try await scene.untilCopying().identity.id
        try await scene.untilShown("its target", id) { $0.facts.target == "lab-b" }
        try await scene.lab.hangDaemon(.b)
        let hangs = scene.now
        try await scene.watcher.until("the target's back end down", within: .seconds(60)) { record in
          record.backend(.b)?.isUp == false ? true : nil
        }
        try await scene.wait(.seconds(5), since: hangs)
        let looks = scene.record.looks(at: id, from: hangs)
        let ages = looks.map { ($0.at - $0.view.sampledAt).milliseconds }
        #expect(looks.count > 10 && ages.allSatisfy { $0 <= 2000 })
        #expect(looks.allSatisfy { $0.view.phase == .precopy && $0.view.guest == .source })
        #expect(looks.allSatisfy { $0.view.facts.target == "lab-b" })
        #expect(scene.record.backend(.a)?.isUp == true)
        try await scene.lab.resumeDaemon(.b)
        try await scene.watcher.until("the target's back end up") {
          $0.backend(.b)?.isUp == true ? true : nil
        }
        await scene.hurry()
        #expect(await migration.result().hasSucceeded)
        let view = try await scene.untilOver(id)
        #expect(view.phase == .succeeded && view.guest == .target)
        #expect(scene.record.counts == Counts(started: 1, succeeded: 1))
      }
    }

    @Test("auto-converge's throttle is shown as libvirt tells it, and helps")
    func autoConverge() async throws {
      try await Scene.with { scene in
        try await scene.guest(speed: 16)
        let options = [
          "--auto-converge", "--auto-converge-initial", "90", "--auto-converge-increment", "9",
        ]
        let migration = try await scene.lab.migrate("g", over: .mig, options)
        let id = try await scene.untilCopying().identity.id
        let view = try await scene.untilShown("a throttled guest", id) { $0.sample.cpuThrottle != nil }
        let throttle = try #require(view.sample.cpuThrottle)
        #expect([0.9, 0.99].contains(throttle))
        if migration.outcome == nil, let said = try? await scene.lab.jobFigures("g")["auto_converge_throttle"]
        {
          #expect(try #require(scene.record.trail(of: id).compactMap(\.sample.cpuThrottle).max()) >= throttle)
          #expect([90, 99].contains(said))
        }
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        let end = try await scene.untilOver(id)
        #expect(end.phase == .succeeded && end.sample.cpuThrottle == nil)
        let throttles = scene.record.trail(of: id).compactMap(\.sample.cpuThrottle)
        #expect(throttles == throttles.sorted())
        #expect(scene.record.counts == Counts(started: 1, succeeded: 1))
      }
    }

    @Test("a guest suspended in mid-migration is shown so, is still at the source, and goes on")
    func suspended() async throws {
      try await Scene.with { scene in
        try await scene.guest(speed: 2)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let running = try await scene.untilCopying()
        let id = running.identity.id
        try await scene.lab.virsh(.a, ["suspend", "g"])
        let paused = try await scene.untilShown("guest_suspended", id) { $0.phase == .guestSuspended }
        #expect(paused.guest == .source && paused.verdict.kind == .unknown)
        #expect(paused.completionDeadline == scene.record.last(id)?.completionDeadline)
        // libvirt itself resumes no guest that migrates; its monitor does.
        try await scene.lab.virsh(.a, ["qemu-monitor-command", "g", "--hmp", "cont"])
        try await scene.untilShown("precopy again", id) { $0.phase == .precopy }
        await scene.hurry()
        #expect(await migration.result().hasSucceeded)
        let view = try await scene.untilOver(id)
        #expect(view.phase == .succeeded && view.guest == .target)
        #expect(scene.record.essentials(of: id) == [.precopy, .guestSuspended, .precopy, .succeeded])
        #expect(scene.record.counts == Counts(started: 1, succeeded: 1))
      }
    }

    @Test("a guest that is suspended until its migration ends is no switchover without an end, and runs then")
    func suspendedToTheEnd() async throws {
      try await Scene.with { scene in
        try await scene.guest(speed: 2)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let id = try await scene.untilCopying().identity.id
        try await scene.lab.virsh(.a, ["suspend", "g"])
        try await scene.untilShown("guest_suspended", id) { $0.phase == .guestSuspended }
        #expect(await migration.result().hasSucceeded)
        let view = try await scene.untilOver(id)
        #expect(view.phase == .succeeded && view.guest == .target)
        #expect(scene.record.essentials(of: id) == [.precopy, .guestSuspended, .succeeded])
        try await scene.lab.heartbeat("g", on: .b)
        #expect(scene.record.counts == Counts(started: 1, succeeded: 1))
      }
    }
  }
}
