import DroverCore
import LibvirtBackend
import LibvirtLab
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("libvirt: starts")
  struct LibvirtControlStarts {
    @Test(
      "a guest is sent to the peer, seen as what was started, and is there, and only there, afterwards",
      arguments: [false, true])
    func success(isPersistent: Bool) async throws {
      try await Scene.controlled { scene in
        try await scene.guest(speed: 8, isPersistent: isPersistent)
        let control = try scene.control
        let eligibility = try await control.eligibility(of: scene.vm())
        #expect(eligibility.isMigratable == true && eligibility.node == "lab-a", "\(eligibility)")
        #expect(eligibility.targets == [Eligibility.Target(node: "b", obstacles: [])])
        let shown = try await scene.watcher.until("where it can go") { record in
          record.snapshot.vms.first { $0.vm == scene.vm() && $0.targets != nil }
        }
        #expect(shown.targets == 1 && shown.isMigratable == true, "\(shown)")
        let order = StartOrder(vm: scene.vm(), node: isPersistent ? "lab-b" : nil)
        let plan = try await control.plan(order)
        #expect(plan.refusals.isEmpty && plan.source == "lab-a", "\(plan)")
        #expect(
          plan.request == "virsh migrate --live --p2p \(isPersistent ? "--persistent --undefinesource " : "")"
            + "g qemu+tcp://192.0.2.2/system tcp://198.51.100.2")
        let asked = scene.now
        let receipt = try await control.start(order)
        tell("a start was told to be under way after \((scene.now - asked).milliseconds) ms")
        let running = try await scene.untilCopying()
        #expect(receipt.migration == running.identity.id)
        // Once at a time.
        let again = await error { () throws(ControlError) in try await control.start(order) }
        #expect(again?.kind == .refused && again?.cause.contains("migrates already") == true)
        await scene.hurry()
        let view = try await scene.untilOver(running.identity.id)
        #expect(view.phase == .succeeded && view.guest == .target)
        #expect(scene.record.counts == Counts(started: 1, succeeded: 1))
        try await scene.lab.heartbeat("g", on: .b)
        let listed = isPersistent ? ["--persistent"] : ["--transient"]
        #expect(try await scene.lab.virsh(.b, ["list", "--name"] + listed) == "g")
        #expect(try await scene.lab.virsh(.a, ["list", "--all", "--name"]).isEmpty)
        try await scene.watcher.until("a line of its end") { record in
          record.lines.contains { $0.contains("the migration of g to b is over, and succeeded") } ? true : nil
        }
      }
    }

    @Test("of one that is aborted or fails later, libvirt's own words are logged and told with its end")
    func failsLater() async throws {
      try await Scene.controlled { scene in
        try await scene.guest(speed: 4)
        let control = try scene.control
        for turn in 1...2 {
          let receipt = try await control.start(StartOrder(vm: scene.vm()))
          let id = try #require(receipt.migration)
          let running = try await scene.untilCopying(after: scene.record.lastEnded?.startedAt)
          #expect(running.identity.id == id)
          if turn == 1 {
            try await control.abort(scene.target(running))
          } else {
            try await scene.lab.killQEMU("g", on: .b)
          }
          let view = try await scene.untilOver(id)
          #expect(view.phase == (turn == 1 ? .aborted : .failed) && view.guest == .source)
          tell("an end that Drover started told: \(view.ending?.text ?? "")")
          #expect(view.ending?.text.contains("libvirt says: ") == true, "\(view.ending?.text ?? "")")
          try await scene.watcher.until("a line of its end") { record in
            record.lines.filter { $0.contains("the migration of g to b failed: ") }.count == turn ? true : nil
          }
          try await scene.lab.heartbeat("g", on: .a)
        }
      }
    }

    @Test("what speaks against a start is said before anything is sent")
    func refused() async throws {
      try await Scene.controlled(peers: { lab in
        [
          LibvirtPeer(
            name: "self", uri: "qemu+tcp://\(lab.address(.a, on: .ctl))/system", checkURI: lab.uri(.a)),
          LibvirtPeer(
            name: "closed", uri: "qemu+tcp://\(lab.address(.b, on: .ctl)):1/system", checkURI: lab.uri(.b)),
          LibvirtPeer(
            name: "far", uri: "qemu+tcp://\(lab.address(.b, on: .ctl))/system",
            checkURI: "qemu+unix:///system?socket=/not/there"),
        ]
      }) { scene in
        try await scene.guest(rate: 1)
        try await scene.guest("disk", rate: 1, isPersistent: true, disk: 16)
        let control = try scene.control
        func reasons(_ name: String, _ node: String? = nil) async throws -> [RefusalReason] {
          let order = StartOrder(vm: scene.vm(name), node: node)
          let plan = try await control.plan(order)
          if !plan.refusals.isEmpty {
            let thrown = await error { () throws(ControlError) in try await control.start(order) }
            #expect(thrown?.kind == .refused && thrown?.cause.hasPrefix("not sent: ") == true)
          }
          return plan.refusals.map(\.reason)
        }
        #expect(try await reasons("g", "self") == [.sameNode])
        #expect(try await reasons("g", "lab-a") == [.sameNode])
        #expect(try await reasons("g", "elsewhere") == [.unknown])
        #expect(try await reasons("disk", "closed") == [.notMigratable])
        let disk = try await control.eligibility(of: scene.vm("disk"))
        #expect(disk.obstacles.map(\.reason) == [.accessMode] && disk.isMigratable == false, "\(disk)")
        #expect(disk.notes.contains { $0.contains("the floppy fda must be at the target too") })
        #expect(disk.targets.last?.obstacles.map(\.reason) == [.unknown])
        // Not running.
        try await scene.lab.virsh(.a, ["destroy", "disk"])
        #expect(try await reasons("disk", "closed").first == .notRunning)
        // Migrating.
        try await scene.lab.setSpeed("g", mebibytesPerSecond: 1)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let running = try await scene.untilCopying()
        #expect(try await reasons("g", "closed").first == .migrating)
        try await scene.abort(scene.target(running))
        _ = await migration.result()
        // What only libvirt can tell is told, and nothing is left of it.
        let before = scene.record.ids.count
        let thrown = await error { () throws(ControlError) in
          try await control.start(StartOrder(vm: scene.vm(), node: "closed"))
        }
        tell("a port that is closed: \(thrown.map { "\($0)" } ?? "nothing")")
        #expect(
          thrown?.call == "virDomainMigrateToURI3" && thrown?.kind == .refused || thrown?.kind == .unreachable
        )
        try await scene.watcher.until("nothing is left") { record in
          record.snapshot.migrations.allSatisfy { $0.isOver } ? true : nil
        }
        tell("migrations seen of a start that failed: \(scene.record.ids.count - before)")
        try await scene.lab.heartbeat("g", on: .a)
        // One that cannot be asked is tried, with a warning.
        let far = try await control.plan(StartOrder(vm: scene.vm(), node: "far"))
        #expect(far.refusals.isEmpty && far.warnings.contains { $0.contains("far cannot be asked") })
        let receipt = try await control.start(StartOrder(vm: scene.vm(), node: "far"))
        #expect(receipt.warnings == far.warnings)
        await scene.hurry()
        try await scene.watcher.until("the end of it") { $0.ends.last?.phase == .succeeded ? true : nil }
      }
    }
  }
}
