import DroverCore
import LibvirtLab
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("libvirt: wires that are cut")
  struct LibvirtOutages {
    // MARK: The control wire

    @Test("a control wire cut for good: the keepalive's end is known long before, to the second")
    func controlForGood() async throws {
      try await Scene.with(keepalive: .usual) { scene in
        try await scene.guest(speed: 8)
        let migration = try await scene.lab.migrate("g", over: .ctl)
        let running = try await scene.untilCopying()
        let id = running.identity.id
        try await scene.untilShown("a keepalive deadline", id) { $0.keepalive?.method == .measured }
        try await scene.lab.cut(.ctl)
        let cut = scene.now
        // The data are missed first: an acknowledgement is due all the time.
        let lost = try await scene.untilShown("a lost management network", id) {
          $0.networkLosses.map(\.network) == [.management]
        }
        #expect(lost.verdict.kind == .networkLost)
        let deadline = try #require(lost.keepalive?.deadline)
        #expect(lost.keepalive?.uncertainty == .zero && lost.keepalive?.timeout == .seconds(30))
        #expect(lost.verdict.evidence == .networkSilent(lost.networkLosses, keepaliveDeadline: deadline))
        let warnedAt = scene.now
        #expect(deadline - warnedAt >= .seconds(10))

        let outcome = await migration.result()
        let ended = scene.moment(of: outcome.endedAt)
        tell(
          "the keepalive closed \((ended - cut).milliseconds) ms after the cut, "
            + "\((ended - deadline).milliseconds) ms after the deadline told \((deadline - warnedAt).milliseconds) ms before"
        )
        #expect((ended - deadline).magnitude <= .seconds(1))
        #expect(outcome.standardError.contains("client socket is closed"))
        let view = try await scene.untilOver(id)
        #expect(view.phase == .failed && view.ending?.cause == .keepalive, "\(view.ending?.text ?? "")")
        #expect(view.ending?.certainty == .inferred)
        #expect(view.guest == .source)
        try await scene.lab.heartbeat("g", on: .a)
        let record = scene.record
        #expect(record.counts == Counts(started: 1, failed: [.keepalive: 1]))
        let silent = record.looks(at: id, from: cut + .seconds(6), to: ended - .seconds(1))
        #expect(silent.count > 10)
        // One moment, however often it is looked at.
        #expect(Set(silent.compactMap(\.view.keepalive?.deadline)) == [deadline])
        let late = record.looks(at: id, from: deadline - .seconds(20), to: ended - .seconds(1))
        #expect(late.allSatisfy { $0.view.verdict.kind == .networkLost })
      }
    }

    @Test("with a short keepalive too, and the bytes on the other wire go on until then")
    func controlForGoodDataApart() async throws {
      try await Scene.with { scene in
        try await scene.guest(speed: 8)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let running = try await scene.untilCopying()
        let id = running.identity.id
        try await scene.untilShown("a keepalive deadline", id) { $0.keepalive?.method == .measured }
        try await scene.lab.cut(.ctl)
        let cut = scene.now
        let outcome = await migration.result()
        let ended = scene.moment(of: outcome.endedAt)
        let view = try await scene.untilOver(id)
        #expect(view.phase == .failed && view.ending?.cause == .keepalive, "\(view.ending?.text ?? "")")
        #expect(view.guest == .source)
        try await scene.lab.heartbeat("g", on: .a)
        let record = scene.record
        let last = try #require(record.trail(of: id).last { $0.keepalive != nil })
        let deadline = try #require(last.keepalive?.deadline)
        tell("a keepalive of 3 s closed \((ended - deadline).milliseconds) ms after its deadline")
        #expect((ended - deadline).magnitude <= .seconds(1))
        // Nothing stopped while it was silent.
        let before = record.trail(of: id).last { $0.sampledAt <= cut }?.sample.transferred ?? 0
        let final = record.trail(of: id).last { !$0.isOver }
        #expect(final?.sample.transferred ?? 0 > before)
        #expect(try #require(final).sampledAt - (final?.progress?.lastSent ?? cut) < .seconds(1))
        #expect(record.interruptions.isEmpty && record.longestStop(of: id) < .seconds(4))
        #expect(record.trail(of: id).allSatisfy { !$0.networkLosses.contains { $0.network == .migration } })
        #expect(record.counts == Counts(started: 1, failed: [.keepalive: 1]))
      }
    }

    @Test("a control wire cut for 10 s loses the management network, and moves the deadline on afterwards")
    func controlHealed() async throws {
      try await Scene.with(keepalive: .usual) { scene in
        let listener = try scene.lab.listen(.a)
        try await scene.guest(speed: 8)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let id = try await scene.untilCopying().identity.id
        try await scene.untilShown("a keepalive deadline", id) { $0.keepalive?.method == .measured }
        try await scene.lab.cut(.ctl)
        let cut = scene.now
        let lost = try await scene.untilShown("network_lost", id) { $0.verdict.kind == .networkLost }
        #expect(lost.networkLosses.map(\.network) == [.management])
        let silence = try #require(lost.networkLosses.first).silence
        // The limit is 7 s, and the kernel is asked twice a second.
        #expect(silence > .seconds(7) && silence < .seconds(9))
        let deadline = try #require(lost.keepalive?.deadline)
        try await scene.wait(.seconds(10), since: cut)
        try await scene.lab.heal(.ctl)
        let healed = scene.now
        let back = try await scene.untilShown("a network again", id) { $0.networkLosses.isEmpty }
        #expect(back.verdict.kind != .networkLost)
        #expect(try #require(back.keepalive?.deadline) > deadline)
        tell("the management network was back \((scene.now - healed).milliseconds) ms after the heal")
        await scene.hurry()
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        let view = try await scene.untilOver(id)
        expectSuccess(
          view, as: try #require(try await listener.stop().last { $0.name == "job-completed" }).figures)
        let record = scene.record
        #expect(view.interruptions.count == 0 && record.interruptions.isEmpty)
        #expect(record.counts == Counts(started: 1, succeeded: 1))
        try await scene.lab.heartbeat("g", on: .b)
      }
    }

    @Test("one wire for control and data cut for 10 s: one network is lost, and one interruption counted")
    func oneWireHealed() async throws {
      try await Scene.with(keepalive: .usual) { scene in
        try await scene.guest(speed: 8)
        let migration = try await scene.lab.migrate("g", over: .ctl)
        let id = try await scene.untilCopying().identity.id
        try await scene.untilShown("a keepalive deadline", id) { $0.keepalive?.method == .measured }
        try await scene.lab.cut(.ctl)
        let cut = scene.now
        try await scene.untilShown("network_lost", id) { $0.verdict.kind == .networkLost }
        try await scene.wait(.seconds(10), since: cut)
        try await scene.lab.heal(.ctl)
        let moving = try await scene.untilShown("an interruption", id) { $0.interruptions.count > 0 }
        try await scene.untilShown("a network again", id) { $0.networkLosses.isEmpty }
        await scene.hurry()
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        let view = try await scene.untilOver(id)
        expectInterruption(of: 10, moving, view, scene.record)
        let losses = scene.record.trail(of: id).map { $0.networkLosses.map(\.network) }
        #expect(losses.contains([.management]) && losses.allSatisfy { $0.count <= 1 })
        #expect(scene.record.counts == Counts(started: 1, succeeded: 1))
      }
    }

    @Test("with the keepalive switched off there is no deadline, and a dead control wire ends nothing")
    func noKeepalive() async throws {
      try await Scene.with(keepalive: .disabled) { scene in
        try await scene.guest(speed: 8)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let id = try await scene.untilCopying().identity.id
        let first = try await scene.untilShown("a view of the network", id) { $0.network?.control != nil }
        #expect(first.network?.keepalive == .none(.disabled))
        try await scene.lab.cut(.ctl)
        let cut = scene.now
        try await scene.wait(.seconds(40), since: cut)
        let silent = scene.record.looks(at: id, from: cut)
        #expect(silent.count > 100)
        #expect(
          silent.allSatisfy { $0.view.network?.keepalive == .none(.disabled) && $0.view.keepalive == nil })
        #expect(silent.allSatisfy { $0.view.networkLosses.isEmpty && $0.view.phase == .precopy })
        #expect(migration.outcome == nil)
        try await scene.lab.heal(.ctl)
        await scene.hurry()
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        try await scene.untilOver(id)
        #expect(scene.record.counts == Counts(started: 1, succeeded: 1))
        #expect(scene.record.interruptions.isEmpty)
      }
    }

    // MARK: The data wire

    @Test(
      "a data wire cut for a while: the migration network is lost, nothing is foretold, one interruption",
      arguments: [10, 49])
    func dataHealed(seconds: Int) async throws {
      try await Scene.with(keepalive: .usual) { scene in
        let listener = try scene.lab.listen(.a)
        try await scene.guest(speed: 8)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let id = try await scene.untilCopying().identity.id
        try await scene.untilShown("a keepalive deadline", id) { $0.keepalive?.method == .measured }
        try await scene.lab.cut(.mig)
        let cut = scene.now
        let lost = try await scene.untilShown("network_lost", id) { $0.verdict.kind == .networkLost }
        #expect(lost.networkLosses.map(\.network) == [.migration])
        tell("the migration network was lost \((scene.now - cut).milliseconds) ms after the cut")
        #expect(scene.now - cut < .seconds(10))
        try await scene.wait(.seconds(seconds), since: cut)
        try await scene.lab.heal(.mig)
        let healed = scene.now
        let moving = try await scene.untilShown("an interruption", id, within: .seconds(180)) {
          $0.interruptions.count > 0
        }
        tell("data moved again \((scene.now - healed).milliseconds) ms after \(seconds) s of cut were healed")
        try await scene.untilShown("a network again", id) { $0.networkLosses.isEmpty }
        await scene.hurry()
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        let view = try await scene.untilOver(id)
        expectSuccess(
          view, as: try #require(try await listener.stop().last { $0.name == "job-completed" }).figures)
        let record = scene.record
        expectInterruption(of: seconds, moving, view, record)
        expectHealthyKeepalive(record.looks(at: id, from: cut, to: healed))
        #expect(record.counts == Counts(started: 1, succeeded: 1))
        try await scene.lab.heartbeat("g", on: .b)
      }
    }

    @Test("a data wire cut for good ends nothing by itself; an abort does")
    func dataForGood() async throws {
      try await Scene.with(keepalive: .usual) { scene in
        try await scene.guest(speed: 8)
        let migration = try await scene.lab.migrate("g", over: .mig)
        let id = try await scene.untilCopying().identity.id
        try await scene.untilShown("a keepalive deadline", id) { $0.keepalive?.method == .measured }
        try await scene.lab.cut(.mig)
        let cut = scene.now
        try await scene.untilShown("network_lost", id) { $0.verdict.kind == .networkLost }
        let lostAt = scene.now
        try await scene.wait(.seconds(40), since: cut)
        let silent = scene.record.looks(at: id, from: lostAt)
        #expect(silent.count > 80)
        #expect(silent.allSatisfy { $0.view.networkLosses.map(\.network) == [.migration] })
        #expect(silent.allSatisfy { $0.view.verdict.kind == .networkLost && $0.view.phase == .precopy })
        expectHealthyKeepalive(silent)
        #expect(silent.last?.view.transferRate == 0 && silent.last?.view.sample.dirtyRate == nil)
        #expect(migration.outcome == nil)

        try await scene.lab.abort("g")
        let outcome = await migration.result()
        #expect(!outcome.hasSucceeded)
        tell("a migration aborted behind a dead wire ended with: \(outcome.standardError)")
        let view = try await scene.untilOver(id)
        #expect(view.phase == .aborted && view.ending?.cause == .userAbort, "\(view.ending?.text ?? "")")
        #expect(view.guest == .source)
        #expect(scene.record.counts == Counts(started: 1, aborted: [.userAbort: 1]))
        try await scene.lab.heartbeat("g", on: .a)
      }
    }

    @Test("a data wire cut while a disk is copied is one interruption, not two")
    func dataHealedInDiskCopy() async throws {
      try await Scene.with(keepalive: .usual) { scene in
        try await scene.guest(rate: 1, speed: 20, isPersistent: true, disk: 256)
        try await scene.lab.write("g", mebibytes: 192)
        let migration = try await scene.lab.migrate("g", over: .mig, ["--copy-storage-all"])
        let running = try await scene.watcher.until("some steps of the disk") { record in
          record.snapshot.migrations.first { $0.sample.disk?.transferred ?? 0 > .mebibytes(40) }
        }
        let id = running.identity.id
        try await scene.lab.cut(.mig)
        let cut = scene.now
        let lost = try await scene.untilShown("network_lost", id) { $0.verdict.kind == .networkLost }
        #expect(lost.networkLosses.map(\.network) == [.migration])
        try await scene.wait(.seconds(12), since: cut)
        try await scene.lab.heal(.mig)
        let healed = scene.now
        let moving = try await scene.untilShown("an interruption", id, within: .seconds(180)) {
          $0.interruptions.count > 0
        }
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        let view = try await scene.untilOver(id)
        expectSuccess(view, as: try await scene.lab.completedFigures("g"))
        expectInterruption(of: 12, moving, view, scene.record)
        expectHealthyKeepalive(scene.record.looks(at: id, from: cut, to: healed))
        #expect(scene.record.counts == Counts(started: 1, succeeded: 1))
      }
    }

    // MARK: Other connections

    @Test("a tunnelled migration has one connection, and that is measured")
    func tunnelled() async throws {
      try await Scene.with { scene in
        try await scene.guest(speed: 8)
        let migration = try await scene.lab.migrate("g", over: .ctl, ["--tunnelled"])
        let id = try await scene.untilCopying().identity.id
        let measured = try await scene.untilShown("a keepalive deadline", id) { $0.keepalive != nil }
        #expect(measured.keepalive?.method == .measured)
        #expect(measured.network?.control != nil && measured.network?.data == nil)
        try await scene.lab.cut(.ctl)
        let outcome = await migration.result()
        let ended = scene.moment(of: outcome.endedAt)
        let view = try await scene.untilOver(id)
        #expect(view.phase == .failed && view.ending?.cause == .keepalive, "\(view.ending?.text ?? "")")
        #expect(view.guest == .source)
        let deadline = try #require(
          scene.record.trail(of: id).last { $0.keepalive != nil }?.keepalive?.deadline)
        tell("tunnelled, the keepalive closed \((ended - deadline).milliseconds) ms after its deadline")
        #expect((ended - deadline).magnitude <= .seconds(1))
        #expect(scene.record.counts == Counts(started: 1, failed: [.keepalive: 1]))
        try await scene.lab.heartbeat("g", on: .a)
      }
    }

    @Test("a migration that is not peer to peer has no keepalive deadline, and that is said")
    func notPeerToPeer() async throws {
      try await Scene.with { scene in
        try await scene.guest(speed: 8)
        let migration = try await scene.lab.migrate("g", over: .mig, isPeerToPeer: false)
        let id = try await scene.untilCopying().identity.id
        let view = try await scene.untilShown("a report of the network", id) { $0.network != nil }
        #expect(view.network?.keepalive == .none(.notPeerToPeer))
        #expect(view.network?.data != nil)
        try await scene.wait(.seconds(4), since: view.startedAt)
        #expect(scene.record.trail(of: id).allSatisfy { $0.keepalive == nil && $0.networkLosses.isEmpty })
        await scene.hurry()
        #expect(await migration.result().hasSucceeded)
        #expect(try await scene.untilOver(id).phase == .succeeded)
        #expect(scene.record.counts == Counts(started: 1, succeeded: 1))
      }
    }

    @Test("without sight of the network the deadline is inferred, with an interval of uncertainty")
    func blind() async throws {
      try await Scene.with(sight: .blind) { scene in
        try await scene.guest(speed: 8)
        let migration = try await scene.lab.migrate("g", over: .ctl)
        let id = try await scene.untilCopying().identity.id
        let seen = try await scene.untilShown("a keepalive deadline", id) { $0.keepalive != nil }
        #expect(seen.network?.keepalive == .inferred(.invisible))
        #expect(seen.keepalive?.method == .inferred && seen.keepalive?.uncertainty == .seconds(1))
        try await scene.lab.cut()
        let outcome = await migration.result()
        #expect(!outcome.hasSucceeded)
        let ended = scene.moment(of: outcome.endedAt)
        let last = try #require(scene.record.trail(of: id).last { $0.keepalive != nil }?.keepalive)
        tell(
          "without sight, the end came \((ended - last.deadline).milliseconds) ms after the earliest deadline, "
            + "of which \(last.uncertainty.milliseconds) ms are uncertainty")
        #expect(
          ended >= last.deadline - .seconds(1) && ended <= last.deadline + last.uncertainty + .seconds(1))
        let view = try await scene.untilOver(id)
        #expect(view.phase == .failed && view.guest == .source)
        #expect(view.ending?.certainty == .inferred)
        let cause = try #require(view.ending?.cause)
        #expect([.unknown, .keepalive, .connectionLost].contains(cause))
        #expect(scene.record.counts == Counts(started: 1, failed: [cause: 1]))
        try await scene.lab.heartbeat("g", on: .a)
      }
    }
  }
}

