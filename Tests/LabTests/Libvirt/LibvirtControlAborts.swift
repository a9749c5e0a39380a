import DroverCore
import LibvirtBackend
import LibvirtLab
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("libvirt: aborts")
  struct LibvirtControlAborts {
    @Test(
      "in the first pass and in later ones it is ended, and the guest runs on; what is over or another is not"
    )
    func passes() async throws {
      try await Scene.controlled { scene in
        try await scene.guest(workingSet: 32, speed: 4)
        var first: MigrationTarget?
        for passes: UInt64 in [1, 3] {
          let migration = try await scene.lab.migrate("g", over: .mig)
          let running = try await scene.untilCopying(after: scene.record.lastEnded?.startedAt)
          let target = scene.target(running)
          if passes > 1 {
            try await scene.lab.setSpeed("g", mebibytesPerSecond: 40)
            try await scene.untilShown("pass \(passes)", target.id) { $0.sample.iterations ?? 0 >= passes }
          }
          let live = try await scene.live(target)
          #expect(live.state == .running(.precopy) && live.word == "running, copying", "\(live)")
          #expect(live.consequence.contains("runs on at the source"))
          if let first {
            // Somebody still means the one before.
            guard case .replaced = try await scene.live(first).state else {
              Issue.record("the first migration is \(try await scene.live(first))")
              return
            }
            let refused = try await scene.abortError(first)
            #expect(refused?.kind == .replaced)
            #expect(refused?.cause.hasPrefix("not sent: ") == true)
            let before = try #require(try await scene.lab.jobFigures("g")["memory_processed"])
            try await scene.watcher.until("more bytes") { record in
              record.last(target.id)?.sample.transferred?.count ?? 0 > before ? true : nil
            }
          }
          let asked = scene.now
          let view = try await scene.abort(target)
          let ended = try #require(view.ending?.endedAt)
          tell(
            "an abort in pass \(passes) was over \((ended - asked).milliseconds) ms after it was asked for")
          #expect(ended - asked < .seconds(2))
          #expect(view.phase == .aborted && view.guest == .source, "\(view.ending?.text ?? "")")
          #expect(await !migration.result().hasSucceeded)
          try await scene.lab.heartbeat("g", on: .a)
          let over = try await scene.live(target)
          #expect(over.state == .finished(.aborted), "\(over)")
          #expect(try await scene.abortError(target)?.kind == .gone)
          first = first ?? target
        }
      }
    }

    @Test("while a disk is copied it is ended, and the guest writes on")
    func disk() async throws {
      try await Scene.controlled { scene in
        try await scene.guest(rate: 1, speed: 8, isPersistent: true, disk: 128)
        try await scene.lab.write("g", mebibytes: 64)
        let migration = try await scene.lab.migrate("g", over: .mig, ["--copy-storage-all"])
        let running = try await scene.watcher.until("bytes of the disk") { record in
          record.snapshot.migrations.first { $0.sample.disk?.transferred ?? 0 > 0 }
        }
        let target = scene.target(running)
        let live = try await scene.live(target)
        #expect(live.state == .running(.precopy) && live.word == "running, copying disks", "\(live)")
        let view = try await scene.abort(target)
        #expect(view.guest == .source && view.phase != .succeeded, "\(view.ending?.text ?? "")")
        #expect(await !migration.result().hasSucceeded)
        try await scene.lab.write("g", mebibytes: 1)
        try await scene.lab.heartbeat("g", on: .a)
      }
    }

    @Test("while its target is still called nothing has been sent; it is ended, and said so")
    func setUp() async throws {
      try await Scene.controlled { scene in
        try await scene.guest(speed: 8)
        // The source's daemon waits for the other one.
        try await scene.lab.cut(.ctl)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let meant = try await scene.targetByJob()
        let live = try await scene.live(meant)
        #expect(live.state == .running(.preparing) && live.word == "running, nothing sent", "\(live)")
        let refused = try await scene.abortError(meant)
        tell("an abort while the target was called: \(refused.map { "\($0)" } ?? "taken")")
        // The daemon takes it, and ends the job when it has given up the target.
        #expect(try await scene.live(meant).state == .running(.aborting))
        #expect(try await scene.abortError(meant)?.cause.contains("an abort was sent already") == true)
        try await scene.lab.heal(.ctl)
        let outcome = await migration.result()
        tell("and the migration ended with: \(outcome.standardError)")
        try await scene.lab.heartbeat("g", on: .a)
        #expect(refused == nil && !outcome.hasSucceeded)
        #expect(outcome.standardError.contains("canceled by client"))
      }
    }

    @Test("in post-copy it is refused, not sent, and the migration comes to its end")
    func postcopy() async throws {
      try await Scene.controlled { scene in
        try await scene.guest(workingSet: 32, speed: 8)
        let migration = try await scene.lab.migrate(
          "g", over: .mig, ["--postcopy", "--postcopy-bandwidth", "4"])
        let running = try await scene.untilCopying()
        let target = scene.target(running)
        try await scene.untilShown("a second pass", target.id) { $0.sample.iterations ?? 0 >= 2 }
        try await scene.lab.virsh(.a, ["migrate-postcopy", "g"])
        try await scene.untilShown("post-copy", target.id) { $0.phase == .postcopy }
        let live = try await scene.live(target)
        #expect(live.state == .running(.postcopy) && live.consequence.contains("would be lost"), "\(live)")
        let refused = try await scene.abortError(target)
        #expect(refused?.kind == .refused && refused?.cause.hasPrefix("not sent: ") == true)
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        let view = try await scene.untilOver(target.id)
        #expect(view.phase == .succeeded)
        #expect(try await scene.live(target).state == .finished(.succeeded))
        #expect(try await scene.abortError(target)?.kind == .gone)
        try await scene.lab.heartbeat("g", on: .b)
      }
    }

    @Test("in the switchover it is refused, not sent, and the guest arrives")
    func switchover() async throws {
      try await Scene.controlled { scene in
        try await scene.guest(speed: 8)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let target = scene.target(try await scene.untilCopying())
        try await scene.untilShown("a second pass", target.id) { $0.sample.iterations ?? 0 >= 2 }
        // All that is left may be sent while the guest stands still, and takes long.
        try await scene.lab.shape(.mig, megabitsPerSecond: 16)
        try await scene.lab.virsh(.a, ["migrate-setmaxdowntime", "g", "60000"])
        try await scene.untilShown("the switchover", target.id) { $0.phase == .switchover }
        let live = try await scene.live(target)
        #expect(live.state == .running(.switchover) && live.word == "paused (migrating)", "\(live)")
        let refused = try await scene.abortError(target)
        #expect(refused?.kind == .refused && refused?.cause.hasPrefix("not sent: ") == true)
        try await scene.lab.shape(.mig, megabitsPerSecond: nil)
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        #expect(try await scene.untilOver(target.id).phase == .succeeded)
        try await scene.lab.heartbeat("g", on: .b)
      }
    }

    @Test("a guest that is paused for its migration is taken to be switched over: refused, and it arrives")
    func suspended() async throws {
      try await Scene.controlled { scene in
        try await scene.guest(speed: 2)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let target = scene.target(try await scene.untilCopying())
        // The same state as in the switchover itself, which is over in some 50 ms.
        try await scene.lab.virsh(.a, ["suspend", "g"])
        #expect(try await scene.live(target).state == .running(.switchover))
        let refused = try await scene.abortError(target)
        #expect(refused?.kind == .refused && refused?.cause.hasPrefix("not sent: ") == true)
        try? await scene.lab.setSpeed("g", mebibytesPerSecond: 1000)
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        #expect(try await scene.untilOver(target.id).phase == .succeeded)
      }
    }

    @Test("a dump of the guest is no migration: nothing is sent, and it is complete")
    func dump() async throws {
      try await Scene.controlled { scene in
        try await scene.guest(speed: 4)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let target = scene.target(try await scene.untilCopying())
        try await scene.abort(target)
        _ = await migration.result()

        // Its file is a pipe that nobody reads on for a while, so that the job is there long enough.
        let directory = "/var/lib/libvirt/images"
        try await scene.lab.execute(.a, ["mkfifo", "\(directory)/pipe"])
        let reading = Task { [lab = scene.lab] in
          try await lab.execute(
            .a,
            ["sh", "-c", "exec 3<\(directory)/pipe; sleep 8; cat <&3 >\(directory)/dumped"])
        }
        let dumping = Task { [lab = scene.lab] in
          try await lab.virsh(.a, ["dump", "--live", "g", "\(directory)/pipe"])
        }
        let deadline = ContinuousClock.now + .seconds(20)
        var live = try await scene.live(target)
        while !live.word.contains("a dump"), ContinuousClock.now < deadline {
          live = try await scene.live(target)
        }
        #expect(live.word == "running, its job is a dump, no migration", "\(live)")
        #expect(live.state == .finished(.aborted), "\(live)")
        #expect(try await scene.abortError(target)?.kind == .gone)
        // Nor one that is said to have begun with the dump.
        let begun = try await scene.targetByJob()
        #expect(try await scene.abortError(begun)?.kind == .gone)
        _ = try await dumping.value
        _ = try await reading.value
        let size = try await scene.lab.execute(.a, ["stat", "-c", "%s", "\(directory)/dumped"])
        tell("a dump that an abort did not end is \(size) bytes long")
        #expect(Int(size) ?? 0 > 16 << 20)
        try await scene.lab.heartbeat("g", on: .a)
      }
    }

    @Test("a QEMU that hangs is said to in time, nothing is sent to it, and others go on and can be ended")
    func hung() async throws {
      try await Scene.controlled { scene in
        for name in ["hung", "fine"] { try await scene.guest(name, speed: 4) }
        let migrations = [
          try await scene.lab.migrate("hung", over: .mig), try await scene.lab.migrate("fine", over: .mig),
        ]
        let hung = scene.target(try await scene.untilCopying("hung"))
        let fine = scene.target(try await scene.untilCopying("fine"))
        try await scene.lab.hang("hung")
        let hangs = scene.now
        let told = await error { () throws(ControlError) in try await scene.control(hung) }
        let took = scene.now - hangs
        tell(
          "of a QEMU that hangs it was said after \(took.milliseconds) ms: \(told.map { "\($0)" } ?? "nothing")"
        )
        #expect(told?.kind == .timeout && took < .seconds(5))
        let asked = scene.now
        let refused = try await scene.abortError(hung)
        #expect(refused?.kind == .timeout && refused?.remedy.contains("nothing was sent") == true)
        #expect(scene.now - asked < .seconds(5))
        // Beside it all is well.
        let before = scene.now
        #expect(try await scene.live(fine).state == .running(.precopy))
        #expect(scene.now - before < .seconds(2))
        try await scene.wait(.seconds(10), since: hangs)
        let ages = scene.record.looks(at: fine.id, from: hangs).map {
          ($0.at - $0.view.sampledAt).milliseconds
        }
        tell("beside it, the oldest sample of another was \(ages.max() ?? -1) ms old")
        #expect(ages.count > 20 && ages.allSatisfy { $0 <= 2000 })
        #expect(try await scene.abort(fine).phase == .aborted)

        try await scene.lab.resume("hung")
        // What was said not to have been sent was not.
        let resumed = scene.now
        try await scene.untilShown("new samples of the one that hung", hung.id) { $0.sampledAt > resumed }
        try await scene.wait(.seconds(3), since: resumed)
        #expect(try await scene.live(hung).state == .running(.precopy))
        #expect(try await scene.abort(hung).phase == .aborted)
        for migration in migrations { #expect(await !migration.result().hasSucceeded) }
      }
    }

    @Test("a daemon that is killed cannot be asked; when it is back it is, over a new connection")
    func connection() async throws {
      try await Scene.controlled { scene in
        try await scene.guest(speed: 4)
        let first = try await scene.lab.migrate("g", over: .mig)
        let target = scene.target(try await scene.untilCopying())
        #expect(try await scene.live(target).state == .running(.precopy))
        try await scene.lab.killDaemon(.a)
        #expect(
          await error { () throws(ControlError) in try await scene.control(target) }?.kind == .unreachable)
        #expect(try await scene.abortError(target)?.kind == .unreachable)
        #expect(await !first.result().hasSucceeded)
        try await scene.lab.startDaemon(.a)
        guard case .finished = try await scene.watchedEnd(target) else { return }
        // The new daemon knows no limit.
        try await scene.lab.setSpeed("g", mebibytesPerSecond: 4)
        let second = try await scene.lab.migrate("g", over: .mig)
        let again = scene.target(try await scene.untilCopying(after: scene.record.lastEnded?.startedAt))
        #expect(again.id != target.id)
        #expect(try await scene.abort(again).phase == .aborted)
        #expect(await !second.result().hasSucceeded)
      }
    }
  }
}

extension Scene {
  /// Reads a migration, for its error.
  fileprivate func control(_ target: MigrationTarget) async throws(ControlError) {
    guard let control = backends[.a] else { return }
    _ = try await control.live(target)
  }

  /// How a migration is once the watcher has seen its end.
  fileprivate func watchedEnd(_ target: MigrationTarget) async throws -> LiveMigration.State {
    try await untilOver(target.id)
    let live = try await live(target)
    #expect(live.state == .finished(.failed), "\(live)")
    return live.state
  }
}