/// One interruption, as long as the samples show, and no shorter than the wire was cut, less what buffers held.
private func expectInterruption(
  of seconds: Int, _ moving: MigrationView, _ view: MigrationView, _ record: Watcher.Record,
  at location: SourceLocation = #_sourceLocation
) {
  let length = moving.interruptions.total
  let shown = record.longestStop(of: view.identity.id)
  tell(
    "an interruption of \(length.milliseconds) ms for a cut of \(seconds) s; samples show \(shown.milliseconds) ms"
  )
  #expect(view.interruptions.count == 1 && view.interruptions.total == length, sourceLocation: location)
  #expect(record.interruptions == [length], sourceLocation: location)
  #expect((length - shown).magnitude <= .seconds(2), sourceLocation: location)
  #expect(length >= .seconds(seconds - 3), sourceLocation: location)
}

/// The keepalive had a deadline all the time, and it never passed.
private func expectHealthyKeepalive(
  _ looks: [(at: Moment, view: MigrationView)], at location: SourceLocation = #_sourceLocation
) {
  #expect(!looks.isEmpty, sourceLocation: location)
  #expect(
    looks.allSatisfy { look in
      look.view.keepalive.map { $0.method == .measured && $0.deadline - look.at > .seconds(15) } ?? false
    }, sourceLocation: location)
  #expect(
    looks.allSatisfy { !$0.view.networkLosses.contains { $0.network == .management } },
    sourceLocation: location)
}
